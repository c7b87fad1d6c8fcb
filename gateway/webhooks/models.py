from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from agentmail.models import Mailbox
from policies.webhooks import DEFAULT_HEADER, Standing, standing_of


class WebhookEndpoint(models.Model):
    """An address that is told of events. Written by `gateway.webhooks.endpoints` and by the deliveries themselves.

    Without mailboxes it is for all of them. One of an agent is told of that agent's own mail only. Its secrets are
    not stored: they are made of the salts and the site's own key.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    signature_header = models.CharField(max_length=64, default=DEFAULT_HEADER)
    types: models.JSONField[list[str]] = models.JSONField(default=list)
    mailboxes = models.ManyToManyField(Mailbox, related_name="webhooks", blank=True)
    agent = models.ForeignKey("gateway.Token", on_delete=models.PROTECT, null=True, related_name="webhooks")
    made_at = models.DateTimeField()
    # Of what was recorded up to here it is told nothing.
    starts_after = models.BigIntegerField(default=0)

    salt = models.CharField(max_length=64, editable=False)
    secret_made_at = models.DateTimeField()
    previous_salt = models.CharField(max_length=64, blank=True, editable=False)
    previous_until = models.DateTimeField(null=True)

    is_enabled = models.BooleanField(default=True)
    switched_off_at = models.DateTimeField(null=True)
    # The first failure since the last success, and until when it is left alone.
    failing_since = models.DateTimeField(null=True)
    waits_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"webhook {self.public_id}"

    @property
    def standing(self) -> Standing:
        return standing_of(is_on=self.is_enabled, failing_since=self.failing_since)


class WebhookDelivery(models.Model):
    """One event for one endpoint, with the very text that is posted. `sequence` is the entry of the record."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    sequence = models.BigIntegerField(null=True)
    type = models.CharField(max_length=40)
    body = models.TextField()
    made_at = models.DateTimeField()
    # Since it was made, or since a person let it be sent again.
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "sequence"], name="webhook_event_once_per_endpoint")
        ]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"],
                name="webhook_delivery_due",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_delivery_newest"),
            models.Index(fields=["made_at"], name="webhook_delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"


class WebhookAttempt(models.Model):
    """One try to deliver. `trouble` is empty when it was taken."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    took_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    trouble = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"attempt {self.pk} of {self.delivery_id}"


class WebhookCursor(models.Model):
    """How far the record was read; one row, locked by whoever reads."""

    sequence = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"read up to {self.sequence}"
