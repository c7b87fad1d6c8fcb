from __future__ import annotations

import uuid
from typing import Any

from .errors import invalid
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing
from .world import World

# The larger plan's maxima, in bytes, pieces and days; -1 is unlimited.
PLAN_LIMITS: dict[str, Any] = {
    "limit_attachment_size_limit": 50 * 1024 * 1024,
    "limit_attachment_count_limit": 20,
    "limit_attachment_allowed_types": [],
    "limit_size_total_mime": 100 * 1024 * 1024,
    "limit_storage_total": 10 * 1024**3,
    "limit_count_daily_message_received": -1,
    "limit_count_daily_email_sent": -1,
    "limit_inbox_retention_period": 365,
    "limit_spam_retention_period": 30,
}
MAY_BE_UNLIMITED = frozenset({"limit_count_daily_message_received", "limit_count_daily_email_sent"})
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


def merged_limits(stored: dict[str, Any], changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise invalid("limits must be an object")
    limits = {**stored}
    for name, value in changes.items():
        # Older SDKs name the sent cap differently.
        name = "limit_count_daily_email_sent" if name == "limit_count_daily_message_per_grant" else name
        if name not in PLAN_LIMITS:
            continue
        if name == "limit_attachment_allowed_types":
            limits[name] = list(value or [])
            continue
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < -1:
            raise invalid(f"limits.{name} must be a whole number of at least -1")
        largest = PLAN_LIMITS[name]
        if (value == -1 and name not in MAY_BE_UNLIMITED) or (largest != -1 and value > largest):
            raise invalid(f"limits.{name} is above the maximum of the plan, {largest}")
        limits[name] = value
    if limits["limit_spam_retention_period"] >= limits["limit_inbox_retention_period"]:
        raise invalid("limits.limit_spam_retention_period must be shorter than the inbox retention")
    return limits


def merged_spam(stored: dict[str, Any], changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise invalid("spam_detection must be an object")
    merged = {**stored, **{name: value for name, value in changes.items() if name in SPAM_DEFAULTS}}
    if not 0.1 <= float(merged["spam_sensitivity"]) <= 5.0:
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
        "limits": merged_limits(PLAN_LIMITS, fields.get("limits") or {}),
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
        changed["limits"] = merged_limits(policy["limits"], fields["limits"])
    if fields.get("spam_detection") is not None:
        changed["spam_detection"] = merged_spam(policy["spam_detection"], fields["spam_detection"])
    if fields.get("options") is not None:
        changed["options"] = {**policy["options"], **fields["options"]}
    if "rules" in fields:
        changed["rules"] = list(fields["rules"] or [])
    changed["updated_at"] = world.clock.seconds()
    return data(world.store.put("policy", changed))


def delete_policy(world: World, request: Request) -> Reply:
    policy = world.require("policy", request.parameters["policy_id"], what="policy")
    world.store.remove("policy", policy["id"])
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/policies", "list_policies", list_policies)
    routes.add("POST", "/v3/policies", "post_policy", post_policy)
    routes.add("GET", "/v3/policies/{policy_id}", "get_policy", get_policy)
    routes.add("PUT", "/v3/policies/{policy_id}", "put_policy", put_policy)
    routes.add("DELETE", "/v3/policies/{policy_id}", "delete_policy", delete_policy)
