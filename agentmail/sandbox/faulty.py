"""What a fault rule does to the request it fires for, before and after the work of the route."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from .attachments import swap_content
from .control import customer_message, find_grant
from .drafts import change_draft
from .errors import ApiError, invalid
from .exchange import Conduct, Reply, Request
from .faults import Fault
from .store import Record
from .world import World

LONGEST_DELAY_SECONDS = 600.0
# The status of a request that was dropped before any work: there is no outcome to remember.
NOT_PROCESSED = 0


def before_request(world: World, request: Request, faults: list[Fault]) -> Reply | None:
    """Do what rules want done before the work; return a reply when the work must not be done at all."""
    for fault in faults:
        if fault.when != "before":
            _take_effect(request, fault)
            continue
        if fault.action == "reply":
            return spoken(fault, accepted=False)
        if fault.action in {"reset", "silence"}:
            return Reply(NOT_PROCESSED, {}, conduct=Conduct(fault.action))
        _take_effect(request, fault)
        _change_the_world(world, request, fault)
    return None


def after_request(world: World, request: Request, faults: list[Fault], reply: Reply) -> Reply:
    """Do what rules want done after the work, and spoil the reply as they say."""
    for fault in faults:
        if fault.action == "partial" and reply.accepted:
            error = {"error": {"type": "provider_error", "message": "Some recipients were refused"}}
            reply = Reply(402, error, accepted=True)
        if fault.when != "after":
            continue
        if fault.action == "reply":
            reply = spoken(fault, accepted=reply.accepted)
        elif fault.action in {"reset", "silence", "truncate", "wrong_json", "empty"}:
            reply.conduct = Conduct(fault.action, fault.options.get("at_bytes"))
        else:
            _change_the_world(world, request, fault)
    return reply


def spoken(fault: Fault, *, accepted: bool) -> Reply:
    """Return the reply a rule dictates."""
    status = int(fault.options.get("status", 502))
    default = {"error": {"type": "api.internal_error", "message": f"Status {status} by rule"}}
    if status == 429:
        default = {"error": {"type": "rate_limit_error", "message": "Too many requests"}}
    body = fault.options.get("body", default)
    content_type = str(fault.options.get("content_type", "application/json"))
    headers = {str(name): str(value) for name, value in (fault.options.get("headers") or {}).items()}
    return Reply(
        status, body.encode() if isinstance(body, str) else body, headers, content_type, accepted=accepted
    )


def _take_effect(request: Request, fault: Fault) -> None:
    if fault.action in {"hide_sent_copy", "hide_metadata"}:
        request.effects[fault.action] = fault.options.get("seconds", "for_ever")
    elif fault.action == "partial":
        request.effects["taken_recipients"] = fault.options.get("recipients", 1)


def _change_the_world(world: World, request: Request, fault: Fault) -> None:
    if fault.action == "delay":
        time.sleep(min(float(fault.options.get("ms", 1000)) / 1000, LONGEST_DELAY_SECONDS))
        return
    change = CHANGES.get(fault.action)
    if change is None:
        return
    with world.store.change():
        try:
            change(world, request, fault.options)
        except ApiError as refusal:
            # A rule that cannot act is a mistake in the test; the list of rules shows it.
            fault.options = {**fault.options, "problem": str(refusal)}


def _edit_draft(world: World, request: Request, options: dict[str, Any]) -> None:
    draft_id = options.get("draft_id") or request.parameters.get("draft_id", "")
    draft = world.require("draft", draft_id, what="draft")
    change_draft(world, draft, options.get("patch") or {"body": draft["body"] + " (edited)"}, [])


def _thread_of(world: World, request: Request, options: dict[str, Any]) -> str | None:
    if options.get("thread_id") or request.parameters.get("thread_id"):
        return str(options.get("thread_id") or request.parameters["thread_id"])
    draft = world.store.get("draft", request.parameters.get("draft_id", ""))
    if draft is not None:
        return draft["thread_id"] or None
    if request.route != "send_message" or not request.headers.get("content-type", "").startswith(
        "application/json"
    ):
        return None
    answered: Record | None = world.store.get("message", str(request.json().get("reply_to_message_id") or ""))
    return answered["thread_id"] if answered else None


def _insert_message(world: World, request: Request, options: dict[str, Any]) -> None:
    grant = find_grant(world, options.get("grant") or request.parameters.get("grant_id"))
    thread_id = _thread_of(world, request, options)
    mail = {
        "subject": "Re: one more thing",
        "body": "Wait, one more thing.",
        **(options.get("message") or {}),
    }
    customer_message(world, grant, {**mail, "thread_id": thread_id} if thread_id else mail)


def _revoke_grant(world: World, request: Request, options: dict[str, Any]) -> None:
    world.revoke(find_grant(world, options.get("grant") or request.parameters.get("grant_id")))


def _swap_attachment(world: World, request: Request, options: dict[str, Any]) -> None:
    attachment_id = options.get("attachment_id") or request.parameters.get("attachment_id", "")
    if not attachment_id:
        raise invalid("attachment_id is required")
    swap_content(world, attachment_id, base64.b64decode(options.get("content") or "c3dhcHBlZA=="))


CHANGES: dict[str, Callable[[World, Request, dict[str, Any]], None]] = {
    "edit_draft": _edit_draft,
    "insert_message": _insert_message,
    "revoke_grant": _revoke_grant,
    "swap_attachment": _swap_attachment,
}
