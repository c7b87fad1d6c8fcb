from __future__ import annotations

import uuid
from typing import Any

from .errors import invalid
from .exchange import Reply, Request, Routes, data
from .paging import by_position, listing
from .plans import require_room
from .policies import read_name
from .world import World

SENDER_FIELDS = frozenset({"from.address", "from.domain", "from.tld"})
OUTBOUND_FIELDS = SENDER_FIELDS | {"recipient.address", "recipient.domain", "recipient.tld", "outbound.type"}
OPERATORS = frozenset({"is", "is_not", "contains", "in_list"})
ACTIONS = frozenset(
    {"block", "mark_as_spam", "assign_to_folder", "mark_as_read", "mark_as_starred", "archive", "trash"}
)
MOST_CONDITIONS = 50
MOST_ACTIONS = 20


def read_condition(world: World, raw: Any, trigger: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise invalid("match.conditions must be objects")
    field, operator, value = raw.get("field"), raw.get("operator"), raw.get("value")
    if field not in (OUTBOUND_FIELDS if trigger == "outbound" else SENDER_FIELDS):
        raise invalid(f"match.conditions.field {field!r} does not fit the trigger {trigger}")
    if operator not in OPERATORS:
        raise invalid(f"match.conditions.operator must be one of {', '.join(sorted(OPERATORS))}")
    if field == "outbound.type":
        if operator not in {"is", "is_not"} or str(value).lower() not in {"compose", "reply"}:
            raise invalid("outbound.type is or is_not compose or reply")
        return {"field": field, "operator": operator, "value": str(value).lower()}
    if operator == "in_list":
        ids = value if isinstance(value, list) else [value]
        for list_id in ids:
            if world.store.get("list", str(list_id)) is None:
                raise invalid(f"invalid list ID {list_id} (invalid_field)")
        return {"field": field, "operator": operator, "value": ids}
    if not isinstance(value, str) or not value:
        raise invalid("match.conditions.value must be a string")
    return {"field": field, "operator": operator, "value": value}


def read_match(world: World, raw: Any, trigger: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or not isinstance(raw.get("conditions"), list):
        raise invalid("match.conditions is required")
    if not 1 <= len(raw["conditions"]) <= MOST_CONDITIONS:
        raise invalid(f"match.conditions has 1 to {MOST_CONDITIONS} entries")
    operator = raw.get("operator") or "all"
    if operator not in {"all", "any"}:
        raise invalid("match.operator must be all or any")
    return {
        "operator": operator,
        "conditions": [read_condition(world, condition, trigger) for condition in raw["conditions"]],
    }


def read_actions(raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_ACTIONS:
        raise invalid(f"actions has 1 to {MOST_ACTIONS} entries")
    for action in raw:
        if not isinstance(action, dict) or action.get("type") not in ACTIONS:
            raise invalid(f"actions.type must be one of {', '.join(sorted(ACTIONS))}")
        if action["type"] == "assign_to_folder" and not action.get("value"):
            raise invalid("actions.value must name a folder")
        if action["type"] == "block" and len(raw) > 1:
            raise invalid("block must be the only action")
    return raw


def apply_fields(world: World, rule: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the rule with the fields given set, all of them checked against each other."""
    changed = {**rule, **{name: value for name, value in fields.items() if name in rule}}
    changed["name"] = read_name(changed, is_required=True)
    if changed["trigger"] not in {"inbound", "outbound"}:
        raise invalid("trigger must be inbound or outbound")
    priority = changed["priority"]
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 1000:
        raise invalid("priority is a whole number from 0 to 1000")
    if not isinstance(changed["enabled"], bool):
        raise invalid("enabled must be a boolean")
    changed["match"] = read_match(world, changed["match"], changed["trigger"])
    changed["actions"] = read_actions(changed["actions"])
    return changed


def post_rule(world: World, request: Request) -> Reply:
    require_room(world, "rule")
    now = world.clock.seconds()
    blank = {
        "name": "",
        "description": "",
        "priority": 10,
        "enabled": True,
        "trigger": "inbound",
        "match": None,
        "actions": None,
    }
    rule = {
        "id": str(uuid.uuid4()),
        **apply_fields(world, blank, request.json()),
        **world.ownership,
        "created_at": now,
        "updated_at": now,
    }
    return data(world.store.put("rule", rule), 201)


def list_rules(world: World, request: Request) -> Reply:
    page, cursor, last = by_position(world, request, world.store.all("rule"))
    reply = listing(world, page, cursor, last)
    if world.switches["rules_list"] == "flat" or not isinstance(reply.body, dict):
        return reply
    return data({"items": page or None, "next_cursor": reply.body.get("next_cursor")})


def get_rule(world: World, request: Request) -> Reply:
    return data(world.require("rule", request.parameters["rule_id"], what="rule"))


def put_rule(world: World, request: Request) -> Reply:
    rule = world.require("rule", request.parameters["rule_id"], what="rule")
    own = ("name", "description", "priority", "enabled", "trigger", "match", "actions")
    changed = apply_fields(world, {name: rule[name] for name in own}, request.json())
    return data(world.store.put("rule", {**rule, **changed, "updated_at": world.clock.seconds()}))


def delete_rule(world: World, request: Request) -> Reply:
    rule = world.require("rule", request.parameters["rule_id"], what="rule")
    world.store.remove("rule", rule["id"])
    for workspace in world.store.all("workspace"):
        if rule["id"] in (workspace["rule_ids"] or []):
            workspace["rule_ids"] = [id for id in workspace["rule_ids"] if id != rule["id"]]
            world.store.put("workspace", workspace)
    return Reply(200, {})


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/rules", "list_rules", list_rules)
    routes.add("POST", "/v3/rules", "post_rule", post_rule)
    routes.add("GET", "/v3/rules/{rule_id}", "get_rule", get_rule)
    routes.add("PUT", "/v3/rules/{rule_id}", "put_rule", put_rule)
    routes.add("DELETE", "/v3/rules/{rule_id}", "delete_rule", delete_rule)
