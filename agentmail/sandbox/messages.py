from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from .attachments import attachment_object, contents_of
from .errors import invalid, not_found
from .exchange import Reply, Request, Routes, data
from .mime import snippet, write_message
from .paging import Place, by_place, listing, page_limit, read_place, selected
from .people import RECIPIENT_FIELDS
from .search import matcher
from .store import Record
from .world import World

FOR_EVER = 1e18
MOST_ADDRESSES = 25
BASIC_HEADERS = frozenset({"message-id", "in-reply-to", "references"})
FIELD_SETS = frozenset(
    {"standard", "include_headers", "include_basic_headers", "include_tracking_options", "raw_mime"}
)


def is_visible(world: World, message: Record) -> bool:
    return message.get("visible_from", 0) <= world.clock.now()


def message_object(world: World, message: Record, fields: str = "standard") -> dict[str, Any]:
    """Return a message as the API shows it, with what `fields` adds."""
    if fields == "raw_mime":
        raw = write_message(message, contents_of(world, message))
        return {
            "grant_id": message["grant_id"],
            "object": "message",
            "id": message["id"],
            "raw_mime": base64.urlsafe_b64encode(raw).decode(),
        }
    shown = {
        "id": message["id"],
        "grant_id": message["grant_id"],
        "object": "message",
        "thread_id": message["thread_id"],
        "from": message["from"],
        "to": message["to"],
        "cc": message["cc"],
        "bcc": message["bcc"],
        "reply_to": message["reply_to"],
        "subject": message["subject"],
        "snippet": snippet(message["body"]),
        "body": message["body"],
        "date": message["date"],
        "created_at": message["created_at"],
        "unread": message["unread"],
        "starred": message["starred"],
        "folders": message["folders"],
        "attachments": [attachment_object(message["grant_id"], entry) for entry in message["attachments"]],
    }
    if message["metadata"] and message.get("metadata_from", 0) <= world.clock.now():
        shown["metadata"] = message["metadata"]
    if fields == "include_headers":
        shown["headers"] = message["headers"]
    elif fields == "include_basic_headers":
        shown["headers"] = [
            header for header in message["headers"] if header["name"].lower() in BASIC_HEADERS
        ]
    elif fields == "include_tracking_options":
        shown["tracking_options"] = message.get("tracking_options") or {}
    return shown


def read_fields(request: Request) -> str:
    fields = request.text("fields", "standard")
    if fields not in FIELD_SETS:
        raise invalid(f"fields must be one of {', '.join(sorted(FIELD_SETS))}")
    return fields


def wanted_addresses(request: Request, name: str) -> set[str]:
    found = {part.strip().lower() for value in request.query.get(name, []) for part in value.split(",")} - {
        ""
    }
    if len(found) > MOST_ADDRESSES:
        raise invalid(f"{name} takes at most {MOST_ADDRESSES} addresses")
    return found


def filtered(
    world: World, request: Request, grant_id: str, entries: Iterable[tuple[Place, Record]]
) -> Iterator[tuple[Place, Record]]:
    """Keep the messages or drafts that every filter of the query string lets through."""
    people = {name: wanted_addresses(request, name) for name in ("from", *RECIPIENT_FIELDS)}
    people = {name: wanted for name, wanted in people.items() if wanted}
    anyone = wanted_addresses(request, "any_email")
    subject = request.text("subject").lower()
    thread_id = request.text("thread_id")
    folder_id = request.text("in")
    if folder_id and (world.store.get("folder", folder_id) or {}).get("grant_id") != grant_id:
        raise invalid("in must be the id of a folder")
    flags = {name: wanted for name in ("unread", "starred") if (wanted := request.flag(name)) is not None}
    has_attachment = request.flag("has_attachment")
    before, after = request.whole_number("received_before"), request.whole_number("received_after")
    query = request.text("search_query_native")
    found_by_query = matcher(query) if query else None
    for place, record in entries:
        # Newest first: everything behind is older still.
        if after is not None and record["date"] <= after:
            break
        if before is not None and record["date"] >= before:
            continue
        if thread_id and record["thread_id"] != thread_id:
            continue
        if folder_id and folder_id not in record["folders"]:
            continue
        if subject and subject not in record["subject"].lower():
            continue
        if any(record[name] != wanted for name, wanted in flags.items()):
            continue
        if has_attachment is not None and bool(record["attachments"]) != has_attachment:
            continue
        if any(not _has_any(record, (name,), wanted) for name, wanted in people.items()):
            continue
        if anyone and not _has_any(record, ("from", *RECIPIENT_FIELDS), anyone):
            continue
        if found_by_query is not None and not found_by_query(record):
            continue
        yield place, record


def _has_any(record: Record, fields: tuple[str, ...], wanted: set[str]) -> bool:
    return any(person["email"].lower() in wanted for field in fields for person in record[field])


def candidates(world: World, request: Request, kind: str, grant_id: str) -> Iterable[tuple[Place, Record]]:
    """Return the records a list starts from, newest first, below the cursor."""
    below = read_place(request)
    pairs = request.query.get("metadata_pair", [])
    if not pairs:
        return world.store.newest_first(kind, grant_id, before=below)
    key, colon, value = pairs[-1].partition(":")
    if len(pairs) > 1 or not colon or key not in {"key1", "key2", "key3", "key4", "key5"}:
        raise invalid("metadata_pair takes one pair, of key1 to key5")
    found = world.store.with_metadata(kind, grant_id, key, value)
    return [(place, record) for place, record in found if below is None or place < below]


def list_messages(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    fields = read_fields(request)
    limit = page_limit(world, request)
    now = world.clock.now()
    entries = (
        (place, record)
        for place, record in filtered(
            world, request, grant_id, candidates(world, request, "message", grant_id)
        )
        if record.get("visible_from", 0) <= now
        and ("metadata_pair" not in request.query or record.get("metadata_from", 0) <= now)
    )
    page, cursor, last = by_place(entries, limit)
    return listing(
        world, [selected(request, message_object(world, record, fields)) for record in page], cursor, last
    )


def find_message(world: World, grant_id: str, id: str) -> Record:
    message = world.require("message", id, grant_id, what="message")
    if not is_visible(world, message):
        raise not_found("message")
    return message


def get_message(world: World, request: Request) -> Reply:
    message = find_message(world, world.grant(request)["id"], request.parameters["message_id"])
    return data(selected(request, message_object(world, message, read_fields(request))))


def read_metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 50:
        raise invalid("metadata must be an object of at most 50 pairs")
    metadata = {}
    for key, entry in value.items():
        if len(key) > 40 or not isinstance(entry, (str, int, float, bool)) or len(str(entry)) > 500:
            raise invalid("metadata keys have at most 40 characters, values are strings of at most 500")
        metadata[key] = str(entry)
    return metadata


def read_folders(world: World, grant_id: str, value: Any) -> list[str]:
    if not isinstance(value, list) or any(
        (world.store.get("folder", str(id)) or {}).get("grant_id") != grant_id for id in value
    ):
        raise invalid("folders must be an array of folder ids")
    return value


def change_marks(world: World, record: Record, changes: dict[str, Any]) -> bool:
    """Apply `unread`, `starred` and `folders`; return whether anything was among them."""
    changed = False
    for name in ("unread", "starred"):
        if name in changes:
            if not isinstance(changes[name], bool):
                raise invalid(f"{name} must be a boolean")
            record[name] = changes[name]
            changed = True
    if "folders" in changes:
        record["folders"] = read_folders(world, record["grant_id"], changes["folders"])
        changed = True
    return changed


def put_message(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    message = {**find_message(world, grant_id, request.parameters["message_id"])}
    changes = request.json()
    is_marked = change_marks(world, message, changes)
    if "metadata" in changes:
        message["metadata"] = read_metadata(changes["metadata"])
    world.store.put("message", message)
    if is_marked:
        world.events.emit("message.updated", message_object(world, message), grant_id=grant_id)
    return data(message_object(world, message))


def delete_message(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    message = find_message(world, grant_id, request.parameters["message_id"])
    if request.flag("hard_delete"):
        if not world.switches["hard_delete"]:
            raise invalid("hard_delete is not enabled for this application")
        world.store.remove("message", message["id"])
    else:
        message["folders"] = [world.folder_ids(grant_id)["trash"]]
        world.store.put("message", message)
    world.events.emit(
        "message.deleted", {"id": message["id"], "grant_id": grant_id, "object": "message"}, grant_id=grant_id
    )
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}/messages"
    routes.add("GET", base, "list_messages", list_messages)
    routes.add("GET", base + "/{message_id}", "get_message", get_message)
    routes.add("PUT", base + "/{message_id}", "put_message", put_message)
    routes.add("DELETE", base + "/{message_id}", "delete_message", delete_message)
