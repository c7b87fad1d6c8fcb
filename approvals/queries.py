"""Reads for the pages. Nothing here writes, and nothing here is called by the claim."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import F, IntegerField, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.crypto import salted_hmac

from agentmail.models import Mailbox, Message, RuleEvaluation
from approvals import needs, search, switch_scopes
from approvals.models import (
    Draft,
    FollowUp,
    FollowUpState,
    NeedsPersonState,
    RecipientOutcome,
    Revision,
    Send,
)
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from audit.models import Entry
from audit.queries import entries_for_draft, latest_for_draft, latest_sequence
from policies import switch

# Counts are never exact beyond this: "99+".
COUNT_LIMIT = 100
QUEUE_ROWS = 50
THREAD_MESSAGES = 200
UNDO_ROWS = 3


class BoundedCount(Subquery):
    """How many rows a sliced queryset of primary keys has, as one expression of a larger query."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) bounded)"
    output_field = IntegerField()
    # Django leaves out a subquery that can have no rows, such as that of a person without mailboxes.
    empty_result_set_value = 0

    def __init__(self, queryset: QuerySet[Any]) -> None:
        super().__init__(queryset.order_by().values("pk")[:COUNT_LIMIT])


@dataclass(frozen=True, slots=True)
class BarFacts:
    """What every page says on top. Counts stop at `COUNT_LIMIT`; `follow_ups` and `holds` are the person's own.

    `sequence` is the number of the newest audit entry, read before anything else of the page.
    """

    sending: switch.Reading
    queue: int
    stale: int
    changes_requested: int
    follow_ups: int
    unknown: int
    holds: int
    needs_person: int
    sequence: int


def own_follow_ups(person: Person) -> QuerySet[FollowUp]:
    """The follow-ups of a person: assigned to them, or to nobody on a mailbox where they may follow up."""
    own = Q(assigned_to_id=person.pk)
    unassigned = Q(assigned_to__isnull=True)
    if not may_everywhere(person, Right.FOLLOW_UP):
        unassigned &= Q(mailbox_id__in=mailbox_ids_with(person, Right.FOLLOW_UP))
    return FollowUp.objects.filter(own | unassigned)


def bar_facts(person: Person) -> BarFacts:
    newest = Entry.objects.order_by("-sequence").values("sequence")[:1]
    drafts = visible_drafts(person)
    counts = (
        get_user_model()
        .objects.filter(pk=person.pk or 0)
        .values_list(
            BoundedCount(drafts.filter(state=DraftState.PENDING)),
            BoundedCount(_few(person, DraftState.STALE)),
            BoundedCount(_few(person, DraftState.CHANGES_REQUESTED)),
            BoundedCount(own_follow_ups(person).filter(state=FollowUpState.OPEN)),
            BoundedCount(visible_sends(person).filter(state=SendState.UNKNOWN)),
            BoundedCount(_held_for(person, timezone.now())),
            BoundedCount(needs.visible_needs(person).filter(state=NeedsPersonState.OPEN)),
            Coalesce(Subquery(newest), 0),
        )
        .first()
    )
    return BarFacts(switch.read([switch.GLOBAL]), *(counts or (0,) * 8))


def _few(person: Person, state: DraftState) -> QuerySet[Draft]:
    """The visible drafts in a state that few drafts are in, found by the state."""
    found = Draft.objects.filter(state=state)
    if may_everywhere(person, Right.SEE):
        return found
    # The sum keeps SQLite from walking a whole mailbox: it takes states for evenly spread.
    return found.alias(of_mailbox=F("mailbox_id") + 0).filter(
        of_mailbox__in=mailbox_ids_with(person, Right.SEE)
    )


def visible_drafts(person: Person, right: Right = Right.SEE) -> QuerySet[Draft]:
    """The drafts of the mailboxes on which a person has a right. Every page about drafts starts here."""
    if may_everywhere(person, right):
        return Draft.objects.all()
    return Draft.objects.filter(mailbox_id__in=mailbox_ids_with(person, right))


def visible_sends(person: Person, right: Right = Right.SEE) -> QuerySet[Send]:
    if may_everywhere(person, right):
        return Send.objects.all()
    return Send.objects.filter(mailbox_id__in=mailbox_ids_with(person, right))


def visible_mailboxes(person: Person, right: Right = Right.SEE) -> QuerySet[Mailbox]:
    if may_everywhere(person, right):
        return Mailbox.objects.all()
    return Mailbox.objects.filter(pk__in=mailbox_ids_with(person, right))


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """What a list of drafts shows. `after` is the (expires_at, id) of the last row of the page before."""

    state: str = DraftState.PENDING
    mailbox: UUID | None = None
    text: str = ""
    after: tuple[datetime, int] | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_DRAFT_STATES


@dataclass(frozen=True, slots=True)
class QueuePage:
    drafts: Sequence[Draft]
    has_more: bool


def queue_page(person: Person, chosen: QueueFilter) -> QueuePage:
    """One page of drafts: of the open ones the first to expire on top, of the others the last."""
    found = visible_drafts(person).filter(state=chosen.state)
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    found = search.matching(found, chosen.text)
    order = ("expires_at", "pk") if chosen.is_open else ("-expires_at", "-pk")
    if chosen.after is not None:
        expires_at, draft_id = chosen.after
        # The plain comparison lets the index find the place; the other one only settles equal times.
        if chosen.is_open:
            beyond = Q(expires_at__gt=expires_at) | Q(expires_at=expires_at, pk__gt=draft_id)
            found = found.filter(beyond, expires_at__gte=expires_at)
        else:
            beyond = Q(expires_at__lt=expires_at) | Q(expires_at=expires_at, pk__lt=draft_id)
            found = found.filter(beyond, expires_at__lte=expires_at)
    # The limit stands inside: outside, SQLite joins every pending row before it sorts (performance 3.2).
    keys = found.order_by(*order).values("pk")[: QUEUE_ROWS + 1]
    drafts = list(
        Draft.objects.filter(pk__in=keys)
        .select_related(*(("mailbox", "send") if chosen.state == DraftState.APPROVED else ("mailbox",)))
        .defer("search_text", "thread_pinned")
        .order_by(*order)
    )
    return QueuePage(drafts[:QUEUE_ROWS], len(drafts) > QUEUE_ROWS)


@dataclass(frozen=True, slots=True)
class Hold:
    """A send that the person may still take back. Times in whole seconds."""

    draft: Draft
    not_before: datetime
    seconds_left: int
    hold_seconds: int
    is_held: bool = False


def hold_of(send: Send, now: datetime) -> Hold | None:
    """What can still be taken back: the running undo hold of a send, or one that is held; None afterwards."""
    if send.state != SendState.QUEUED or (send.not_before <= now and not send.held):
        return None
    left = max(send.not_before - now, timedelta())
    return Hold(
        draft=send.draft,
        not_before=send.not_before,
        seconds_left=ceil(left.total_seconds()),
        hold_seconds=max(1, round((send.not_before - send.queued_at).total_seconds())),
        is_held=bool(send.held),
    )


def running_holds(person: Person, now: datetime) -> list[Hold]:
    """What the person approved and can still undo, the newest first, at most `UNDO_ROWS`."""
    sends = (
        _held_for(person, now)
        .select_related("draft")
        .defer("draft__search_text", "draft__thread_pinned")
        .order_by("-not_before")[:UNDO_ROWS]
    )
    return [hold for hold in (hold_of(send, now) for send in sends) if hold]


def _held_for(person: Person, now: datetime) -> QuerySet[Send]:
    return Send.objects.filter(
        state=SendState.QUEUED,
        not_before__gt=now,
        decision__person_id=person.pk,
        decision__voided_at__isnull=True,
    )


def queue_version(now: datetime, sequence: int | None = None) -> str:
    """A short text that changes with every recorded action and, because ages are shown, with every minute."""
    newest = latest_sequence() if sequence is None else sequence
    return _version("queue", newest, int(now.timestamp()) // 60)


def draft_version(draft: Draft, sequence: int | None = None) -> str:
    """A short text that changes when anything shown about a draft does, except ages.

    `sequence` is the number of the draft's newest audit entry, when it was read already.
    """
    recipients = draft.current_revision.recipients() if draft.current_revision is not None else ()
    sending = switch.read(switch_scopes.scopes_of(draft, recipients), is_preview=True)
    mailbox = draft.mailbox
    send: Send | None = getattr(draft, "send", None)
    # The rows were read before the newest entry is asked for, so what they say is part of the version: a change
    # in between makes it differ.
    return _version(
        "draft",
        draft.pk,
        latest_for_draft(draft.pk) if sequence is None else sequence,
        draft.state_changed_at,
        draft.current_revision_id,
        (send.state, send.state_changed_at, send.held, send.waiting_for) if send else "",
        sending.is_open,
        mailbox.is_enabled,
        mailbox.grant_state,
    )


def _version(*parts: object) -> str:
    return salted_hmac("countersign.version", "|".join(map(str, parts))).hexdigest()[:16]


def draft_for(person: Person, public_id: UUID) -> Draft | None:
    """A draft with everything that hangs on it one to one; None when it is not there or not for this person."""
    return (
        visible_drafts(person)
        .select_related("mailbox", "current_revision", "send", "send__decision", "linked_from")
        .filter(public_id=public_id)
        .first()
    )


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages around a draft. `answered` is None when the draft answers none that is known here."""

    before: Sequence[Message]
    answered: Message | None
    after: Sequence[Message]
    is_cut: bool

    @property
    def messages(self) -> list[Message]:
        return [*self.before, *([self.answered] if self.answered else []), *self.after]


def conversation(draft: Draft, send: Send | None) -> Conversation:
    """The newest `THREAD_MESSAGES` messages of the draft's thread, oldest first, without the draft's own copy."""
    if not draft.thread_id:
        return Conversation([], None, [], False)
    newest = list(
        Message.objects.filter(mailbox_id=draft.mailbox_id, thread_id=draft.thread_id).order_by(
            "-date", "-pk"
        )[: THREAD_MESSAGES + 1]
    )
    is_cut = len(newest) > THREAD_MESSAGES
    own = send.provider_message_id if send else ""
    messages = [m for m in reversed(newest[:THREAD_MESSAGES]) if not own or m.provider_id != own]
    place = next(
        (index for index, m in enumerate(messages) if m.provider_id == draft.parent_message_id), len(messages)
    )
    answered = messages[place] if place < len(messages) else None
    return Conversation(messages[:place], answered, messages[place + 1 :], is_cut)


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a draft's two logs; exactly one of the two is there. `is_linked`: both speak of one mail."""

    at: datetime
    entry: Entry | None = None
    evaluation: RuleEvaluation | None = None
    is_linked: bool = False


@dataclass(frozen=True, slots=True)
class Matter:
    """What a draft's page shows beside the draft itself."""

    revisions: Sequence[Revision]
    conversation: Conversation
    entries: Sequence[Entry]
    evaluations: Sequence[RuleEvaluation]
    outcomes: Sequence[RecipientOutcome] = field(default_factory=list)


def matter_of(draft: Draft, send: Send | None) -> Matter:
    around = conversation(draft, send)
    ids = [message.provider_id for message in around.messages]
    if send and send.provider_message_id:
        ids.append(send.provider_message_id)
    return Matter(
        revisions=list(draft.revisions.order_by("number")),
        conversation=around,
        entries=entries_for_draft(draft.pk),
        evaluations=_evaluations(draft.mailbox_id, ids, send),
        outcomes=list(send.outcomes.order_by("pk")) if send and send.accepted_at else [],
    )


def history_of(matter: Matter) -> list[HistoryLine]:
    """Both logs of a draft as one list, newest first, marked where they speak of the same mail."""
    # A refused mail has no message: the entry that explains the refusal names the evaluation itself.
    evaluated = {row.provider_message_id or row.provider_id for row in matter.evaluations}
    named = {entry.provider_id for entry in matter.entries if entry.provider_id}
    lines = [
        HistoryLine(
            entry.at, entry=entry, is_linked=bool(entry.provider_id) and entry.provider_id in evaluated
        )
        for entry in matter.entries
    ]
    lines += [
        HistoryLine(
            datetime.fromtimestamp(evaluation.evaluated_at, UTC),
            evaluation=evaluation,
            is_linked=(evaluation.provider_message_id or evaluation.provider_id) in named,
        )
        for evaluation in matter.evaluations
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _evaluations(mailbox_id: int, message_ids: Collection[str], send: Send | None) -> list[RuleEvaluation]:
    """The provider's evaluations of these messages, and those that refused a send."""
    about = Q(provider_message_id__in=message_ids)
    if send is not None:
        about |= Q(pk__in=send.attempts.filter(rule_evaluation__isnull=False).values("rule_evaluation"))
    elif not message_ids:
        return []
    found = RuleEvaluation.objects.filter(about, mailbox_id=mailbox_id)
    return list(found.order_by("-evaluated_at", "-pk")[:100])


def known_addresses(messages: Sequence[Message]) -> set[str]:
    """Every address that wrote or was written to in a thread, case folded."""
    return {
        str(entry.get("email", "")).casefold()
        for message in messages
        for entries in (message.sender, message.to, message.cc, message.reply_to)
        for entry in entries
        if isinstance(entry, Mapping)
    }
