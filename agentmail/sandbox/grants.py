from __future__ import annotations

import re
from typing import Any

from .errors import ApiError, invalid, not_found
from .exchange import Reply, Request, Routes, data
from .people import read_people, same
from .store import Record
from .world import World

DEFAULT_PAGE = 10
LARGEST_PAGE = 200


def grant_object(grant: Record) -> dict[str, Any]:
    return {
        **grant,
        "settings": {name: value for name, value in grant["settings"].items() if name != "app_password"},
    }


def list_grants(world: World, request: Request) -> Reply:
    limit = min(request.whole_number("limit") or DEFAULT_PAGE, LARGEST_PAGE)
    offset = request.whole_number("offset") or 0
    if limit < 1 or offset < 0:
        raise invalid("limit must be at least 1 and offset at least 0")
    sort_by = request.text("sort_by", "created_at")
    if sort_by not in {"created_at", "updated_at"}:
        raise invalid("sort_by must be created_at or updated_at")
    since, before = request.whole_number("since"), request.whole_number("before")
    grants = [
        grant
        for grant in world.store.all("grant")
        if all(
            not request.text(name) or str(grant[name]) == request.text(name)
            for name in ("grant_status", "provider", "workspace_id")
        )
        and (not request.text("email") or same(grant["email"], request.text("email")))
        and (since is None or grant["created_at"] >= since)
        and (before is None or grant["created_at"] < before)
    ]
    grants.sort(key=lambda grant: grant[sort_by], reverse=request.text("order_by", "desc") == "desc")
    page = [grant_object(grant) for grant in grants[offset : offset + limit]]
    return Reply(200, {"data": page, "limit": limit, "offset": offset})


def find_grant(world: World, request: Request) -> Record:
    grant = world.find_grant(request.parameters["grant_id"])
    if grant is None:
        raise not_found("grant")
    return grant


def get_grant(world: World, request: Request) -> Reply:
    return data(grant_object(find_grant(world, request)))


def read_settings(value: Any, email: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid("settings must be an object")
    password = value.get("app_password")
    if password is not None:
        strong = isinstance(password, str) and re.fullmatch(r"[!-~]{18,40}", password)
        if not strong or not all(re.search(kind, password) for kind in ("[A-Z]", "[a-z]", "[0-9]")):
            raise invalid(
                "settings.app_password has 18 to 40 printable characters with upper, lower case and digits"
            )
    return {**{name: entry for name, entry in value.items() if name != "app_password"}, "email": email}


def patch_grant(world: World, request: Request) -> Reply:
    grant = find_grant(world, request)
    fields = request.json()
    if "name" in fields:
        grant["name"] = str(fields["name"] or "")
    if "scope" in fields:
        grant["scope"] = list(fields["scope"] or [])
    if "settings" in fields:
        grant["settings"] = read_settings(fields["settings"], grant["email"])
    if "workspace_id" in fields:
        if world.store.get("workspace", str(fields["workspace_id"])) is None:
            raise invalid("workspace_id is not a workspace of this application")
        grant["workspace_id"] = fields["workspace_id"]
    world.store.put("grant", grant)
    world.emit_grant("grant.updated", grant, 25014)
    return data(grant_object(grant))


def delete_grant(world: World, request: Request) -> Reply:
    grant = find_grant(world, request)
    for kind in ("message", "draft"):
        for _, record in list(world.store.newest_first(kind, grant["id"])):
            world.store.remove(kind, record["id"])
    for kind in ("folder", "evaluation", "schedule"):
        for record in world.store.all(kind):
            if record["grant_id"] == grant["id"]:
                world.store.remove(kind, record["id"])
    world.store.remove("grant", grant["id"])
    world.emit_grant("grant.deleted", grant, 25013)
    return Reply(200, {})


def connect(world: World, request: Request) -> Reply:
    """Create a mailbox, or connect the one with this address again."""
    fields = request.json()
    settings = fields.get("settings")
    if not fields.get("provider") or not isinstance(settings, dict):
        raise invalid("provider and settings are required")
    email = settings.get("email") or settings.get("imap_username")
    email = read_people([{"email": email}], "settings.email")[0]["email"]
    checked = read_settings(settings, email)
    existing = world.find_grant(email)
    if existing is not None:
        was_invalid = existing["grant_status"] != "valid"
        existing["grant_status"] = "valid"
        existing["updated_at"] = world.clock.seconds()
        world.store.put("grant", existing)
        if was_invalid:
            world.emit_grant("grant.updated", existing, 25014)
        return data(grant_object(existing), 201)
    domains = world.switches["registered_domains"]
    if domains is not None and email.rpartition("@")[2].lower() not in domains:
        raise ApiError(404, "api.not_found_error", "Provisioning the inbox failed: Domain not found")
    workspace_id = str(fields.get("workspace_id") or "")
    if workspace_id and world.store.get("workspace", workspace_id) is None:
        raise invalid("workspace_id is not a workspace of this application")
    grant = world.create_grant(
        email=email,
        name=str(fields.get("name") or ""),
        provider=str(fields["provider"]),
        workspace_id=workspace_id,
    )
    grant["settings"] = checked
    world.store.put("grant", grant)
    return data(grant_object(grant), 201)


def add_routes(routes: Routes) -> None:
    routes.add("POST", "/v3/connect/custom", "connect", connect)
    routes.add("GET", "/v3/grants", "list_grants", list_grants)
    routes.add("GET", "/v3/grants/{grant_id}", "get_grant", get_grant)
    routes.add("PATCH", "/v3/grants/{grant_id}", "patch_grant", patch_grant)
    routes.add("DELETE", "/v3/grants/{grant_id}", "delete_grant", delete_grant)
