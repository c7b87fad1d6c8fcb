"""The secrets of an endpoint: one, or two while it is being rotated."""

from __future__ import annotations

from datetime import datetime

from gateway.webhooks.models import WebhookEndpoint
from policies import webhooks


def secret_of(endpoint: WebhookEndpoint) -> str:
    return _from(endpoint.salt)


def signing_secrets(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """What signs now, the newest last."""
    if endpoint.previous_until is not None and endpoint.previous_until > now:
        return [_from(endpoint.previous_salt), _from(endpoint.salt)]
    return [_from(endpoint.salt)]


def _from(salt: str) -> str:
    return webhooks.secret_of("countersign.webhook", salt)
