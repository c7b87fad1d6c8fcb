"""The channel of a mailbox on which people are told of its sends. A webhook's secret is derived, never stored."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from audit.clock import database_now
from audit.record import Actor
from policies import changes, webhooks
from policies.models import Channel, ChannelKind

# So many tries in a row that fail make a channel dead.
DEAD_AFTER = 5


def of(mailbox_id: int) -> Channel | None:
    return Channel.objects.filter(mailbox_id=mailbox_id).first()


def is_alive(channel: Channel | None) -> bool:
    """Whether there is a channel on which somebody can be told."""
    return channel is not None and channel.failures < DEAD_AFTER


def note_try(channel_id: int, *, succeeded: bool) -> int:
    """Count how a try on a channel ended; how many in a row failed by now."""
    rows = Channel.objects.filter(pk=channel_id)
    rows.update(failures=0 if succeeded else F("failures") + 1)
    return rows.values_list("failures", flat=True).first() or 0


def write(mailbox_id: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> Channel:
    """Set or change the channel whose `version` the editor saw, 0 for none. Raises `changes.Conflict`.

    A webhook that has no secret yet gets one; `secret_of` shows it.
    """
    current = of(mailbox_id)
    if fields.get("kind") == ChannelKind.WEBHOOK and (current is None or not current.salt):
        fields |= _new_secret()
    if current is not None:
        changed = changes.change(Channel, current.pk, version=version, actor=actor, reason=reason, **fields)
        note_try(changed.pk, succeeded=True)
        changed.failures = 0
        return changed
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
    """What the webhook of a channel signs with."""
    return webhooks.secret_of("countersign.channel", channel.salt)


def _new_secret() -> dict[str, Any]:
    return {"salt": webhooks.new_salt(), "secret_made_at": database_now()}
