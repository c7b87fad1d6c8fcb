from __future__ import annotations

import re
import uuid
from typing import Any

from .errors import invalid
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing
from .plans import require_room
from .policies import read_name
from .store import Record
from .world import World

SHAPES = {
    "domain": re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+"),
    "tld": re.compile(r"[a-z0-9-]{2,63}"),
    "address": re.compile(r"[^@\s]+@[a-z0-9_-]+(\.[a-z0-9_-]+)+"),
}
MOST_ITEMS = 1000
LONGEST_ITEM = 500


def items_of(world: World, list_id: str) -> list[Record]:
    return [item for item in world.store.all("list_item") if item["list_id"] == list_id]


def list_object(world: World, record: Record) -> dict[str, Any]:
    return {**record, "items_count": len(items_of(world, record["id"]))}


def find_list(world: World, request: Request) -> Record:
    return world.require("list", request.parameters["list_id"], what="list")


def post_list(world: World, request: Request) -> Reply:
    require_room(world, "list")
    fields = request.json()
    if fields.get("type") not in SHAPES:
        raise invalid("type must be domain, tld or address")
    now = world.clock.seconds()
    record = {
        "id": str(uuid.uuid4()),
        "name": read_name(fields, is_required=True),
        "description": str(fields.get("description") or ""),
        "type": fields["type"],
        **world.ownership,
        "created_at": now,
        "updated_at": now,
    }
    return data(list_object(world, world.store.put("list", record)), 201)


def list_lists(world: World, request: Request) -> Reply:
    page, cursor, last = by_position(world, request, world.store.all("list"))
    return listing(world, [list_object(world, record) for record in page], cursor, last)


def get_list(world: World, request: Request) -> Reply:
    return data(list_object(world, find_list(world, request)))


def put_list(world: World, request: Request) -> Reply:
    record = find_list(world, request)
    fields = request.json()
    if "type" in fields and fields["type"] != record["type"]:
        raise invalid("type cannot be changed")
    record["name"] = read_name(fields, is_required=False) or record["name"]
    if "description" in fields:
        record["description"] = str(fields["description"] or "")
    record["updated_at"] = world.clock.seconds()
    return data(list_object(world, world.store.put("list", record)))


def delete_list(world: World, request: Request) -> Reply:
    record = find_list(world, request)
    for item in items_of(world, record["id"]):
        world.store.remove("list_item", item["id"])
    world.store.remove("list", record["id"])
    return Reply(200, {})


def read_items(request: Request) -> list[str]:
    items = request.json().get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        raise invalid(f"items has 1 to {MOST_ITEMS} entries")
    if not all(isinstance(item, str) and len(item) <= LONGEST_ITEM for item in items):
        raise invalid(f"items are strings of at most {LONGEST_ITEM} characters")
    return [item.strip().lower() for item in items]


def list_items(world: World, request: Request) -> Reply:
    page, cursor, last = by_position(world, request, items_of(world, find_list(world, request)["id"]))
    return listing(world, page, cursor, last)


def add_items(world: World, request: Request) -> Reply:
    record = find_list(world, request)
    items = read_items(request)
    for item in items:
        if not SHAPES[record["type"]].fullmatch(item):
            raise invalid(f"items: {item!r} is not a {record['type']}")
    known = {item["value"] for item in items_of(world, record["id"])}
    for value in dict.fromkeys(items):
        if value not in known:
            entry = {
                "id": str(uuid.uuid4()),
                "list_id": record["id"],
                "value": value,
                "created_at": world.clock.seconds(),
            }
            world.store.put("list_item", entry)
    return data(list_object(world, record))


def remove_items(world: World, request: Request) -> Reply:
    record = find_list(world, request)
    unwanted = set(read_items(request))
    for item in items_of(world, record["id"]):
        if item["value"] in unwanted:
            world.store.remove("list_item", item["id"])
    return data(list_object(world, record))


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/lists", "list_lists", list_lists)
    routes.add("POST", "/v3/lists", "post_list", post_list)
    routes.add("GET", "/v3/lists/{list_id}", "get_list", get_list)
    routes.add("PUT", "/v3/lists/{list_id}", "put_list", put_list)
    routes.add("DELETE", "/v3/lists/{list_id}", "delete_list", delete_list)
    routes.add("GET", "/v3/lists/{list_id}/items", "list_items", list_items)
    routes.add("POST", "/v3/lists/{list_id}/items", "add_items", add_items)
    routes.add("DELETE", "/v3/lists/{list_id}/items", "remove_items", remove_items)
