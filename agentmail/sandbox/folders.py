from __future__ import annotations

from typing import Any

from .errors import invalid
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing, selected
from .people import same
from .store import Record
from .world import ATTRIBUTES, SYSTEM_FOLDERS, World

LONGEST_NAME = 1024


def folder_object(world: World, folder: Record) -> dict[str, Any]:
    inside = [
        record
        for kind in ("message", "draft")
        for _, record in world.store.newest_first(kind, folder["grant_id"])
        if folder["id"] in record["folders"]
    ]
    children = [entry for entry in world.store.all("folder") if entry["parent_id"] == folder["id"]]
    return {
        "id": folder["id"],
        "grant_id": folder["grant_id"],
        "object": "folder",
        "name": folder["name"],
        "parent_id": folder["parent_id"],
        "system_folder": folder["is_system"],
        "attributes": [ATTRIBUTES[folder["name"]]] if folder["is_system"] else [],
        "total_count": len(inside),
        "unread_count": sum(1 for record in inside if record["unread"]),
        "child_count": len(children),
    }


def list_folders(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    folders = [folder for folder in world.store.all("folder") if folder["grant_id"] == grant_id]
    page, cursor, last = by_position(world, request, folders)
    return listing(world, [selected(request, folder_object(world, folder)) for folder in page], cursor, last)


def find_folder(world: World, request: Request) -> Record:
    return world.require("folder", request.parameters["folder_id"], world.grant(request)["id"], what="folder")


def get_folder(world: World, request: Request) -> Reply:
    return data(selected(request, folder_object(world, find_folder(world, request))))


def read_name(fields: dict[str, Any]) -> str:
    name = fields.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise invalid("name has 1 to 1024 characters")
    if any(same(name, reserved) for reserved in SYSTEM_FOLDERS):
        raise invalid("name is reserved for a system folder")
    return name


def post_folder(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    fields = request.json()
    folder = world.new_folder(grant_id, read_name(fields), parent_id=str(fields.get("parent_id") or ""))
    world.store.put("folder", folder)
    shown = folder_object(world, folder)
    world.events.emit("folder.created", shown, grant_id=grant_id)
    return data(shown)


def put_folder(world: World, request: Request) -> Reply:
    folder = find_folder(world, request)
    if folder["is_system"]:
        raise invalid("system folders cannot be changed")
    fields = request.json()
    if "name" in fields:
        folder["name"] = read_name(fields)
    if "parent_id" in fields:
        folder["parent_id"] = fields["parent_id"] or None
    world.store.put("folder", folder)
    shown = folder_object(world, folder)
    world.events.emit("folder.updated", shown, grant_id=folder["grant_id"])
    return data(shown)


def delete_folder(world: World, request: Request) -> Reply:
    folder = find_folder(world, request)
    if folder["is_system"]:
        raise invalid("system folders cannot be deleted")
    for _, message in list(world.store.newest_first("message", folder["grant_id"])):
        if folder["id"] in message["folders"]:
            world.store.remove("message", message["id"])
    world.store.remove("folder", folder["id"])
    world.events.emit(
        "folder.deleted",
        {"id": folder["id"], "grant_id": folder["grant_id"], "object": "folder"},
        grant_id=folder["grant_id"],
    )
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}/folders"
    routes.add("GET", base, "list_folders", list_folders)
    routes.add("POST", base, "post_folder", post_folder)
    routes.add("GET", base + "/{folder_id}", "get_folder", get_folder)
    routes.add("PUT", base + "/{folder_id}", "put_folder", put_folder)
    routes.add("DELETE", base + "/{folder_id}", "delete_folder", delete_folder)
