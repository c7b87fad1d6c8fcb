from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from approvals import policy_scopes, proof
from approvals.proof import STOPS_SHOWN, Stop
from approvals.views.access import person_of, signed_in

WIDTH, BAR = 640, 8
LONGEST_NUMBER = 18


@require_safe
@signed_in
def switch_proof(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not proof.may_see(person):
        raise PermissionDenied
    given = request.GET.get("before", "")
    before = int(given) if given.isascii() and given.isdigit() and len(given) <= LONGEST_NUMBER else None
    stops = proof.stops(person, before=before)
    address = reverse("approvals:switch_proof")
    more = f"{address}?{urlencode({'before': stops[-1].sequence})}" if len(stops) == STOPS_SHOWN else ""
    context: dict[str, Any] = {
        "here": "policies",
        "now": timezone.now(),
        "rows": [
            {"stop": stop, "words": policy_scopes.word_of(stop.scope), "picture": _picture(stop)}
            for stop in stops
        ],
        "paging": {"next_address": more, "first_address": address if before is not None else ""},
    }
    return render(request, "approvals/switch_proof.html", context)


def _picture(stop: Stop) -> dict[str, Any] | None:
    """The stop and the POSTs under way, to scale; None where there is no time to draw."""
    ends = [one.finished_at for one in stop.in_flight if one.finished_at is not None]
    ends += [stop.acknowledged_at] if stop.acknowledged_at is not None else []
    if not ends:
        return None
    begins = min([stop.at, *(one.request_started_at for one in stop.in_flight)])
    span = max((max(ends) - begins).total_seconds(), 0.05)

    def x(at: Any) -> float:
        return round(4 + (WIDTH - 8) * min(1.0, max(0.0, (at - begins).total_seconds() / span)), 1)

    bars = [
        {
            "x": x(one.request_started_at),
            "y": 18 + number * (BAR + 4),
            "width": max(2.0, round(x(one.finished_at or max(ends)) - x(one.request_started_at), 1)),
        }
        for number, one in enumerate(stop.in_flight)
    ]
    return {
        "bars": bars,
        "height": 30 + len(bars) * (BAR + 4),
        "thrown": x(stop.at),
        "acknowledged": x(stop.acknowledged_at) if stop.acknowledged_at is not None else None,
        "before": (stop.at - begins).total_seconds(),
        "after": span - (stop.at - begins).total_seconds(),
    }
