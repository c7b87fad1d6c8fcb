"""The provider's JSON into our types. Missing and oddly typed fields are met here and nowhere else."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from agentmail.addresses import ascii_form
from agentmail.bounces import bounce_kind
from agentmail.types import (
    Address,
    AttachmentInfo,
    DraftSnapshot,
    FolderSnapshot,
    GrantSnapshot,
    ListSnapshot,
    MessageSnapshot,
    PolicySnapshot,
    RuleEvaluationSnapshot,
    RuleSnapshot,
    SendActivity,
    ThreadSnapshot,
    WebhookSnapshot,
    WorkspaceSnapshot,
)

_FOLDER_ROLES = {
    "inbox": "inbox",
    "sent": "sent",
    "drafts": "drafts",
    "trash": "trash",
    "junk": "junk",
    "spam": "junk",
    "archive": "archive",
}


def json_content(body: bytes | str) -> Any:
    """Parse JSON strictly: no NaN, no endless numbers or nesting. `ValueError` when it is not that."""
    try:
        return json.loads(body, parse_constant=_no_constants, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def text(value: Any) -> str:
    """The value as text that any database stores: numbers written out, NUL and lone surrogates replaced."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(value)


def storable(value: str) -> str:
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def storable_json(value: Any) -> Any:
    """The same JSON value with every text, keys included, made storable."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(str(key)): storable_json(item) for key, item in value.items()}
    return value


def whole(value: Any) -> int | None:
    """A whole number that fits 64 bits, also from text or a float; None when it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = int(value) if isinstance(value, int | float) else int(str(value).strip())
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def truth(value: Any) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def items(content: Any) -> tuple[list[dict[str, Any]], str]:
    """The objects of a list reply and its cursor, empty when there is none; flat and nested forms alike."""
    if not isinstance(content, dict):
        raise ValueError("a list reply must be an object")
    data = content.get("data")
    cursor = text(content.get("next_cursor"))
    if isinstance(data, dict):
        cursor = cursor or text(data.get("next_cursor"))
        data = next((data[name] for name in ("items", "threads") if name in data), None)
    if data is None:
        data = []
    if not isinstance(data, list):
        raise ValueError("the data of a list reply must be a list")
    return [item for item in data if isinstance(item, dict)], cursor


def one(content: Any) -> dict[str, Any]:
    """The object of a single reply, with or without its envelope. `ValueError` when there is none."""
    if isinstance(content, dict):
        data = content.get("data", content)
        if isinstance(data, dict):
            return data
    raise ValueError("the reply holds no object")


def raw_mime(data: dict[str, Any]) -> bytes:
    """The source of a message, which comes in base64url, padded or not. `ValueError` when there is none."""
    value = data.get("raw_mime")
    if not isinstance(value, str) or not value:
        raise ValueError("the reply holds no source of a message")
    written = "".join(value.split()).rstrip("=")
    return base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)


def addresses(value: Any) -> tuple[Address, ...]:
    """Participants from a list of objects or of plain texts, or from one of either.

    International domains become A-labels: a send to other letters fails, and only one form can be compared.
    """
    if isinstance(value, dict | str):
        value = [value]
    if not isinstance(value, list):
        return ()
    return tuple(
        Address(email=ascii_form(text(entry.get("email"))), name=text(entry.get("name")))
        if isinstance(entry, dict)
        else Address(email=ascii_form(text(entry)))
        for entry in value
        if isinstance(entry, dict | str)
    )


def metadata(value: Any) -> dict[str, str]:
    return {text(key): text(item) for key, item in value.items()} if isinstance(value, dict) else {}


def attachments(value: Any) -> tuple[AttachmentInfo, ...]:
    return tuple(_attachment(entry) for entry in _objects(value))


def draft(data: dict[str, Any], *, grant_id: str = "") -> DraftSnapshot:
    return DraftSnapshot(
        id=_id(data, "id"),
        grant_id=text(data.get("grant_id")) or grant_id,
        thread_id=text(data.get("thread_id")),
        from_=addresses(data.get("from")),
        to=addresses(data.get("to")),
        cc=addresses(data.get("cc")),
        bcc=addresses(data.get("bcc")),
        reply_to=addresses(data.get("reply_to")),
        subject=text(data.get("subject")),
        body=text(data.get("body")),
        attachments=attachments(data.get("attachments")),
        metadata=metadata(data.get("metadata")),
        reply_to_message_id=text(data.get("reply_to_message_id")),
        date=whole(data.get("date")),
    )


def message(data: dict[str, Any], *, grant_id: str = "") -> MessageSnapshot:
    return MessageSnapshot(
        id=_id(data, "id"),
        grant_id=text(data.get("grant_id")) or grant_id,
        thread_id=text(data.get("thread_id")),
        from_=addresses(data.get("from")),
        to=addresses(data.get("to")),
        cc=addresses(data.get("cc")),
        bcc=addresses(data.get("bcc")),
        reply_to=addresses(data.get("reply_to")),
        subject=text(data.get("subject")),
        body=text(data.get("body")),
        date=whole(data.get("date")),
        snippet=text(data.get("snippet")),
        folders=_texts(data.get("folders")),
        attachments=attachments(data.get("attachments")),
        metadata=metadata(data.get("metadata")),
        headers=tuple(
            (text(entry.get("name")), text(entry.get("value"))) for entry in _objects(data.get("headers"))
        ),
    )


def thread(data: dict[str, Any], *, grant_id: str = "") -> ThreadSnapshot:
    return ThreadSnapshot(
        id=_id(data, "id"),
        grant_id=text(data.get("grant_id")) or grant_id,
        subject=text(data.get("subject")),
        participants=addresses(data.get("participants")),
        message_ids=_texts(data.get("message_ids")),
        draft_ids=_texts(data.get("draft_ids")),
        latest_message_received_date=whole(data.get("latest_message_received_date")),
        latest_message_sent_date=whole(data.get("latest_message_sent_date")),
    )


def grant(data: dict[str, Any]) -> GrantSnapshot:
    settings = data.get("settings")
    email = data.get("email") or (settings.get("email") if isinstance(settings, dict) else "")
    return GrantSnapshot(
        id=_id(data, "id"),
        email=text(email),
        name=text(data.get("name")),
        provider=text(data.get("provider")),
        is_valid=text(data.get("grant_status")) == "valid",
        is_blocked=truth(data.get("blocked")),
        workspace_id=text(data.get("workspace_id")),
    )


def folder(data: dict[str, Any]) -> FolderSnapshot:
    name = text(data.get("name"))
    attributes = [attribute.lstrip("\\").lower() for attribute in _texts(data.get("attributes"))]
    candidates: Iterable[str] = [*attributes, name.lower()]
    role = next((_FOLDER_ROLES[candidate] for candidate in candidates if candidate in _FOLDER_ROLES), "")
    return FolderSnapshot(id=_id(data, "id"), name=name, role=role)


def rule_evaluation(data: dict[str, Any], *, grant_id: str = "") -> RuleEvaluationSnapshot:
    evaluation_input = data.get("evaluation_input")
    applied_actions = data.get("applied_actions")
    return RuleEvaluationSnapshot(
        id=_id(data, "id"),
        grant_id=text(data.get("grant_id")) or grant_id,
        message_id=text(data.get("message_id")),
        evaluated_at=whole(data.get("evaluated_at")) or 0,
        stage=text(data.get("evaluation_stage")),
        evaluation_input=storable_json(evaluation_input) if isinstance(evaluation_input, dict) else {},
        applied_actions=storable_json(applied_actions) if isinstance(applied_actions, dict) else {},
        matched_rule_ids=_texts(data.get("matched_rule_ids")),
    )


def policy(data: dict[str, Any], *, policy_id: str = "") -> PolicySnapshot:
    """A policy; `policy_id` is taken where the reply names none, as replies to a change may (nylas-v3 section 7.1)."""
    return PolicySnapshot(
        id=text(data.get("id")) or policy_id or _id(data, "id"),
        name=text(data.get("name")),
        limits=_object(data.get("limits")),
        spam_detection=_object(data.get("spam_detection")),
        updated_at=whole(data.get("updated_at")),
    )


def rule(data: dict[str, Any]) -> RuleSnapshot:
    match = _object(data.get("match"))
    return RuleSnapshot(
        id=_id(data, "id"),
        name=text(data.get("name")),
        description=text(data.get("description")),
        priority=whole(data.get("priority")) or 0,
        is_enabled=truth(data.get("enabled")),
        trigger=text(data.get("trigger")) or "inbound",
        match={
            "operator": text(match.get("operator")) or "all",
            "conditions": [_condition(entry) for entry in _objects(match.get("conditions"))],
        },
        actions=tuple(_action(entry) for entry in _objects(data.get("actions"))),
        updated_at=whole(data.get("updated_at")),
    )


def list_(data: dict[str, Any]) -> ListSnapshot:
    return ListSnapshot(
        id=_id(data, "id"),
        name=text(data.get("name")),
        description=text(data.get("description")),
        type=text(data.get("type")),
        items_count=whole(data.get("items_count")) or 0,
        updated_at=whole(data.get("updated_at")),
    )


def list_item(data: dict[str, Any]) -> str:
    return _id(data, "value")


def workspace(data: dict[str, Any]) -> WorkspaceSnapshot:
    return WorkspaceSnapshot(
        id=_id(data, "workspace_id"),
        name=text(data.get("name")),
        domain=text(data.get("domain")),
        is_default=truth(data.get("default")),
        is_auto_grouped=truth(data.get("auto_group")),
        policy_id=text(data.get("policy_id")),
        rule_ids=_texts(data.get("rule_ids")),
        updated_at=whole(data.get("updated_at")),
    )


def moved_grants(data: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _texts(data.get("grants_assigned")), _texts(data.get("grants_removed"))


def send_activity(data: dict[str, Any]) -> SendActivity:
    status = kind = text(data.get("event_type"))
    detail = data.get("detail")
    diagnostic = text(detail.get("diagnostic_code")) if isinstance(detail, dict) else ""
    described = f"{diagnostic} {text(data.get('reason'))}".strip()
    code = ""
    if status == "bounced":
        kind, code = bounce_kind(described)
        # The provider's own class counts; where it is undetermined the status code does.
        given = {"hard": "hard_bounce", "soft": "soft_bounce"}.get(text(data.get("bounce_class")))
        kind = given or kind
    return SendActivity(
        message_id=text(data.get("message_id")),
        grant_id=text(data.get("grant_id")),
        recipient=_id(data, "recipient"),
        status=status,
        at=whole(data.get("timestamp")),
        kind=kind,
        code=code,
        detail=described[:500],
    )


def webhook(data: dict[str, Any]) -> WebhookSnapshot:
    return WebhookSnapshot(
        id=_id(data, "id"),
        url=text(data.get("webhook_url")),
        trigger_types=_texts(data.get("trigger_types")),
        status=text(data.get("status")),
        secret=text(data.get("webhook_secret")),
    )


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return number


def _id(data: dict[str, Any], name: str) -> str:
    found = text(data.get(name))
    if not found:
        raise ValueError(f"the object has no {name}")
    return found


def _object(value: Any) -> dict[str, Any]:
    return storable_json(value) if isinstance(value, dict) else {}


def _condition(data: dict[str, Any]) -> dict[str, Any]:
    value = data.get("value")
    return {
        "field": text(data.get("field")),
        "operator": text(data.get("operator")),
        "value": list(_texts(value)) if isinstance(value, list) else text(value),
    }


def _action(data: dict[str, Any]) -> dict[str, str]:
    value = text(data.get("value"))
    return {"type": text(data.get("type"))} | ({"value": value} if value else {})


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text(entry) for entry in value if text(entry)) if isinstance(value, list) else ()


def _attachment(data: dict[str, Any]) -> AttachmentInfo:
    disposition = text(data.get("content_disposition")).strip().lower()
    return AttachmentInfo(
        id=text(data.get("id")),
        filename=text(data.get("filename")),
        content_type=text(data.get("content_type")),
        size=max(0, whole(data.get("size")) or 0),
        content_id=text(data.get("content_id")).strip("<> "),
        is_inline=truth(data.get("is_inline")) or disposition.startswith("inline"),
    )
