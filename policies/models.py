from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
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


class Window(models.TextChoices):
    FIXED = "fixed", _("Fixed: the UTC hour and the UTC day")
    SLIDING = "sliding", _("Sliding: the last 3,600 and the last 86,400 seconds")


class Ceiling(models.IntegerChoices):
    """What a provider of mailboxes lets one mailbox send a day; more is throttled there."""

    NONE = 0, _("No ceiling known")
    GMAIL = 500, _("Gmail: 500 a day")
    GOOGLE_WORKSPACE = 2000, _("Google Workspace: 2,000 a day")


def _between(low: float, high: float) -> list[Any]:
    return [
        MinValueValidator(low, _("At least %(limit_value)s.")),
        MaxValueValidator(high, _("At most %(limit_value)s.")),
    ]


class Policy(Versioned):
    """How much a mailbox may send, and how the provider keeps and sorts its mail. See `policies.caps`."""

    name = models.CharField(_("Name"), max_length=256, unique=True)
    # The one that holds where nothing nearer is attached.
    is_default = models.BooleanField(default=False)
    hour_cap = models.PositiveIntegerField(_("Sends an hour"), default=50, validators=_between(0, 100_000))
    day_cap = models.PositiveIntegerField(_("Sends a day"), default=200, validators=_between(0, 100_000))
    window = models.CharField(_("Window"), max_length=8, choices=Window, default=Window.FIXED)
    spacing_seconds = models.PositiveIntegerField(
        _("Seconds between two sends"),
        default=0,
        validators=_between(0, 3600),
        help_text=_(
            "Fixed windows let up to two caps leave around their boundary; spacing limits such a burst."
        ),
    )
    ramp_hour_cap = models.PositiveIntegerField(
        _("Sends an hour on the first day"), default=5, validators=_between(0, 100_000)
    )
    ramp_hours = models.PositiveIntegerField(
        _("Hours of the first day"),
        default=24,
        validators=_between(0, 720),
        help_text=_("Counted from when a mailbox begins to send live; 0 means no first day."),
    )
    ceiling = models.PositiveIntegerField(
        _("Ceiling of the provider"),
        choices=Ceiling,
        default=Ceiling.NONE,
        help_text=_("A cap above it is allowed and warned about: the provider would throttle the mailbox."),
    )
    limit_inbox_retention_period = models.PositiveIntegerField(
        _("Days mail is kept in the inbox"), default=90, validators=_between(1, 3650)
    )
    limit_spam_retention_period = models.PositiveIntegerField(
        _("Days spam is kept"),
        default=14,
        validators=_between(1, 3650),
        help_text=_("Fewer than the days of the inbox."),
    )
    spam_sensitivity = models.FloatField(_("Spam sensitivity"), default=1.0, validators=_between(0.1, 5.0))

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="one_default_policy"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        inbox, spam = self.limit_inbox_retention_period, self.limit_spam_retention_period
        if inbox is not None and spam is not None and spam >= inbox:
            raise ValidationError(
                {
                    "limit_spam_retention_period": gettext(
                        "Spam is kept for fewer days than the inbox: fewer than %(days)d."
                    )
                    % {"days": inbox}
                }
            )

    @property
    def exceeds_ceiling(self) -> bool:
        return bool(self.ceiling) and self.day_cap > self.ceiling


class OrganisationCap(Versioned):
    """A cap over all mailboxes together, one row; empty numbers are no cap."""

    hour_cap = models.PositiveIntegerField(
        _("Sends an hour, all mailboxes"), null=True, blank=True, validators=_between(0, 1_000_000)
    )
    day_cap = models.PositiveIntegerField(
        _("Sends a day, all mailboxes"), null=True, blank=True, validators=_between(0, 1_000_000)
    )

    def __str__(self) -> str:
        return f"{self.hour_cap} {self.day_cap}"


class Reservation(models.Model):
    """That a send counts against the caps, one row for each send for ever. `send_key` is its token.

    A refunded one counts no more until it is reserved again.
    """

    mailbox_id = models.BigIntegerField()
    send_key = models.CharField(max_length=26, unique=True)
    reserved_at = models.DateTimeField()
    refunded_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["mailbox_id", "reserved_at"],
                name="reservation_by_mailbox",
                condition=Q(refunded_at__isnull=True),
            ),
            models.Index(
                fields=["reserved_at"], name="reservation_by_time", condition=Q(refunded_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.send_key}"


class CapLock(models.Model):
    """Whoever reserves holds the row of the mailbox, and then that of the organisation."""

    name = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.name


class Workspace(Versioned):
    """A group of mailboxes that share policies, as at the provider. A mailbox is in one at most."""

    name = models.CharField(max_length=256, unique=True)
    provider_id = models.CharField(max_length=64, blank=True)
    policy = models.ForeignKey(
        Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="workspaces"
    )

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
    policy = models.ForeignKey(
        Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="mailboxes"
    )
    delivery = models.CharField(max_length=8, choices=Delivery, default=Delivery.LIVE)
    # When the rehearsal began whose evidence counts; see approvals.evidence.
    dry_run_since = models.DateTimeField(null=True)
    # When sending without a rehearsal began, which the ramp of the first day counts from; empty: never rehearsed.
    live_since = models.DateTimeField(null=True)
    # Whether approvals given before a mailbox became read_only are refused, too.
    read_only_refuses_approved = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "mailbox settings"

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id}"
