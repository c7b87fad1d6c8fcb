"""Reads for the operations page: the stop, what was under way, what is held, and who is at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet, Sum

from agentmail.models import EventState, ProviderEvent, WebhookRejection
from approvals import release
from approvals.models import Attempt, Heartbeat, Send, Submission
from approvals.people import Person, Right
from approvals.queries import BoundedCount, visible_mailboxes, visible_sends
from approvals.states import AttemptState, SendState
from audit.models import Entry

# Resuming more than 20 sends at once would need the password again (ASVS 7.5.3), so a page holds no more.
HELD_ROWS = 20
UNDER_WAY_ROWS = 50
HEARTBEAT_ROWS = 20
FAILING_ROWS = 10
ALIVE_SECONDS = 90
OVERDUE_SECONDS = 60
REJECTION_DAYS = 7
# How much before a stop is drawn, to show that sending was going on.
BEFORE_STOP = timedelta(seconds=1)


def held_sends(person: Person, after: tuple[datetime, int] | None = None) -> tuple[list[Send], bool]:
    """One page of the sends that wait for a person to resume them, the longest held first; whether there are more."""
    found = _held(visible_sends(person))
    if after is not None:
        at, send_id = after
        found = found.filter(queued_at__gte=at).filter(Q(queued_at__gt=at) | Q(queued_at=at, pk__gt=send_id))
    keys = found.order_by("queued_at", "pk").values("pk")[: HELD_ROWS + 1]
    rows = list(_with_letter(Send.objects.filter(pk__in=keys)).order_by("queued_at", "pk"))
    return rows[:HELD_ROWS], len(rows) > HELD_ROWS


def held_ids(person: Person, draft_ids: Sequence[UUID]) -> list[int]:
    """The ids of the held sends of these drafts that the person may resume; what is foreign is left out."""
    found = _held(visible_sends(person, Right.RESUME)).filter(draft__public_id__in=draft_ids[:HELD_ROWS])
    return list(found.order_by("queued_at", "pk").values_list("pk", flat=True))


def _held(found: QuerySet[Send]) -> QuerySet[Send]:
    return found.filter(state=SendState.QUEUED).exclude(held="")


def _with_letter(found: QuerySet[Send]) -> QuerySet[Send]:
    return found.select_related("draft", "mailbox", "decision").defer(
        "draft__search_text", "draft__thread_pinned"
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """One POST in the picture of a stop, in units of its width of 640, written as SVG wants them."""

    x: str
    width: str
    y: int
    is_late: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A stop drawn to scale: where it was thrown, the POSTs around it, where the last one ended."""

    thrown: str
    last: str
    bars: Sequence[Bar]
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Stoppage:
    """What is known of the stop that is in force. The wait is None where none was recorded (a stop file)."""

    since: datetime | None
    waited_seconds: float | None
    is_drained: bool | None
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class UnderWay:
    attempt: Attempt
    took_seconds: float | None


def under_way(person: Person, since: datetime | None) -> list[UnderWay]:
    """The POSTs that are under way now and, with the time of a stop, those that were when it was thrown."""
    found = Q(state=SendState.DISPATCHED)
    if since is not None:
        settled = (SendState.ACCEPTED, SendState.FAILED, SendState.UNKNOWN)
        until = since + timedelta(seconds=settings.SEND_FENCE_SECONDS)
        found |= Q(state__in=settled, state_changed_at__gte=since - BEFORE_STOP, state_changed_at__lte=until)
    sends = visible_sends(person).filter(found).order_by("-state_changed_at", "-pk").values("pk")
    attempts = Attempt.objects.filter(send_id__in=sends[:UNDER_WAY_ROWS])
    live = Q(state=AttemptState.DISPATCHED)
    if since is not None:
        live |= Q(request_started_at__lte=since, finished_at__gte=since - BEFORE_STOP)
    rows = (
        attempts.filter(live)
        .select_related("send__draft", "send__mailbox")
        .defer("send__draft__search_text", "send__draft__thread_pinned", "gates")
        .order_by("request_started_at", "pk")
    )
    return [UnderWay(attempt, _took(attempt)) for attempt in rows[:UNDER_WAY_ROWS]]


def _took(attempt: Attempt) -> float | None:
    return (attempt.finished_at - attempt.request_started_at).total_seconds() if attempt.finished_at else None


def stoppage(since: datetime | None, attempts: Sequence[UnderWay], now: datetime) -> Stoppage:
    """What the record says of the stop in force since a time, and the picture of the POSTs around it."""
    if since is None:
        return Stoppage(None, None, None, None)
    waited = (
        Entry.objects.filter(action="policies.switch.waited", mailbox_id__isnull=True, at__gte=since)
        .order_by("sequence")
        .only("data", "outcome")
        .first()
    )
    if waited is None:
        return Stoppage(since, None, None, _picture(since, attempts, now))
    return Stoppage(
        since,
        float(waited.data.get("waited_seconds", 0)),
        waited.outcome == "drained",
        _picture(since, attempts, now),
    )


def _picture(since: datetime, attempts: Sequence[UnderWay], now: datetime) -> Picture | None:
    if not attempts:
        return None
    ends = [row.attempt.finished_at or now for row in attempts]
    last = max(since, *ends)
    begins_at = since - BEFORE_STOP
    ends_at = max(last, since + timedelta(seconds=0.5)) + (last - begins_at) * 0.35
    whole = (ends_at - begins_at).total_seconds()

    def place(at: datetime) -> float:
        return round(max(0.0, min(1.0, (at - begins_at).total_seconds() / whole)) * 640, 1)

    bars = [
        Bar(
            x=str(place(row.attempt.request_started_at)),
            width=str(max(2.0, round(place(end) - place(row.attempt.request_started_at), 1))),
            y=(48, 38, 28)[number % 3],
            is_late=end > since,
        )
        for number, (row, end) in enumerate(zip(attempts, ends, strict=True))
    ]
    return Picture(str(place(since)), str(place(last)), bars, begins_at, ends_at)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counts that must not be overlooked; each stops at the bound of the desk's counts."""

    held: int
    overdue: int
    beyond_fence: int
    unknown: int
    events_waiting: int
    events_failing: int
    events_quarantined: int
    submissions_waiting: int
    keys_reused: int


def numbers(person: User, now: datetime) -> Numbers:
    """The conservation numbers of the mailboxes a person sees, and what arrives of events, in one question."""
    mine = visible_sends(person)
    fence = now - timedelta(seconds=settings.SEND_FENCE_SECONDS)
    late = now - timedelta(seconds=OVERDUE_SECONDS)
    waiting = ProviderEvent.objects.filter(state=EventState.STORED, received_at__lte=late)
    row: tuple[Any, ...] | None = (
        User.objects.filter(pk=person.pk)
        .values_list(
            BoundedCount(_held(mine)),
            BoundedCount(mine.filter(state=SendState.QUEUED, held="", next_attempt_at__lte=late)),
            BoundedCount(mine.filter(state=SendState.DISPATCHED, state_changed_at__lte=fence)),
            BoundedCount(mine.filter(state=SendState.UNKNOWN)),
            BoundedCount(waiting),
            BoundedCount(ProviderEvent.objects.filter(state=EventState.FAILING)),
            BoundedCount(ProviderEvent.objects.filter(state=EventState.QUARANTINED)),
            BoundedCount(
                Submission.objects.filter(
                    mailbox__in=visible_mailboxes(person), next_try_at__isnull=False, received_at__lte=late
                )
            ),
            BoundedCount(
                Entry.objects.filter(
                    action="approvals.submission.key_reused",
                    mailbox_id__in=visible_mailboxes(person).values("pk"),
                    at__gte=now - timedelta(days=REJECTION_DAYS),
                )
            ),
        )
        .first()
    )
    return Numbers(*(row or (0,) * 9))


@dataclass(frozen=True, slots=True)
class Process:
    """A process that gave a sign of life. `is_latest`: the last of its kind. `is_other`: it runs another build."""

    name: str
    at: datetime
    is_alive: bool
    is_latest: bool
    is_other: bool


def processes(now: datetime) -> list[Process]:
    """The processes of the last day, the latest sign of life first."""
    rows = list(Heartbeat.objects.filter(at__gte=now - timedelta(days=1)).order_by("-at")[:HEARTBEAT_ROWS])
    latest = {row.kind: row.pk for row in reversed(rows)}
    return [
        Process(
            name=row.name,
            at=row.at,
            is_alive=now - row.at <= timedelta(seconds=ALIVE_SECONDS),
            is_latest=latest[row.kind] == row.pk,
            is_other=row.detail.get("release", release.fingerprint()) != release.fingerprint(),
        )
        for row in rows
    ]


def failing_events() -> list[ProviderEvent]:
    """Events of the provider that could not be acted on and are tried again, or were set aside; newest first."""
    found = ProviderEvent.objects.filter(state__in=[EventState.FAILING, EventState.QUARANTINED])
    return list(found.defer("payload").order_by("-pk")[:FAILING_ROWS])


def rejections(now: datetime) -> list[tuple[str, int]]:
    """How many notifications were turned away in the last days, by reason."""
    since = now.date() - timedelta(days=REJECTION_DAYS)
    found = WebhookRejection.objects.filter(day__gt=since).order_by().values_list("reason")
    rows = found.annotate(total=Sum("count")).order_by("-total")[:20]
    return [(reason, total) for reason, total in rows]
