from __future__ import annotations

import uuid
from typing import Any

from .attachments import attachment_object, read_attachments
from .errors import ApiError, invalid
from .exchange import Reply, Request, Routes, data
from .messages import candidates, filtered, read_metadata
from .mime import Part, read_multipart, snippet
from .paging import by_place, listing, page_limit, selected
from .people import read_people
from .store import Record
from .world import World

MOST_JSON_BYTES = 3 * 1024 * 1024
MOST_MULTIPART_BYTES = 25 * 1024 * 1024
PEOPLE_FIELDS = ("from", "to", "cc", "bcc", "reply_to")


def draft_object(world: World, draft: Record) -> dict[str, Any]:
    shown = {
        "id": draft["id"],
        "grant_id": draft["grant_id"],
        "object": "draft",
        "thread_id": draft["thread_id"],
        "from": draft["from"],
        "to": draft["to"],
        "cc": draft["cc"],
        "bcc": draft["bcc"],
        "reply_to": draft["reply_to"],
        "subject": draft["subject"],
        "snippet": snippet(draft["body"]),
        "body": draft["body"],
        "date": draft["date"],
        "unread": False,
        "starred": draft["starred"],
        "folders": draft["folders"],
        "attachments": [attachment_object(draft["grant_id"], entry) for entry in draft["attachments"]],
    }
    if draft["metadata"]:
        shown["metadata"] = draft["metadata"]
    if world.switches["draft_shows_reply_to"] and draft["reply_to_message_id"]:
        shown["reply_to_message_id"] = draft["reply_to_message_id"]
    return shown


def read_content(world: World, request: Request) -> tuple[dict[str, Any], list[Part]]:
    """Return the JSON of a request and its file parts, from a JSON or a multipart body; raises 400 and 413."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        if len(request.body) > MOST_MULTIPART_BYTES:
            raise ApiError(413, "invalid_request_error", "multipart requests have at most 25 MB")
        fields, parts = None, []
        for part in read_multipart(request.body, content_type):
            if fields is None and part.name in {"message", "draft"}:
                fields = Request(request.method, request.path, "", {}, part.content).json()
            else:
                parts.append(part)
        if fields is None:
            raise invalid("multipart request without a message part")
        return fields, parts
    if request.body and kind not in {"application/json", ""}:
        raise invalid("Content-Type must be application/json or multipart/form-data")
    if "charset" in content_type and world.switches["refuse_charset"]:
        raise invalid("Content-Type must be application/json or multipart/form-data, without parameters")
    if len(request.body) > MOST_JSON_BYTES:
        raise ApiError(413, "invalid_request_error", "JSON requests have at most 3 MB")
    return request.json(), []


def read_headers(value: Any) -> list[dict[str, str]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(header, dict)
        and isinstance(header.get("name"), str)
        and isinstance(header.get("value"), str)
        for header in value
    ):
        raise invalid("custom_headers must be an array of name and value")
    return [{"name": header["name"], "value": header["value"]} for header in value]


def apply_fields(world: World, record: Record, fields: dict[str, Any], parts: list[Part]) -> None:
    """Set what the request gives and leave the rest; arrays and objects are replaced whole."""
    for name in PEOPLE_FIELDS:
        if name in fields:
            record[name] = read_people(fields[name], name)
    for name in ("subject", "body"):
        if name in fields:
            if fields[name] is not None and not isinstance(fields[name], str):
                raise invalid(f"{name} must be a string")
            record[name] = fields[name] or ""
    for name in ("is_plaintext", "starred"):
        if name in fields:
            record[name] = bool(fields[name])
    if "metadata" in fields:
        record["metadata"] = read_metadata(fields["metadata"])
    if "custom_headers" in fields:
        record["custom_headers"] = read_headers(fields["custom_headers"])
    if "tracking_options" in fields:
        record["tracking_options"] = fields["tracking_options"]
    if "reply_to_message_id" in fields:
        record["reply_to_message_id"] = str(fields["reply_to_message_id"] or "")
    if fields.get("attachments") is not None or parts:
        record["attachments"] = read_attachments(world, fields.get("attachments"), parts)
    if len(record["to"]) + len(record["cc"]) + len(record["bcc"]) > 50:
        raise invalid("a message has at most 50 recipients")


def new_record(world: World, grant: Record) -> Record:
    """Return the fields that drafts and messages share, empty."""
    now = world.clock.seconds()
    sender = {"email": grant["email"], **({"name": grant["name"]} if grant["name"] else {})}
    return {
        "id": "",
        "grant_id": grant["id"],
        "thread_id": "",
        "from": [sender],
        "to": [],
        "cc": [],
        "bcc": [],
        "reply_to": [],
        "subject": "",
        "body": "",
        "is_plaintext": False,
        "date": now,
        "created_at": now,
        "unread": False,
        "starred": False,
        "folders": [],
        "attachments": [],
        "metadata": {},
        "custom_headers": [],
        "tracking_options": None,
        "reply_to_message_id": "",
    }


def place_in_thread(world: World, record: Record) -> None:
    """Put a reply into the thread of the message it answers; raises 400 when that is unknown."""
    if not record["reply_to_message_id"]:
        return
    parent = world.store.get("message", record["reply_to_message_id"])
    if parent is None or parent["grant_id"] != record["grant_id"]:
        raise invalid("reply_to_message_id is not a message of this grant")
    record["thread_id"] = parent["thread_id"]


def create_draft(world: World, grant: Record, fields: dict[str, Any], parts: list[Part]) -> Record:
    """Store a new draft and return its record; raises `ApiError` when a field is malformed."""
    draft = new_record(world, grant)
    apply_fields(world, draft, fields, parts)
    place_in_thread(world, draft)
    draft["from"] = draft["from"] or new_record(world, grant)["from"]
    draft["id"] = world.new_mail_id()
    draft["folders"] = [world.folder_ids(grant["id"])["drafts"]]
    with world.store.change():
        world.store.put("draft", draft)
    announce(world, "draft.created", draft)
    return draft


def change_draft(world: World, draft: Record, fields: dict[str, Any], parts: list[Part]) -> Record:
    changed = {**draft}
    apply_fields(world, changed, fields, parts)
    place_in_thread(world, changed)
    changed["date"] = world.clock.seconds()
    with world.store.change():
        if world.switches["draft_id_after_put"] == "changed":
            world.store.remove("draft", draft["id"])
            changed["id"] = world.new_mail_id()
        world.store.put("draft", changed)
    announce(world, "draft.updated", changed)
    return changed


def announce(world: World, type: str, draft: Record) -> None:
    if world.switches["draft_events"]:
        world.events.emit(type, draft_object(world, draft), grant_id=draft["grant_id"])


def list_drafts(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    limit = page_limit(world, request)
    entries = filtered(world, request, grant_id, candidates(world, request, "draft", grant_id))
    page, cursor, last = by_place(entries, limit)
    return listing(world, [selected(request, draft_object(world, draft)) for draft in page], cursor, last)


def post_draft(world: World, request: Request) -> Reply:
    grant = world.grant(request)
    return data(draft_object(world, create_draft(world, grant, *read_content(world, request))))


def get_draft(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    draft = world.require("draft", request.parameters["draft_id"], grant_id, what="draft")
    return data(selected(request, draft_object(world, draft)))


def put_draft(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    draft = world.require("draft", request.parameters["draft_id"], grant_id, what="draft")
    return data(draft_object(world, change_draft(world, draft, *read_content(world, request))))


def delete_draft(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    draft = world.require("draft", request.parameters["draft_id"], grant_id, what="draft")
    world.store.remove("draft", draft["id"])
    return Reply(200, {})


def copied_attachments(entries: list[Record]) -> list[Record]:
    """Give the attachments of a draft new ids, for the message made from it."""
    return [{**entry, "id": str(uuid.uuid4())} for entry in entries]


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}/drafts"
    routes.add("GET", base, "list_drafts", list_drafts)
    routes.add("POST", base, "post_draft", post_draft)
    routes.add("GET", base + "/{draft_id}", "get_draft", get_draft)
    routes.add("PUT", base + "/{draft_id}", "put_draft", put_draft)
    routes.add("DELETE", base + "/{draft_id}", "delete_draft", delete_draft)
