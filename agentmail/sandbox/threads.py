from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .drafts import draft_object
from .errors import not_found
from .exchange import Reply, Request, Routes, data
from .messages import change_marks, filtered, is_visible, message_object
from .mime import snippet
from .paging import by_place, listing, page_limit, read_place, selected
from .store import Record
from .world import World


def new_thread_id(world: World) -> str:
    return world.new_uuid().hex


def thread_object(world: World, grant_id: str, thread_id: str) -> dict[str, Any]:
    """Return a thread as the API shows it, made from its visible messages and its drafts; raises 404."""
    messages = [
        message
        for message in world.store.in_thread("message", thread_id)
        if message["grant_id"] == grant_id and is_visible(world, message)
    ]
    drafts = [draft for draft in world.store.in_thread("draft", thread_id) if draft["grant_id"] == grant_id]
    if not messages and not drafts:
        raise not_found("thread")
    received = [message for message in messages if not message["is_outbound"]]
    sent = [message for message in messages if message["is_outbound"]]
    participants: dict[str, dict[str, str]] = {}
    for record in (*messages, *drafts):
        for field in ("from", "to", "cc"):
            for person in record[field]:
                participants.setdefault(person["email"].lower(), person)
    shown: dict[str, Any] = {
        "id": thread_id,
        "grant_id": grant_id,
        "object": "thread",
        "subject": (messages or drafts)[0]["subject"],
        "snippet": snippet((received or messages or drafts)[-1]["body"]),
        "participants": list(participants.values()),
        "unread": any(message["unread"] for message in messages),
        "starred": any(record["starred"] for record in (*messages, *drafts)),
        "has_attachments": any(record["attachments"] for record in (*messages, *drafts)),
        "has_drafts": bool(drafts),
        "message_ids": [message["id"] for message in messages],
        "draft_ids": [draft["id"] for draft in drafts],
        "folders": sorted({folder for record in (*messages, *drafts) for folder in record["folders"]}),
        "latest_draft_or_message": (
            draft_object(world, drafts[-1])
            if drafts and (not messages or drafts[-1]["date"] >= messages[-1]["date"])
            else message_object(world, messages[-1])
        ),
    }
    if messages:
        shown["earliest_message_date"] = messages[0]["date"]
    if received:
        shown["latest_message_received_date"] = received[-1]["date"]
    if sent:
        shown["latest_message_sent_date"] = sent[-1]["date"]
    return shown


def _threads_newest_first(
    world: World, request: Request, grant_id: str
) -> Iterator[tuple[tuple[int, int], Record]]:
    """Yield each thread once, at the place of its newest visible message; threads of drafts alone are left out."""
    below = read_place(request)
    before, after = (
        request.whole_number("latest_message_before"),
        request.whole_number("latest_message_after"),
    )
    earliest = request.whole_number("earliest_message_date")
    newest: dict[str, tuple[int, int]] = {}
    for place, message in world.store.newest_first("message", grant_id):
        if is_visible(world, message):
            newest.setdefault(message["thread_id"], place)
    matching: set[str] = {
        message["thread_id"]
        for _, message in filtered(world, request, grant_id, world.store.newest_first("message", grant_id))
    }
    for thread_id, place in newest.items():
        if (below is not None and place >= below) or thread_id not in matching:
            continue
        if (before is not None and place[0] >= before) or (after is not None and place[0] <= after):
            continue
        thread = thread_object(world, grant_id, thread_id)
        if earliest is None or thread.get("earliest_message_date", 0) >= earliest:
            yield place, thread


def list_threads(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    limit = page_limit(world, request, default=20, largest=50)
    page, cursor, last = by_place(_threads_newest_first(world, request, grant_id), limit)
    return listing(world, [selected(request, thread) for thread in page], cursor, last)


def get_thread(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    return data(selected(request, thread_object(world, grant_id, request.parameters["thread_id"])))


def put_thread(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    thread_id = request.parameters["thread_id"]
    thread_object(world, grant_id, thread_id)
    changes = request.json()
    for stored in world.store.in_thread("message", thread_id):
        message = {**stored}
        if change_marks(world, message, changes):
            world.store.put("message", message)
            world.events.emit("message.updated", message_object(world, message), grant_id=grant_id)
    return data(thread_object(world, grant_id, thread_id))


def delete_thread(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    thread_id = request.parameters["thread_id"]
    thread_object(world, grant_id, thread_id)
    trash = world.folder_ids(grant_id)["trash"]
    for message in world.store.in_thread("message", thread_id):
        message["folders"] = [trash]
        world.store.put("message", message)
        world.events.emit(
            "message.deleted",
            {"id": message["id"], "grant_id": grant_id, "object": "message"},
            grant_id=grant_id,
        )
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}/threads"
    routes.add("GET", base, "list_threads", list_threads)
    routes.add("GET", base + "/{thread_id}", "get_thread", get_thread)
    routes.add("PUT", base + "/{thread_id}", "put_thread", put_thread)
    routes.add("DELETE", base + "/{thread_id}", "delete_thread", delete_thread)
