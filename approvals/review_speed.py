"""Approvals that came sooner than their text can be read. A reason to ask how things go, never a finding.

Whoever reads several drafts and then approves them one after the other is counted too; so a single one says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models.functions import Length

from approvals.models import Decision, DecisionKind, Draft
from approvals.people import Person, Right, mailbox_ids_with, may, name_of
from policies.evidence import Share

WINDOW = timedelta(days=7)
# The newest decisions within the window that are looked at.
LATEST = 2000
# Twice as fast as people usually read; long mail is skimmed.
CHARACTERS_PER_SECOND = 50
LEAST_SECONDS, MOST_SECONDS = 2.0, 30.0
# A person's share is unusual when even its likely lower end is above that of all others, and above this.
UNUSUAL_SHARE = 0.1
NEEDED = 20
EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class QuickApproval:
    """One of them. `took` counts seconds from the moment the text could be read at the earliest."""

    draft: Draft
    name: str
    made_at: datetime
    took: float
    reading: float


@dataclass(frozen=True, slots=True)
class Reviewer:
    name: str
    quick: Share
    is_unusual: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """`quick` counts approvals in the mailboxes that the asker sees.

    `reviewers` and `examples` are of those where the asker may see who approved how fast; without any, both are empty
    and `names_people` is false.
    """

    quick: Share
    names_people: bool
    reviewers: Sequence[Reviewer]
    examples: Sequence[QuickApproval]


@dataclass(frozen=True, slots=True)
class _Approval:
    draft_id: int
    mailbox_id: int
    person_id: int
    made_at: datetime
    took: float
    reading: float

    @property
    def is_quick(self) -> bool:
        return self.took < self.reading


def reading_seconds(characters: int) -> float:
    """The shortest time in which a text of this length counts as read."""
    return min(MOST_SECONDS, LEAST_SECONDS + characters / CHARACTERS_PER_SECOND)


def speed(person: Person, now: datetime) -> Speed:
    """How quick the approvals of the last week were that still stand, at most `LATEST` decisions back."""
    found = list(_approvals(mailbox_ids_with(person, Right.SEE), now))
    named_in = set(mailbox_ids_with(person, Right.SEE_REVIEWERS))
    named = [one for one in found if one.mailbox_id in named_in]
    quick = [one for one in named if one.is_quick]
    examples = sorted(quick, key=lambda one: one.made_at, reverse=True)[:EXAMPLES]
    names = _names({one.person_id for one in named}) if named_in else {}
    drafts = _drafts([one.draft_id for one in examples]) if named_in else {}
    return Speed(
        quick=Share(sum(one.is_quick for one in found), len(found)),
        names_people=may(person, Right.SEE_REVIEWERS),
        reviewers=_reviewers(named, names),
        examples=[
            QuickApproval(drafts[one.draft_id], names[one.person_id], one.made_at, one.took, one.reading)
            for one in examples
        ],
    )


def _approvals(mailbox_ids: Sequence[int], now: datetime) -> Iterator[_Approval]:
    """The approvals of other people's wordings, the oldest first.

    A text can be read from its arrival on, and by one person from that person's decision before.
    """
    rows = (
        Decision.objects.filter(
            person__isnull=False, made_at__gte=now - WINDOW, draft__mailbox_id__in=mailbox_ids
        )
        .order_by("-made_at", "-pk")
        .values_list(
            "draft_id",
            "draft__mailbox_id",
            "person_id",
            "kind",
            "made_at",
            "voided_at",
            "revision__created_at",
            "revision__author_id",
            Length("revision__body_text"),
        )[:LATEST]
    )
    decided_before: dict[int, datetime] = {}
    for (
        draft_id,
        mailbox_id,
        person_id,
        kind,
        made_at,
        voided_at,
        written_at,
        author_id,
        characters,
    ) in reversed(rows):
        begins = max(written_at, decided_before.get(person_id, written_at))
        decided_before[person_id] = made_at
        if kind != DecisionKind.APPROVE or voided_at is not None or author_id == person_id:
            continue
        took = (made_at - begins).total_seconds()
        yield _Approval(draft_id, mailbox_id, person_id, made_at, took, reading_seconds(characters or 0))


def _reviewers(approvals: Sequence[_Approval], names: dict[int, str]) -> list[Reviewer]:
    made = Counter(one.person_id for one in approvals)
    quick = Counter(one.person_id for one in approvals if one.is_quick)
    found = []
    for person_id, count in made.items():
        own = Share(quick[person_id], count)
        others = Share(quick.total() - quick[person_id], made.total() - count)
        found.append(Reviewer(names[person_id], own, _is_unusual(own, others)))
    return sorted(found, key=lambda one: (not one.is_unusual, one.name.casefold()))


def _is_unusual(own: Share, others: Share) -> bool:
    interval = own.interval
    if interval is None or own.total < NEEDED:
        return False
    return interval[0] > max(UNUSUAL_SHARE, others.value or 0.0)


def _names(person_ids: set[int]) -> dict[int, str]:
    return {person.pk: name_of(person) for person in User.objects.filter(pk__in=person_ids)}


def _drafts(draft_ids: Sequence[int]) -> dict[int, Draft]:
    return Draft.objects.only("public_id", "subject", "counterpart").in_bulk(draft_ids)
