from __future__ import annotations

import uuid
from typing import Any

from .errors import invalid
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing
from .plans import MAY_BE_UNLIMITED, limits_of
from .world import World

SPAM_DEFAULTS: dict[str, Any] = {
    "use_list_dnsbl": False,
    "use_header_anomaly_detection": False,
    "spam_sensitivity": 1.0,
}


def read_name(fields: dict[str, Any], *, is_required: bool) -> str | None:
    if "name" not in fields and not is_required:
        return None
    name = fields.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 256:
        raise invalid("name has 1 to 256 characters")
    return name


def merged_limits(world: World, stored: dict[str, Any], changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise invalid("limits must be an object")
    most = limits_of(world)
    limits = {**stored}
    for name, value in changes.items():
        # Older SDKs name the sent cap differently.
        name = "limit_count_daily_email_sent" if name == "limit_count_daily_message_per_grant" else name
        if name not in most:
            continue
        if name == "limit_attachment_allowed_types":
            limits[name] = read_types(value)
        elif value is not None:
            limits[name] = read_limit(name, value, most[name])
    spam, inbox = limits["limit_spam_retention_period"], limits["limit_inbox_retention_period"]
    if inbox != -1 and (spam == -1 or spam >= inbox):
        raise invalid(
            "limits.limit_spam_retention_period must be shorter than limits.limit_inbox_retention_period"
        )
    return limits


def read_types(value: Any) -> list[str]:
    types = value or []
    if not isinstance(types, list) or not all(isinstance(entry, str) and "/" in entry for entry in types):
        raise invalid("limits.limit_attachment_allowed_types is a list of media types")
    return types


def read_limit(name: str, value: Any, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < -1:
        raise invalid(f"limits.{name} must be a whole number of at least -1")
    if value == -1 and name not in MAY_BE_UNLIMITED:
        raise invalid(f"limits.{name} cannot be unlimited")
    if largest != -1 and (value == -1 or value > largest):
        raise invalid(f"limits.{name} is above the maximum of the plan, {largest}")
    return value


def merged_spam(stored: dict[str, Any], changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise invalid("spam_detection must be an object")
    merged = {**stored, **{name: value for name, value in changes.items() if name in SPAM_DEFAULTS}}
    for name in ("use_list_dnsbl", "use_header_anomaly_detection"):
        if not isinstance(merged[name], bool):
            raise invalid(f"spam_detection.{name} must be a boolean")
    sensitivity = merged["spam_sensitivity"]
    is_number = isinstance(sensitivity, (int, float)) and not isinstance(sensitivity, bool)
    if not is_number or not 0.1 <= sensitivity <= 5.0:
        raise invalid("spam_detection.spam_sensitivity is between 0.1 and 5.0")
    return merged


def post_policy(world: World, request: Request) -> Reply:
    fields = request.json()
    now = world.clock.seconds()
    policy = {
        "id": str(uuid.uuid4()),
        "name": read_name(fields, is_required=True),
        **world.ownership,
        "options": fields.get("options") or {},
        "limits": merged_limits(world, limits_of(world), fields.get("limits") or {}),
        "spam_detection": merged_spam(SPAM_DEFAULTS, fields.get("spam_detection") or {}),
        "rules": list(fields.get("rules") or []),
        "created_at": now,
        "updated_at": now,
    }
    return data(world.store.put("policy", policy))


def list_policies(world: World, request: Request) -> Reply:
    page, cursor, last = by_position(world, request, world.store.all("policy"))
    return listing(world, page, cursor, last)


def get_policy(world: World, request: Request) -> Reply:
    return data(world.require("policy", request.parameters["policy_id"], what="policy"))


def put_policy(world: World, request: Request) -> Reply:
    policy = world.require("policy", request.parameters["policy_id"], what="policy")
    fields = request.json()
    changed = {**policy, "name": read_name(fields, is_required=False) or policy["name"]}
    if fields.get("limits") is not None:
        changed["limits"] = merged_limits(world, policy["limits"], fields["limits"])
    if fields.get("spam_detection") is not None:
        changed["spam_detection"] = merged_spam(policy["spam_detection"], fields["spam_detection"])
    if fields.get("options") is not None:
        changed["options"] = {**policy["options"], **fields["options"]}
    if "rules" in fields:
        changed["rules"] = list(fields["rules"] or [])
    changed["updated_at"] = world.clock.seconds()
    shown = world.store.put("policy", changed)
    if world.switches["policy_put_id"] == "absent":
        shown = {name: value for name, value in shown.items() if name != "id"}
    return data(shown)


def delete_policy(world: World, request: Request) -> Reply:
    policy = world.require("policy", request.parameters["policy_id"], what="policy")
    world.store.remove("policy", policy["id"])
    for workspace in world.store.all("workspace"):
        if workspace["policy_id"] == policy["id"]:
            world.store.put("workspace", {**workspace, "policy_id": None})
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/policies", "list_policies", list_policies)
    routes.add("POST", "/v3/policies", "post_policy", post_policy)
    routes.add("GET", "/v3/policies/{policy_id}", "get_policy", get_policy)
    routes.add("PUT", "/v3/policies/{policy_id}", "put_policy", put_policy)
    routes.add("DELETE", "/v3/policies/{policy_id}", "delete_policy", delete_policy)
