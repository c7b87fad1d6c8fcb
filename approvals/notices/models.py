from __future__ import annotations

import uuid
from datetime import time
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agentmail.models import Mailbox
from policies.models import Versioned
from policies.webhooks import DEFAULT_HEADER, Standing, name_in_record, standing_of


class NoticeKind(models.TextChoices):
    WAITING = "waiting", _("A draft of high risk waits")
    ASSIGNED = "assigned", _("A draft was given to you")
    EXPIRING = "expiring", _("A draft expires soon")
    FOLLOW_UP = "follow_up", _("A mail came back")
    UNKNOWN = "unknown", _("It is not known whether a mail left")
    NEEDS_PERSON = "needs_person", _("A message needs a person")
    SENT_ELSEWHERE = "sent_elsewhere", _("A mail left without this desk")
    STOPPED = "stopped", _("Sending was stopped")
    RESUMED = "resumed", _("Sending was allowed again")
    DIGEST = "digest", _("Drafts wait for you")


class Notice(models.Model):
    """Something that people are told of. Written by `approvals.notices.keeping` only.

    It is for `person` alone, or for everybody with the right of its kind on `mailbox`; without a mailbox it is about
    all of them. `key` says what it is about: of one thing there is one open notice. It is closed when the thing is
    settled, by `closed_by`, in the way that `settled` names.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=NoticeKind)
    # Notices of one event in several mailboxes share it: nobody is written to twice about it.
    event = models.CharField(max_length=200)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="notices")
    draft = models.ForeignKey("approvals.Draft", on_delete=models.CASCADE, null=True, related_name="notices")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="own_notices"
    )
    is_urgent = models.BooleanField(default=False)
    path = models.CharField(max_length=200)
    facts: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    made_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=256, blank=True)
    settled = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(closed_at__isnull=True), name="one_open_notice_per_thing"
            )
        ]
        indexes = [
            models.Index(fields=["-id"], name="notice_open", condition=Q(closed_at__isnull=True)),
            models.Index(fields=["draft", "kind"], name="notice_by_draft", condition=Q(draft__isnull=False)),
            models.Index(
                fields=["person", "-id"], name="notice_by_person", condition=Q(person__isnull=False)
            ),
            models.Index(fields=["closed_at"], name="notice_by_close", condition=Q(closed_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"


class NoticeRead(models.Model):
    """That a person marked a notice as read; see also `NoticeSettings.read_up_to`."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="reads")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "notice"], name="notice_read_once")]

    def __str__(self) -> str:
        return f"{self.notice_id} read by {self.person_id}"


class DigestRhythm(models.TextChoices):
    HOURLY = "hourly", _("Every hour")
    DAILY = "daily", _("Once a day")
    OFF = "off", _("Never")


class NoticeSettings(models.Model):
    """How a person wants to be told; see `approvals.notices.wishes`. Without a row the defaults hold.

    `hows` maps kinds to "at_once", "digest" or "not", where they differ from the default.
    """

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_settings"
    )
    hows: models.JSONField[dict[str, str]] = models.JSONField(default=dict)
    digest = models.CharField(max_length=8, choices=DigestRhythm, default=DigestRhythm.DAILY)
    digest_at = models.TimeField(default=time(8))
    zone = models.CharField(max_length=64, default="UTC")
    # Both or none; a night runs over midnight.
    quiet_from = models.TimeField(null=True)
    quiet_until = models.TimeField(null=True)
    urgent_breaks_quiet = models.BooleanField(default=False)

    read_up_to = models.BigIntegerField(default=0)
    last_digest_at = models.DateTimeField(null=True)
    next_digest_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "notice settings"
        indexes = [
            models.Index(
                fields=["next_digest_at"],
                name="notice_digest_due",
                condition=Q(next_digest_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="quiet_hours_have_both_ends",
            )
        ]

    def __str__(self) -> str:
        return f"notice settings of {self.person_id}"


class How(models.TextChoices):
    AT_ONCE = "at_once", _("At once")
    DIGEST = "digest", _("In the digest")
    NOT = "not", _("Not by email")


class NoticeMail(models.Model):
    """One notice for one person by email, kept until it was handed over, given up or no longer needed.

    Rows with one `message` are one mail, whose id that is: a mail that is handed over a second time is the same mail.
    One for the digest waits until `digest` names the notice that carries it.
    """

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="mails")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    how = models.CharField(max_length=8, choices=How)
    digest = models.ForeignKey(Notice, on_delete=models.CASCADE, null=True, related_name="carried")
    message = models.UUIDField(null=True)
    made_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notice", "person"], name="notice_mailed_once")]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"],
                name="notice_mail_due",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["person", "delivered_at"], name="notice_mail_by_person"),
            models.Index(
                fields=["given_up_at"], name="notice_mail_given_up", condition=Q(given_up_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} to {self.person_id}"


class CardKind(models.TextChoices):
    SLACK_BOT = "slack_bot", _("Slack, as a bot")
    SLACK_WEBHOOK = "slack_webhook", _("Slack, incoming webhook")
    WEBHOOK = "webhook", _("Webhook")


class NoticeChannel(Versioned):
    """Where notices of a mailbox, or of all when it is empty, are put on cards; see `approvals.notices.channels`.

    What must stay secret of Slack, the token of a bot or the address of an incoming webhook, is in `sealed`; the
    secret of a webhook is made of `salt` and the site's own key. Neither is part of a recorded change.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=CardKind)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="notice_channels")
    kinds: models.JSONField[list[str]] = models.JSONField(default=list)
    # The address of a webhook, or the id of the bot's channel.
    target = models.CharField(max_length=500, blank=True)
    signature_header = models.CharField(max_length=64, default=DEFAULT_HEADER)
    is_on = models.BooleanField(default=True)
    secret_made_at = models.DateTimeField()

    sealed = models.TextField(blank=True, editable=False)
    salt = models.CharField(max_length=64, blank=True, editable=False)
    # Written by the deliveries themselves.
    failing_since = models.DateTimeField(null=True, editable=False)
    waits_until = models.DateTimeField(null=True, editable=False)
    trouble = models.CharField(max_length=300, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name

    @property
    def standing(self) -> Standing:
        return standing_of(is_on=self.is_on, failing_since=self.failing_since)

    def in_record(self) -> dict[str, Any]:
        return {"target": name_in_record(self.target)} if self.kind == CardKind.WEBHOOK else {}


class CardState(StrEnum):
    """What became of a card."""

    WAITING = "waiting"
    UP = "up"
    SETTLED = "settled"
    NOT_NEEDED = "not_needed"
    GIVEN_UP = "given_up"


class NoticeCard(models.Model):
    """One notice on one channel. `wanted` is 1 for the open card and 2 for the settled one; `shown` is what is there.

    `notice` is empty for a test. Rows with one `bundle` are one card, which says how many they are.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    channel = models.ForeignKey(NoticeChannel, on_delete=models.CASCADE, related_name="cards")
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, null=True, related_name="cards")
    bundle = models.UUIDField(null=True)
    wanted = models.PositiveSmallIntegerField(default=1)
    shown = models.PositiveSmallIntegerField(default=0)
    # What Slack calls the message: its channel and its time.
    remote = models.CharField(max_length=100, blank=True)
    made_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "notice"], name="notice_card_once")]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"],
                name="notice_card_due",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["channel", "-id"], name="notice_card_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} on {self.channel_id}"

    @property
    def state(self) -> CardState:
        if self.given_up_at is not None:
            return CardState.GIVEN_UP
        if self.next_try_at is not None:
            return CardState.WAITING
        if not self.shown:
            return CardState.NOT_NEEDED
        return CardState.SETTLED if self.shown == 2 else CardState.UP


class NoticeCardTry(models.Model):
    """One try to put a card on a channel, or to change it. `trouble` is empty when it was taken."""

    card = models.ForeignKey(NoticeCard, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    took_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    trouble = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"try {self.pk} of card {self.card_id}"


class NoticeCursor(models.Model):
    """How far the record was read for notices; one row, locked by whoever reads."""

    sequence = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"read up to {self.sequence}"
