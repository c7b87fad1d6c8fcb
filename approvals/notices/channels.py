"""The channels on which notices are put up as cards: what admins make, change, test and remove, on record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import outgoing
from approvals.names import fault_of_name
from approvals.notices.kinds import ON_CHANNELS
from approvals.notices.models import CardKind, NoticeCard, NoticeChannel
from approvals.notices.sealing import seal
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies import changes, webhooks

_BOT_TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]{10,300}")
_PLACE = re.compile(r"#?[A-Za-z0-9_.-]{1,80}")


class ChannelRefused(Exception):
    """Nothing was changed. `field` names what was wrong."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def all_channels() -> QuerySet[NoticeChannel]:
    return NoticeChannel.objects.select_related("mailbox").order_by("name", "pk")


def make(
    *,
    actor: Actor,
    name: str,
    kind: str,
    mailbox: Mailbox | None,
    kinds: Sequence[str],
    target: str = "",
    secret: str = "",
    signature_header: str = webhooks.DEFAULT_HEADER,
) -> NoticeChannel:
    """Make a channel that is told from now on. Raises ChannelRefused.

    `secret` is the token of a Slack bot or the address of an incoming webhook; `target` is the bot's place or the
    address of a webhook, whose own secret `secret_of` shows.
    """
    _check(name, kinds)
    _check_target(kind, target)
    if kind != CardKind.WEBHOOK:
        _check_secret(kind, secret)
    return changes.create(
        NoticeChannel,
        actor=actor,
        name=name.strip(),
        kind=kind,
        mailbox=mailbox,
        kinds=_in_order(kinds),
        target=target if kind != CardKind.SLACK_WEBHOOK else "",
        signature_header=signature_header,
        secret_made_at=database_now(),
        sealed=seal(secret) if kind != CardKind.WEBHOOK else "",
        salt=webhooks.new_salt() if kind == CardKind.WEBHOOK else "",
    )


def change(
    channel: NoticeChannel,
    *,
    version: int,
    actor: Actor,
    name: str,
    mailbox: Mailbox | None,
    kinds: Sequence[str],
    is_on: bool,
    target: str = "",
    secret: str = "",
    signature_header: str = webhooks.DEFAULT_HEADER,
) -> NoticeChannel:
    """Change a channel whose `version` the editor saw; its kind stays, and its secret unless another is given.

    What waits for one that is switched off is given up. Raises ChannelRefused and `changes.Conflict`.
    """
    _check(name, kinds)
    _check_target(channel.kind, target)
    fields: dict[str, Any] = {}
    if secret and channel.kind != CardKind.WEBHOOK:
        _check_secret(channel.kind, secret)
        fields = {"sealed": seal(secret), "secret_made_at": database_now()}
    with transaction.atomic():
        changed = changes.change(
            NoticeChannel,
            channel.pk,
            version=version,
            actor=actor,
            name=name.strip(),
            mailbox=mailbox,
            kinds=_in_order(kinds),
            target=target if channel.kind != CardKind.SLACK_WEBHOOK else "",
            signature_header=signature_header,
            is_on=is_on,
            **fields,
        )
        _calm(changed)
        if not changed.is_on:
            give_up_waiting(changed.pk)
    return changed


def renew_secret(channel: NoticeChannel, *, version: int, actor: Actor) -> NoticeChannel:
    """Give a webhook another secret; the old one signs nothing from now on. Raises `changes.Conflict`."""
    return changes.change(
        NoticeChannel,
        channel.pk,
        version=version,
        actor=actor,
        salt=webhooks.new_salt(),
        secret_made_at=database_now(),
    )


def remove(channel: NoticeChannel, *, version: int, actor: Actor) -> None:
    """Remove a channel and its log. Raises `changes.Conflict`."""
    changes.remove(NoticeChannel, channel.pk, version=version, actor=actor)


def send_test(channel: NoticeChannel, *, actor: Actor) -> NoticeCard:
    """Put a card on a channel that says it is a test, at once, whatever it waits for."""
    with transaction.atomic():
        _calm(channel)
        now = database_now()
        card = NoticeCard.objects.create(channel=channel, made_at=now, next_try_at=now)
        record(
            "approvals.notice_channel.tested",
            actor=actor,
            mailbox_id=channel.mailbox_id,
            data={"channel": str(channel.public_id), "name": channel.name},
        )
        return card


def switch_off(channel: NoticeChannel, why: str) -> None:
    """Switch a channel off that refuses for good, so that people see it; the record says why."""
    with transaction.atomic():
        now = NoticeChannel.objects.select_for_update(of=("self",)).get(pk=channel.pk)
        changes.change(NoticeChannel, now.pk, version=now.version, actor=SYSTEM, reason=why, is_on=False)
        NoticeChannel.objects.filter(pk=now.pk).update(trouble=why[:300])
        give_up_waiting(now.pk)


def give_up_waiting(channel_id: int) -> None:
    waiting = NoticeCard.objects.filter(channel=channel_id, next_try_at__isnull=False)
    waiting.update(next_try_at=None, given_up_at=database_now())


def secret_of(channel: NoticeChannel) -> str:
    """What the cards of a webhook are signed with."""
    return webhooks.secret_of("countersign.notice_channel", channel.salt)


def _calm(channel: NoticeChannel) -> None:
    NoticeChannel.objects.filter(pk=channel.pk).update(failing_since=None, waits_until=None, trouble="")


def _check(name: str, kinds: Sequence[str]) -> None:
    fault = fault_of_name(name)
    if fault:
        raise ChannelRefused("name", fault)
    if not kinds or any(kind not in ON_CHANNELS for kind in kinds):
        raise ChannelRefused("kinds", _("Choose at least one kind of notice."))


def _check_target(kind: str, target: str) -> None:
    if kind == CardKind.SLACK_BOT and not _PLACE.fullmatch(target):
        raise ChannelRefused("target", _("Give the id of the Slack channel, such as C024BE91L."))
    if kind == CardKind.WEBHOOK:
        _check_address("target", target)


def _check_secret(kind: str, secret: str) -> None:
    if kind == CardKind.SLACK_WEBHOOK:
        _check_address("secret", secret)
    elif not _BOT_TOKEN.fullmatch(secret):
        raise ChannelRefused("secret", _("Give the token of the bot; it begins with xoxb-."))


def _check_address(field: str, url: str) -> None:
    try:
        outgoing.check(url)
    except outgoing.AddressRefused as error:
        raise ChannelRefused(field, str(error)) from error


def _in_order(kinds: Sequence[str]) -> list[str]:
    return [kind.value for kind in ON_CHANNELS if kind in kinds]
