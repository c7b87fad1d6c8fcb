"""What is known of a mailbox when its oversight mode is to change. It suggests; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.models import (
    AuthorKind,
    Decision,
    DecisionKind,
    Draft,
    ModeChange,
    OutcomeKind,
    RecipientOutcome,
    Send,
)
from approvals.states import DraftState, SendState
from audit.clock import database_now
from policies import modes

WINDOW_DAYS = 30
BOUNCES = (OutcomeKind.HARD_BOUNCE, OutcomeKind.SOFT_BOUNCE)
# A line on the card, not a condition.
UNTOUCHED_LINE = 0.95


@dataclass(frozen=True, slots=True)
class Threshold:
    days: int
    handled: int
    wrong: int


THRESHOLDS: Mapping[tuple[str, str], Threshold] = {
    (modes.GATED_SEND, modes.MONITORED): Threshold(days=30, handled=500, wrong=0),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers of the last 30 days, except `days_in_mode` and `pending`. Shares are 0 to 1, or None without a basis.

    `handled` counts drafts about which a person's decision stands; `wrong` those rejected or sent back, and the
    complaints. `untouched` is the share of approved drafts that left as the agent wrote them.
    """

    days_in_mode: int
    handled: int
    approved: int
    rejected: int
    changes_requested: int
    untouched: float | None
    sent: int
    bounced: float | None
    complained: float | None
    complaints: int
    pending: int

    @property
    def wrong(self) -> int:
        return self.rejected + self.changes_requested + self.complaints

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"wrong": self.wrong, "window_days": WINDOW_DAYS}


@dataclass(frozen=True, slots=True)
class Line:
    sentence: str
    is_met: bool


def of(mailbox: Mailbox) -> Evidence:
    """Count what is known of a mailbox now."""
    now = database_now()
    since = now - timedelta(days=WINDOW_DAYS)
    by_person = Q(person__isnull=False)
    counted = Decision.objects.filter(
        draft__mailbox=mailbox, made_at__gte=since, voided_at__isnull=True
    ).aggregate(
        approved=Count("pk", filter=by_person & Q(kind=DecisionKind.APPROVE)),
        untouched=Count(
            "pk",
            filter=by_person & Q(kind=DecisionKind.APPROVE, revision__author_kind=AuthorKind.AGENT),
        ),
        rejected=Count("pk", filter=by_person & Q(kind=DecisionKind.REJECT)),
        changes_requested=Count("pk", filter=by_person & Q(kind=DecisionKind.REQUEST_CHANGES)),
    )
    sent = Send.objects.filter(mailbox=mailbox, state=SendState.ACCEPTED, accepted_at__gte=since)
    facts = RecipientOutcome.objects.filter(send__in=sent.values("pk")).aggregate(
        bounced=Count("send", distinct=True, filter=Q(kind__in=BOUNCES)),
        complaints=Count("send", distinct=True, filter=Q(kind=OutcomeKind.COMPLAINT)),
    )
    last = ModeChange.objects.filter(mailbox=mailbox).order_by("-pk").first()
    count = sent.count()
    return Evidence(
        days_in_mode=(now - (last.at if last is not None else mailbox.connected_at)).days,
        handled=counted["approved"] + counted["rejected"] + counted["changes_requested"],
        approved=counted["approved"],
        rejected=counted["rejected"],
        changes_requested=counted["changes_requested"],
        untouched=_share(counted["untouched"], counted["approved"]),
        sent=count,
        bounced=_share(facts["bounced"], count),
        complained=_share(facts["complaints"], count),
        complaints=facts["complaints"],
        pending=Draft.objects.filter(mailbox=mailbox, state=DraftState.PENDING).count(),
    )


def lines_for(found: Evidence, before: str, after: str) -> list[Line]:
    """What a step up the ladder asks for, and whether it is there; nothing for a step without thresholds."""
    threshold = THRESHOLDS.get((before, after))
    if threshold is None:
        return []
    return [
        Line(
            _("%(days)d of %(needed)d days in this mode")
            % {"days": found.days_in_mode, "needed": threshold.days},
            found.days_in_mode >= threshold.days,
        ),
        Line(
            _("%(handled)d of %(needed)d drafts handled by people")
            % {"handled": found.handled, "needed": threshold.handled},
            found.handled >= threshold.handled,
        ),
        Line(
            _("%(wrong)d rejected, sent back or complained about; %(allowed)d are allowed")
            % {"wrong": found.wrong, "allowed": threshold.wrong},
            found.wrong <= threshold.wrong,
        ),
    ]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
