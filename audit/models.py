from __future__ import annotations

from django.db import models
from django.utils.translation import gettext as _

from audit.actions import ACTIONS


class Entry(models.Model):
    """One recorded fact. Triggers refuse every change; `body` is the text that was hashed, the columns
    repeat it.
    """

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    action = models.CharField(max_length=100)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=200)
    actor_name = models.TextField(blank=True)
    mailbox_id = models.BigIntegerField(null=True)
    draft_id = models.BigIntegerField(null=True)
    send_id = models.BigIntegerField(null=True)
    content_sha256 = models.CharField(max_length=64, blank=True)
    inbound_message_id = models.TextField(blank=True)
    thread_id = models.TextField(blank=True)
    recipients = models.JSONField(default=list)
    gates = models.JSONField(default=list)
    rule_ids = models.JSONField(default=list)
    idempotency_key = models.TextField(blank=True)
    outcome = models.TextField(blank=True)
    provider_id = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    request_id = models.TextField(blank=True)
    data = models.JSONField(default=dict)
    body = models.TextField()
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["mailbox_id", "-sequence"], name="audit_entry_mailbox_newest"),
            models.Index(fields=["draft_id", "-sequence"], name="audit_entry_draft_newest"),
            models.Index(fields=["action", "-sequence"], name="audit_entry_action_newest"),
            models.Index(fields=["actor_kind", "actor_id", "-sequence"], name="audit_entry_actor_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"

    @property
    def label(self) -> str:
        action = ACTIONS.get(self.action)
        return str(action.label) if action else self.action

    @property
    def sentence(self) -> str:
        action = ACTIONS.get(self.action)
        if action is None:
            return self.action
        return str(action.sentence) % {
            "actor": _("The agent") if self.actor_kind == "agent" else self.actor_name or self.actor_id,
            "outcome": self.outcome.replace("_", " "),
            "reason": self.reason,
        }
