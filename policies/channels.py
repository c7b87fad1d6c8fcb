"""The channel of a mailbox on which people are told of its sends. A webhook's secret is derived, never stored."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac

from audit.clock import database_now
from audit.record import Actor
from policies import changes
from policies.models import Channel, ChannelKind


def of(mailbox_id: int) -> Channel | None:
    return Channel.objects.filter(mailbox_id=mailbox_id).first()


def write(mailbox_id: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> Channel:
    """Set or change the channel whose `version` the editor saw, 0 for none. Raises `changes.Conflict`.

    A webhook that has no secret yet gets one; `secret_of` shows it.
    """
    current = of(mailbox_id)
    if fields.get("kind") == ChannelKind.WEBHOOK and (current is None or not current.salt):
        fields |= _new_secret()
    if current is not None:
        return changes.change(Channel, current.pk, version=version, actor=actor, reason=reason, **fields)
    if version != 0:
        raise changes.Conflict(None, {})
    try:
        with transaction.atomic():
            return changes.create(Channel, actor=actor, reason=reason, mailbox_id=mailbox_id, **fields)
    except IntegrityError as error:
        raise changes.Conflict(of(mailbox_id), {}) from error


def renew_secret(channel: Channel, *, version: int, actor: Actor) -> Channel:
    """Give a webhook another secret; the old one signs nothing from now on. Raises `changes.Conflict`."""
    return changes.change(Channel, channel.pk, version=version, actor=actor, **_new_secret())


def remove(channel: Channel, *, version: int, actor: Actor, reason: str = "") -> None:
    """Tell nobody any more. Raises `changes.Conflict`."""
    changes.remove(Channel, channel.pk, version=version, actor=actor, reason=reason)


def secret_of(channel: Channel) -> str:
    """What the webhook signs with: made of the salt and the site's own key, so neither alone gives it away."""
    digest = salted_hmac("countersign.channel", channel.salt, algorithm="sha256").digest()
    return "whsec_" + base64.b64encode(digest).decode()


def _new_secret() -> dict[str, Any]:
    return {"salt": secrets.token_hex(32), "secret_made_at": database_now()}
