"""Notices on cards in Slack, and posted to programs: put up once, and changed to how the thing was settled.

A card has words and one address, that of a page. Nothing is decided by what is on it. A process may die between an
answer and our note of it; the card then goes up a second time under the same id, by which it is recognised.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.failpoints import reach
from approvals import outgoing
from approvals.notices import channels, words
from approvals.notices.mail import address_of
from approvals.notices.models import CardKind, Notice, NoticeCard, NoticeCardTry, NoticeChannel
from approvals.notices.sealing import Unreadable, unseal
from audit.clock import database_now
from policies import locks, webhooks

# After the first, second … failed try; then the card is given up.
RETRY_SECONDS = (30, 120, 600, 3600, 21_600)
TRIES = len(RETRY_SECONDS) + 1
# One failure lets everything else of its channel wait for so long.
REST_SECONDS = 60
LONGEST_WAIT_SECONDS = 3600
# So many new cards at once are so many cards; more are one.
SINGLE = 5
AT_ONCE = 200
READ_BYTES = 65_536
CREATED, UPDATED, TEST = "notice.created", "notice.updated", "notice.test"

# What Slack says when nothing will ever be taken, and when only this card cannot be changed any more.
_FOR_GOOD = frozenset(
    {
        *("account_inactive", "channel_is_archived", "channel_not_found", "invalid_auth", "invalid_token"),
        *("is_archived", "missing_scope", "no_service", "no_team", "not_authed", "not_in_channel"),
        *("org_login_required", "restricted_action", "team_disabled", "token_expired", "token_revoked"),
    }
)
_CARD_GONE = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "compliance_exports"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try. `wait` is in seconds: it asked to be left alone, and the try does not count."""

    status: int | None
    trouble: str = ""
    remote: str = ""
    wait: int | None = None
    is_for_good: bool = False
    is_card_gone: bool = False


def due_channels() -> list[int]:
    """The channels on which something is to be put up or changed now."""
    rows = _due(database_now()).order_by("channel_id").values_list("channel_id", flat=True)
    return list(rows.distinct())


def deliver_to(channel_id: int) -> int:
    """Put up and change what is due on a channel, oldest first, until one fails; how many. Safe at any time."""
    taken = 0
    with locks.hold(f"notice-channel:{channel_id}") as lock:
        if lock is None:
            return 0
        _bundle(channel_id)
        seen: set[uuid.UUID] = set()
        due = _due(database_now()).filter(channel=channel_id).order_by("pk")
        for card_id, bundle in list(due.values_list("pk", "bundle")[:AT_ONCE]):
            if bundle is not None and bundle in seen:
                continue
            seen |= {bundle} if bundle is not None else set()
            if not _deliver(card_id):
                break
            taken += 1
    return taken


def _due(now: datetime) -> QuerySet[NoticeCard]:
    return NoticeCard.objects.filter(next_try_at__lte=now, channel__is_on=True).filter(
        Q(channel__waits_until__isnull=True) | Q(channel__waits_until__lte=now)
    )


def _bundle(channel_id: int) -> None:
    """Make one card of many new ones."""
    fresh = _due(database_now()).filter(
        channel=channel_id, shown=0, tries=0, bundle__isnull=True, notice__isnull=False
    )
    ids = list(fresh.values_list("pk", flat=True))
    if len(ids) > SINGLE:
        NoticeCard.objects.filter(pk__in=ids, shown=0, tries=0).update(bundle=uuid.uuid4())


def _deliver(card_id: int) -> bool:
    card = NoticeCard.objects.select_related("channel", "notice__mailbox").filter(pk=card_id).first()
    if card is None or card.next_try_at is None:
        return True
    channel, wanted, now = card.channel, card.wanted, database_now()
    # Before anything leaves: a card that may be there is changed later, one that never went up is not.
    if not _rows_of(card).filter(next_try_at__isnull=False).update(tries=F("tries") + 1):
        return True
    content = _content(card)
    begun = time.monotonic()
    try:
        answer = _SENDERS[CardKind(channel.kind)](channel, card, content, now)
    except Unreadable:
        answer = Answer(None, _("Its secret cannot be read any more; type it in again."), is_for_good=True)
    except (outgoing.AddressRefused, outgoing.NotReached) as error:
        answer = Answer(None, str(error))
    reach("N3")
    took_ms = int((time.monotonic() - begun) * 1000)
    return _write_down(card, wanted, answer, at=now, took_ms=took_ms)


def _write_down(card: NoticeCard, wanted: int, answer: Answer, *, at: datetime, took_ms: int) -> bool:
    is_channel_off = False
    with transaction.atomic():
        now = database_now()
        NoticeCardTry.objects.create(
            card=card, at=at, took_ms=took_ms, status=answer.status, trouble=answer.trouble[:300]
        )
        rows = _rows_of(card)
        channel = NoticeChannel.objects.filter(pk=card.channel_id)
        if not answer.trouble:
            fields: dict[str, Any] = {"shown": wanted, "delivered_at": now, "tries": 0, "next_try_at": None}
            if answer.remote:
                fields["remote"] = answer.remote[:100]
            rows.update(**fields)
            # Settled while it was on its way: it is changed next.
            rows.filter(wanted__gt=wanted).update(next_try_at=now)
            channel.update(failing_since=None, waits_until=None, trouble="")
            return True
        if answer.wait is not None:
            waits = min(max(answer.wait, 1), LONGEST_WAIT_SECONDS)
            channel.update(waits_until=now + timedelta(seconds=waits))
            rows.update(tries=card.tries)
            return False
        if answer.is_card_gone:
            rows.update(next_try_at=None, given_up_at=now)
            return True
        tries = card.tries + 1
        is_last = tries >= TRIES
        rows.update(
            next_try_at=None if is_last else now + timedelta(seconds=RETRY_SECONDS[tries - 1]),
            given_up_at=now if is_last else None,
        )
        channel.filter(failing_since__isnull=True).update(failing_since=at)
        channel.update(waits_until=now + timedelta(seconds=REST_SECONDS), trouble=answer.trouble[:300])
        is_channel_off = answer.is_for_good
    if is_channel_off:
        channels.switch_off(card.channel, answer.trouble)
    return False


def _rows_of(card: NoticeCard) -> QuerySet[NoticeCard]:
    rows = NoticeCard.objects.filter(channel=card.channel_id)
    return rows.filter(bundle=card.bundle) if card.bundle is not None else rows.filter(pk=card.pk)


@dataclass(frozen=True, slots=True)
class Content:
    """What a card says: `settled` is empty while it is open."""

    title: str
    lines: Sequence[tuple[str, str]]
    address: str
    settled: str


def _content(card: NoticeCard) -> Content:
    notice = card.notice
    if notice is None:
        title = _("A test from Countersign: notices arrive here.")
        return Content(title, [], address_of(reverse("approvals:notices")), "")
    if card.bundle is not None:
        count = NoticeCard.objects.filter(bundle=card.bundle).count()
        title = ngettext("%(count)s notice", "%(count)s notices", count) % {"count": count}
        ended = _closed_at(card)
        settled = (
            _("All settled, the last at %(time)s") % {"time": _clock(ended)} if ended is not None else ""
        )
        return Content(title, [], address_of(reverse("approvals:notices")), settled)
    return Content(
        words.title_of(notice), words.lines_of(notice), address_of(notice.path), _settled_at(notice)
    )


def _closed_at(card: NoticeCard) -> datetime | None:
    """When what a card tells of was settled: of several notices the last of them, and none while one is open."""
    rows = _rows_of(card)
    if rows.filter(notice__closed_at__isnull=True).exists():
        return None
    last: datetime | None = rows.aggregate(last=Max("notice__closed_at"))["last"]
    return last


def _settled_at(notice: Notice) -> str:
    if notice.closed_at is None:
        return ""
    return _("%(settled)s at %(time)s") % {
        "settled": words.settled_of(notice),
        "time": _clock(notice.closed_at),
    }


def _clock(at: datetime) -> str:
    here = at.astimezone(ZoneInfo(settings.TIME_ZONE))
    return f"{here:%H:%M} {here:%Z}"


# Slack


def _slack_message(card: NoticeCard, content: Content) -> dict[str, Any]:
    """Every word of ours and of strangers is plain text, so that nothing in it is a mention, a link or markup."""
    link = {"type": "section", "text": {"type": "mrkdwn", "text": f"<{content.address}|{_('Open it')}>"}}
    blocks: list[dict[str, Any]]
    if content.settled:
        title = {"type": "context", "elements": [_plain(content.title)]}
        blocks = [title, {"type": "section", "text": _plain(content.settled)}, link]
    else:
        blocks = [{"type": "header", "text": _plain(content.title[:150])}]
        if content.lines:
            fields = [_plain(f"{label}: {value}") for label, value in content.lines[:10]]
            blocks.append({"type": "section", "fields": fields})
        blocks.append(link)
    return {
        "text": _escaped(f"{content.title}. {content.settled}" if content.settled else content.title),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        # By this a card that went up twice can be told from another one.
        "metadata": {"event_type": "countersign_notice", "event_payload": {"id": str(card.public_id)}},
    }


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _by_bot(channel: NoticeChannel, card: NoticeCard, content: Content, now: datetime) -> Answer:
    message = _slack_message(card, content)
    place, _space, stamp = card.remote.partition(" ")
    is_change = bool(stamp)
    message["channel"] = place if is_change else channel.target
    if is_change:
        message["ts"] = stamp
    method = "chat.update" if is_change else "chat.postMessage"
    authorization = {"Authorization": f"Bearer {unseal(channel.sealed)}"}
    reply = _post_to_slack(f"{settings.SLACK_API_URL}/{method}", message, authorization)
    if reply.status == 429:
        return _limited(reply)
    if reply.trouble:
        return Answer(reply.status, reply.trouble)
    said = _json_of(reply.body)
    if said.get("ok") is True:
        return Answer(reply.status, remote=f"{said.get('channel', '')} {said.get('ts', '')}".strip())
    return _refused(reply, str(said.get("error", "")))


def _by_slack_webhook(channel: NoticeChannel, card: NoticeCard, content: Content, now: datetime) -> Answer:
    reply = _post_to_slack(unseal(channel.sealed), _slack_message(card, content), {})
    if not reply.trouble:
        return Answer(reply.status)
    if reply.status == 429:
        return _limited(reply)
    return _refused(reply, reply.body[:100].decode("utf-8", "replace").strip())


def _post_to_slack(url: str, message: Mapping[str, Any], headers: Mapping[str, str]) -> outgoing.Reply:
    # Without the charset Slack warns in every answer.
    given = {**headers, "Content-Type": "application/json; charset=utf-8"}
    return outgoing.ask_in_json(url, _json(message), given, read_bytes=READ_BYTES)


def _refused(reply: outgoing.Reply, error: str) -> Answer:
    if error == "ratelimited":
        return _limited(reply)
    is_known = error in _FOR_GOOD or error in _CARD_GONE
    # What it says is written down where it is one of the words that we know: the rest could be anything.
    why = error if is_known else _("status %(status)d") % {"status": reply.status}
    return Answer(
        reply.status,
        _("Slack refused it: %(why)s") % {"why": why},
        is_for_good=error in _FOR_GOOD,
        is_card_gone=error in _CARD_GONE,
    )


def _limited(reply: outgoing.Reply) -> Answer:
    return Answer(
        reply.status,
        _("It asked to be left alone for a while."),
        wait=reply.retry_after if reply.retry_after is not None else REST_SECONDS,
    )


# Programs


def _by_webhook(channel: NoticeChannel, card: NoticeCard, content: Content, now: datetime) -> Answer:
    kind = TEST if card.notice is None else UPDATED if card.shown else CREATED
    # One id for each state of a card: a repeat is the same, to the letter.
    event_id = uuid.uuid5(card.public_id, f"{kind}:{card.wanted}")
    # Of many in one it says nothing that is true of one of them.
    notice = card.notice if card.bundle is None else None
    mailbox = notice.mailbox if notice is not None else None
    data = {
        "notice": str(notice.public_id) if notice is not None else "",
        "kind": notice.kind if notice is not None else "",
        "mailbox": mailbox.address if mailbox is not None else "",
        "is_urgent": _rows_of(card).filter(notice__is_urgent=True).exists(),
        "title": content.title,
        "lines": [{"label": label, "value": value} for label, value in content.lines],
        "url": content.address,
        "settled": content.settled,
    }
    body = _json(webhooks.envelope(str(event_id), kind, _closed_at(card) or card.made_at, data))
    headers = webhooks.signature_headers(
        [channels.secret_of(channel)],
        header=channel.signature_header,
        message_id=str(event_id),
        body=body,
        at=int(now.timestamp()),
    )
    reply = outgoing.ask_in_json(channel.target, body, headers, read_bytes=0)
    if reply.status == 429:
        return _limited(reply)
    return Answer(reply.status, reply.trouble, is_for_good=reply.status == 410)


_SENDERS = {
    CardKind.SLACK_BOT: _by_bot,
    CardKind.SLACK_WEBHOOK: _by_slack_webhook,
    CardKind.WEBHOOK: _by_webhook,
}


def _json(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def _json_of(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
