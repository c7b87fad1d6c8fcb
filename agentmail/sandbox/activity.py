"""Send events: what became of every message, one row per recipient and event, newest first."""

from __future__ import annotations

from .errors import not_found
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing
from .world import World

KEPT_SECONDS = 90 * 86400
DEFAULT_WINDOW_SECONDS = 7 * 86400
EXACT = ("bounce_class", "grant_id", "message_id", "workspace_id")
WITHOUT_CASE = ("recipient", "recipient_domain", "sending_domain", "from")


def list_activity(world: World, request: Request) -> Reply:
    now = world.clock.seconds()
    start = request.whole_number("start")
    end = request.whole_number("end")
    start = max(now - DEFAULT_WINDOW_SECONDS if start is None else start, now - KEPT_SECONDS)
    types = set(request.query.get("event_type", []))
    rows = [
        row
        for row in reversed(world.store.all("activity"))
        if row["timestamp"] >= start
        and (end is None or row["timestamp"] <= end)
        and (not types or row["event_type"] in types)
        and all(not request.text(name) or row.get(name) == request.text(name) for name in EXACT)
        and all(
            not request.text(name) or row[name].lower() == request.text(name).lower() for name in WITHOUT_CASE
        )
    ]
    page, cursor, last = by_position(world, request, rows)
    return listing(world, page, cursor, last)


def get_activity(world: World, request: Request) -> Reply:
    row = world.store.get("activity", request.parameters["event_id"])
    if row is None:
        raise not_found("send event")
    return data(row)


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/activity/send", "list_activity", list_activity)
    routes.add("GET", "/v3/activity/send/{event_id}", "get_activity", get_activity)
