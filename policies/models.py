from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from policies.webhooks import DEFAULT_HEADER, name_in_record


class Switch(models.Model):
    """Whether sending is stopped in a scope: "global", "workspace:<id>", "mailbox:<id>", "agent:<id>" or
    "domain:<domain>". A scope without a row counts as stopped.
    """

    scope = models.CharField(max_length=300, unique=True)
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

    def in_record(self) -> dict[str, Any]:
        """Fields as a recorded change shows them, where that is not their value: what must stay secret."""
        return {}


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
    # When the rehearsal began whose evidence counts; see approvals.comparisons.
    dry_run_since = models.DateTimeField(null=True)
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
    `policies.webhooks`. Neither the salt nor the secret is part of a recorded change.
    """

    mailbox_id = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=8, choices=ChannelKind)
    target = models.CharField(max_length=500)
    signature_header = models.CharField(max_length=64, default=DEFAULT_HEADER)
    secret_made_at = models.DateTimeField(null=True)
    salt = models.CharField(max_length=64, blank=True, editable=False)
    # Tries in a row that failed, counted by the deliveries themselves; set to 0 by each that succeeds.
    failures = models.PositiveIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return f"{self.kind} of mailbox {self.mailbox_id}"

    def in_record(self) -> dict[str, Any]:
        return {"target": name_in_record(self.target)} if self.kind == ChannelKind.WEBHOOK else {}


class RecipientKind(models.TextChoices):
    ALLOW = "allow", _("Allow")
    DENY = "deny", _("Deny")


class RecipientEntry(Versioned):
    """One line of the lists of recipients: `pattern` is an address, a domain or `*.domain` (`policies.recipients`)."""

    kind = models.CharField(max_length=8, choices=RecipientKind)
    scope = models.CharField(max_length=64)
    pattern = models.CharField(max_length=320)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            # The pattern comes first: it is what the gate looks for.
            models.UniqueConstraint(fields=["pattern", "scope", "kind"], name="recipient_entry_once")
        ]
        indexes = [
            models.Index(fields=["pattern", "id"], name="recipient_by_pattern"),
            models.Index(fields=["scope", "pattern", "id"], name="recipient_by_scope"),
        ]
        verbose_name_plural = "recipient entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.pattern} {self.scope}"


class Trigger(models.TextChoices):
    OUTBOUND = "outbound", _("Mail that would leave")
    INBOUND = "inbound", _("Mail that arrived")


class MatchOperator(models.TextChoices):
    ALL = "all", _("All conditions hold")
    ANY = "any", _("Any condition holds")


class EnforcedAt(models.TextChoices):
    HERE = "here", _("Here")
    PROVIDER = "provider", _("At the provider")
    BOTH = "both", _("Here and at the provider")


class Rule(Versioned):
    """Conditions about one mail, and what follows when they hold; see `policies.rules` for the vocabulary.

    Conditions are {"field", "operator", "value"}, actions {"type", "value"?}, both checked by `policies.rules`.
    Rules with a lower `priority` are asked first, ties by id.
    """

    name = models.CharField(max_length=256)
    description = models.TextField(blank=True)
    scope = models.CharField(max_length=64, default="global")
    trigger = models.CharField(max_length=8, choices=Trigger, default=Trigger.OUTBOUND)
    priority = models.PositiveSmallIntegerField(default=10)
    is_enabled = models.BooleanField(default=True)
    enforced_at = models.CharField(max_length=8, choices=EnforcedAt, default=EnforcedAt.HERE)
    match_operator = models.CharField(max_length=3, choices=MatchOperator, default=MatchOperator.ALL)
    conditions: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    actions: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    # The name of a rule that this product ships; empty for a rule of an admin.
    shipped_key = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        ordering = ["priority", "id"]
        indexes = [models.Index(fields=["trigger", "is_enabled", "priority", "id"], name="rule_in_force")]
        constraints = [
            models.CheckConstraint(condition=models.Q(priority__lte=1000), name="rule_priority_0_to_1000"),
            models.UniqueConstraint(
                fields=["shipped_key"], condition=~models.Q(shipped_key=""), name="shipped_rule_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ListType(models.TextChoices):
    DOMAIN = "domain", _("Domains")
    TLD = "tld", _("Top-level domains")
    ADDRESS = "address", _("Addresses")
    HOST = "host", _("Hosts of links")
    WORD = "word", _("Words")


class ValueList(Versioned):
    """Values that rules look up with `in_list`. Its type never changes; see `policies.lists`."""

    # How conditions name it, here as at the provider.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=256, unique=True)
    type = models.CharField(max_length=8, choices=ListType)
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ValueListItem(models.Model):
    """One value of a list, lower-cased and trimmed. Written by `policies.lists` only."""

    value_list = models.ForeignKey(ValueList, on_delete=models.CASCADE, related_name="items")
    value = models.CharField(max_length=500)

    class Meta:
        ordering = ["value"]
        constraints = [
            models.UniqueConstraint(fields=["value_list", "value"], name="list_value_once"),
        ]

    def __str__(self) -> str:
        return self.value


class ProviderKind(models.TextChoices):
    POLICY = "policy", _("Policy")
    RULE = "rule", _("Rule")
    LIST = "list", _("List")
    WORKSPACE = "workspace", _("Workspace")


class ProviderIntent(Versioned):
    """An object that the provider shall hold: `wanted` has the fields of the provider's own JSON.

    References to other wanted objects are written "intent:5", so that they hold before the provider has given an id
    and after it gave a new one. `scope` says to which workspaces a rule is attached; empty: to those that name it.
    `source` names the rows of ours that the object is made from, which are asked whenever it is compared; see
    `approvals.provider_drift`.
    """

    kind = models.CharField(max_length=12, choices=ProviderKind)
    name = models.CharField(max_length=256)
    wanted: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    provider_id = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=64, blank=True)
    scope = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["kind", "name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "provider_id"],
                condition=~models.Q(provider_id=""),
                name="provider_object_wanted_once",
            ),
            models.UniqueConstraint(
                fields=["source"], condition=~models.Q(source=""), name="provider_source_used_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def reference(self) -> str:
        return f"intent:{self.pk}"


class ProviderLook(models.Model):
    """The last comparison of what is wanted with what the provider holds; one row. `trouble`: why it failed."""

    at = models.DateTimeField()
    trouble = models.TextField(blank=True)
    # Of each object that differs: kind, name, standing, and the fields as [field, wanted, held].
    drifts: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {len(self.drifts)}"


class Tier(models.TextChoices):
    AUTO = "auto", _("Automatic")
    APPROVE = "approve", _("Approval")
    HUMAN_ONLY = "human_only", _("Human only")


class Category(Versioned):
    """A kind of mail, found by words and patterns, and how much of it an agent may do. See `policies.classifier`.

    Words and patterns are lists of lines, of what the agent writes (`outbound_*`) and of the message that it answers
    (`inbound_*`). A category that is never automated can be `auto`, or switched off, only with an
    `override_reason`.
    """

    key = models.SlugField(max_length=48, unique=True)
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    tier = models.CharField(max_length=16, choices=Tier, default=Tier.APPROVE)
    # Of several of the same tier the lowest names the mail.
    position = models.PositiveIntegerField(default=1000)
    outbound_words: models.JSONField[list[str]] = models.JSONField(default=list, blank=True)
    outbound_globs: models.JSONField[list[str]] = models.JSONField(default=list, blank=True)
    inbound_words: models.JSONField[list[str]] = models.JSONField(default=list, blank=True)
    inbound_globs: models.JSONField[list[str]] = models.JSONField(default=list, blank=True)
    is_high_risk = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    # Empty for categories that were not shipped.
    shipped_key = models.CharField(max_length=48, blank=True)
    never_automate = models.BooleanField(default=False)
    override_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name_plural = "categories"
        constraints = [
            models.CheckConstraint(condition=Q(tier__in=list(Tier)), name="category_tier_is_known"),
            models.CheckConstraint(
                condition=Q(never_automate=False)
                | ~Q(override_reason="")
                | (~Q(tier="auto") & Q(is_enabled=True)),
                name="never_automate_needs_override",
            ),
        ]

    def __str__(self) -> str:
        return self.key


class TemplateFamily(Versioned):
    """Mail that is known word for word but for its variable parts. Only such mail can be `auto`.

    `body_globs` are patterns for one line each, in order; a line `**` stands for any number of lines.
    """

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="families")
    name = models.CharField(max_length=100)
    subject_glob = models.CharField(max_length=200)
    body_globs: models.JSONField[list[str]] = models.JSONField(default=list)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name_plural = "template families"
        constraints = [
            models.UniqueConstraint(fields=["category", "name"], name="family_name_once_per_category")
        ]

    def __str__(self) -> str:
        return self.name


class HighValueDomain(Versioned):
    """Mail to this domain is of high risk. `*.example.com` stands for everything below example.com."""

    domain = models.CharField(max_length=255, unique=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["domain"]

    def __str__(self) -> str:
        return self.domain


class ClassifierSettings(Versioned):
    """One row at most; without it the defaults hold. See `policies.categories.settings`."""

    # The agent's own confidence below which its mail is of high risk, from 0 to 1.
    least_confidence = models.FloatField(default=0.8)

    class Meta:
        verbose_name_plural = "classifier settings"
        constraints = [
            models.CheckConstraint(
                condition=Q(least_confidence__gte=0, least_confidence__lte=1),
                name="least_confidence_is_a_share",
            )
        ]

    def __str__(self) -> str:
        return f"{self.least_confidence}"


class TripLimits(Versioned):
    """When the desk stops a mailbox by itself, for a scope: everywhere, a workspace or a mailbox; see
    `policies.trips`. The narrowest row counts.
    """

    scope = models.CharField(max_length=64, unique=True)
    is_on = models.BooleanField(default=True)
    window_hours = models.PositiveSmallIntegerField(default=24)
    bounce_percent = models.PositiveSmallIntegerField(default=10)
    bounce_sample = models.PositiveIntegerField(default=20)
    complaint_hours = models.PositiveSmallIntegerField(default=168)
    complaints_per_thousand = models.PositiveSmallIntegerField(default=5)
    complaint_sample = models.PositiveIntegerField(default=100)
    failures_in_a_row = models.PositiveSmallIntegerField(default=10)
    pace_factor = models.PositiveSmallIntegerField(default=5)
    pace_minimum = models.PositiveIntegerField(default=20)

    class Meta:
        verbose_name_plural = "trip limits"

    def __str__(self) -> str:
        return self.scope
