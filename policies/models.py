from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
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
