from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agentmail.models import Mailbox
from gateway.webhooks.models import WebhookAttempt, WebhookCursor, WebhookDelivery, WebhookEndpoint

__all__ = [
    "SCOPES_OF",
    "Scope",
    "Token",
    "TokenKind",
    "WebhookAttempt",
    "WebhookCursor",
    "WebhookDelivery",
    "WebhookEndpoint",
]


class TokenKind(models.TextChoices):
    AGENT = "agent", _("Agent")
    OPERATOR = "operator", _("Operator")


class Scope(models.TextChoices):
    READ = "read", _("Read mail and its state")
    SEND = "send", _("Hand in mail for review")
    DECIDE = "decide", _("Approve and reject")
    MANAGE = "manage", _("Mailboxes, modes and the kill switch")
    POLICIES = "policies", _("Rules, lists and policies")
    AUDIT = "audit", _("Read and export the record")


SCOPES_OF = {
    TokenKind.AGENT: frozenset({Scope.READ, Scope.SEND}),
    TokenKind.OPERATOR: frozenset({Scope.READ, Scope.DECIDE, Scope.MANAGE, Scope.POLICIES, Scope.AUDIT}),
}


class Token(models.Model):
    """What a program shows instead of a password. Only the digest of its secret is kept.

    An agent's token acts as that agent, `agent_id` its name in drafts and in the kill switch, and names its mailboxes.
    An operator's acts as its owner, with no more than the owner's rights; without mailboxes it is for all of them.
    A test token is of use only while the provider is on this machine.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=8, choices=TokenKind)
    name = models.CharField(max_length=100)
    is_test = models.BooleanField(default=False)
    beginning = models.CharField(max_length=24)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    mailboxes = models.ManyToManyField(Mailbox, related_name="tokens", blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tokens")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=list(TokenKind)), name="token_kind_is_known"),
        ]
        indexes = [models.Index(fields=["kind", "-made_at"], name="token_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def agent_id(self) -> str:
        return str(self.public_id)
