"""What is known of a mailbox when its oversight mode is to change. It suggests; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Mailbox
from approvals.models import (
    AuthorKind,
    Decision,
    DecisionKind,
    Draft,
    ModeChange,
    OutcomeKind,
    Send,
)
from approvals.states import DraftState, SendState
from audit.clock import database_now
from policies import modes
from policies.evidence import MONITORED_MAILBOX, Needs, thresholds

WINDOW_DAYS = 30
BOUNCES = (OutcomeKind.HARD_BOUNCE, OutcomeKind.SOFT_BOUNCE)
# Of a draft: a person said that it was wrong, or a recipient complained.
TURNED_OUT_WRONG = Q(comparisons__would_send=False) | Q(send__outcomes__kind=OutcomeKind.COMPLAINT)
NEEDS: Mapping[tuple[str, str], Needs] = {(modes.GATED_SEND, modes.MONITORED): MONITORED_MAILBOX}

_LINES: Mapping[str, Any] = {
    "days": _lazy("%(found)d of %(needed)d days in this mode"),
    "compared": _lazy("%(found)d of %(needed)d drafts handled by people"),
    "wrong": _lazy("%(found)d rejected, sent back or turned out wrong; %(needed)d are allowed"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers of the last 30 days, except `days_in_mode` and `pending`. Shares are 0 to 1, or None without a basis.

    `handled` counts drafts about which a person's decision stands. `turned_out_wrong` counts sent mail that a person
    or a recipient's complaint said was wrong; `wrong` adds what was rejected or sent back. `untouched` is the share of
    approved drafts that left as the agent wrote them.
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
    turned_out_wrong: int
    pending: int

    @property
    def wrong(self) -> int:
        return self.rejected + self.changes_requested + self.turned_out_wrong

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
    became = sent.aggregate(
        sent=Count("pk", distinct=True),
        bounced=Count("pk", distinct=True, filter=Q(outcomes__kind__in=BOUNCES)),
        complaints=Count("pk", distinct=True, filter=Q(outcomes__kind=OutcomeKind.COMPLAINT)),
    )
    last = ModeChange.objects.filter(mailbox=mailbox).order_by("-pk").first()
    count = became["sent"]
    return Evidence(
        days_in_mode=(now - (last.at if last is not None else mailbox.connected_at)).days,
        handled=counted["approved"] + counted["rejected"] + counted["changes_requested"],
        approved=counted["approved"],
        rejected=counted["rejected"],
        changes_requested=counted["changes_requested"],
        untouched=_share(counted["untouched"], counted["approved"]),
        sent=count,
        bounced=_share(became["bounced"], count),
        complained=_share(became["complaints"], count),
        complaints=became["complaints"],
        turned_out_wrong=Draft.objects.filter(TURNED_OUT_WRONG, send__in=sent.values("pk"))
        .distinct()
        .count(),
        pending=Draft.objects.filter(mailbox=mailbox, state=DraftState.PENDING).count(),
    )


def lines_for(found: Evidence, before: str, after: str) -> list[Line]:
    """What a step up the ladder asks for, and whether it is there; nothing for a step without thresholds."""
    needs = NEEDS.get((before, after))
    if needs is None:
        return []
    asked = thresholds(needs, days=found.days_in_mode, compared=found.handled, wrong=found.wrong)
    return [Line(_LINES[one.name] % {"found": one.found, "needed": one.needed}, one.is_met) for one in asked]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
