"""Rules of the application, evaluated for mail in both directions, and the record kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .exchange import Reply, Request, Routes
from .paging import by_position, listing
from .people import RECIPIENT_FIELDS
from .store import Record
from .world import World

MARKS = {
    "mark_as_spam": "marked_as_spam",
    "mark_as_read": "marked_as_read",
    "mark_as_starred": "marked_starred",
    "archive": "archived",
    "trash": "trashed",
}


@dataclass(slots=True)
class Verdict:
    is_blocked: bool = False
    is_broken: bool = False
    rule_ids: list[str] = field(default_factory=list)
    applied: dict[str, Any] = field(default_factory=dict)


def _parts(address: str) -> tuple[str, str, str]:
    address = address.lower()
    domain = address.rpartition("@")[2]
    return address, domain, domain.rpartition(".")[2]


def evaluation_input(record: Record, *, is_outbound: bool) -> dict[str, Any]:
    sender = _parts(record["from"][0]["email"] if record["from"] else "")
    facts: dict[str, Any] = dict(zip(("from_address", "from_domain", "from_tld"), sender, strict=True))
    if is_outbound:
        recipients = [_parts(person["email"]) for name in RECIPIENT_FIELDS for person in record[name]]
        for position, name in enumerate(("recipient_addresses", "recipient_domains", "recipient_tlds")):
            facts[name] = list(dict.fromkeys(recipient[position] for recipient in recipients))
        facts["outbound_type"] = (
            "reply" if record["reply_to_message_id"] or record.get("is_reply") else "compose"
        )
    return facts


def _values(facts: dict[str, Any], name: str) -> list[str]:
    owner, _, part = name.partition(".")
    if name == "outbound.type":
        return [facts.get("outbound_type", "")]
    if owner == "from":
        return [facts[f"from_{part}"]]
    plural = {"address": "addresses", "domain": "domains", "tld": "tlds"}[part]
    return facts.get(f"recipient_{plural}", [])


def _holds(world: World, condition: dict[str, Any], facts: dict[str, Any]) -> bool:
    values, operator, wanted = _values(facts, condition["field"]), condition["operator"], condition["value"]
    if operator == "in_list":
        items: set[str] = set()
        for list_id in wanted:
            if world.store.get("list", list_id) is not None:
                items.update(
                    entry["value"] for entry in world.store.all("list_item") if entry["list_id"] == list_id
                )
        return any(value in items for value in values)
    wanted = str(wanted).lower()
    if operator == "is":
        return any(value == wanted for value in values)
    if operator == "is_not":
        return all(value != wanted for value in values)
    return any(wanted in value for value in values)


def _rules(world: World, grant: Record, trigger: str) -> list[Record]:
    workspace = world.store.get("workspace", grant["workspace_id"] or "")
    attached = set((workspace or {}).get("rule_ids") or [])
    is_for_all = trigger == "outbound" and world.switches["outbound_rule_scope"] == "application"
    rules = [
        rule
        for rule in world.store.all("rule")
        if rule["enabled"] and rule["trigger"] == trigger and (is_for_all or rule["id"] in attached)
    ]
    return sorted(rules, key=lambda rule: rule["priority"])


def evaluate(world: World, grant: Record, facts: dict[str, Any], trigger: str) -> Verdict:
    """Apply the rules of a mailbox to the facts of one message, lowest priority number first."""
    verdict = Verdict()
    if trigger == "outbound" and world.switches["rule_engine_broken"]:
        return Verdict(is_broken=True, applied={"blocked_by_evaluation_error": True})
    for rule in _rules(world, grant, trigger):
        results = [_holds(world, condition, facts) for condition in rule["match"]["conditions"]]
        if not (any(results) if rule["match"]["operator"] == "any" else all(results)):
            continue
        verdict.rule_ids.append(rule["id"])
        for action in rule["actions"]:
            if action["type"] == "block":
                verdict.is_blocked = True
                verdict.applied["blocked"] = True
                return verdict
            if action["type"] in MARKS:
                verdict.applied[MARKS[action["type"]]] = True
            else:
                _assign(world, grant, action, verdict)
    return verdict


def _assign(world: World, grant: Record, action: dict[str, Any], verdict: Verdict) -> None:
    name = str(action.get("value") or "").rpartition("/")[2].lower()
    folder_id = world.folder_ids(grant["id"]).get(name)
    if folder_id is not None:
        verdict.applied.setdefault("folder_ids", []).append(folder_id)


def apply_verdict(world: World, message: Record, verdict: Verdict) -> None:
    """Put the marks and folders of a verdict on a stored message."""
    folders = world.folder_ids(message["grant_id"])
    applied = verdict.applied
    if applied.get("marked_as_read"):
        message["unread"] = False
    if applied.get("marked_starred"):
        message["starred"] = True
    for mark, folder in (("marked_as_spam", "junk"), ("archived", "archive"), ("trashed", "trash")):
        if applied.get(mark):
            message["folders"] = [folders[folder]]
    if applied.get("folder_ids"):
        message["folders"] = list(applied["folder_ids"])


def keep_evaluation(
    world: World,
    grant: Record,
    facts: dict[str, Any],
    verdict: Verdict,
    *,
    stage: str,
    message_id: str | None,
) -> Record:
    now = world.clock.seconds()
    evaluation = {
        "id": str(world.new_uuid()),
        "grant_id": grant["id"],
        "message_id": message_id,
        "evaluated_at": now,
        "evaluation_stage": stage,
        "evaluation_input": facts,
        "applied_actions": verdict.applied,
        "matched_rule_ids": verdict.rule_ids,
        **world.ownership,
        "created_at": now,
        "updated_at": now,
    }
    if message_id is None and world.switches["blocked_evaluation_message_id"] == "absent":
        del evaluation["message_id"]
    return world.store.put("evaluation", evaluation)


def list_evaluations(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    evaluations = [
        entry for entry in reversed(world.store.all("evaluation")) if entry["grant_id"] == grant_id
    ]
    page, cursor, last = by_position(world, request, evaluations)
    return listing(world, page, cursor, last)


def add_routes(routes: Routes) -> None:
    routes.add("GET", "/v3/grants/{grant_id}/rule-evaluations", "list_evaluations", list_evaluations)
