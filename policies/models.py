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

    class Meta:
        verbose_name_plural = "mailbox settings"

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id}"


class ProviderKind(models.TextChoices):
    POLICY = "policy", _("Policy")
    RULE = "rule", _("Rule")
    LIST = "list", _("List")
    WORKSPACE = "workspace", _("Workspace")


class ProviderSource(models.TextChoices):
    """Which of our own rows a wanted object is made from; what they say is asked whenever it is compared."""

    NONE = "", _("Written down")
    DENY_DOMAINS = "deny_domains", _("Denied domains")
    DENY_ADDRESSES = "deny_addresses", _("Denied addresses")
    DENY_RULE = "deny_rule", _("Rule of the denied recipients")


class ProviderIntent(Versioned):
    """An object that the provider shall hold: `wanted` has the fields of the provider's own JSON.

    References to other wanted objects are written "intent:5", so that they hold before the provider has given an id
    and after it gave a new one. `scope` says to which workspaces a rule is attached; empty: to those that name it.
    """

    kind = models.CharField(max_length=12, choices=ProviderKind)
    name = models.CharField(max_length=256)
    wanted: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    provider_id = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=16, choices=ProviderSource, blank=True, default=ProviderSource.NONE)
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
