"""Taking a message for delivery: checks, rules, quota, pace, the log, the sent copy, the draft it came from."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from .arriving import header_address, parent_of
from .drafts import (
    MOST_MULTIPART_BYTES,
    apply_fields,
    copied_attachments,
    create_draft,
    draft_object,
    new_record,
    place_in_thread,
    read_content,
)
from .errors import ApiError, invalid, not_found
from .evaluation import apply_verdict, evaluate, evaluation_input, keep_evaluation
from .exchange import Conduct, Reply, Request, Routes
from .messages import FOR_EVER, message_object, read_fields
from .mime import read_message, read_multipart
from .outcomes import announce_message, begin_outcomes, send_report
from .people import RECIPIENT_FIELDS, REPLY_ADDRESSES, addresses, behaviour, refuse_foreign_letters, same
from .store import Record
from .threads import new_thread_id
from .world import World

MOST_RECIPIENTS = 50
MOST_MESSAGE_BYTES = 25 * 1024 * 1024
SOONEST_SCHEDULE_SECONDS = 60
LATEST_SCHEDULE_SECONDS = 30 * 86400


@dataclass(slots=True)
class Origin:
    """Where a send came from: the request, or somebody at a mail client."""

    kind: str
    by: str = "api"
    draft_id: str = ""
    key: str = ""
    arrived_at: float = 0.0
    arrived_monotonic: float = 0.0


def check(world: World, grant: Record, message: Record) -> None:
    """Refuse what the provider would refuse before it looks at rules."""
    if not message["to"]:
        raise invalid("to is required")
    recipients = [person for field in RECIPIENT_FIELDS for person in message[field]]
    if len(recipients) > MOST_RECIPIENTS:
        raise invalid("a message has at most 50 recipients")
    refuse_foreign_letters(recipients)
    if len(message["from"]) != 1:
        raise invalid("from takes one participant")
    if world.switches["enforce_from"] and not same(message["from"][0]["email"], grant["email"]):
        raise invalid("from must be the address of the grant")
    size = len(message["body"].encode()) + sum(entry["size"] for entry in message["attachments"])
    if size > MOST_MESSAGE_BYTES:
        raise ApiError(413, "invalid_request_error", "an outbound message has at most 25 MB")


def refuse_by_switch(world: World, name: str) -> ApiError:
    reply = world.switches[name]
    return ApiError(reply["status"], "", "", body=reply.get("body") or {})


def check_quota(world: World, grant: Record) -> None:
    workspace = world.store.get("workspace", grant["workspace_id"] or "") or {}
    policy = world.store.get("policy", workspace.get("policy_id") or "") or {}
    limit = (policy.get("limits") or {}).get("limit_count_daily_email_sent", -1)
    if limit is None or limit < 0:
        return
    today = world.clock.seconds() // 86400
    sent = sum(
        1
        for _, message in world.store.newest_first("message", grant["id"])
        if message["is_outbound"] and message["date"] // 86400 == today
    )
    if sent >= limit:
        raise refuse_by_switch(world, "quota_reply")


def accept(
    world: World, grant: Record, message: Record, origin: Origin, effects: dict[str, Any]
) -> tuple[Record, float]:
    """Take a message: ask rules, quota and pace, write the log, file the sent copy, begin the outcomes.

    Returns the stored message and the seconds it waits in the send queue (0: handed over at once). When this
    returns, the line of the log is on disk. Raises `ApiError` when the message is refused; then nothing
    was sent and no copy exists.
    """
    check(world, grant, message)
    with world.store.change():
        if world.switches["sending_paused"]:
            raise refuse_by_switch(world, "paused_reply")
        facts = evaluation_input(message, is_outbound=True)
        verdict = evaluate(world, grant, facts, "outbound")
        if verdict.is_blocked or verdict.is_broken:
            keep_evaluation(world, grant, facts, verdict, stage="outbound_send", message_id=None)
            if verdict.is_broken:
                raise ApiError(503, "api.internal_error", "Outbound rules could not be evaluated, try again")
            raise refuse_by_switch(world, "blocked_reply")
        check_quota(world, grant)
        wait = world.pace.wait_for(world.switches["sends_per_second"], world.switches["queue_wait_seconds"])
        if any(
            behaviour(email) == "queued" for field in RECIPIENT_FIELDS for email in addresses(message[field])
        ):
            wait = max(wait, float(world.switches["queue_seconds"]))
        finish_message(world, message)
        apply_verdict(world, message, verdict)
        keep_evaluation(world, grant, facts, verdict, stage="outbound_send", message_id=message["id"])
        apply_effects(world, message, effects, wait)
        log_send(world, message, origin, is_queued=wait > 0)
        world.store.put("message", message)
        draft = world.store.get("draft", origin.draft_id) if origin.draft_id else None
        if draft is not None and not (
            origin.kind == "draft" and world.switches["second_draft_send"] == "sends_again"
        ):
            world.store.remove("draft", origin.draft_id)
        if wait > 0:
            world.agenda.add("queued_send", seconds=wait, message_id=message["id"], draft=draft)
        else:
            begin_outcomes(world, message)
            announce_message(world, message)
            if world.switches["send_success_for_direct_sends"]:
                send_report(world, "message.send_success", message)
    return message, wait


def finish_message(world: World, message: Record) -> None:
    """Give a message its id, thread, date and headers, as the outgoing mail server does."""
    now = world.clock.seconds()
    message["id"] = message["id"] or world.new_mail_id()
    message["date"] = message["created_at"] = now
    message["thread_id"] = message["thread_id"] or new_thread_id(world)
    message["is_outbound"] = True
    message["folders"] = [world.folder_ids(message["grant_id"])["sent"]]
    domain = message["from"][0]["email"].rpartition("@")[2]
    message["message_id"] = f"<{uuid.uuid4()}@{domain}>"
    parent = (
        world.store.get("message", message["reply_to_message_id"]) if message["reply_to_message_id"] else None
    )
    in_reply_to = parent["message_id"] if parent else message.pop("in_reply_to", "")
    references = message.pop("references", [])
    if parent:
        references = [
            entry["message_id"]
            for entry in world.store.in_thread("message", parent["thread_id"])
            if entry["date"] <= parent["date"]
        ]
    custom = message.pop("custom_headers", [])
    headers = [
        ("From", header_address(message["from"][0])),
        ("To", ", ".join(header_address(person) for person in message["to"])),
        ("Cc", ", ".join(header_address(person) for person in message["cc"])),
        ("Reply-To", ", ".join(header_address(person) for person in message["reply_to"])),
        ("Subject", message["subject"]),
        ("Date", formatdate(now)),
        ("Message-ID", message["message_id"]),
        ("In-Reply-To", in_reply_to),
        ("References", " ".join(references)),
        ("MIME-Version", "1.0"),
    ]
    message["headers"] = [{"name": name, "value": value} for name, value in headers if value] + custom


def apply_effects(world: World, message: Record, effects: dict[str, Any], wait: float) -> None:
    now = world.clock.now()
    hidden = effects.get("hide_sent_copy", world.switches["sent_copy_seconds"])
    if hidden or wait:
        message["visible_from"] = FOR_EVER if hidden == "for_ever" else now + max(float(hidden), wait)
    hidden = effects.get("hide_metadata", world.switches["metadata_seconds"])
    if hidden:
        message["metadata_from"] = FOR_EVER if hidden == "for_ever" else now + float(hidden)
    if effects.get("taken_recipients"):
        message["taken_recipients"] = int(effects["taken_recipients"])


def log_send(world: World, message: Record, origin: Origin, *, is_queued: bool) -> None:
    world.sends.append(
        {
            "at": world.clock.now(),
            "grant_id": message["grant_id"],
            "kind": origin.kind,
            "by": origin.by,
            "draft_id": origin.draft_id or None,
            "message_id": message["id"],
            "thread_id": message["thread_id"],
            "internet_message_id": message["message_id"],
            "idempotency_key": origin.key or None,
            "token": message["metadata"].get("key1"),
            "metadata": message["metadata"],
            "headers": message["headers"],
            **{name: message[name] for name in ("from", "to", "cc", "bcc", "reply_to", "subject", "body")},
            "is_plaintext": message["is_plaintext"],
            "reply_to_message_id": message["reply_to_message_id"] or None,
            "attachments": [
                {name: entry[name] for name in ("filename", "content_type", "size", "sha256", "content_id")}
                for entry in message["attachments"]
            ],
            "queued": is_queued,
            "taken_recipients": message.get("taken_recipients"),
            "received_at": origin.arrived_at,
            "received_at_monotonic": origin.arrived_monotonic,
        }
    )


def leave_queue(world: World, work: Record) -> None:
    """Hand over a message whose turn in the send queue has come, or report that this failed."""
    message = world.store.get("message", work["message_id"])
    if message is None:
        return
    if world.switches["queued_then"] == "failed":
        world.store.remove("message", message["id"])
        if work.get("draft"):
            world.store.put("draft", work["draft"])
        send_report(
            world, "message.send_failed", message, reason="The mail server did not take the queued message"
        )
        return
    begin_outcomes(world, message)
    announce_message(world, message)


def origin_of(request: Request, kind: str, *, draft_id: str = "") -> Origin:
    return Origin(
        kind=kind,
        draft_id=draft_id,
        key=request.headers.get("idempotency-key", ""),
        arrived_at=request.arrived_at,
        arrived_monotonic=request.arrived_monotonic,
    )


def conduct_after(message: Record) -> tuple[int | None, Conduct | None]:
    """Return the status and the conduct that a recipient's address asks of the reply."""
    for field in RECIPIENT_FIELDS:
        for email in addresses(message[field]):
            local = behaviour(email)
            if local not in REPLY_ADDRESSES:
                continue
            if local == "timeout-after-accept":
                return None, Conduct("silence")
            if local == "reset-after-accept":
                return None, Conduct("reset")
            if local == "error-after-accept":
                return 502, None
    return None, None


def reply_to_send(
    world: World, grant: Record, message: Record, wait: float, shown: dict[str, Any], *, with_grant: bool
) -> Reply:
    status, conduct = conduct_after(message)
    if status is not None:
        error = {"error": {"type": "api.internal_error", "message": "Bad gateway"}}
        return Reply(status, error, accepted=True)
    body: dict[str, Any] = {"data": shown}
    if with_grant:
        body["grant_id"] = grant["id"]
    if wait > 0:
        shown.pop("headers", None)
    return Reply(202 if wait > 0 else 200, body, conduct=conduct, accepted=True)


def read_raw_message(world: World, request: Request, message: Record) -> None:
    """Fill a message from a raw RFC 5322 text in the one field of a multipart request."""
    content_type = request.headers.get("content-type", "")
    if len(request.body) > MOST_MULTIPART_BYTES:
        raise ApiError(413, "invalid_request_error", "multipart requests have at most 25 MB")
    raw = next((part for part in read_multipart(request.body, content_type) if part.name == "mime"), None)
    if raw is None:
        raise invalid("the mime field is required")
    fields = read_message(raw.content)
    files = fields.pop("files")
    in_reply_to, references = fields.pop("in_reply_to"), fields.pop("references")
    if not fields["from"]:
        fields.pop("from")
    apply_fields(world, message, fields, files)
    parent = parent_of(world, message["grant_id"], in_reply_to, references)
    message["thread_id"] = parent["thread_id"] if parent else ""
    message["in_reply_to"], message["references"] = in_reply_to, references
    message["is_reply"] = bool(in_reply_to or references)


def send_message(world: World, request: Request) -> Reply:
    grant = world.grant(request)
    fields_wanted = read_fields(request)
    message = new_record(world, grant)
    fields: dict[str, Any] = {}
    if request.text("type") == "mime":
        read_raw_message(world, request, message)
    else:
        fields, parts = read_content(world, request)
        if fields.get("use_draft"):
            raise invalid("use_draft is not supported for this provider")
        apply_fields(world, message, fields, parts)
        place_in_thread(world, message)
    if not message["from"]:
        message["from"] = new_record(world, grant)["from"]
    if fields.get("send_at"):
        return schedule(world, grant, message, fields["send_at"], request)
    message, wait = accept(world, grant, message, origin_of(request, "message"), request.effects)
    shown = message_object(world, message, fields_wanted)
    if message["reply_to_message_id"]:
        shown["reply_to_message_id"] = message["reply_to_message_id"]
    return reply_to_send(world, grant, message, wait, shown, with_grant=True)


def draft_as_message(world: World, draft: Record) -> Record:
    same_id = world.switches["draft_send_id"] == "same"
    message = {
        **draft,
        "id": draft["id"] if same_id else "",
        "attachments": copied_attachments(draft["attachments"]),
    }
    if not world.switches["draft_metadata_carried"]:
        message["metadata"] = {}
    return message


def send_draft(world: World, request: Request) -> Reply:
    grant = world.grant(request)
    draft = world.require("draft", request.parameters["draft_id"], grant["id"], what="draft")
    request.json()
    message, wait = accept(
        world,
        grant,
        draft_as_message(world, draft),
        origin_of(request, "draft", draft_id=draft["id"]),
        request.effects,
    )
    shown = message_object(world, message)
    if world.switches["draft_send_reply"] == "draft":
        shown = {**draft_object(world, draft), "id": message["id"]}
    return reply_to_send(world, grant, message, wait, shown, with_grant=False)


def send_by_hand(world: World, grant: Record, draft: Record, by: str) -> Record:
    """Send a draft from a mail client, past every approval; it is logged like any other send."""
    arrived = Origin(
        "draft", by=by, draft_id=draft["id"], arrived_at=time.time(), arrived_monotonic=time.monotonic()
    )
    return accept(world, grant, draft_as_message(world, draft), arrived, {})[0]


def write_by_hand(world: World, grant: Record, fields: dict[str, Any]) -> Record:
    """Send a new message from a mail client."""
    draft = create_draft(world, grant, fields, [])
    return send_by_hand(world, grant, draft, "mail_client")


def schedule(world: World, grant: Record, message: Record, send_at: Any, request: Request) -> Reply:
    """Keep a message until `send_at`, seconds by the provider's clock."""
    now = world.clock.seconds()
    if isinstance(send_at, bool) or not isinstance(send_at, int):
        raise invalid("send_at must be seconds since the epoch")
    if not now + SOONEST_SCHEDULE_SECONDS <= send_at <= now + LATEST_SCHEDULE_SECONDS:
        raise invalid("send_at must be at least 1 minute and at most 30 days ahead")
    check(world, grant, message)
    schedule_id = str(uuid.uuid4())
    with world.store.change():
        origin = origin_of(request, "message")
        work = world.agenda.add("scheduled_send", due=float(send_at), schedule_id=schedule_id)
        world.store.put(
            "schedule",
            {
                "id": schedule_id,
                "grant_id": grant["id"],
                "work_id": work["id"],
                "message": message,
                "send_at": send_at,
                "status": {"code": "pending", "description": "schedule send awaiting send at time"},
                "close_time": None,
                "key": origin.key,
            },
        )
    shown = {**message, "id": None, "object": "message", "schedule_id": schedule_id, "send_at": send_at}
    for name in ("custom_headers", "is_plaintext", "attachments", "is_reply"):
        shown.pop(name, None)
    return Reply(
        202, {"grant_id": grant["id"], "schedule_id": schedule_id, "send_at": send_at, "data": shown}
    )


def send_scheduled(world: World, work: Record) -> None:
    entry = world.store.get("schedule", work["schedule_id"])
    grant = world.store.get("grant", entry["grant_id"]) if entry is not None else None
    if entry is None or grant is None or entry["status"]["code"] != "pending":
        return
    details = {"schedule_id": entry["id"], "send_at": entry["send_at"]}
    origin = Origin("message", by="schedule", key=entry["key"])
    try:
        message, _ = accept(world, grant, dict(entry["message"]), origin, {})
    except ApiError as refusal:
        entry["status"] = {"code": "failed", "description": "schedule send failed"}
        failed = {**entry["message"], "id": entry["id"]}
        send_report(world, "message.send_failed", failed, reason=str(refusal), details=details)
    else:
        entry["status"] = {"code": "success", "description": "schedule send succeeded"}
        send_report(world, "message.send_success", message, details=details)
    entry["close_time"] = world.clock.seconds()
    world.store.put("schedule", entry)


def schedule_object(entry: Record) -> dict[str, Any]:
    shown = {"schedule_id": entry["id"], "status": entry["status"]}
    return {**shown, "close_time": entry["close_time"]} if entry["close_time"] else shown


def list_schedules(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    entries = [
        schedule_object(entry) for entry in world.store.all("schedule") if entry["grant_id"] == grant_id
    ]
    if world.switches["schedules"] == "bare":
        return Reply(200, {"schedules": entries})
    return Reply(200, {"data": entries})


def get_schedule(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    entry = world.require("schedule", request.parameters["schedule_id"], grant_id, what="schedule")
    if world.switches["schedules"] == "bare":
        return Reply(200, schedule_object(entry))
    return Reply(200, {"data": schedule_object(entry)})


def delete_schedule(world: World, request: Request) -> Reply:
    grant_id = world.grant(request)["id"]
    entry = world.require("schedule", request.parameters["schedule_id"], grant_id, what="schedule")
    if entry["status"]["code"] != "pending":
        raise not_found("schedule")
    world.agenda.cancel(entry["work_id"])
    world.store.remove("schedule", entry["id"])
    return Reply(202, {"data": {"message": "requested cancelation for workflow"}})


def bring_forward_reports(world: World, message_id: str) -> None:
    """Let everything planned for a message happen now."""
    for work in world.store.all("work"):
        if work["kind"] == "outcome" and work.get("message_id") == message_id:
            world.agenda.run(work)


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}"
    routes.add("POST", base + "/messages/send", "send_message", send_message)
    routes.add("POST", base + "/drafts/{draft_id}", "send_draft", send_draft)
    routes.add("GET", base + "/messages/schedules", "list_schedules", list_schedules)
    routes.add("GET", base + "/messages/schedules/{schedule_id}", "get_schedule", get_schedule)
    routes.add("DELETE", base + "/messages/schedules/{schedule_id}", "delete_schedule", delete_schedule)
