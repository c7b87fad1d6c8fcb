"""The control API under /_sandbox/: the hand of a test or a demonstration in the provider's world."""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from typing import Any

from . import scenario
from .arriving import receive
from .attachments import read_attachments, swap_content
from .drafts import change_draft, create_draft, draft_object
from .errors import ApiError, invalid, not_found
from .exchange import Reply, Request, Routes
from .messages import message_object
from .outcomes import report
from .people import read_people
from .sending import send_by_hand, write_by_hand
from .store import Record
from .threads import thread_object
from .webhooks import TRIGGERS, add_webhook, webhook_object
from .webhooks import read_fields as read_webhook
from .world import World

OUTCOMES = frozenset({"delivered", "hard_bounce", "soft_bounce", "complaint", "rejected"})
LONGEST_WAIT_SECONDS = 60.0


def find_grant(world: World, name: Any) -> Record:
    """Return the grant with this id or address; without a name, the only one there is."""
    grants = world.store.all("grant")
    if not name and len(grants) == 1:
        return grants[0]
    grant = world.find_grant(str(name or ""))
    if grant is None:
        raise not_found("grant")
    return grant


def health(world: World, request: Request) -> Reply:
    return Reply(
        200, {"ok": True, "now": world.clock.now(), "seed": world.seed, "generation": world.generation}
    )


def reset(world: World, request: Request) -> Reply:
    fields = request.json()
    world.reset(seed=fields.get("seed"), keep_webhooks=bool(fields.get("keep_webhooks")))
    world.switches.change(fields.get("switches") or {})
    if fields.get("scenario", "empty") == "demo":
        scenario.seed_demo(world)
    grants = [add_grant(world, grant) for grant in fields.get("grants") or []]
    return Reply(200, {"ok": True, "grants": grants, "generation": world.generation})


def add_grant(world: World, fields: dict[str, Any]) -> Record:
    if not isinstance(fields.get("email"), str):
        raise invalid("email is required")
    return world.create_grant(
        email=fields["email"],
        name=str(fields.get("name") or ""),
        provider=str(fields.get("provider") or "nylas"),
        id=str(fields.get("id") or ""),
        workspace_id=str(fields.get("workspace_id") or ""),
    )


def post_grant(world: World, request: Request) -> Reply:
    return Reply(200, {"grant": add_grant(world, request.json())})


def patch_grant(world: World, request: Request) -> Reply:
    grant = find_grant(world, request.parameters["grant_id"])
    fields = request.json()
    unknown = set(fields) - {"grant_status", "blocked", "name"}
    if unknown:
        raise invalid(f"unknown fields: {', '.join(sorted(unknown))}")
    if fields.get("grant_status") == "invalid" and grant["grant_status"] == "valid":
        world.revoke(grant)
    was_invalid = grant["grant_status"] != "valid"
    with world.store.change():
        grant.update(fields)
        world.store.put("grant", grant)
    if was_invalid and fields.get("grant_status") == "valid":
        world.emit_grant("grant.updated", grant, 25014)
    return Reply(200, {"grant": grant})


def get_switches(world: World, request: Request) -> Reply:
    return Reply(200, {"switches": world.switches.as_json()})


def patch_switches(world: World, request: Request) -> Reply:
    world.switches.change(request.json())
    return get_switches(world, request)


def list_faults(world: World, request: Request) -> Reply:
    return Reply(200, {"faults": [fault.as_json() for fault in world.faults.all()]})


def add_fault(world: World, request: Request) -> Reply:
    return Reply(200, {"fault": world.faults.add(request.json()).as_json()})


def clear_faults(world: World, request: Request) -> Reply:
    world.faults.clear()
    return Reply(200, {"ok": True})


def remove_fault(world: World, request: Request) -> Reply:
    id = request.parameters["fault_id"]
    if not id.isdecimal() or not world.faults.remove(int(id)):
        raise not_found("fault")
    return Reply(200, {"ok": True})


def get_clock(world: World, request: Request) -> Reply:
    return Reply(200, {"now": world.clock.now(), "offset_seconds": world.clock.offset})


def set_clock(world: World, request: Request) -> Reply:
    fields = request.json()
    offset = float(fields.get("offset_seconds", world.clock.offset)) + float(fields.get("advance_seconds", 0))
    world.agenda.shift(world.clock.set_offset(offset))
    return get_clock(world, request)


def read_log(world: World, request: Request) -> Reply:
    return Reply(200, {"sends": world.sends.entries(after=request.whole_number("after") or 0)})


def read_arrivals(world: World, request: Request) -> Reply:
    return Reply(200, {"arrivals": world.arrivals.entries(after=request.whole_number("after") or 0)})


def dump_state(world: World, request: Request) -> Reply:
    store = world.store
    return Reply(
        200,
        {
            "now": world.clock.now(),
            "application": world.application,
            "grants": store.all("grant"),
            "folders": store.all("folder"),
            "messages": [{**message_object(world, entry), **_inner(entry)} for entry in store.all("message")],
            "drafts": [
                {**draft_object(world, entry), "reply_to_message_id": entry["reply_to_message_id"]}
                for entry in store.all("draft")
            ],
            "threads": sorted({entry["thread_id"] for entry in store.all("message")}),
            "webhooks": [webhook_object(webhook, with_secret=True) for webhook in store.all("webhook")],
            "work": store.all("work"),
            "counts": {
                "sends": len(world.sends.entries()),
                "arrivals": len(world.arrivals.entries()),
                "events": len(world.events.emitted),
            },
        },
    )


def _inner(message: Record) -> dict[str, Any]:
    names = ("is_outbound", "message_id", "reply_to_message_id", "visible_from", "metadata_from")
    return {name: message[name] for name in names if name in message}


def write_as_customer(world: World, request: Request) -> Reply:
    fields = request.json()
    grant = find_grant(world, fields.get("grant"))
    return Reply(200, customer_message(world, grant, fields))


def customer_message(world: World, grant: Record, fields: dict[str, Any]) -> dict[str, Any]:
    """File a message of a customer as the control API describes it."""
    sender = read_people(
        fields.get("from") or {"email": "customer@example.net", "name": "Casey Customer"}, "from"
    )[0]
    body = fields.get("body", "Hello, could you help me with this?")
    size = fields.get("body_bytes")
    if size:
        body = body + "x" * max(0, int(size) - len(body))
    with world.store.change():
        attachments = read_attachments(world, fields.get("attachments"), [])
    message = receive(
        world,
        grant,
        {
            "from": sender,
            "to": read_people(fields.get("to"), "to"),
            "cc": read_people(fields.get("cc"), "cc"),
            "reply_to": read_people(fields.get("reply_to"), "reply_to"),
            "subject": fields.get("subject", "A question"),
            "body": body,
            "plain_part": fields.get("plain_part"),
            "source": fields.get("source"),
            "attachments": attachments,
            "headers": fields.get("headers") or [],
            "thread_id": fields.get("thread_id"),
            "in_reply_to": fields.get("in_reply_to"),
            "message_id": fields.get("message_id"),
            "date": fields.get("date"),
        },
    )
    return {
        "message_id": message["id"],
        "thread_id": message["thread_id"],
        "internet_message_id": message["message_id"],
        "date": message["date"],
    }


def write_as_agent(world: World, request: Request) -> Reply:
    fields = request.json()
    grant = find_grant(world, fields.pop("grant", None))
    return Reply(200, {"draft": draft_object(world, create_draft(world, grant, fields, []))})


def find_draft(world: World, request: Request) -> Record:
    return world.require("draft", request.parameters["draft_id"], what="draft")


def change_as_agent(world: World, request: Request) -> Reply:
    return Reply(
        200,
        {"draft": draft_object(world, change_draft(world, find_draft(world, request), request.json(), []))},
    )


def delete_as_agent(world: World, request: Request) -> Reply:
    draft = find_draft(world, request)
    world.store.remove("draft", draft["id"])
    return Reply(200, {"ok": True})


def send_as_agent(world: World, request: Request) -> Reply:
    draft = find_draft(world, request)
    message = send_by_hand(world, world.require("grant", draft["grant_id"]), draft, "agent")
    return Reply(200, {"message_id": message["id"], "thread_id": message["thread_id"]})


def send_from_mail_client(world: World, request: Request) -> Reply:
    fields = request.json()
    grant = find_grant(world, fields.pop("grant", None))
    thread_id = fields.pop("thread_id", None)
    if thread_id and not fields.get("reply_to_message_id"):
        fields["reply_to_message_id"] = thread_object(world, grant["id"], thread_id)["message_ids"][-1]
    message = write_by_hand(world, grant, fields)
    return Reply(200, {"message_id": message["id"], "thread_id": message["thread_id"]})


def delete_message(world: World, request: Request) -> Reply:
    message = world.require("message", request.parameters["message_id"], what="message")
    world.store.remove("message", message["id"])
    world.events.emit(
        "message.deleted",
        {"id": message["id"], "grant_id": message["grant_id"], "object": "message"},
        grant_id=message["grant_id"],
    )
    return Reply(200, {"ok": True})


def change_message(world: World, request: Request) -> Reply:
    """Change when a stored copy and its metadata can be seen: `visible_from`, `metadata_from` (epoch seconds)."""
    message = world.require("message", request.parameters["message_id"], what="message")
    for name in ("visible_from", "metadata_from"):
        if name in request.json():
            message[name] = float(request.json()[name])
    world.store.put("message", message)
    return Reply(200, {"ok": True})


def fire_outcome(world: World, request: Request) -> Reply:
    fields = request.json()
    message = world.require("message", str(fields.get("message_id")), what="message")
    if fields.get("outcome") not in OUTCOMES:
        raise invalid(f"outcome is one of {', '.join(sorted(OUTCOMES))}")
    recipients = fields.get("recipients") or [
        person["email"] for field in ("to", "cc", "bcc") for person in message[field]
    ]
    report(
        world,
        message,
        fields["outcome"],
        recipients,
        bounce_type=str(fields.get("bounce_type") or ""),
        diagnostic_code=str(fields.get("diagnostic_code") or ""),
    )
    return Reply(200, {"ok": True})


def fire_event(world: World, request: Request) -> Reply:
    fields = request.json()
    if fields.get("again"):
        found = [event for event in world.events.emitted if event["id"] == fields["again"]]
        if not found:
            raise not_found("event")
        event = found[0]
    else:
        if not isinstance(fields.get("type"), str) or not isinstance(fields.get("data"), dict):
            raise invalid("type and data are required")
        event = {
            "specversion": "1.0",
            "type": fields["type"],
            "source": str(fields.get("source") or "/sandbox/control"),
            "id": str(fields.get("id") or uuid.uuid4()),
            "time": int(fields.get("time") or world.clock.seconds()),
            "data": fields["data"],
        }
    world.events.send_by_hand(
        event,
        copies=int(fields.get("copies") or 1),
        is_forged=bool(fields.get("forged")),
        is_kept="again" not in fields,
    )
    return Reply(200, {"event_id": event["id"]})


def list_events(world: World, request: Request) -> Reply:
    return Reply(200, {"events": world.events.emitted, "attempts": world.events.attempts})


def put_webhook(world: World, request: Request) -> Reply:
    """Register a destination without asking it, with a secret of the caller's choice."""
    fields = request.json()
    secret = fields.pop("webhook_secret", "")
    if not isinstance(secret, str) or not secret:
        raise invalid("webhook_secret is required")
    changes = read_webhook(world, {"trigger_types": sorted(TRIGGERS), **fields})
    if "webhook_url" not in changes:
        raise invalid("webhook_url is required")
    return Reply(200, {"webhook": webhook_object(add_webhook(world, changes, secret), with_secret=True)})


def pause_webhooks(world: World, request: Request) -> Reply:
    world.events.pause()
    return Reply(200, {"ok": True})


def resume_webhooks(world: World, request: Request) -> Reply:
    fields = request.json()
    order = fields.get("order", "kept")
    if order not in {"kept", "reversed", "shuffled"}:
        raise invalid("order is kept, reversed or shuffled")
    return Reply(200, {"released": world.events.resume(drop=bool(fields.get("drop")), order=order)})


def wait_for_quiet(world: World, request: Request) -> Reply:
    """Wait until every report is made and every notification tried; 504 when the time is over first."""
    try:
        seconds = min(float(request.text("timeout", "10")), LONGEST_WAIT_SECONDS)
    except ValueError as error:
        raise invalid("timeout is a number of seconds") from error
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not world.agenda.unfinished_reports() and not world.events.pending():
            return Reply(200, {"idle": True})
        time.sleep(0.01)
    raise ApiError(504, "not_idle", "reports or notifications are still under way")


def swap_attachment(world: World, request: Request) -> Reply:
    try:
        content = base64.b64decode(request.json().get("content") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise invalid("content must be base64") from error
    swap_content(world, request.parameters["attachment_id"], content)
    return Reply(200, {"ok": True})


BLOCKING = frozenset({"control_idle", "create_webhook", "put_webhook", "send_test_event"})


def add_routes(routes: Routes) -> None:
    for method, path, name, handler in (
        ("GET", "health", "health", health),
        ("POST", "reset", "reset", reset),
        ("POST", "grants", "grant", post_grant),
        ("PATCH", "grants/{grant_id}", "grant", patch_grant),
        ("GET", "switches", "switches", get_switches),
        ("PATCH", "switches", "switches", patch_switches),
        ("GET", "faults", "faults", list_faults),
        ("POST", "faults", "faults", add_fault),
        ("DELETE", "faults", "faults", clear_faults),
        ("DELETE", "faults/{fault_id}", "faults", remove_fault),
        ("GET", "clock", "clock", get_clock),
        ("POST", "clock", "clock", set_clock),
        ("GET", "log", "log", read_log),
        ("GET", "arrivals", "arrivals", read_arrivals),
        ("GET", "state", "state", dump_state),
        ("POST", "customer", "customer", write_as_customer),
        ("POST", "agent/drafts", "agent", write_as_agent),
        ("PUT", "agent/drafts/{draft_id}", "agent", change_as_agent),
        ("DELETE", "agent/drafts/{draft_id}", "agent", delete_as_agent),
        ("POST", "agent/drafts/{draft_id}/send", "agent", send_as_agent),
        ("POST", "mail-client", "mail_client", send_from_mail_client),
        ("DELETE", "messages/{message_id}", "message", delete_message),
        ("PATCH", "messages/{message_id}", "message", change_message),
        ("POST", "outcomes", "outcomes", fire_outcome),
        ("GET", "events", "events", list_events),
        ("POST", "events", "events", fire_event),
        ("POST", "webhooks", "webhooks", put_webhook),
        ("POST", "webhooks/pause", "webhooks", pause_webhooks),
        ("POST", "webhooks/resume", "webhooks", resume_webhooks),
        ("GET", "idle", "idle", wait_for_quiet),
        ("PUT", "attachments/{attachment_id}", "attachments", swap_attachment),
    ):
        routes.add(method, f"/_sandbox/{path}", f"control_{name}", handler)
