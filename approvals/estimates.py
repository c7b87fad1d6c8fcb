"""How long a draft is likely to wait for a person, as an agent is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.models import Decision
from audit.clock import database_now

WINDOW = timedelta(days=30)
LATEST = 200
NEEDED = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds` is None when too little is known; `reason` says so then, and is empty otherwise."""

    seconds: int | None
    reason: str = ""


def review_time(mailbox: Mailbox) -> Estimate:
    """The median time from arrival to a person's decision, over the latest decisions of the last 30 days."""
    rows = (
        Decision.objects.filter(
            draft__mailbox=mailbox, person__isnull=False, made_at__gte=database_now() - WINDOW
        )
        .order_by("-made_at")
        .values_list("made_at", "draft__arrived_at")[:LATEST]
    )
    waited = [(made_at - arrived_at).total_seconds() for made_at, arrived_at in rows]
    if len(waited) < NEEDED:
        return Estimate(
            None,
            _(
                "People decided about %(count)d drafts of this mailbox in 30 days; an estimate needs %(needed)d."
            )
            % {"count": len(waited), "needed": NEEDED},
        )
    return Estimate(max(0, round(median(waited))))
