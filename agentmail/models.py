from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Transport(models.TextChoices):
    FROZEN_MESSAGE = "frozen_message", _("Frozen message")
    PROVIDER_DRAFT = "provider_draft", _("Provider draft")


class OversightMode(models.TextChoices):
    READ_ONLY = "read_only", _("Read only")
    GATED_ALL = "gated_all", _("Gated, reads and sends")
    GATED_SEND = "gated_send", _("Gated sends")
    MONITORED = "monitored", _("Monitored")
    AUTONOMOUS = "autonomous", _("Autonomous")


class GrantState(models.TextChoices):
    VALID = "valid", _("Connected")
    INVALID = "invalid", _("Needs re-authentication")
    REMOVED = "removed", _("Removed at the provider")


class Mailbox(models.Model):
    """One grant of the provider, and how this desk treats it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    grant_id = models.CharField(max_length=255, unique=True)
    address = models.CharField(max_length=320)
    display_name = models.CharField(max_length=256, blank=True)
    provider = models.CharField(max_length=32, default="nylas")
    grant_state = models.CharField(max_length=16, choices=GrantState, default=GrantState.VALID)
    is_enabled = models.BooleanField(default=True)
    mode = models.CharField(max_length=16, choices=OversightMode, default=OversightMode.GATED_SEND)
    transport = models.CharField(max_length=16, choices=Transport, default=Transport.FROZEN_MESSAGE)
    undo_seconds = models.PositiveSmallIntegerField(default=15)
    expiry_hours = models.PositiveSmallIntegerField(default=72)
    approval_minutes = models.PositiveSmallIntegerField(default=30)
    # Who sends from here and how a recipient opts out, as mail to many has to say; a web or mailto: address.
    sender_name = models.CharField(max_length=200, blank=True)
    postal_address = models.CharField(max_length=500, blank=True)
    unsubscribe = models.CharField(max_length=500, blank=True)
    connected_at = models.DateTimeField(auto_now_add=True)
    # Set by the synchroniser; times of the database clock.
    synced_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True)
    messages_received_until = models.BigIntegerField(null=True)
    sent_folder_id = models.CharField(max_length=255, blank=True)
    inbox_folder_id = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["address", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(undo_seconds__gte=0, undo_seconds__lte=60),
                name="mailbox_undo_0_to_60_seconds",
            ),
            models.CheckConstraint(
                condition=models.Q(expiry_hours__gte=1, expiry_hours__lte=720),
                name="mailbox_expiry_1_hour_to_30_days",
            ),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def scope(self) -> str:
        return f"mailbox:{self.pk}"


class Thread(models.Model):
    """The last look at a conversation. Its provider id may change; messages keep theirs."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="threads")
    provider_id = models.CharField(max_length=255)
    subject = models.TextField(blank=True)
    participants = models.JSONField(default=list)
    message_ids = models.JSONField(default=list)
    latest_message_received_date = models.BigIntegerField(null=True)
    latest_message_sent_date = models.BigIntegerField(null=True)
    fetched_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "provider_id"], name="thread_once_per_mailbox")
        ]

    def __str__(self) -> str:
        return self.provider_id


class PartsState(models.TextChoices):
    """What is known of the plain text of a message beside its HTML; the last ones say why nothing is."""

    NOT_ASKED = "", _("Not compared yet")
    SINGLE = "single", _("One form only")
    ALIKE = "alike", _("Both say the same")
    DIFFER = "differ", _("They say different things")
    GONE = "gone", _("No longer at the provider")
    TOO_LARGE = "too_large", _("Too large")
    UNREADABLE = "unreadable", _("Not readable")
    NOT_GIVEN = "not_given", _("Not given by the provider")


class Message(models.Model):
    """A message of a mailbox as stored at arrival; its HTML was sanitised then, once.

    `body_html` is safe to show inside the scriptless frame, empty when the mail is plain text.
    `body_text` is the text a reader is shown, quotes included. `is_complete` is false while only a
    truncated notification is known. `hidden_texts`, `links` (pairs of text and target) and `remote_images` (addresses)
    are what its source held beside what is shown. `message_id` is its Message-ID header as it stands, empty when it
    has none that can be kept. `parts_difference` is what plain text and HTML say each alone, where they differ: the
    `passages` and the `lines` that hold them, of `plain` and of `shown`.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="messages")
    provider_id = models.CharField(max_length=255)
    thread_id = models.CharField(max_length=255, blank=True)
    message_id = models.CharField(max_length=998, blank=True)
    is_outbound = models.BooleanField(default=False)
    sender = models.JSONField(default=list)
    to = models.JSONField(default=list)
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list)
    reply_to = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    snippet = models.TextField(blank=True)
    body_html = models.TextField(blank=True)
    body_text = models.TextField(blank=True)
    hidden_texts = models.JSONField(default=list)
    links = models.JSONField(default=list)
    remote_images = models.JSONField(default=list)
    attachments = models.JSONField(default=list)
    metadata = models.JSONField(default=dict)
    parts_state = models.CharField(
        max_length=16, choices=PartsState, default=PartsState.NOT_ASKED, blank=True
    )
    parts_difference = models.JSONField(default=dict)
    parts_attempts = models.PositiveSmallIntegerField(default=0)
    parts_next_at = models.DateTimeField(null=True)
    date = models.BigIntegerField(null=True)
    is_complete = models.BooleanField(default=True)
    is_deleted = models.BooleanField(default=False)
    stored_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "provider_id"], name="message_once_per_mailbox")
        ]
        indexes = [
            models.Index(fields=["mailbox", "thread_id", "date"], name="message_by_thread"),
            models.Index(fields=["mailbox", "message_id"], name="message_by_message_id_header"),
            # What can be judged is asked for after every read; the texts of a message are long to step over.
            models.Index(
                fields=["mailbox", "id"],
                name="message_received_in_full",
                condition=models.Q(is_outbound=False, is_complete=True, is_deleted=False),
            ),
            models.Index(
                fields=["mailbox", "date"], name="message_sent", condition=models.Q(is_outbound=True)
            ),
        ]

    def __str__(self) -> str:
        return self.provider_id


class EventState(models.TextChoices):
    STORED = "stored", _("Waiting")
    DONE = "done", _("Done")
    IGNORED = "ignored", _("Of no concern")
    QUARANTINED = "quarantined", _("Quarantined")
    FAILING = "failing", _("Failing")


class ProviderEvent(models.Model):
    """A verified notification, stored before it is acted on and never stored twice."""

    source = models.CharField(max_length=32, default="nylas")
    notification_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    grant_id = models.CharField(max_length=255, blank=True)
    body_sha256 = models.CharField(max_length=64)
    payload = models.JSONField()
    provider_time = models.BigIntegerField(null=True)
    received_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=16, choices=EventState, default=EventState.STORED)
    attempts = models.PositiveSmallIntegerField(default=0)
    trouble = models.CharField(max_length=500, blank=True)
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "notification_id"], name="provider_event_once")
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at", "id"],
                name="provider_event_waiting",
                condition=models.Q(state__in=["stored", "failing"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.notification_id}"


class WebhookRejection(models.Model):
    """How many notifications were turned away on one day (UTC) for one reason."""

    day = models.DateField()
    reason = models.CharField(max_length=32)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "reason"], name="webhook_rejection_once_per_day")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.reason}"


class RuleEvaluation(models.Model):
    """One evaluation by the provider's rules, stored once, as it gave it."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="rule_evaluations")
    provider_id = models.CharField(max_length=255)
    provider_message_id = models.CharField(max_length=255, blank=True)
    evaluated_at = models.BigIntegerField()
    stage = models.CharField(max_length=32)
    evaluation_input = models.JSONField(default=dict)
    applied_actions = models.JSONField(default=dict)
    matched_rule_ids = models.JSONField(default=list)
    fetched_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox", "provider_id"], name="rule_evaluation_once_per_mailbox"
            )
        ]
        indexes = [models.Index(fields=["mailbox", "-evaluated_at", "-id"], name="rule_evaluation_newest")]

    def __str__(self) -> str:
        return self.provider_id
