"""Mail that comes in from outside: customers, and the mailboxes of this sandbox writing to each other."""

from __future__ import annotations

from email.utils import formataddr, formatdate
from typing import Any

from .errors import ApiError, not_found
from .evaluation import apply_verdict, evaluate, evaluation_input, keep_evaluation
from .outcomes import announce_message
from .people import Person
from .store import Record
from .threads import new_thread_id
from .world import World


def header_address(person: Person) -> str:
    return formataddr((person.get("name", ""), person["email"]), charset="utf-8")


def parent_of(world: World, grant_id: str, message_id: str, references: list[str]) -> Record | None:
    """Return the newest message of a mailbox that carries one of these Message-IDs."""
    wanted = {message_id, *references} - {""}
    if not wanted:
        return None
    for _, message in world.store.newest_first("message", grant_id):
        if message["message_id"] in wanted:
            return message
    return None


def receive(world: World, grant: Record, mail: dict[str, Any]) -> Record:
    """File an inbound message and announce it; an inbound rule that blocks raises `ApiError` 403.

    `mail` has from, and optionally to, cc, reply_to, subject, body, plain_part (beside a body in HTML), source
    (base64 of the raw message, instead of what is made of all this), attachments (stored entries), headers,
    date (seconds), thread_id, in_reply_to (a Message-ID), references.
    """
    date = int(mail.get("date") or world.clock.seconds())
    sender = mail["from"]
    domain = sender["email"].rpartition("@")[2] or "example.net"
    message_id = mail.get("message_id") or f"<{world.new_uuid()}@{domain}>"
    references = list(mail.get("references") or [])
    thread_id = mail.get("thread_id") or ""
    in_reply_to = mail.get("in_reply_to") or ""
    if thread_id:
        earlier = [
            entry for entry in world.store.in_thread("message", thread_id) if entry["grant_id"] == grant["id"]
        ]
        if not earlier:
            raise not_found("thread")
        in_reply_to = in_reply_to or earlier[-1]["message_id"]
        references = references or [entry["message_id"] for entry in earlier]
    else:
        parent = parent_of(world, grant["id"], in_reply_to, references)
        thread_id = parent["thread_id"] if parent else new_thread_id(world)
    to = mail.get("to") or [{"email": grant["email"], **({"name": grant["name"]} if grant["name"] else {})}]
    message = {
        "id": world.new_mail_id(),
        "grant_id": grant["id"],
        "thread_id": thread_id,
        "from": [sender],
        "to": to,
        "cc": mail.get("cc") or [],
        "bcc": [],
        "reply_to": mail.get("reply_to") or [],
        "subject": mail.get("subject") or "",
        "body": mail.get("body") or "",
        "is_plaintext": False,
        "plain_part": mail.get("plain_part") or "",
        "source": mail.get("source") or "",
        "date": date,
        "created_at": date,
        "unread": mail.get("unread", True),
        "starred": False,
        "folders": [world.folder_ids(grant["id"])["inbox"]],
        "attachments": mail.get("attachments") or [],
        "metadata": {},
        "headers": [],
        "message_id": message_id,
        "is_outbound": False,
        "reply_to_message_id": "",
    }
    message["headers"] = _headers(message, in_reply_to, references, mail.get("headers") or [])
    facts = evaluation_input(message, is_outbound=False)
    verdict = evaluate(world, grant, facts, "inbound")
    with world.store.change():
        if verdict.is_blocked:
            keep_evaluation(world, grant, facts, verdict, stage="smtp_rcpt", message_id=None)
            raise ApiError(403, "refused", "an inbound rule of this mailbox refuses the sender")
        apply_verdict(world, message, verdict)
        world.store.put("message", message)
        keep_evaluation(world, grant, facts, verdict, stage="inbox_processing", message_id=message["id"])
    announce_message(world, message)
    return message


def _headers(
    message: Record, in_reply_to: str, references: list[str], more: list[dict[str, str]]
) -> list[dict[str, str]]:
    sender = message["from"][0]
    domain = sender["email"].rpartition("@")[2] or "example.net"
    named = {entry["name"].lower() for entry in more}
    headers = [
        ("Received", f"from mx.{domain} by in.sandbox.example with ESMTPS; {formatdate(message['date'])}"),
        (
            "Authentication-Results",
            f"in.sandbox.example; spf=pass smtp.mailfrom={domain}; dkim=pass header.d={domain}; "
            f"dmarc=pass header.from={domain}",
        ),
        ("From", header_address(sender)),
        ("To", ", ".join(header_address(person) for person in message["to"])),
        ("Cc", ", ".join(header_address(person) for person in message["cc"])),
        ("Reply-To", ", ".join(header_address(person) for person in message["reply_to"])),
        ("Subject", message["subject"]),
        ("Date", formatdate(message["date"])),
        ("Message-ID", message["message_id"]),
        ("In-Reply-To", in_reply_to),
        ("References", " ".join(references)),
        ("MIME-Version", "1.0"),
    ]
    kept = [{"name": name, "value": value} for name, value in headers if value and name.lower() not in named]
    return [*kept, *more]


def deliver_locally(world: World, sent: Record, email: str) -> None:
    """File a sent message in the mailbox of this sandbox it was addressed to, if it was."""
    grant = world.find_grant(email) if "@" in email else None
    if grant is None:
        return
    headers = {header["name"].lower(): header["value"] for header in sent["headers"]}
    custom = [header for header in sent["headers"] if header["name"].lower().startswith("x-")]
    mail = {
        "from": sent["from"][0],
        "to": sent["to"],
        "cc": sent["cc"],
        "reply_to": sent["reply_to"],
        "subject": sent["subject"],
        "body": sent["body"],
        "attachments": [{**entry, "id": str(world.new_uuid())} for entry in sent["attachments"]],
        "message_id": sent["message_id"],
        "in_reply_to": headers.get("in-reply-to", ""),
        "references": headers.get("references", "").split(),
        "headers": custom,
    }
    try:
        receive(world, grant, mail)
    except ApiError as refusal:
        if refusal.status != 403:
            raise


def reply_as_customer(world: World, work: Record) -> None:
    """Write the answer a slow customer owes to a message sent to them."""
    sent = world.store.get("message", work["message_id"])
    grant = world.store.get("grant", sent["grant_id"]) if sent is not None else None
    if sent is None or grant is None:
        return
    person = next(
        (entry for field in ("to", "cc", "bcc") for entry in sent[field] if entry["email"] == work["email"]),
        {"email": work["email"]},
    )
    subject = sent["subject"]
    receive(
        world,
        grant,
        {
            "from": person,
            "subject": subject if subject.lower().startswith("re:") else f"Re: {subject}",
            "body": "Thank you, I have read your message. One more question: when can I expect the next step?",
            "thread_id": sent["thread_id"],
            "in_reply_to": sent["message_id"],
        },
    )
