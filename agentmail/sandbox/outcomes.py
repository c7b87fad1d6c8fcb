"""What becomes of an accepted message: reports per recipient, bounces, complaints, a customer's reply."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from .attachments import attachment_object
from .messages import message_object
from .people import RECIPIENT_FIELDS, addresses, behaviour
from .store import Record
from .world import World

HARD_BOUNCE = (
    "General",
    "smtp; 550 5.1.1 <{email}>: Recipient address rejected: User unknown in virtual mailbox table",
)
SOFT_BOUNCE = (
    "MailboxFull",
    "smtp; 452 4.2.2 <{email}> The email account that you tried to reach is over quota",
)


def _recipients(message: Record) -> list[str]:
    everyone = [email for field in RECIPIENT_FIELDS for email in addresses(message[field])]
    return list(dict.fromkeys(everyone))[: message.get("taken_recipients")]


def begin_outcomes(world: World, message: Record) -> None:
    """Note the acceptance and put the reports of every recipient on the agenda."""
    keep_activity(world, message, "accepted", _recipients(message))
    plan_reports(world, message)


def plan_reports(world: World, message: Record) -> None:
    groups: dict[str, list[str]] = defaultdict(list)
    for email in _recipients(message):
        groups[behaviour(email)].append(email)
    switches = world.switches
    if "rejected" in groups:
        _plan(world, message, "rejected", groups["rejected"], switches["delivery_seconds"])
        return
    delivered = [
        email
        for local, emails in groups.items()
        if local not in {"hard-bounce", "soft-bounce", "no-report"}
        for email in emails
    ]
    _plan(world, message, "delivered", delivered, switches["delivery_seconds"])
    _plan(world, message, "hard_bounce", groups["hard-bounce"], switches["bounce_seconds"])
    _plan(world, message, "soft_bounce", groups["soft-bounce"], switches["bounce_seconds"])
    if switches["soft_bounce_then"] == "delivered":
        seconds = switches["bounce_seconds"] + switches["soft_bounce_delivered_seconds"]
        _plan(world, message, "delivered", groups["soft-bounce"], seconds)
    _plan(world, message, "complaint", groups["complaint"], switches["complaint_seconds"])
    for email in groups["slow"]:
        world.agenda.add(
            "customer_reply", seconds=switches["slow_reply_seconds"], message_id=message["id"], email=email
        )


def _plan(world: World, message: Record, outcome: str, recipients: list[str], seconds: float) -> None:
    if recipients:
        world.agenda.add(
            "outcome", seconds=seconds, message_id=message["id"], outcome=outcome, recipients=recipients
        )


def happen(world: World, work: Record, deliver_locally: Callable[[Record, str], None]) -> None:
    """Carry out one planned outcome."""
    message = world.store.get("message", work["message_id"])
    if message is None:
        return
    report(world, message, work["outcome"], work["recipients"])
    if work["outcome"] == "delivered":
        for email in work["recipients"]:
            deliver_locally(message, email)


def report(
    world: World,
    message: Record,
    outcome: str,
    recipients: list[str],
    *,
    bounce_type: str = "",
    diagnostic_code: str = "",
) -> None:
    """Emit the notification of one outcome and keep its activity rows."""
    grant = world.store.get("grant", message["grant_id"])
    if grant is None:
        return
    keep_activity(world, message, outcome, recipients, diagnostic_code=diagnostic_code)
    if grant["provider"] != "nylas":
        if outcome in {"hard_bounce", "soft_bounce"}:
            _report_detected_bounces(world, grant, message, outcome, recipients)
        return
    now = world.clock.seconds()
    object: dict[str, Any] = {"message": _reported_message(world, message)}
    type = outcome
    if outcome == "delivered":
        object["delivered"] = {"delivered_at": now, "recipients": recipients}
    elif outcome == "complaint":
        object["complaint"] = {"reported_at": now, "type": "abuse", "complained_recipients": recipients}
    elif outcome == "rejected":
        object["rejected_at"] = now
    else:
        type = "bounced"
        default_type, default_code = HARD_BOUNCE if outcome == "hard_bounce" else SOFT_BOUNCE
        code = diagnostic_code or default_code
        object["bounce"] = {
            "bounced_at": now,
            "type": bounce_type or default_type,
            "recipients": [
                {"email": email, "diagnostic_code": code.format(email=email)} for email in recipients
            ],
        }
    world.events.emit(f"message.{type}", object, grant_id=grant["id"])


def _reported_message(world: World, message: Record) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": message["id"],
        "subject": message["subject"],
        "from": message["from"][0]["email"],
        "to": addresses(message["to"]),
        "sent_at": message["date"],
    }
    for field in ("cc", "bcc"):
        if message[field]:
            shown[field] = addresses(message[field])
    if message["metadata"] and message.get("metadata_from", 0) <= world.clock.now():
        shown["metadata"] = message["metadata"]
    return shown


def _report_detected_bounces(
    world: World, grant: Record, message: Record, outcome: str, recipients: list[str]
) -> None:
    _, template = HARD_BOUNCE if outcome == "hard_bounce" else SOFT_BOUNCE
    for email in recipients:
        object = {
            "bounce_reason": template.format(email=email).removeprefix("smtp; "),
            "bounce_date": formatdate(world.clock.now()),
            "bounced_addresses": email,
            "type": "mailbox_unavailable" if outcome == "hard_bounce" else "mailbox_full",
            "code": "550" if outcome == "hard_bounce" else "452",
            "grant_id": grant["id"],
            "message_id": message["id"],
            "origin": {
                "to": addresses(message["to"]),
                "from": message["from"][0]["email"],
                "cc": addresses(message["cc"]),
                "bcc": addresses(message["bcc"]),
                "subject": message["subject"],
                "mime_id": message["message_id"],
                "id": message["id"],
                "original_send_at": formatdate(message["date"]),
            },
        }
        world.events.emit("message.bounce_detected", object, grant_id=grant["id"])


def send_report(
    world: World, type: str, message: Record, *, reason: str = "", details: dict[str, Any] | None = None
) -> None:
    """Emit message.send_success or message.send_failed."""
    object = {
        "object": "message",
        "id": message["id"],
        "grant_id": message["grant_id"],
        **{name: message[name] for name in ("subject", "from", "to", "cc", "bcc", "reply_to")},
        "attachments": [attachment_object(message["grant_id"], entry) for entry in message["attachments"]],
        **({"metadata": message["metadata"]} if message["metadata"] else {}),
        **(details or {}),
    }
    failure = {"reason": reason, "error": {"type": "provider_error", "message": reason, "status_code": 503}}
    world.events.emit(
        type,
        object,
        grant_id=message["grant_id"],
        details=failure if type == "message.send_failed" else None,
    )


def announce_message(world: World, message: Record) -> None:
    world.events.emit("message.created", message_object(world, message), grant_id=message["grant_id"])


def keep_activity(
    world: World, message: Record, outcome: str, recipients: list[str], *, diagnostic_code: str = ""
) -> None:
    """Keep one row per recipient for the send events list."""
    grant = world.store.get("grant", message["grant_id"])
    if grant is None or grant["provider"] != "nylas":
        return
    now = world.clock.seconds()
    with world.store.change():
        for email in recipients:
            number = world.store.count("activity")
            row: dict[str, Any] = {
                "id": hashlib.sha256(f"{number}/{message['id']}/{outcome}/{email}".encode()).hexdigest(),
                "event_type": "bounced" if outcome.endswith("_bounce") else outcome,
                "timestamp": now,
                "application_id": world.application["application_id"],
                "grant_id": grant["id"],
                "message_id": message["id"],
                "workspace_id": grant["workspace_id"],
                "from": message["from"][0]["email"],
                "recipient": email,
                "sending_domain": message["from"][0]["email"].rpartition("@")[2].lower(),
                "recipient_domain": email.rpartition("@")[2].lower(),
                "reason": "",
            }
            if outcome.endswith("_bounce"):
                kind, template = HARD_BOUNCE if outcome == "hard_bounce" else SOFT_BOUNCE
                code = diagnostic_code or template.format(email=email)
                row["bounce_class"] = "hard" if outcome == "hard_bounce" else "soft"
                row["reason"] = f"{kind} ({'5.1.1' if outcome == 'hard_bounce' else '4.2.2'})"
                row["detail"] = {"bounce_subtype": kind, "diagnostic_code": code}
            elif outcome == "complaint":
                row["reason"] = "abuse"
            elif outcome == "delivered":
                row["reason"] = "250 2.0.0 OK: queued"
            world.store.put("activity", row)
