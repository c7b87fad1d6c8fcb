"""Rules, lists and policies, for operators' programs. An agent's token has no scope for any of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from approvals import recipients, rulebook
from approvals.people import Right
from gateway.api.app import BODY, refusals, refused
from gateway.callers import Caller, NotThere, Refused, caller_of
from gateway.models import Scope
from gateway.schemas import Line, Strict
from policies import caps, changes, exchange, lists, rules
from policies.faults import Invalid
from policies.models import Policy, Rule, ValueList
from policies.scopes import GLOBAL

router = Router(tags=["policies"])
ITEMS = 1000
ITEM_CHARACTERS = 500
ITEMS_WRITTEN = {200: dict, **refusals(*BODY, 404)}


class Limits(Strict):
    limit_count_daily_email_sent: int = 200
    limit_inbox_retention_period: int = 90
    limit_spam_retention_period: int = 14


class SpamDetection(Strict):
    spam_sensitivity: Annotated[float, Field(allow_inf_nan=False)] = 1.0


class PolicyIn(Strict):
    """The provider's shape, and beside it what the provider does not limit."""

    name: Line
    limits: Limits = Limits()
    spam_detection: SpamDetection = SpamDetection()
    hour_cap: int = 50


class RuleIn(Schema):
    """A rule in the provider's words, as it is documented: `policies.exchange` reads it and names every fault."""

    name: str
    description: str = ""
    priority: int = 10
    enabled: bool = True
    trigger: Literal["outbound", "inbound"] = "inbound"
    match: dict[str, Any]
    actions: list[dict[str, Any]]
    scope: str = "global"


class EnabledIn(Strict):
    enabled: bool
    version: int


class ItemsIn(Strict):
    items: Annotated[
        list[Annotated[str, Field(max_length=ITEM_CHARACTERS)]], Field(min_length=1, max_length=ITEMS)
    ]


@router.get("/policies", response={200: dict, **refusals()}, operation_id="list_policies")
def policies(request: HttpRequest) -> dict[str, Any]:
    _reader(request)
    return {"data": [_policy(row) for row in Policy.objects.order_by("name")]}


@router.post("/policies", response={201: dict, **refusals(*BODY)}, operation_id="create_policy")
def policy_create(request: HttpRequest, payload: PolicyIn) -> Any:
    """Add a policy of caps and retention; it holds for a mailbox or workspace once it is attached there."""
    caller = _editor(request)
    try:
        made = caps.add_policy(
            actor=caller.actor,
            name=payload.name,
            day_cap=payload.limits.limit_count_daily_email_sent,
            hour_cap=payload.hour_cap,
            limit_inbox_retention_period=payload.limits.limit_inbox_retention_period,
            limit_spam_retention_period=payload.limits.limit_spam_retention_period,
            spam_sensitivity=payload.spam_detection.spam_sensitivity,
        )
    except ValidationError as error:
        faults = [
            {"field": _POLICY_FIELDS.get(name, name), "reason": text}
            for name, texts in error.message_dict.items()
            for text in texts
        ]
        return refused(
            request, 400, "invalid_request", faults[0]["reason"], field=faults[0]["field"], fields=faults
        )
    return Status(201, _policy(made))


@router.get("/rules", response={200: dict, **refusals()}, operation_id="list_rules")
def rules_list(request: HttpRequest) -> dict[str, Any]:
    caller = _reader(request)
    return {"data": [_rule(row) for row in rulebook.rules_for(caller.token.owner)]}


@router.post(
    "/rules",
    response={201: dict, **refusals(*BODY)},
    operation_id="create_rule",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": RuleIn.model_json_schema()}},
        }
    },
)
def rule_create(request: HttpRequest) -> Any:
    """Add a rule, in the provider's words or with what our own rules know beyond them."""
    caller = _editor(request)
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        return refused(request, 400, "invalid_request", "the body is no JSON in UTF-8", field="body")
    try:
        made = exchange.added(text, actor=caller.actor, known_scopes=rulebook.all_scopes())
    except Invalid as invalid:
        return _faults(request, invalid)
    return Status(201, _rule(made))


@router.patch("/rules/{id}", response={200: dict, **refusals(*BODY, 404, 409)}, operation_id="update_rule")
def rule_switch(request: HttpRequest, id: int, payload: EnabledIn) -> Any:
    """Enable or disable a rule whose version you saw."""
    caller = _editor(request)
    try:
        return _rule(rules.switch_on(id, payload.enabled, version=payload.version, actor=caller.actor))
    except changes.Conflict as conflict:
        return _conflict(request, conflict)


@router.delete("/rules/{id}", response={204: None, **refusals(400, 404, 409)}, operation_id="delete_rule")
def rule_remove(request: HttpRequest, id: int, version: int) -> Any:
    caller = _editor(request)
    try:
        rules.remove(id, version=version, actor=caller.actor)
    except changes.Conflict as conflict:
        return _conflict(request, conflict)
    return Status(204, None)


@router.get("/lists", response={200: dict, **refusals()}, operation_id="list_lists")
def lists_list(request: HttpRequest) -> dict[str, Any]:
    _reader(request)
    return {"data": [_list(row) for row in ValueList.objects.order_by("name")]}


@router.post("/lists/{id}/items", response=ITEMS_WRITTEN, operation_id="add_list_items")
def items_add(request: HttpRequest, id: int, payload: ItemsIn) -> Any:
    return _with_items(request, id, payload, lists.add_items, "added")


@router.delete("/lists/{id}/items", response=ITEMS_WRITTEN, operation_id="remove_list_items")
def items_remove(request: HttpRequest, id: int, payload: ItemsIn) -> Any:
    return _with_items(request, id, payload, lists.remove_items, "removed")


def _with_items(request: HttpRequest, id: int, payload: ItemsIn, write: Any, word: str) -> Any:
    caller = caller_of(request)
    caller.need(Scope.POLICIES, Right.EDIT_LISTS)
    caller.need_all_mailboxes()
    if not recipients.may_edit(caller.token.owner, GLOBAL):
        raise Refused("this token may not edit lists that hold everywhere")
    if rulebook.value_list(id) is None:
        raise NotThere
    try:
        return {word: write(id, payload.items, actor=caller.actor)}
    except Invalid as invalid:
        return _faults(request, invalid)
    except changes.Conflict as conflict:
        # Only for a list that is gone: values are added and taken whatever its version.
        raise NotThere from conflict


_POLICY_FIELDS = {
    "day_cap": "limits.limit_count_daily_email_sent",
    "limit_inbox_retention_period": "limits.limit_inbox_retention_period",
    "limit_spam_retention_period": "limits.limit_spam_retention_period",
    "spam_sensitivity": "spam_detection.spam_sensitivity",
}


def _reader(request: HttpRequest) -> Caller:
    caller = caller_of(request)
    caller.need(Scope.POLICIES, Right.READ_POLICIES)
    return caller


def _editor(request: HttpRequest) -> Caller:
    caller = caller_of(request)
    caller.need(Scope.POLICIES, Right.EDIT_POLICIES)
    caller.need_all_mailboxes()
    return caller


def _faults(request: HttpRequest, invalid: Invalid) -> Any:
    fields = [{"field": fault.path or "body", "reason": fault.sentence} for fault in invalid.faults]
    return refused(
        request, 400, "invalid_request", fields[0]["reason"], field=fields[0]["field"], fields=fields
    )


def _conflict(request: HttpRequest, conflict: changes.Conflict) -> Any:
    if conflict.current is None:
        raise NotThere
    return refused(
        request, 409, "conflict", "somebody else changed it meanwhile", version=conflict.current.version
    )


def _policy(row: Policy) -> dict[str, Any]:
    return {
        "id": row.pk,
        "version": row.version,
        "name": row.name,
        "limits": {
            "limit_count_daily_email_sent": row.day_cap,
            "limit_inbox_retention_period": row.limit_inbox_retention_period,
            "limit_spam_retention_period": row.limit_spam_retention_period,
        },
        "spam_detection": {"spam_sensitivity": row.spam_sensitivity},
        "hour_cap": row.hour_cap,
    }


def _rule(row: Rule) -> dict[str, Any]:
    return {"id": row.pk, "version": row.version} | exchange.rule_json(row)


def _list(row: ValueList) -> dict[str, Any]:
    return {"id": row.pk, "version": row.version, "name": row.name, "type": row.type}
