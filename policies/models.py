from __future__ import annotations

import uuid
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
    # Tries in a row that failed, counted by the deliveries themselves; set to 0 by each that succeeds.
    failures = models.PositiveIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return f"{self.kind} of mailbox {self.mailbox_id}"


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
