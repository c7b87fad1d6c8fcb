"""Reads for the pages about what left, what came back, and what is not known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import CharField, Exists, OuterRef, Prefetch, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from agentmail.models import Mailbox, RuleEvaluation
from agentmail.types import ReplyClass
from approvals import people
from approvals.dispatch import lock_name
from approvals.models import (
    Attempt,
    FollowUp,
    FollowUpState,
    Lookup,
    Membership,
    OutcomeKind,
    RecipientOutcome,
    Send,
)
from approvals.outcomes import picture
from approvals.people import Person, Right
from approvals.queries import (
    BoundedCount,
    own_follow_ups,
    visible_drafts,
    visible_mailboxes,
    visible_sends,
)
from approvals.returns import Meaning, meaning_of
from approvals.states import AttemptState, DraftState, SendState
from policies import locks
from policies.models import Switch

logger = logging.getLogger(__name__)

LEDGER_ROWS = 50
UNKNOWN_ROWS = 50
STALLED_ROWS = 10
WAITING_ROWS = 100
EVALUATION_ROWS = 50
# The provider forgets a key after an hour; five minutes are left for clocks and queues.
KEY_LIVES = timedelta(minutes=55)

_UNPROVEN = (AttemptState.UNKNOWN, AttemptState.OVERRIDDEN, AttemptState.CLOSED)
NOT_SENT = (SendState.FAILED, SendState.STOPPED, SendState.CLOSED_NOT_SENT)


@dataclass(frozen=True, slots=True)
class Recipient:
    """What is known of one recipient of a send: the gravest fact, and the words of the server that gave it.

    `kind` is a code of the contract, or "" while nothing was reported.
    """

    field_name: str
    email: str
    name: str
    kind: str
    code: str = ""
    meaning: Meaning | None = None
    facts: Sequence[RecipientOutcome] = ()


def recipients_of(send: Send) -> list[Recipient]:
    """Every recipient of the approved mail with its picture, then those that only a report names."""
    facts = list(send.outcomes.all())
    shown = picture(facts)
    by_address: dict[str, list[RecipientOutcome]] = {}
    for fact in facts:
        by_address.setdefault(fact.address, []).append(fact)
    revision = send.decision.revision
    found = []
    for field_name, entries in (("to", revision.to), ("cc", revision.cc), ("bcc", revision.bcc)):
        for entry in entries:
            email = str(entry.get("email", ""))
            mine = by_address.pop(email.casefold(), [])
            found.append(_recipient(field_name, email, str(entry.get("name") or ""), mine, shown))
    found += [_recipient("", address, "", mine, shown) for address, mine in by_address.items()]
    return found


def _recipient(
    field_name: str,
    email: str,
    name: str,
    facts: Sequence[RecipientOutcome],
    shown: dict[str, OutcomeKind],
) -> Recipient:
    kind = shown.get(email.casefold())
    if kind is None:
        return Recipient(field_name, email, name, "")
    code = next((fact.code for fact in reversed(facts) if fact.kind == kind and fact.code), "")
    return Recipient(field_name, email, name, kind.value, code, meaning_of(code), tuple(facts))


# Sent


@dataclass(frozen=True, slots=True)
class SentFilter:
    """What the list of sends shows. `after` is the (time, id) of the last row of the page before."""

    view: str = ""
    mailbox: UUID | None = None
    outcome: str = ""
    text: str = ""
    after: tuple[datetime, int] | None = None


@dataclass(frozen=True, slots=True)
class SentRow:
    send: Send
    recipients: Sequence[Recipient]

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """The outcomes with their counts, the gravest first."""
        counted: dict[str, int] = {}
        for recipient in self.recipients:
            counted[recipient.kind] = counted.get(recipient.kind, 0) + 1
        order = ["complaint", "hard_bounce", "rejected", "send_failed", "soft_bounce", "no_report", ""]
        return sorted(counted.items(), key=lambda item: order.index(item[0]) if item[0] in order else 99)


@dataclass(frozen=True, slots=True)
class SentPage:
    rows: Sequence[SentRow]
    has_more: bool


def sent_page(person: Person, chosen: SentFilter) -> SentPage:
    """One page of sends, newest first: what left, or with the view "not_sent" what will not leave, and
    with "dry_run" what would have been sent.
    """
    found = visible_sends(person)
    column = "state_changed_at" if chosen.view else "accepted_at"
    if chosen.view == "not_sent":
        found = found.filter(state__in=NOT_SENT)
    elif chosen.view == "dry_run":
        found = found.filter(state=SendState.DRY_RUN)
    elif chosen.view == "closed":
        found = found.filter(state__in=[SendState.CLOSED_SENT, SendState.CLOSED_NOT_SENT])
    else:
        found = found.filter(accepted_at__isnull=False)
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    if chosen.outcome == "none":
        found = found.filter(outcomes__isnull=True)
    elif chosen.outcome:
        facts = RecipientOutcome.objects.filter(kind=chosen.outcome)
        found = found.filter(pk__in=facts.values("send_id"))
    for word in chosen.text.split():
        found = found.filter(draft__search_text__icontains=word)
    if chosen.after is not None:
        at, send_id = chosen.after
        found = found.filter(**{f"{column}__lte": at}).filter(
            Q(**{f"{column}__lt": at}) | Q(**{column: at, "pk__lt": send_id})
        )
    # The limit stands inside: outside, SQLite joins every row before it sorts (performance 3.2).
    keys = found.order_by(f"-{column}", "-pk").values("pk")[: LEDGER_ROWS + 1]
    sends = list(with_letter(Send.objects.filter(pk__in=keys)).order_by(f"-{column}", "-pk"))
    return SentPage(
        [SentRow(send, recipients_of(send)) for send in sends[:LEDGER_ROWS]], len(sends) > LEDGER_ROWS
    )


def with_letter(found: QuerySet[Send]) -> QuerySet[Send]:
    """The sends with everything a row needs, without bodies."""
    return (
        found.select_related("draft", "mailbox", "decision__revision")
        .defer(
            "draft__search_text",
            "draft__thread_pinned",
            "decision__revision__body",
            "decision__revision__body_html",
            "decision__revision__body_text",
            "decision__revision__difference",
        )
        .prefetch_related("outcomes")
    )


# Follow-ups


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a send, for its path."""

    at: datetime
    kind: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """A follow-up with what came back, recipient by recipient, and the path that led there."""

    follow_up: FollowUp
    recipients: Sequence[Recipient]
    path: Sequence[Step]

    @property
    def troubled(self) -> list[Recipient]:
        return [r for r in self.recipients if r.kind not in ("", "delivered", "no_report")]


@dataclass(frozen=True, slots=True)
class FollowUpFilter:
    """`whose` is "mine", "everyone" or "closed"; `after` the (time, id) of the last row of the page before."""

    whose: str = "mine"
    after: tuple[datetime, int] | None = None


@dataclass(frozen=True, slots=True)
class FollowUpPage:
    rows: Sequence[Returned]
    has_more: bool
    everyone: int


def visible_follow_ups(person: Person, right: Right = Right.SEE) -> QuerySet[FollowUp]:
    if people.may_everywhere(person, right):
        return FollowUp.objects.all()
    return FollowUp.objects.filter(mailbox_id__in=people.mailbox_ids_with(person, right))


def follow_up_page(person: Person, chosen: FollowUpFilter) -> FollowUpPage:
    """One page of follow-ups, newest first. A person's own are shown even where a right was lost meanwhile."""
    open_ones = visible_follow_ups(person).filter(state=FollowUpState.OPEN)
    found = open_ones
    if chosen.whose == "mine":
        found = open_ones.filter(pk__in=own_follow_ups(person).values("pk"))
    elif chosen.whose == "closed":
        found = visible_follow_ups(person).filter(state=FollowUpState.CLOSED)
    if chosen.after is not None:
        at, follow_up_id = chosen.after
        found = found.filter(opened_at__lte=at).filter(
            Q(opened_at__lt=at) | Q(opened_at=at, pk__lt=follow_up_id)
        )
    keys = found.order_by("-opened_at", "-pk").values("pk")[: LEDGER_ROWS + 1]
    rows = list(
        _with_return(FollowUp.objects.filter(pk__in=keys))
        .annotate(everyone=BoundedCount(open_ones))
        .order_by("-opened_at", "-pk")
    )
    everyone = rows[0].everyone if rows else open_ones.order_by().values("pk")[:100].count()
    return FollowUpPage([_returned(row) for row in rows[:LEDGER_ROWS]], len(rows) > LEDGER_ROWS, everyone)


def follow_up_for(person: Person, public_id: UUID) -> Returned | None:
    """A follow-up with its story; None when it is not there or not for this person."""
    found = _with_return(visible_follow_ups(person), with_notes=True).filter(public_id=public_id).first()
    return _returned(found) if found else None


def _with_return(found: QuerySet[FollowUp], *, with_notes: bool = False) -> QuerySet[FollowUp]:
    related = ["assigned_to", "closed_by", "mailbox", "correction", "send__draft", "send__decision__revision"]
    ready = (
        found.select_related(*related)
        .defer(
            "send__draft__search_text",
            "send__draft__thread_pinned",
            "send__decision__revision__body",
            "send__decision__revision__body_html",
            "send__decision__revision__body_text",
            "send__decision__revision__difference",
        )
        .prefetch_related("send__outcomes")
    )
    return ready.prefetch_related("notes__person") if with_notes else ready


def _returned(follow_up: FollowUp) -> Returned:
    send = follow_up.send
    path = [Step(send.decision.made_at, "approved")]
    if send.accepted_at:
        path.append(Step(send.accepted_at, "accepted"))
    elif send.state in NOT_SENT:
        path.append(Step(send.state_changed_at, send.state))
    path += [Step(fact.recorded_at, fact.kind, fact.address) for fact in send.outcomes.all()]
    if follow_up.closed_at:
        path.append(Step(follow_up.closed_at, "closed"))
    return Returned(follow_up, recipients_of(send), sorted(path, key=lambda step: step.at))


def colleagues(follow_up: FollowUp) -> list[User]:
    """The people to whom a follow-up can be passed on: those with the right on its mailbox, by name."""
    memberships = Membership.objects.filter(
        Q(mailbox_id=follow_up.mailbox_id) | Q(mailbox__isnull=True),
        role__in=people.roles_with(Right.FOLLOW_UP),
    )
    found = User.objects.filter(is_active=True, pk__in=memberships.values("user_id"))
    if follow_up.assigned_to_id is not None:
        found = found.exclude(pk=follow_up.assigned_to_id)
    return list(found.order_by("first_name", "last_name", "username"))


# Unknown


@dataclass(frozen=True, slots=True)
class Round:
    """The answers of one look-up, in the order in which they were asked."""

    number: int
    asked_at: datetime
    answers: Sequence[Lookup]


@dataclass(frozen=True, slots=True)
class Unproven:
    """A send of which nobody can say whether it left, with every question asked about it."""

    send: Send
    rounds: Sequence[Round]
    attempts: Sequence[Attempt] = ()
    waiting: Sequence[Send] = ()

    def key_is_old(self, now: datetime) -> bool:
        """Whether the provider may have forgotten the key, so that a second POST would be a second mail."""
        if not self.attempts or self.attempts[-1].transport == "provider_draft":
            return True
        key = self.attempts[-1].idempotency_key
        first = min(a.request_started_at for a in self.attempts if a.idempotency_key == key)
        return now - first > KEY_LIVES

    @property
    def first_started_at(self) -> datetime | None:
        return self.attempts[0].request_started_at if self.attempts else None


@dataclass(frozen=True, slots=True)
class Stalled:
    """A send that has been under way for longer than any reply can take.

    `is_held` is True while its worker still holds it, False when it is gone, None when that cannot be found out.
    """

    send: Send
    is_held: bool | None


@dataclass(frozen=True, slots=True)
class UnknownPage:
    rows: Sequence[Unproven]
    stalled: Sequence[Stalled]
    has_more: bool


def unknown_page(person: Person, now: datetime, after: tuple[datetime, int] | None = None) -> UnknownPage:
    """The unknown sends, the oldest first, with what was asked; and those whose worker seems to hang."""
    sends = list(_under_way_for_too_long(person, now)[:STALLED_ROWS])
    found = visible_sends(person).filter(state=SendState.UNKNOWN)
    if after is not None:
        at, send_id = after
        found = found.filter(state_changed_at__gte=at).filter(
            Q(state_changed_at__gt=at) | Q(state_changed_at=at, pk__gt=send_id)
        )
    keys = found.order_by("state_changed_at", "pk").values("pk")[: UNKNOWN_ROWS + 1]
    rows = list(
        _bare_letter(Send.objects.filter(pk__in=keys))
        .prefetch_related("lookups")
        .order_by("state_changed_at", "pk")
    )
    waiting = _waiting_behind(rows)
    return UnknownPage(
        [
            Unproven(send, _rounds(send), (), [w for w in waiting if _is_same_thread(w, send)])
            for send in rows[:UNKNOWN_ROWS]
        ],
        [Stalled(send, _is_held(send)) for send in sends],
        len(rows) > UNKNOWN_ROWS,
    )


def unknown_for(person: Person, public_id: UUID) -> Unproven | None:
    """The send of a draft that is unknown, or was; None when there is none or it is not for this person."""
    send = (
        _bare_letter(visible_sends(person))
        .select_related("resend_by")
        .prefetch_related(
            "lookups", Prefetch("attempts", queryset=Attempt.objects.order_by("number")), "outcomes"
        )
        .filter(draft__public_id=public_id)
        .first()
    )
    if send is None or not _was_unknown(send):
        return None
    return Unproven(send, _rounds(send), list(send.attempts.all()), _waiting_behind([send]))


def _was_unknown(send: Send) -> bool:
    # Evidence or a resend may settle a send before it was looked for once: its attempts still tell.
    return (
        send.ambiguous
        or bool(send.lookups.all())
        or any(
            attempt.state in _UNPROVEN or attempt.reply_class == ReplyClass.AMBIGUOUS
            for attempt in send.attempts.all()
        )
    )


def _bare_letter(found: QuerySet[Send]) -> QuerySet[Send]:
    return found.select_related("draft", "mailbox", "decision__revision").defer(
        "draft__search_text",
        "draft__thread_pinned",
        "decision__revision__body",
        "decision__revision__body_html",
        "decision__revision__body_text",
        "decision__revision__difference",
    )


def _rounds(send: Send) -> list[Round]:
    # The rounds of a resend begin at 1 again, so a lower number starts a new list.
    rounds: list[Round] = []
    for lookup in send.lookups.all():
        if not rounds or rounds[-1].number != lookup.round or rounds[-1].asked_at != lookup.asked_at:
            rounds.append(Round(lookup.round, lookup.asked_at, []))
        rounds[-1] = Round(lookup.round, lookup.asked_at, [*rounds[-1].answers, lookup])
    return rounds[::-1]


def _waiting_behind(sends: Sequence[Send]) -> list[Send]:
    threads = {send.thread_id for send in sends if send.thread_id and send.state == SendState.UNKNOWN}
    if not threads:
        return []
    waiting = Send.objects.filter(
        state=SendState.QUEUED, thread_id__in=threads, grant_id__in={send.grant_id for send in sends}
    )
    return list(_bare_letter(waiting).order_by("queued_at", "pk")[:WAITING_ROWS])


def _is_same_thread(waiting: Send, unknown: Send) -> bool:
    return (waiting.grant_id, waiting.thread_id) == (unknown.grant_id, unknown.thread_id)


def _under_way_for_too_long(person: Person, now: datetime) -> QuerySet[Send]:
    fence = now - timedelta(seconds=settings.SEND_FENCE_SECONDS)
    found = visible_sends(person).filter(state=SendState.DISPATCHED, state_changed_at__lte=fence)
    return _bare_letter(found).order_by("state_changed_at", "pk")


def _is_held(send: Send) -> bool | None:
    try:
        return locks.is_held(lock_name(send.pk))
    except locks.LocksUnavailable:
        logger.warning("whether send %s is held cannot be found out", send.pk)
        return None


# Mailboxes


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """A mailbox with its bounded count of waiting drafts and whether its own switch is open."""

    mailbox: Mailbox
    pending: int
    is_open: bool


def mailbox_rows(person: User, *, with_counts: bool = True) -> list[MailboxRow]:
    """The mailboxes a person sees, by address. One without a row of the switch counts as stopped."""
    scope = Concat(Value("mailbox:"), Cast(OuterRef("pk"), CharField()))
    found = list(
        visible_mailboxes(person)
        .annotate(is_open=Exists(Switch.objects.filter(scope=scope, is_engaged=False)))
        .order_by("address", "pk")
    )
    counts = _pending_counts(person, found) if with_counts else {}
    return [MailboxRow(mailbox, counts.get(mailbox.pk, 0), mailbox.is_open) for mailbox in found]


def _pending_counts(person: User, mailboxes: Sequence[Mailbox]) -> dict[int, int]:
    """How many drafts wait in each mailbox, counted no further than the bound."""
    pending = visible_drafts(person).filter(state=DraftState.PENDING)
    shown = mailboxes[:LEDGER_ROWS]
    columns = [BoundedCount(pending.filter(mailbox_id=mailbox.pk)) for mailbox in shown]
    row = User.objects.filter(pk=person.pk).values_list(*columns).first() if columns else None
    return {mailbox.pk: int(count) for mailbox, count in zip(shown, row or [0] * len(shown), strict=True)}


def mailbox_for(person: Person, public_id: UUID) -> Mailbox | None:
    return visible_mailboxes(person).filter(public_id=public_id).first()


def evaluations_of(mailbox: Mailbox) -> list[RuleEvaluation]:
    """The provider's newest rule evaluations of a mailbox."""
    return list(
        RuleEvaluation.objects.filter(mailbox=mailbox).order_by("-evaluated_at", "-pk")[:EVALUATION_ROWS]
    )
