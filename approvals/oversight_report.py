"""The oversight report: what left in a period, who decided about it, and where people and gates stepped in.

The mails are counted by the database and listed in parts: all that memory holds of each is its number, eight bytes.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import (
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, RowNumber, TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Mailbox
from approvals import people, policy_scopes
from approvals.judgements import PASSED, PENDING
from approvals.ledgers import Recipient, recipients_of, with_letter
from approvals.models import (
    Attempt,
    AuthorKind,
    Decision,
    DecisionKind,
    Judgement,
    ModeChange,
    Send,
    SentMessage,
    Stage,
)
from approvals.proof import ENGAGED, RELEASED, WAITED
from approvals.states import AttemptState, DraftState, SendState
from audit.models import Entry

USUAL_DAYS = 30
LONGEST_DAYS = 366
EARLIEST = date(2000, 1, 1)
PAGE_ROWS = 50
CHUNK = 500
TRIPPED = "policies.switch.tripped"

# The states of a send that left, or may have.
LEFT = (
    SendState.DISPATCHED,
    SendState.ACCEPTED,
    SendState.UNKNOWN,
    SendState.CLOSED_SENT,
    SendState.CLOSED_NOT_SENT,
)
_LEFT_NOTHING = (AttemptState.REFUSED, AttemptState.NOT_STARTED)
# What the record says of each kind of intervention; those of gates are counted from the judgements.
INTERVENTIONS: Mapping[str, Q] = {
    "edited": Q(action="approvals.draft.edited"),
    "rejected": Q(action="approvals.draft.rejected"),
    "changes_requested": Q(action="approvals.draft.changes_requested"),
    "cancelled": Q(action="approvals.draft.cancelled"),
    "undone": Q(action="approvals.draft.undone"),
    "expired": Q(action="approvals.draft.expired"),
    # A claim that finds its conversation moved records the end of the approval only.
    "stale": Q(action="approvals.draft.stale")
    | Q(action="approvals.send.stopped", data__draft_state=DraftState.STALE.value),
    "invalidated": Q(action="approvals.send.stopped") & ~Q(actor_kind="person"),
    "turned_away": Q(action="approvals.draft.turned_away"),
    "refused_at_hand_in": Q(action="approvals.submission.blocked"),
    "resumed": Q(action="approvals.send.resumed"),
    "resend_authorised": Q(action="approvals.send.resend_authorised"),
    "closed": Q(action__in=["approvals.send.closed_sent", "approvals.send.closed_not_sent"]),
    "judged_wrong": Q(action="approvals.send.judged") & ~Q(outcome="would_send"),
    "sent_elsewhere": Q(action="approvals.message.sent_elsewhere"),
}
BLOCKED_BY_GATE = "blocked_by_gate"
# What keeps a mail from leaving, for the days of the overview.
_STOPPING = (
    "approvals.draft.rejected",
    "approvals.draft.changes_requested",
    "approvals.draft.cancelled",
    "approvals.draft.expired",
    "approvals.draft.turned_away",
    "approvals.send.stopped",
    "approvals.submission.blocked",
)
# What the record holds of the moment of a report belongs to it: SQLite's clock counts in milliseconds.
_MOMENT = timedelta(milliseconds=1)
# The entry about a wait follows its stop, and that about a limit precedes it.
_SLACK = timedelta(minutes=10)

HOW = (
    _lazy(
        "A mail is listed when it left or may have: the provider accepted it, it is under way or unknown, or a person "
        "closed it. Its time is that of the first attempt that may have left."
    ),
    _lazy(
        "Outside this desk means that the mail was found at the provider although no attempt of this desk had left. "
        "Nobody here stands for it. A message that no send of this desk is was sent elsewhere: it is listed by itself, "
        "at the time when it was noted."
    ),
    _lazy(
        "The mode is that of the mailbox at this time. Edited means that a person wrote the wording that left. "
        "The time to the decision begins with the arrival of the draft."
    ),
    _lazy(
        "Interventions are counted from the record, a mail once for each kind. An approval that a person took back "
        "counts as taken back, every other one that ended before its mail left as void."
    ),
    _lazy(
        "Gates are counted from the evaluations of approvals, of mail that nobody decides, and of sends. What a gate "
        "only made wait counts, too; one mail may meet several gates."
    ),
    _lazy(
        "Stopped counts a mail once on each day: rejected, sent back, cancelled, expired, turned away, refused when it "
        "was handed in, or its approval void."
    ),
    _lazy(
        "Stops of everything, of workspaces, agents and domains are listed whatever mailbox is chosen. A stop by the "
        "stop file has no entry in the record."
    ),
    _lazy(
        "Days are days of UTC, the first and the last included. A period with today in it ends when the report is made."
    ),
)


class ReportRefused(Exception):
    """There is no such period. `field` is "from" or "to"."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Period:
    """Days of UTC, both included."""

    first: date
    last: date

    @property
    def begins(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def ends(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


class DecidedBy(StrEnum):
    PERSON = "person"
    MODE = "mode"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Outbound:
    """A mail that left, or may have. `decider` names the person or the mode; empty for mail from outside this desk.

    `decided_at` and `decision_seconds`, from the arrival of the draft, are None for mail from outside. `state` is that
    of the send; what each recipient's server said is with the recipients.
    """

    send_id: int
    at: datetime
    draft: UUID
    mailbox: str
    recipients: Sequence[Recipient]
    subject: str
    mode: str
    decided_by: DecidedBy
    decider: str
    decided_at: datetime | None
    decision_seconds: float | None
    is_edited: bool
    state: str

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "draft": str(self.draft),
            "mailbox": self.mailbox,
            "recipients": [
                {"field": one.field_name or None, "address": one.email, "outcome": one.kind or None}
                for one in self.recipients
            ],
            "subject": self.subject,
            "mode": self.mode,
            "decided_by": {"kind": self.decided_by.value, "name": self.decider or None},
            "decided_at": self.decided_at.isoformat() if self.decided_at is not None else None,
            "decision_seconds": self.decision_seconds,
            "edited": self.is_edited,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Mails:
    """How many mails left. `edited` are those whose wording a person wrote."""

    by_person: int = 0
    by_mode: int = 0
    outside: int = 0
    edited: int = 0

    @property
    def total(self) -> int:
        return self.by_person + self.without_person

    @property
    def without_person(self) -> int:
        return self.by_mode + self.outside

    def to_json(self) -> dict[str, int]:
        return {"total": self.total, "without_person": self.without_person} | asdict(self)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What people decided; what they cancelled together counts as rejected. The median begins with the arrival."""

    approved: int = 0
    rejected: int = 0
    changes_requested: int = 0
    median_seconds: float | None = None

    @property
    def total(self) -> int:
        return self.approved + self.rejected + self.changes_requested

    def to_json(self) -> dict[str, Any]:
        return {"total": self.total} | asdict(self)


@dataclass(frozen=True, slots=True)
class OfMailbox:
    mailbox: Mailbox
    mails: Mails
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    by_person: int
    without_person: int
    stopped: int


@dataclass(frozen=True, slots=True)
class SwitchEvent:
    """Sending was stopped in a scope, or allowed again. `cause` names the limit by which the desk stopped a mailbox.

    `stop_seconds` is how long the stop waited for sends under way; None for a release, and where that is not on record.
    """

    at: datetime
    is_stop: bool
    scope: str
    who: str
    reason: str
    cause: str = ""
    stop_seconds: float | None = None
    is_drained: bool | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "event": "stopped" if self.is_stop else "allowed_again",
            "scope": self.scope,
            "who": self.who,
            "reason": self.reason,
            "automatic_cause": self.cause or None,
            "stop_seconds": self.stop_seconds,
            "drained": self.is_drained,
        }


@dataclass(frozen=True)
class Report:
    """Everything that a page or a file says but the mails themselves, see `outbound_page` and `outbound_chunks`."""

    period: Period
    made_at: datetime
    mailboxes: Mapping[int, Mailbox]
    mails: Mails
    decisions: Decisions
    of_mailboxes: Sequence[OfMailbox]
    days: Sequence[Day]
    interventions: Mapping[str, int]
    gates: Mapping[str, int]
    switch_events: Sequence[SwitchEvent]
    mode_changes: Sequence[ModeChange]
    modes: ModeHistory = field(repr=False)

    @property
    def until(self) -> datetime:
        return _until(self.period, self.made_at)

    @property
    def stopped(self) -> int:
        return sum(day.stopped for day in self.days)

    @property
    def stops(self) -> int:
        return sum(event.is_stop for event in self.switch_events)

    @property
    def ratios(self) -> dict[str, float | None]:
        """Shares from 0 to 1; None without a basis."""
        found, decided = self.mails, self.decisions
        return {
            "decided_by_person": _share(found.by_person, found.total),
            "edited": _share(found.edited, found.total),
            "rejected": _share(decided.rejected, decided.total),
            "changes_requested": _share(decided.changes_requested, decided.total),
            "judged_wrong": _share(self.interventions["judged_wrong"], found.total),
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "from": self.period.first.isoformat(),
            "to": self.period.last.isoformat(),
            "made_at": self.made_at.isoformat(),
            "mailboxes": [mailbox.address for mailbox in self.mailboxes.values()],
            "how_counted": [str(sentence) for sentence in HOW],
            "outbound": self.mails.to_json(),
            "stopped": self.stopped,
            "decisions": self.decisions.to_json(),
            "ratios": self.ratios,
            "interventions": dict(self.interventions),
            "gates": dict(self.gates),
            "by_mailbox": [
                {
                    "mailbox": one.mailbox.address,
                    "outbound": one.mails.to_json(),
                    "decisions": one.decisions.to_json(),
                }
                for one in self.of_mailboxes
            ],
            "days": [asdict(one) | {"day": one.day.isoformat()} for one in self.days],
            "switch_events": [event.to_json() for event in self.switch_events],
            "mode_changes": [
                {
                    "at": change.at.isoformat(),
                    "mailbox": self.mailboxes[change.mailbox_id].address,
                    "before": change.before,
                    "after": change.after,
                    "who": change.person_name,
                    "reason": change.reason,
                }
                for change in self.mode_changes
            ],
        }


def period_of(first: date | None, last: date | None, *, today: date) -> Period:
    """The period from the first to the last day of UTC; without them the last 30 days, or those before `last`.

    Raises ReportRefused for a period of more than 366 days, one that ends before it begins, or one after today.
    """
    last = last or today
    if last > today:
        raise ReportRefused(
            "to", _("To is %(today)s at the latest, the day it is in UTC.") % {"today": today}
        )
    if last < EARLIEST:
        raise ReportRefused("to", _("To is %(earliest)s at the earliest.") % {"earliest": EARLIEST})
    first = first or max(EARLIEST, last - timedelta(days=USUAL_DAYS - 1))
    if first < EARLIEST:
        raise ReportRefused("from", _("From is %(earliest)s at the earliest.") % {"earliest": EARLIEST})
    if first > last:
        raise ReportRefused("from", _("From is not after to, %(last)s.") % {"last": last})
    count = (last - first).days + 1
    if count > LONGEST_DAYS:
        raise ReportRefused(
            "from",
            _("From %(first)s to %(last)s are %(count)d days; a report covers %(limit)d days at most.")
            % {"first": first, "last": last, "count": count, "limit": LONGEST_DAYS},
        )
    return Period(first, last)


def _until(period: Period, made_at: datetime) -> datetime:
    return min(period.ends, made_at + _MOMENT)


def oversight_report(mailboxes: Sequence[Mailbox], period: Period, *, made_at: datetime) -> Report:
    """Count what left these mailboxes in a period, what was decided about it and what was kept back.

    The number of questions to the database depends on nothing. Who may read about the mailboxes is for the caller.
    """
    by_id = {mailbox.pk: mailbox for mailbox in sorted(mailboxes, key=lambda one: (one.address, one.pk))}
    ids, until = list(by_id), _until(period, made_at)
    found = _outbound(ids, period.begins, until)
    mails = _mails(found)
    decided = Decision.objects.filter(
        draft__mailbox_id__in=ids, person__isnull=False, made_at__gte=period.begins, made_at__lt=until
    )
    decisions = _decisions(decided)
    entries = Entry.objects.filter(mailbox_id__in=ids, at__gte=period.begins, at__lt=until)
    judgements = Judgement.objects.filter(mailbox_id__in=ids, at__gte=period.begins, at__lt=until)
    blocked, gates = _blocked(judgements)
    changes = list(ModeChange.objects.filter(mailbox_id__in=ids).defer("evidence").order_by("at", "pk"))
    return Report(
        period=period,
        made_at=made_at,
        mailboxes=by_id,
        mails=_sum(mails.values()),
        decisions=decisions.pop(None, Decisions()),
        of_mailboxes=[
            OfMailbox(mailbox, mails.get(pk, Mails()), decisions.get(pk, Decisions()))
            for pk, mailbox in by_id.items()
        ],
        days=_days(period, found, entries),
        interventions=_interventions(entries) | {BLOCKED_BY_GATE: blocked},
        gates=gates,
        switch_events=_switch_events(ids, period.begins, until),
        mode_changes=[change for change in changes if period.begins <= change.at < until][::-1],
        modes=ModeHistory(by_id, changes),
    )


def outbound_page(
    report: Report, after: tuple[datetime, int] | None = None
) -> tuple[Sequence[Outbound], tuple[datetime, int] | None]:
    """The mails of a report, newest first, below the (time, id) of the row before; and where the next page begins."""
    keys = _keys(report)
    if after is not None:
        at, send_id = after
        keys = keys.filter(Q(left_at__lt=at) | Q(left_at=at, pk__lt=send_id))
    ids = list(keys[: PAGE_ROWS + 1])
    rows = _rows(report, ids[:PAGE_ROWS])
    following = (rows[-1].at, rows[-1].send_id) if rows and len(ids) > PAGE_ROWS else None
    return rows, following


def outbound_chunks(report: Report) -> Iterator[Sequence[Outbound]]:
    """All mails of a report in parts, newest first; the same number of questions for each part."""
    yield from (_rows(report, ids) for ids in _in_chunks(_keys(report)))


def sent_elsewhere(report: Report) -> QuerySet[SentMessage]:
    """The messages that left without a decision and were noted in the period, newest first."""
    return (
        SentMessage.objects.filter(
            send__isnull=True,
            mailbox_id__in=list(report.mailboxes),
            noted_at__gte=report.period.begins,
            noted_at__lt=report.until,
        )
        .select_related("message", "draft", "acknowledged_by")
        .defer("message__body_html", "message__body_text", "draft__search_text", "draft__thread_pinned")
        .order_by("-noted_at", "-pk")
    )


def row_count(report: Report) -> int:
    """How many mails and messages the file of a report lists."""
    return report.mails.total + sent_elsewhere(report).count()


def file_name(period: Period) -> str:
    return f"oversight-report-{period.first}-{period.last}.json"


def json_parts(report: Report, on_row: Callable[[], None] | None = None) -> Iterator[str]:
    """The report as one JSON object in parts, `sent_elsewhere` and `mails` last; `on_row` is told of each of these."""
    strays, mails = sent_elsewhere(report), outbound_chunks(report)
    yield json.dumps(report.to_json())[:-1] + ', "sent_elsewhere": ['
    yield from _joined((_stray_json(report, one) for one in _strays(strays)), on_row)
    yield '\n], "mails": ['
    yield from _joined((row.to_json() for rows in mails for row in rows), on_row)
    yield "\n]}\n"


def _joined(objects: Iterable[Mapping[str, Any]], on_row: Callable[[], None] | None) -> Iterator[str]:
    separator = "\n"
    for one in objects:
        yield separator + json.dumps(one)
        separator = ",\n"
        if on_row is not None:
            on_row()


def _strays(found: QuerySet[SentMessage]) -> Iterator[SentMessage]:
    for ids in _in_chunks(found.values_list("pk", flat=True)):
        rows = found.in_bulk(ids)
        yield from (rows[pk] for pk in ids if pk in rows)


def _in_chunks(keys: QuerySet[Any]) -> Iterator[Sequence[int]]:
    """The numbers of rows in parts. All are read first: on SQLite a cursor that stays open is in the way of writing."""
    ids = array("q", keys.iterator(chunk_size=10_000))
    for begin in range(0, len(ids), CHUNK):
        yield ids[begin : begin + CHUNK].tolist()


def _stray_json(report: Report, item: SentMessage) -> dict[str, Any]:
    message, by = item.message, item.acknowledged_by
    return {
        "noted_at": item.noted_at.isoformat(),
        "sent_at": datetime.fromtimestamp(message.date, UTC).isoformat() if message.date else None,
        "mailbox": report.mailboxes[item.mailbox_id].address,
        "recipients": [one["email"] for part in (message.to, message.cc, message.bcc) for one in part],
        "subject": message.subject,
        "draft": str(item.draft.public_id) if item.draft is not None else None,
        "acknowledged_at": item.acknowledged_at.isoformat() if item.acknowledged_at is not None else None,
        "acknowledged_by": people.name_of(by) if by is not None else None,
        "note": item.acknowledge_note or None,
    }


class ModeHistory:
    """Which mode a mailbox had at a time, from its changes, oldest first."""

    def __init__(self, mailboxes: Mapping[int, Mailbox], changes: Sequence[ModeChange]) -> None:
        self._now = {pk: mailbox.mode for pk, mailbox in mailboxes.items()}
        self._changes: dict[int, list[ModeChange]] = {}
        for change in changes:
            self._changes.setdefault(change.mailbox_id, []).append(change)

    def at(self, mailbox_id: int, moment: datetime) -> str:
        changes = self._changes.get(mailbox_id)
        if not changes:
            return self._now[mailbox_id]
        before = bisect_right(changes, moment, key=lambda change: change.at)
        return changes[before - 1].after if before else changes[0].before


def _outbound(mailbox_ids: Sequence[int], begins: datetime, until: datetime) -> QuerySet[Any]:
    """The sends that left or may have, with `left_at` and `decided_by`."""
    # No send changed its state for the last time before it left: this finds the rows by an index.
    changed = Send.objects.filter(mailbox_id__in=mailbox_ids, state__in=LEFT, state_changed_at__gte=begins)
    return _with_leaving(changed).filter(left_at__gte=begins, left_at__lt=until)


def _with_leaving(sends: QuerySet[Send]) -> QuerySet[Any]:
    attempts = Attempt.objects.filter(send=OuterRef("pk")).exclude(state__in=_LEFT_NOTHING)
    begun = Subquery(attempts.order_by("number").values("request_started_at")[:1])
    return sends.annotate(begun_at=begun).annotate(
        left_at=Coalesce("begun_at", "accepted_at"),
        decided_by=Case(
            When(begun_at__isnull=True, then=Value(DecidedBy.OUTSIDE.value)),
            When(decision__person__isnull=False, then=Value(DecidedBy.PERSON.value)),
            default=Value(DecidedBy.MODE.value),
        ),
    )


def _keys(report: Report) -> QuerySet[Any]:
    found = _outbound(list(report.mailboxes), report.period.begins, report.until)
    return found.order_by("-left_at", "-pk").values_list("pk", flat=True)


def _rows(report: Report, send_ids: Sequence[int]) -> list[Outbound]:
    found: QuerySet[Any] = with_letter(_with_leaving(Send.objects.filter(pk__in=send_ids)))
    # One whose attempt turned out not to have left meanwhile is gone.
    sends = {send.pk: send for send in found if send.left_at is not None}
    return [_row(report, sends[pk]) for pk in send_ids if pk in sends]


def _row(report: Report, send: Any) -> Outbound:
    decision, decided_by = send.decision, DecidedBy(send.decided_by)
    is_ours = decided_by is not DecidedBy.OUTSIDE
    return Outbound(
        send_id=send.pk,
        at=send.left_at,
        draft=send.draft.public_id,
        mailbox=send.mailbox.address,
        recipients=recipients_of(send),
        subject=decision.revision.subject,
        mode=report.modes.at(send.mailbox_id, send.left_at),
        decided_by=decided_by,
        decider=decision.person_name if is_ours else "",
        decided_at=decision.made_at if is_ours else None,
        decision_seconds=(decision.made_at - send.draft.arrived_at).total_seconds() if is_ours else None,
        is_edited=is_ours and decision.revision.author_kind == AuthorKind.PERSON,
        state=send.state,
    )


def _mails(found: QuerySet[Any]) -> dict[int, Mails]:
    by_person = Q(decision__revision__author_kind=AuthorKind.PERSON)
    rows = (
        found.order_by()
        .values("mailbox_id")
        .annotate(
            by_person=Count("pk", filter=Q(decided_by=DecidedBy.PERSON)),
            by_mode=Count("pk", filter=Q(decided_by=DecidedBy.MODE)),
            outside=Count("pk", filter=Q(decided_by=DecidedBy.OUTSIDE)),
            edited=Count("pk", filter=by_person & ~Q(decided_by=DecidedBy.OUTSIDE)),
        )
    )
    names = ("by_person", "by_mode", "outside", "edited")
    return {row["mailbox_id"]: Mails(**{name: row[name] for name in names}) for row in rows}


def _sum(several: Iterable[Mails]) -> Mails:
    rows = list(several)
    names = ("by_person", "by_mode", "outside", "edited")
    return Mails(**{name: sum(getattr(one, name) for one in rows) for name in names})


def _decisions(decided: QuerySet[Any]) -> dict[int | None, Decisions]:
    """By mailbox, and for all together under None."""
    kinds = {kind.value: Count("pk", filter=Q(kind=kind)) for kind in DecisionKind}
    rows = decided.order_by().values("draft__mailbox_id").annotate(**kinds)
    medians = _medians(decided, F("draft__mailbox_id"))
    found: dict[int | None, Decisions] = {
        row["draft__mailbox_id"]: Decisions(
            row[DecisionKind.APPROVE],
            row[DecisionKind.REJECT],
            row[DecisionKind.REQUEST_CHANGES],
            medians.get(row["draft__mailbox_id"]),
        )
        for row in rows
    }
    found[None] = Decisions(
        sum(one.approved for one in found.values()),
        sum(one.rejected for one in found.values()),
        sum(one.changes_requested for one in found.values()),
        _medians(decided, Value(0)).get(0),
    )
    return found


def _medians(decided: QuerySet[Any], by: Any) -> dict[int, float]:
    """The median seconds from arrival to decision of each group, found by the database."""
    took = ExpressionWrapper(F("made_at") - F("draft__arrived_at"), output_field=DurationField())
    middle = (
        decided.annotate(took=took, of=by)
        .annotate(
            place=Window(RowNumber(), partition_by=F("of"), order_by=F("took").asc()),
            many=Window(Count("pk"), partition_by=F("of")),
        )
        # Of an odd number the one in the middle, of an even number the two.
        .filter(place__gte=F("many") / 2.0, place__lte=F("many") / 2.0 + 1)
        .order_by()
        .values_list("of", "took")
    )
    groups: dict[int, list[float]] = {}
    for of, length in middle:
        groups.setdefault(of, []).append(max(0.0, length.total_seconds()))
    return {of: round(sum(lengths) / len(lengths), 3) for of, lengths in groups.items()}


def _days(period: Period, found: QuerySet[Any], entries: QuerySet[Entry]) -> list[Day]:
    left: dict[tuple[date, bool], int] = {}
    rows = found.order_by().annotate(day=TruncDate("left_at", tzinfo=UTC)).values("day", "decided_by")
    for row in rows.annotate(mails=Count("pk")):
        key = (row["day"], row["decided_by"] == DecidedBy.PERSON)
        left[key] = left.get(key, 0) + row["mails"]
    kept_back = (
        entries.filter(action__in=_STOPPING)
        # Its mail did leave, only not by this desk.
        .exclude(action="approvals.send.stopped", data__draft_state=DraftState.SENT_ELSEWHERE.value)
        .order_by()
        .annotate(day=TruncDate("at", tzinfo=UTC))
        .values("day")
        .annotate(mails=_mails_of(Q()))
    )
    stopped = {row["day"]: row["mails"] for row in kept_back}
    return [
        Day(day, left.get((day, True), 0), left.get((day, False), 0), stopped.get(day, 0))
        for day in period.days
    ]


def _interventions(entries: QuerySet[Entry]) -> dict[str, int]:
    """The mails about which the record has an entry of each kind."""
    counts = {name: _mails_of(said) for name, said in INTERVENTIONS.items()}
    return entries.filter(reduce(or_, INTERVENTIONS.values())).order_by().aggregate(**counts)


def _mails_of(said: Q) -> Any:
    # What is refused when it is handed in is no draft, so each of its entries is a mail.
    return Count("draft_id", distinct=True, filter=said) + Count("pk", filter=said & Q(draft_id__isnull=True))


def _blocked(judgements: QuerySet[Judgement]) -> tuple[int, dict[str, int]]:
    """The mails to which a gate said no, and those by gate."""
    said_no = (
        judgements.filter(stage__in=[Stage.WITHOUT_PERSON, Stage.APPROVAL, Stage.CLAIM])
        .exclude(result__in=[PASSED, PENDING])
        .exclude(gate="dry_run")
        .order_by()
    )
    mails = Count("draft_id", distinct=True)
    gates = said_no.values("gate").annotate(mails=mails).order_by("-mails", "gate")
    return said_no.aggregate(mails=mails)["mails"], {row["gate"]: row["mails"] for row in gates}


def _switch_events(mailbox_ids: Sequence[int], begins: datetime, until: datetime) -> list[SwitchEvent]:
    """Every stop and release, newest first, each stop with how long it took and what caused it."""
    entries = Entry.objects.filter(
        Q(mailbox_id__isnull=True) | Q(mailbox_id__in=mailbox_ids),
        action__in=(TRIPPED, ENGAGED, WAITED, RELEASED),
        at__gte=begins - _SLACK,
        at__lt=until + _SLACK,
    )
    found: list[SwitchEvent] = []
    open_stops: dict[str, int] = {}
    causes: dict[int | None, str] = {}
    # Sorted here: for the sake of an order SQLite would walk the whole record.
    for entry in sorted(entries.defer("body").order_by(), key=lambda one: one.sequence):
        scope = str(entry.data.get("scope", ""))
        if entry.action == TRIPPED:
            causes[entry.mailbox_id] = entry.outcome
        elif entry.action == WAITED:
            stop = open_stops.get(scope)
            if stop is not None:
                found[stop] = replace(
                    found[stop],
                    stop_seconds=entry.data.get("waited_seconds"),
                    is_drained=entry.outcome == "drained",
                )
        else:
            is_stop = entry.action == ENGAGED
            open_stops.pop(scope, None)
            if is_stop:
                open_stops[scope] = len(found)
            cause = causes.pop(entry.mailbox_id, "") if is_stop else ""
            who = entry.actor_name or entry.actor_id
            found.append(SwitchEvent(entry.at, is_stop, scope, who, entry.reason, cause))
    return [event for event in found if begins <= event.at < until][::-1]


def scope_words(report: Report) -> dict[str, str]:
    """What the scopes of the stops are called."""
    return policy_scopes.words_of(event.scope for event in report.switch_events)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
