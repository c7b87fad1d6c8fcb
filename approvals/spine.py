"""Two logs as one list: what people and checks decided here, and what the provider's rules decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from agentmail.models import Mailbox, RuleEvaluation
from approvals import people
from approvals.models import Attempt, Draft, Send
from approvals.people import Person, Right
from approvals.queries import visible_drafts
from audit.actions import ACTIONS
from audit.models import Entry

SPINE_ROWS = 50
# The entries that say that a mail left: the provider's evaluation of that mail stands beside them.
LEAVING = frozenset({"approvals.send.accepted", "approvals.send.found"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins in both logs: below this entry, and below this (second, id) of the evaluations."""

    sequence: int | None = None
    evaluation: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SpineFilter:
    mailbox: UUID | None = None
    action: str = ""
    person: int | None = None
    draft: UUID | None = None
    after: Place = field(default_factory=Place)

    @property
    def is_narrow(self) -> bool:
        return bool(self.mailbox or self.action or self.person or self.draft)


@dataclass(frozen=True, slots=True)
class Line:
    """One moment: an entry of ours, an evaluation of the provider's, or both about the same mail."""

    at: datetime
    entry: Entry | None = None
    evaluation: RuleEvaluation | None = None
    draft: Draft | None = None
    mailbox: Mailbox | None = None


@dataclass(frozen=True, slots=True)
class SpinePage:
    lines: Sequence[Line]
    following: Place | None


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of the record a person may read: everything, some mailboxes, and always the own actions."""

    is_everything: bool
    mailbox_ids: Sequence[int]
    person_id: int

    @property
    def is_own_only(self) -> bool:
        return not self.is_everything and not self.mailbox_ids


def reach_of(person: Person) -> Reach:
    everything = people.may_everywhere(person, Right.AUDIT)
    ids = [] if everything else people.mailbox_ids_with(person, Right.AUDIT)
    return Reach(everything, ids, person.pk or 0)


def spine_page(person: Person, chosen: SpineFilter) -> SpinePage:
    """One page of both logs, newest first. What is written meanwhile lands above and moves nothing.

    Evaluations about a mail of ours stand beside the entry that says it left; the others stand alone. They have
    neither action nor person, so a filter on those leaves out the ones that stand alone.
    """
    reach = reach_of(person)
    draft = _chosen_draft(person, chosen)
    if chosen.draft is not None and draft is None:
        return SpinePage([], None)
    entries = list(_entries(reach, chosen, draft)[: SPINE_ROWS + 1])
    evaluations = list(_evaluations(reach, chosen)[: SPINE_ROWS + 1])
    merged = _merged(entries, evaluations)
    shown = merged[:SPINE_ROWS]
    following = _following(chosen.after, shown) if len(merged) > SPINE_ROWS else None
    return SpinePage(_lines(person, reach, shown), following)


def _chosen_draft(person: Person, chosen: SpineFilter) -> Draft | None:
    if chosen.draft is None:
        return None
    return visible_drafts(person).filter(public_id=chosen.draft).only("pk", "public_id").first()


def _entries(reach: Reach, chosen: SpineFilter, draft: Draft | None) -> QuerySet[Entry]:
    found = Entry.objects.defer("body")
    if not reach.is_everything:
        own = Q(actor_kind="person", actor_id=str(reach.person_id))
        found = found.filter(own | Q(mailbox_id__in=reach.mailbox_ids) if reach.mailbox_ids else own)
    if chosen.mailbox is not None:
        found = found.filter(mailbox_id__in=Mailbox.objects.filter(public_id=chosen.mailbox).values("pk"))
    if chosen.action:
        found = found.filter(action=chosen.action)
    if chosen.person is not None:
        found = found.filter(actor_kind="person", actor_id=str(chosen.person))
    if draft is not None:
        found = found.filter(draft_id=draft.pk)
    if chosen.after.sequence is not None:
        found = found.filter(sequence__lt=chosen.after.sequence)
    return found.order_by("-sequence")


def _evaluations(reach: Reach, chosen: SpineFilter) -> QuerySet[RuleEvaluation]:
    if reach.is_own_only or chosen.action or chosen.person is not None or chosen.draft is not None:
        return RuleEvaluation.objects.none()
    found = RuleEvaluation.objects.filter(
        ~Exists(
            Send.objects.filter(
                provider_message_id=OuterRef("provider_message_id"), mailbox=OuterRef("mailbox")
            ).exclude(provider_message_id="")
        ),
        ~Exists(Attempt.objects.filter(rule_evaluation=OuterRef("pk"))),
    )
    if not reach.is_everything:
        found = found.filter(mailbox_id__in=reach.mailbox_ids)
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    if chosen.after.evaluation is not None:
        at, evaluation_id = chosen.after.evaluation
        found = found.filter(evaluated_at__lte=at).filter(
            Q(evaluated_at__lt=at) | Q(evaluated_at=at, pk__lt=evaluation_id)
        )
    return found.order_by("-evaluated_at", "-pk")


def _merged(entries: Sequence[Entry], evaluations: Sequence[RuleEvaluation]) -> list[Entry | RuleEvaluation]:
    """Both lists as one by time, each in its own order: an entry's number counts more than its clock."""
    merged: list[Entry | RuleEvaluation] = []
    left, right = list(entries), list(evaluations)
    while left and right:
        is_left = left[0].at >= datetime.fromtimestamp(right[0].evaluated_at, UTC)
        merged.append(left.pop(0) if is_left else right.pop(0))
    return [*merged, *left, *right]


def _following(before: Place, shown: Sequence[Entry | RuleEvaluation]) -> Place:
    sequence, evaluation = before.sequence, before.evaluation
    for row in shown:
        if isinstance(row, Entry):
            sequence = row.sequence
        else:
            evaluation = (row.evaluated_at, row.pk)
    return Place(sequence, evaluation)


def _lines(person: Person, reach: Reach, shown: Sequence[Entry | RuleEvaluation]) -> list[Line]:
    entries = [row for row in shown if isinstance(row, Entry)]
    drafts = {
        draft.pk: draft
        for draft in visible_drafts(person)
        .filter(pk__in={entry.draft_id for entry in entries if entry.draft_id})
        .only("pk", "public_id", "subject", "counterpart")
    }
    mailboxes = {mailbox.pk: mailbox for mailbox in Mailbox.objects.only("pk", "public_id", "address")}
    beside = _beside(reach, entries)
    lines = []
    for row in shown:
        if isinstance(row, Entry):
            lines.append(
                Line(
                    row.at,
                    entry=row,
                    evaluation=beside.get((row.mailbox_id, row.provider_id)),
                    draft=drafts.get(row.draft_id) if row.draft_id else None,
                    mailbox=mailboxes.get(row.mailbox_id) if row.mailbox_id else None,
                )
            )
        else:
            at = datetime.fromtimestamp(row.evaluated_at, UTC)
            lines.append(Line(at, evaluation=row, mailbox=mailboxes.get(row.mailbox_id)))
    return lines


def _beside(reach: Reach, entries: Sequence[Entry]) -> dict[tuple[int | None, str], RuleEvaluation]:
    """The newest evaluation of each mail that the entries speak of."""
    ids = {entry.provider_id for entry in entries if entry.provider_id}
    if not ids or reach.is_own_only:
        return {}
    # A refused mail has no message: the entry that explains the refusal names the evaluation itself.
    found = RuleEvaluation.objects.filter(Q(provider_message_id__in=ids) | Q(provider_id__in=ids))
    if not reach.is_everything:
        found = found.filter(mailbox_id__in=reach.mailbox_ids)
    beside: dict[tuple[int | None, str], RuleEvaluation] = {}
    for row in found.order_by("evaluated_at", "pk"):
        beside[row.mailbox_id, row.provider_message_id or row.provider_id] = row
    return beside


def people_in_record(reach: Reach) -> list[User]:
    """The people whose actions a person may look for: all of the desk, or only oneself."""
    found = User.objects.filter(pk=reach.person_id) if reach.is_own_only else User.objects.all()
    return list(found.order_by("first_name", "last_name", "username")[:500])


def action_choices() -> list[tuple[str, str]]:
    return sorted(((name, str(action.label)) for name, action in ACTIONS.items()), key=lambda pair: pair[1])
