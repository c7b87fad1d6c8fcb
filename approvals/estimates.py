"""How long a draft is likely to wait for a person, as an agent is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.models import Decision
from audit.clock import database_now

WINDOW = timedelta(days=30)
LATEST = 200
NEEDED = 5
# How far back several mailboxes are looked at together, so that a busy desk does not wait for the answer.
LATEST_OF_ALL = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds` is None when too little is known; `reason` says so then, and is empty otherwise."""

    seconds: int | None
    reason: str = ""


def review_time(mailbox: Mailbox) -> Estimate:
    """The median time from arrival to a person's decision, over the latest decisions of the last 30 days."""
    rows = _decisions().filter(draft__mailbox=mailbox).order_by("-made_at")
    return _estimate(rows.values_list("made_at", "draft__arrived_at")[:LATEST])


def review_times(mailbox_ids: Sequence[int]) -> dict[int, Estimate]:
    """What `review_time` says of each of several mailboxes, with one question; of the `LATEST_OF_ALL` decisions."""
    newest = _decisions().filter(draft__mailbox_id__in=mailbox_ids).order_by("-made_at", "-pk")
    place = Window(RowNumber(), partition_by="draft__mailbox_id", order_by="-made_at")
    rows = (
        Decision.objects.filter(pk__in=newest.values("pk")[:LATEST_OF_ALL])
        .annotate(place=place)
        .filter(place__lte=LATEST)
        .values_list("draft__mailbox_id", "made_at", "draft__arrived_at")
    )
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for mailbox_id, made_at, arrived_at in rows:
        found[mailbox_id].append((made_at, arrived_at))
    return {mailbox_id: _estimate(found[mailbox_id]) for mailbox_id in mailbox_ids}


def _decisions() -> QuerySet[Decision]:
    return Decision.objects.filter(person__isnull=False, made_at__gte=database_now() - WINDOW)


def _estimate(rows: Iterable[tuple[datetime, datetime]]) -> Estimate:
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
