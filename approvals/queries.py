"""Reads for the pages. Nothing here writes, and nothing here is called by the claim."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from agentmail.models import Mailbox, Message, RuleEvaluation
from approvals import bulk, elsewhere, needs, search, switch_scopes, together, unsaved
from approvals.keys import keys_in_effect
from approvals.models import (
    Decision,
    Draft,
    FollowUp,
    FollowUpState,
    NeedsPersonState,
    RecipientOutcome,
    Revision,
    Send,
    Submission,
)
from approvals.notices.listing import unread_notices
from approvals.page_version import page_version
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from approvals.together import QUIET_ACTIONS, Only
from audit.models import Entry
from audit.queries import entries_for_draft, latest_for_draft, latest_sequence
from policies import switch

# Counts are never exact beyond this: "99+".
COUNT_LIMIT = 100
QUEUE_ROWS = 50
THREAD_MESSAGES = 200
UNDO_ROWS = 3
# The views of the queue whose drafts are counted, in the order of `BarFacts`.
COUNTED = (Only.MINE, Only.ESCALATED, Only.SNOOZED)
# Who has to do with a draft.
PEOPLE = ("claim__person", "assigned_to", "escalated_by")
# How long a draft that was decided keeps its place in the list, at least as long as an undo hold can be.
DECIDED_SECONDS = 60
DECIDED_ROWS = 20


class BoundedCount(Subquery):
    """How many rows a sliced queryset of primary keys has, as one expression of a larger query."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) bounded)"
    output_field = IntegerField()
    # Django leaves out a subquery that can have no rows, such as that of a person without mailboxes.
    empty_result_set_value = 0

    def __init__(self, queryset: QuerySet[Any], limit: int = COUNT_LIMIT) -> None:
        super().__init__(queryset.order_by().values("pk")[:limit])


@dataclass(frozen=True, slots=True)
class BarFacts:
    """What every page says on top. Counts stop at `COUNT_LIMIT`; `follow_ups` are the person's own, `decided` is how
    many drafts were decided in the last `DECIDED_SECONDS`.

    `sequence` is the number of the newest audit entry, read before anything else of the page. `keys` are those in
    effect for the person, by command.
    """

    sending: switch.Reading
    queue: int
    mine: int
    escalated: int
    snoozed: int
    stale: int
    changes_requested: int
    follow_ups: int
    unknown: int
    decided: int
    needs_person: int
    sent_elsewhere: int
    notices: int
    sequence: int
    keys: Mapping[str, str]


def own_follow_ups(person: Person) -> QuerySet[FollowUp]:
    """The follow-ups of a person: assigned to them, or to nobody on a mailbox where they may follow up."""
    own = Q(assigned_to_id=person.pk)
    unassigned = Q(assigned_to__isnull=True)
    if not may_everywhere(person, Right.FOLLOW_UP):
        unassigned &= Q(mailbox_id__in=mailbox_ids_with(person, Right.FOLLOW_UP))
    return FollowUp.objects.filter(own | unassigned)


def bar_facts(person: Person) -> BarFacts:
    newest = Entry.objects.order_by("-sequence").values("sequence")[:1]
    waiting = visible_drafts(person).filter(state=DraftState.PENDING)
    now = timezone.now()
    row = (
        get_user_model()
        .objects.filter(pk=person.pk or 0)
        .values_list(
            BoundedCount(together.narrowed(waiting, person, "", now)),
            *(BoundedCount(together.narrowed(waiting, person, only, now)) for only in COUNTED),
            BoundedCount(_few(person, DraftState.STALE)),
            BoundedCount(_few(person, DraftState.CHANGES_REQUESTED)),
            BoundedCount(own_follow_ups(person).filter(state=FollowUpState.OPEN)),
            BoundedCount(visible_sends(person).filter(state=SendState.UNKNOWN)),
            BoundedCount(_decided_lately(person, now)),
            BoundedCount(needs.visible_needs(person).filter(state=NeedsPersonState.OPEN)),
            BoundedCount(elsewhere.visible_items(person).filter(acknowledged_at__isnull=True)),
            BoundedCount(unread_notices(person)),
            Coalesce(Subquery(newest), 0),
            "keyboard__has_letters",
            "keyboard__keys",
        )
        .first()
    )
    *counts, has_letters, own_keys = row or (*(0,) * 13, None, None)
    facts = (*counts, keys_in_effect(has_letters is not False, own_keys or {}))
    return BarFacts(switch.read([switch.GLOBAL]), *facts)


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
    """What a list of drafts shows. `after` is the (time, id) of the last row of the page before; see `place_in`."""

    state: str = DraftState.PENDING
    mailbox: UUID | None = None
    category: str = ""
    risk: int | None = None
    agent: str = ""
    text: str = ""
    after: tuple[datetime, int] | None = None
    # A view of `together.Only`, or "" for everything but what the person put off.
    only: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_DRAFT_STATES


def place_in(chosen: QueueFilter, draft: Draft) -> tuple[datetime, int]:
    """Where a draft stands in a list, as `QueueFilter.after` takes it."""
    return getattr(draft, _place_name(chosen)), draft.pk


def _place_name(chosen: QueueFilter) -> str:
    return "queue_at" if chosen.state == DraftState.PENDING else "expires_at"


@dataclass(frozen=True, slots=True)
class QueuePage:
    drafts: Sequence[Draft]
    has_more: bool


def queue_page(person: Person, chosen: QueueFilter, *, rows: int | None = None) -> QueuePage:
    """One page of drafts. Those that wait stand by `Draft.queue_at`: high risk first, then the first to expire; of the
    other open ones the first to expire is on top, of the rest the last.

    `rows` are as many as a page has if not given. `agent_name` of each draft is what the token is called with which
    it was handed in, or None.
    """
    rows = rows or QUEUE_ROWS
    found = visible_drafts(person).filter(state=chosen.state)
    found = _matching(together.narrowed(found, person, chosen.only, timezone.now()), chosen)
    name = _place_name(chosen)
    order = (name, "pk") if chosen.is_open else (f"-{name}", "-pk")
    if chosen.after is not None:
        at, draft_id = chosen.after
        beyond = "gt" if chosen.is_open else "lt"
        further = Q(**{f"{name}__{beyond}": at}) | Q(**{name: at, f"pk__{beyond}": draft_id})
        # The plain comparison lets the index find the place; the other one only settles equal times.
        found = found.filter(further, **{f"{name}__{beyond}e": at})
    # The limit stands inside: outside, SQLite joins every pending row before it sorts (performance 3.2).
    keys = found.order_by(*order).values("pk")[: rows + 1]
    handed_in = Submission.objects.filter(draft=OuterRef("pk"))
    listed = (
        Draft.objects.filter(pk__in=keys)
        .select_related("mailbox", *PEOPLE, *(["send"] if chosen.state == DraftState.APPROVED else []))
        .annotate(agent_name=Subquery(handed_in.order_by("-pk").values("agent_name")[:1]))
        .defer("search_text", "thread_pinned")
        .order_by(*order)
    )
    drafts = list(bulk.noted(listed) if chosen.state == DraftState.PENDING else listed)
    return QueuePage(drafts[:rows], len(drafts) > rows)


def _matching(drafts: QuerySet[Draft], chosen: QueueFilter) -> QuerySet[Draft]:
    """The drafts that fit a filter by what they are, whatever their state and whoever has to do with them."""
    if chosen.mailbox is not None:
        drafts = drafts.filter(mailbox__public_id=chosen.mailbox)
    if chosen.category:
        drafts = drafts.filter(category=chosen.category)
    if chosen.risk is not None:
        drafts = drafts.filter(risk=chosen.risk)
    if chosen.agent:
        drafts = drafts.filter(agent_id=chosen.agent)
    return search.matching(drafts, chosen.text)


def next_in(person: Person, chosen: QueueFilter, draft: Draft) -> Draft | None:
    """The draft that follows another in a list, from the top again after the last; None when nothing else is in it."""
    for after in (place_in(chosen, draft), None):
        found = queue_page(person, replace(chosen, after=after), rows=2).drafts
        following = next((other for other in found if other.pk != draft.pk), None)
        if following is not None:
            return following
    return None


def decided_lately(person: Person, chosen: QueueFilter, now: datetime) -> list[Decision]:
    """The decisions of the last `DECIDED_SECONDS` that a person sees and that stand, the newest first, at most
    `DECIDED_ROWS`; the person's own before all others. `fits` of each is whether its draft fits the filter.
    """
    is_own = Case(When(person_id=person.pk or 0, then=0), default=1)
    return list(
        _decided_lately(person, now)
        .annotate(fits=Exists(_matching(Draft.objects.filter(pk=OuterRef("draft_id")), chosen)))
        .select_related("draft__mailbox", "draft__send")
        .defer("draft__search_text", "draft__thread_pinned")
        .order_by(is_own, "-made_at", "-pk")[:DECIDED_ROWS]
    )


def _decided_lately(person: Person, now: datetime) -> QuerySet[Decision]:
    since = now - timedelta(seconds=DECIDED_SECONDS)
    found = Decision.objects.filter(made_at__gte=since, voided_at__isnull=True)
    if may_everywhere(person, Right.SEE):
        return found
    # The sum keeps SQLite from walking a whole mailbox, as in `_few`.
    return found.alias(of_mailbox=F("draft__mailbox_id") + 0).filter(
        of_mailbox__in=mailbox_ids_with(person, Right.SEE)
    )


def stood_in(chosen: QueueFilter, page: QueuePage, decision: Any) -> bool:
    """Whether the draft of one of `decided_lately` had its place in this page of what waits; never in a view of
    `together.Only`, which asks for more than the draft tells.
    """
    if chosen.only or chosen.state != DraftState.PENDING or not decision.fits:
        return False
    place = place_in(chosen, decision.draft)
    is_after = chosen.after is None or place > chosen.after
    return is_after and (not page.has_more or place < place_in(chosen, page.drafts[-1]))


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


def running_holds(person: Person, decisions: Sequence[Decision], now: datetime) -> list[Hold]:
    """What the person approved and can still undo among these decisions, in their order, at most `UNDO_ROWS`."""
    own = [decision.draft for decision in decisions if decision.person_id == person.pk]
    sends = [getattr(draft, "send", None) for draft in own if draft.state == DraftState.APPROVED]
    holds = [hold_of(send, now) for send in sends if send is not None]
    return [hold for hold in holds if hold is not None][:UNDO_ROWS]


def queue_version(now: datetime, sequence: int | None = None) -> str:
    """A short text that changes with every recorded action and, because ages are shown, with every minute."""
    newest = latest_sequence() if sequence is None else sequence
    return page_version("queue", newest, int(now.timestamp()) // 60)


def draft_version(
    draft: Draft,
    sequence: int | None = None,
    *,
    within: Sequence[str] | None = None,
    is_sending_on: bool | None = None,
) -> str:
    """A short text that changes when anything shown about a draft does, except ages.

    `sequence` is the number of the draft's newest audit entry but for `QUIET_ACTIONS`, `within` are the scopes of its
    mailbox, `is_sending_on` is what the switch says in them, where the caller has read them.
    """
    if is_sending_on is None:
        recipients = draft.current_revision.recipients() if draft.current_revision is not None else ()
        scopes = switch_scopes.scopes_of(draft, recipients, within=within)
        is_sending_on = switch.read(scopes, is_preview=True).is_open
    mailbox = draft.mailbox
    send: Send | None = getattr(draft, "send", None)
    # The rows were read before the newest entry is asked for, so what they say is part of the version: a change
    # in between makes it differ.
    return page_version(
        "draft",
        draft.pk,
        latest_for_draft(draft.pk, leave_out=QUIET_ACTIONS) if sequence is None else sequence,
        draft.state_changed_at,
        draft.current_revision_id,
        (send.state, send.state_changed_at, send.held, send.waiting_for) if send else "",
        is_sending_on,
        mailbox.is_enabled,
        mailbox.grant_state,
    )


def draft_for(person: Person, public_id: UUID) -> Draft | None:
    """A draft with everything that hangs on it one to one; None when it is not there or not for this person."""
    return (
        unsaved.noted(visible_drafts(person), person)
        .select_related("mailbox", "current_revision", "send", "send__decision", "linked_from", *PEOPLE)
        .annotate(snoozed_until=together.snoozed_until(person, timezone.now()))
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
