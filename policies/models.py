from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Switch(models.Model):
    """Whether sending is stopped in a scope: "global" or "mailbox:<id>". A scope without a row counts as
    stopped.
    """

    scope = models.CharField(max_length=64, unique=True)
    is_engaged = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    changed_by = models.TextField(blank=True)
    # Database clock and number of the audit entry of the last flip; empty until the first.
    changed_at = models.DateTimeField(null=True)
    changed_sequence = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["scope"]
        verbose_name_plural = "switches"

    def __str__(self) -> str:
        return self.scope


class Change(models.Model):
    """One change of a policy row. Its number is the policy version from then on; see `policies.changes`."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    object_id = models.BigIntegerField()
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=200)
    actor_name = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    # Fields of the row as they were and as they are; empty before it existed and after it was removed.
    before: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    after: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["kind", "object_id", "-id"], name="change_by_object")]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind} {self.object_id}"


class Versioned(models.Model):
    """A row that admins edit. It is written by `policies.changes` only, which counts its versions."""

    version = models.PositiveIntegerField(default=1)

    class Meta:
        abstract = True


class Workspace(Versioned):
    """A group of mailboxes that share policies, as at the provider. A mailbox is in one at most."""

    name = models.CharField(max_length=256, unique=True)
    provider_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WorkspaceMember(Versioned):
    """`mailbox_id` is the key of the mailbox; this application knows no more of it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="members")
    mailbox_id = models.BigIntegerField(unique=True)

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.mailbox_id}"


class UnknownRecipient(models.TextChoices):
    ASK = "ask", _("Ask a person")
    BLOCK = "block", _("Block")


class Delivery(models.TextChoices):
    LIVE = "live", _("Live")
    DRY_RUN = "dry_run", _("Dry run")


class MailboxSettings(Versioned):
    """What admins set for one mailbox; a mailbox without a row has the defaults. See `policies.mailbox_settings`."""

    mailbox_id = models.BigIntegerField(unique=True)
    # A recipient on no list: in mail that a person decides, and in mail that nobody does.
    unknown_reviewed = models.CharField(max_length=8, choices=UnknownRecipient, default=UnknownRecipient.ASK)
    unknown_unreviewed = models.CharField(
        max_length=8, choices=UnknownRecipient, default=UnknownRecipient.BLOCK
    )
    delivery = models.CharField(max_length=8, choices=Delivery, default=Delivery.LIVE)
    # When sending without a rehearsal began, which the ramp of the first day counts from; empty: never rehearsed.
    live_since = models.DateTimeField(null=True)
    # Whether approvals given before a mailbox became read_only are refused, too.
    read_only_refuses_approved = models.BooleanField(default=False)
    # Why an admin lets the mailbox be monitored though nobody is told of its sends; empty: it needs a channel.
    unnotified_reason = models.TextField(blank=True)
    # Whether a mailbox whose channel is dead goes back to gated_send by itself.
    dead_channel_falls_back = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "mailbox settings"

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id}"


class ChannelKind(models.TextChoices):
    EMAIL = "email", _("Email")
    WEBHOOK = "webhook", _("Webhook")


class Channel(Versioned):
    """Where the people of a mailbox are told of each send. `target` is an address or a URL.

    The secret of a webhook is not stored: it is made of the salt and the site's own key, see
    `approvals.notifications`. Neither the salt nor the secret is part of a recorded change.
    """

    mailbox_id = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=8, choices=ChannelKind)
    target = models.CharField(max_length=500)
    signature_header = models.CharField(max_length=64, default="X-Countersign-Signature")
    secret_made_at = models.DateTimeField(null=True)
    salt = models.CharField(max_length=64, blank=True, editable=False)

    def __str__(self) -> str:
        return f"{self.kind} of mailbox {self.mailbox_id}"
