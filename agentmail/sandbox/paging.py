from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from .errors import invalid
from .exchange import Reply, Request
from .store import Record
from .world import World

Place = tuple[int, int]


def page_limit(world: World, request: Request, *, default: int = 50, largest: int = 200) -> int:
    limit = request.whole_number("limit")
    if limit is None:
        return default
    if limit < 1:
        raise invalid("limit must be at least 1")
    if limit > largest and world.switches["over_limit"] == "refuse":
        raise invalid(f"limit must be at most {largest}")
    return min(limit, largest)


def write_cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def read_cursor(request: Request) -> Any:
    token = request.text("page_token")
    if not token:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error) as error:
        raise invalid("page_token is not a cursor of this endpoint") from error


def read_place(request: Request) -> Place | None:
    place = read_cursor(request)
    if place is None:
        return None
    if not (isinstance(place, list) and len(place) == 2 and all(isinstance(number, int) for number in place)):
        raise invalid("page_token is not a cursor of this endpoint")
    return place[0], place[1]


def listing(world: World, items: list[dict[str, Any]], cursor: str | None, last: str | None = None) -> Reply:
    """Return a page. `last` is a cursor that leads to an empty page, for the switch that wants one."""
    body: dict[str, Any] = {"data": items}
    if cursor is not None:
        body["next_cursor"] = cursor
    elif world.switches["last_page_cursor"] == "null":
        body["next_cursor"] = None
    elif world.switches["last_page_cursor"] == "present" and items and last is not None:
        body["next_cursor"] = last
    return Reply(200, body)


def by_place(
    entries: Iterable[tuple[Place, Record]], limit: int
) -> tuple[list[Record], str | None, str | None]:
    """Take one page of (place, record); return it with the next cursor and the cursor behind its last record."""
    page: list[Record] = []
    place: Place | None = None
    for entry_place, record in entries:
        if len(page) == limit:
            assert place is not None
            return page, write_cursor(place), write_cursor(place)
        page.append(record)
        place = entry_place
    return page, None, None if place is None else write_cursor(place)


def by_position(
    world: World, request: Request, records: list[Record], *, default: int = 50, largest: int = 200
) -> tuple[list[Record], str | None, str | None]:
    """Take one page of a short list, by the number of records before it."""
    limit = page_limit(world, request, default=default, largest=largest)
    start = read_cursor(request) or 0
    if not isinstance(start, int) or start < 0:
        raise invalid("page_token is not a cursor of this endpoint")
    end = start + limit
    behind = write_cursor(min(end, len(records)))
    return records[start:end], write_cursor(end) if end < len(records) else None, behind


def selected(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    names = [name.strip() for name in request.text("select").split(",") if name.strip()]
    return {name: item[name] for name in names if name in item} if names else item
