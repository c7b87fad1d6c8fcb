from __future__ import annotations

import uuid
from typing import Any

from .errors import invalid, not_found
from .exchange import Reply, Request, Routes, data
from .people import same
from .policies import read_name
from .store import Record
from .world import World

MOST_GRANTS = 500


def workspace_object(world: World, workspace: Record) -> dict[str, Any]:
    shown = {name: value for name, value in workspace.items() if name != "id"}
    return {
        "workspace_id": workspace["id"],
        "application_id": world.application["application_id"],
        **shown,
    }


def find_workspace(world: World, request: Request, *, by_domain: bool = False) -> Record:
    name = request.parameters["workspace_id"]
    workspace = world.store.get("workspace", name)
    if workspace is None and by_domain:
        workspace = next(
            (entry for entry in world.store.all("workspace") if same(entry["domain"], name)), None
        )
    if workspace is None:
        raise not_found("workspace")
    return workspace


def read_attachments(world: World, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the checked policy and rules of a request, as far as it gives any."""
    changes: dict[str, Any] = {}
    if "policy_id" in fields:
        policy_id = fields["policy_id"]
        if policy_id is not None and world.store.get("policy", str(policy_id)) is None:
            raise invalid("policy_id not found or does not belong to this application")
        changes["policy_id"] = policy_id
    if "rule_ids" in fields:
        rule_ids = fields["rule_ids"] or []
        for rule_id in rule_ids:
            if world.store.get("rule", str(rule_id)) is None:
                raise invalid("rule_ids entry not found or does not belong to this application")
        changes["rule_ids"] = list(rule_ids)
    return changes


def list_workspaces(world: World, request: Request) -> Reply:
    return data([workspace_object(world, workspace) for workspace in world.store.all("workspace")])


def post_workspace(world: World, request: Request) -> Reply:
    fields = request.json()
    domain = str(fields.get("domain") or "").lower()
    if domain and any(entry["domain"] == domain for entry in world.store.all("workspace")):
        raise invalid("a workspace for this domain exists")
    now = world.clock.seconds()
    workspace = {
        "id": str(uuid.uuid4()),
        "name": read_name(fields, is_required=True),
        "domain": domain,
        "auto_group": bool(fields.get("auto_group", bool(domain))),
        "default": False,
        "policy_id": None,
        "rule_ids": [],
        **read_attachments(world, fields),
        "created_at": now,
        "updated_at": now,
    }
    return data(workspace_object(world, world.store.put("workspace", workspace)))


def get_workspace(world: World, request: Request) -> Reply:
    return data(workspace_object(world, find_workspace(world, request, by_domain=True)))


def patch_workspace(world: World, request: Request) -> Reply:
    workspace = find_workspace(world, request)
    fields = request.json()
    if "domain" in fields and not same(str(fields["domain"]), workspace["domain"]):
        raise invalid("domain cannot be changed")
    if workspace["default"] and set(fields) - {"policy_id", "rule_ids"}:
        raise invalid("only policy_id and rule_ids of the default workspace can be changed")
    changes = read_attachments(world, fields)
    name = read_name(fields, is_required=False)
    if name is not None:
        changes["name"] = name
    if "auto_group" in fields:
        if fields["auto_group"] and not workspace["domain"]:
            raise invalid("auto_group needs a domain")
        changes["auto_group"] = bool(fields["auto_group"])
    workspace.update(changes, updated_at=world.clock.seconds())
    return data(workspace_object(world, world.store.put("workspace", workspace)))


def move(world: World, grant: Record, workspace_id: str | None) -> None:
    grant["workspace_id"] = workspace_id
    world.store.put("grant", grant)


def delete_workspace(world: World, request: Request) -> Reply:
    workspace = find_workspace(world, request)
    if workspace["default"]:
        raise invalid("the default workspace cannot be deleted")
    for grant in world.store.all("grant"):
        if grant["workspace_id"] == workspace["id"]:
            move(world, grant, world.application["default_workspace"])
    world.store.remove("workspace", workspace["id"])
    return Reply(200, {})


def auto_group(world: World, request: Request) -> Reply:
    fields = request.json()
    by_domain = {
        entry["domain"]: entry["id"] for entry in world.store.all("workspace") if entry["auto_group"]
    }
    wanted = str(fields.get("specific_domain") or "").lower()
    for grant in world.store.all("grant"):
        domain = grant["email"].rpartition("@")[2].lower()
        is_wanted = (not wanted or wanted == domain) and grant["created_at"] >= int(
            fields.get("after_created_at") or 0
        )
        if (
            is_wanted
            and domain in by_domain
            and (fields.get("invalid_also") or grant["grant_status"] == "valid")
        ):
            move(world, grant, by_domain[domain])
    return data({"job_id": str(uuid.uuid4()), "message": "Auto-grouping started"})


def manual_assign(world: World, request: Request) -> Reply:
    workspace = find_workspace(world, request)
    fields = request.json()
    assigned, removed = fields.get("assign_grants") or [], fields.get("remove_grants") or []
    if not assigned and not removed:
        raise invalid("assign_grants or remove_grants must name a grant")
    if workspace["auto_group"]:
        raise invalid("auto_group must be off where grants are assigned by hand")
    if len(assigned) > MOST_GRANTS or len(removed) > MOST_GRANTS:
        raise invalid(f"at most {MOST_GRANTS} grants at once")
    done: dict[str, list[str]] = {"assigned": [], "removed": []}
    for id in assigned:
        grant = world.store.get("grant", str(id))
        if grant is not None:
            move(world, grant, workspace["id"])
            done["assigned"].append(grant["id"])
    for id in removed:
        grant = world.store.get("grant", str(id))
        if grant is not None and grant["workspace_id"] == workspace["id"]:
            move(world, grant, None)
            done["removed"].append(grant["id"])
    return data(
        {
            "workspace_id": workspace["id"],
            "application_id": world.application["application_id"],
            "domain": workspace["domain"],
            "grants_assigned": done["assigned"] or None,
            "grants_removed": done["removed"] or None,
        }
    )


def add_routes(routes: Routes) -> None:
    base = "/v3/workspaces"
    routes.add("GET", base, "list_workspaces", list_workspaces)
    routes.add("POST", base, "post_workspace", post_workspace)
    routes.add("POST", base + "/auto-group", "auto_group", auto_group)
    routes.add("GET", base + "/{workspace_id}", "get_workspace", get_workspace)
    routes.add("PATCH", base + "/{workspace_id}", "patch_workspace", patch_workspace)
    routes.add("DELETE", base + "/{workspace_id}", "delete_workspace", delete_workspace)
    routes.add("POST", base + "/{workspace_id}/manual-assign", "manual_assign", manual_assign)
