from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals import category_evidence, load, people, review_speed
from approvals.load import Hour
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.categories import THRESHOLD_WORDS, shown_share
from audit.clock import database_now

CHART_WIDTH, CHART_HEIGHT = 640, 96
BAR_GAP = 2


@require_safe
@signed_in
def insights(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.SEE):
        raise PermissionDenied
    now = database_now()
    fullness = load.fullness(person, now)
    rows = load.waiting(person)
    pending = sum(row.pending for row in rows)
    hours = load.by_hour(person, now, pending)
    context: dict[str, Any] = {
        "here": "insights",
        "now": now,
        "fullness": fullness,
        "rows": rows,
        "pending": pending,
        "oldest_at": min((row.oldest_at for row in rows if row.oldest_at), default=None),
        "hours": hours,
        "arrived": (arrived := sum(hour.arrived for hour in hours)),
        "reviewers_needed": load.reviewers_needed(arrived),
        "reviews_a_day": load.REVIEWS_A_DAY,
        "decided": sum(hour.decided for hour in hours),
        "picture": _picture(hours),
        "queue_picture": _queue_picture(hours),
        "capacity": (capacity := load.capacity(person, hours, now)),
        "work_seconds": capacity.hours_to_empty and capacity.hours_to_empty * 3600,
        "growth": hours[-1].waiting - hours[0].waiting,
        "share_width": min(100.0, 100 * arrived / capacity.can_clear) if capacity.can_clear else 0.0,
        "speed": review_speed.speed(person, now),
        "days": review_speed.WINDOW.days,
    }
    if fullness.is_overfull and people.may(person, Right.READ_POLICIES):
        record = category_evidence.evidence_by_category(person, now)
        context |= {
            "nameless": record.get("", category_evidence.NOTHING).compared,
            "candidates": [
                {
                    "category": one.category,
                    "templates": one.templates,
                    "suggests_auto": one.evidence.suggests_auto,
                    "share": shown_share(one.evidence),
                    "missing": [
                        {"word": THRESHOLD_WORDS[line.name], "threshold": line}
                        for line in one.evidence.thresholds
                        if not line.is_met
                    ],
                }
                for one in category_evidence.candidates(record)
            ],
        }
    return render(request, "approvals/insights.html", context)


def _picture(hours: Sequence[Hour]) -> dict[str, Any]:
    """Two bars for each hour, to the scale of the fullest."""
    most = max(max(hour.arrived, hour.decided) for hour in hours)
    step = CHART_WIDTH / len(hours)
    width = (step - 2 * BAR_GAP) / 2
    bars = []
    for number, hour in enumerate(hours):
        for kind, count, place in (("arrived", hour.arrived, 0), ("decided", hour.decided, 1)):
            height = CHART_HEIGHT * count / most if most else 0.0
            if height:
                bars.append(
                    {
                        "kind": kind,
                        "x": round(number * step + BAR_GAP + place * width, 1),
                        "y": round(CHART_HEIGHT - height, 1),
                        "width": round(width, 1),
                        "height": round(height, 1),
                    }
                )
    return {"bars": bars, "most": most, "begins_at": hours[0].since}


def _queue_picture(hours: Sequence[Hour]) -> dict[str, Any]:
    """What waited at the end of each hour as an area, and from how much on the queue is overfull."""
    limit = settings.QUEUE_FULL_DRAFTS
    most = max(hour.waiting for hour in hours)
    # The limit is drawn once the queue comes near it; far below, it would press the area flat.
    scale = max(most, limit) if most * 3 >= limit else most
    if not scale:
        return {}
    step = CHART_WIDTH / len(hours)
    heights = [round(CHART_HEIGHT - CHART_HEIGHT * hour.waiting / scale, 1) for hour in hours]
    points = [
        f"{round((number + end) * step, 1)},{height}"
        for number, height in enumerate(heights)
        for end in (0, 1)
    ]
    return {
        "line": " ".join(points),
        "area": " ".join([f"0,{CHART_HEIGHT}", *points, f"{CHART_WIDTH},{CHART_HEIGHT}"]),
        "most": most,
        "limit": limit,
        "limit_at": round(CHART_HEIGHT - CHART_HEIGHT * limit / scale, 1) if scale >= limit else None,
        "begins_at": hours[0].since,
    }
