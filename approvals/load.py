"""How full the queue is, how much of it arrives and is decided, and when it is more than people can clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Subquery

from agentmail.models import Mailbox
from approvals import estimates
from approvals.estimates import Estimate
from approvals.models import Decision, Draft
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere
from approvals.queries import BoundedCount, visible_drafts, visible_mailboxes
from approvals.states import DraftState

HOURS = 24
# What one person decides in a day with care: a quarter of the 200 mails a day of a mailbox.
REVIEWS_A_DAY = 50
# A draft that has waited for more than this share of the time it has is old.
OLD_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Fullness:
    """`is_long`: at least QUEUE_FULL_DRAFTS wait. `is_old`: the first to expire of a mailbox waited too long."""

    is_long: bool
    is_old: bool

    @property
    def is_overfull(self) -> bool:
        return self.is_long or self.is_old


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one mailbox, and how long people take there."""

    mailbox: Mailbox
    pending: int
    oldest_at: datetime | None
    review_time: Estimate


@dataclass(frozen=True, slots=True)
class Hour:
    """What came and what people decided in one hour, which began at `since`, and what waited at its end."""

    since: datetime
    arrived: int
    decided: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """What people can clear, beside what arrives, both of the last day.

    `pace` is decisions in an hour of work: of the hours in which people decided at all; None without any.
    `hours_to_empty` is how many such hours what waits takes if nothing arrives; None without a pace.
    `deciders` people decided, and `can_clear` is what they could at `REVIEWS_A_DAY` each.
    """

    pace: float | None
    hours_to_empty: float | None
    deciders: int
    can_clear: int
    is_short: bool


def capacity(person: Person, hours: Sequence[Hour], now: datetime) -> Capacity:
    """What the people who decided in these hours can clear; `hours` is what `by_hour` gave. One question."""
    decided = [hour.decided for hour in hours if hour.decided]
    pace = sum(decided) / len(decided) if decided else None
    within = _decisions(person).filter(made_at__gt=hours[0].since, made_at__lte=now)
    deciders = within.aggregate(people=Count("person", distinct=True))["people"]
    can_clear = deciders * REVIEWS_A_DAY
    return Capacity(
        pace=pace,
        hours_to_empty=hours[-1].waiting / pace if pace else None,
        deciders=deciders,
        can_clear=can_clear,
        is_short=sum(hour.arrived for hour in hours) > can_clear,
    )


def reviewers_needed(arrived: int) -> int:
    """How many people it takes to decide about what arrived in a day, at `REVIEWS_A_DAY` each."""
    return ceil(arrived / REVIEWS_A_DAY)


def fullness(person: Person, now: datetime) -> Fullness:
    """Whether more waits in the mailboxes that a person sees than people can clear. One short question."""
    limit = settings.QUEUE_FULL_DRAFTS
    waiting = Draft.objects.filter(mailbox=OuterRef("pk"), state=DraftState.PENDING)
    first = waiting.order_by("expires_at", "pk")
    rows = list(
        visible_mailboxes(person)
        .order_by()
        .values_list(
            BoundedCount(waiting, limit),
            Subquery(first.values("arrived_at")[:1]),
            Subquery(first.values("expires_at")[:1]),
        )
    )
    return Fullness(
        is_long=sum(count for count, _arrived_at, _expires_at in rows) >= limit,
        is_old=any(
            now >= arrived_at + (expires_at - arrived_at) * OLD_SHARE
            for _count, arrived_at, expires_at in rows
            if arrived_at is not None
        ),
    )


def waiting(person: Person) -> list[Waiting]:
    """Every mailbox that a person sees, the one with the most waiting drafts first."""
    rows = visible_drafts(person).filter(state=DraftState.PENDING).order_by().values("mailbox_id")
    found = {
        row["mailbox_id"]: (row["pending"], row["oldest"])
        for row in rows.annotate(pending=Count("pk"), oldest=Min("arrived_at"))
    }
    mailboxes = list(visible_mailboxes(person))
    times = estimates.review_times([mailbox.pk for mailbox in mailboxes])
    counted = [
        Waiting(mailbox, *found.get(mailbox.pk, (0, None)), review_time=times[mailbox.pk])
        for mailbox in mailboxes
    ]
    return sorted(counted, key=lambda one: -one.pending)


def by_hour(person: Person, now: datetime, pending: int) -> list[Hour]:
    """The last 24 hours, each reaching to the minute of now, the oldest first; `pending` is what waits now.

    A draft counts as waiting from its arrival to the decision that holds, or else to when it went stale or ended.
    """
    ends = [now - timedelta(hours=HOURS - number) for number in range(1, HOURS + 1)]
    arrived = _per_hour(visible_drafts(person), "arrived_at", ends)
    decided = _per_hour(_decisions(person), "made_at", ends)
    settled = _per_hour(_live_decisions(person), "made_at", ends)
    lost = _per_hour(_ended_undecided(person), "state_changed_at", ends)
    hours = []
    left = pending
    for end, came, went, gone in reversed(
        list(zip(ends, arrived, decided, map(sum, zip(settled, lost, strict=True)), strict=True))
    ):
        hours.append(Hour(end - timedelta(hours=1), came, went, left))
        left = max(0, left - came + gone)
    return hours[::-1]


def _decisions(person: Person) -> QuerySet[Decision]:
    return _visible(Decision.objects.filter(person__isnull=False), person)


def _visible(decisions: QuerySet[Decision], person: Person) -> QuerySet[Decision]:
    if may_everywhere(person, Right.SEE):
        return decisions
    return decisions.filter(draft__mailbox_id__in=mailbox_ids_with(person, Right.SEE))


def _live_decisions(person: Person) -> QuerySet[Decision]:
    """The decisions that hold, those by the oversight mode too: each took a draft out of the queue."""
    found = Decision.objects.filter(voided_at__isnull=True).exclude(draft__state=DraftState.PENDING)
    return _visible(found, person)


def _ended_undecided(person: Person) -> QuerySet[Draft]:
    live = Decision.objects.filter(draft=OuterRef("pk"), voided_at__isnull=True)
    return visible_drafts(person).exclude(state=DraftState.PENDING).exclude(Exists(live))


def _per_hour(rows: QuerySet[Any], name: str, ends: Sequence[datetime]) -> list[int]:
    """How many rows have their time in each hour; plain comparisons, which both databases do by themselves."""
    hour = timedelta(hours=1)
    within = rows.filter(**{f"{name}__gt": ends[0] - hour, f"{name}__lte": ends[-1]}).order_by()
    counted = within.aggregate(
        **{
            f"hour_{number}": Count("pk", filter=Q(**{f"{name}__gt": end - hour, f"{name}__lte": end}))
            for number, end in enumerate(ends)
        }
    )
    return [counted[f"hour_{number}"] for number in range(len(ends))]
