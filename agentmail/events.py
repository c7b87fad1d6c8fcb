"""Stored notifications into frozen types. Fields may be missing, oddly typed or of an unknown shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from agentmail import parsing
from agentmail.bounces import bounce_kind
from agentmail.models import ProviderEvent
from agentmail.types import MessageSnapshot


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient. `kind` is an outcome fact of the contract, `code` the status found, if any.

    `detail` is the diagnostic as given, shortened.
    """

    address: str
    kind: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message was created or updated; also for copies of what the mailbox itself sent."""

    provider_message_id: str
    thread_id: str
    token: str
    snapshot: MessageSnapshot
    is_update: bool


@dataclass(frozen=True, slots=True)
class MessageTruncated:
    """A message too large for a notification: it must be fetched before it is shown or judged."""

    provider_message_id: str
    thread_id: str
    token: str


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    provider_message_id: str


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A report on a mail that was accepted. `at` in seconds since the epoch.

    `kind` is send_success, delivered, bounced, complaint or rejected. A send_success names no recipients.
    """

    kind: str
    provider_message_id: str
    token: str
    recipients: tuple[RecipientReport, ...]
    at: int | None


@dataclass(frozen=True, slots=True)
class SendFailedReport:
    """The provider took a message, queued or scheduled, and then did not send it."""

    provider_message_id: str
    token: str
    recipients: tuple[RecipientReport, ...]
    at: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class GrantChanged:
    """`change` is created, updated, deleted or expired. A hint: read the grant to know."""

    grant_id: str
    change: str


@dataclass(frozen=True, slots=True)
class DraftChanged:
    provider_draft_id: str
    thread_id: str
    change: str


@dataclass(frozen=True, slots=True)
class Unknown:
    type: str


Event = (
    MessageArrived
    | MessageTruncated
    | MessageDeleted
    | DeliveryReport
    | SendFailedReport
    | GrantChanged
    | DraftChanged
    | Unknown
)


def parse(event: ProviderEvent) -> Event:
    """What a stored notification says. Never raises: what cannot be read is `Unknown`."""
    return parse_envelope(event.payload)


def parse_envelope(envelope: Any) -> Event:
    envelope = _object(envelope)
    data = _object(envelope.get("data"))
    subject = _object(data.get("object"))
    event_type = parsing.text(envelope.get("type"))
    time = parsing.whole(envelope.get("time"))
    # Some types carry a further word, and come without being asked for (nylas-v3 section 9.4).
    family, _, rest = event_type.partition(".")
    change, _, variant = rest.partition(".")
    match family, change:
        case "message", "created" | "updated":
            return _arrival(event_type, subject, is_update=change == "updated", variant=variant)
        case "message", "deleted" if parsing.text(subject.get("id")):
            return MessageDeleted(parsing.text(subject.get("id")))
        case "message", "send_success" if not variant:
            return DeliveryReport("send_success", _message_id(subject), _token(subject), (), time)
        case "message", "send_failed" if not variant:
            return _send_failure(data, subject, time)
        case "message", "bounce_detected" if not variant:
            return _detected_bounce(subject, time)
        case "message", "delivered" | "bounced" | "complaint" | "rejected" if not variant:
            return _delivery(change, subject, time)
        case "grant", "created" | "updated" | "deleted" | "expired":
            return GrantChanged(grant_id_of(envelope), change)
        case "draft", "created" | "updated" | "deleted" if parsing.text(subject.get("id")):
            return DraftChanged(
                parsing.text(subject.get("id")), parsing.text(subject.get("thread_id")), change
            )
    return Unknown(event_type)


def grant_id_of(envelope: Any) -> str:
    """The grant a notification speaks of, empty when it names none; it stands in several places."""
    data = _object(_object(envelope).get("data"))
    subject = _object(data.get("object"))
    return parsing.text(data.get("grant_id")) or parsing.text(subject.get("grant_id"))


def _arrival(event_type: str, subject: dict[str, Any], *, is_update: bool, variant: str) -> Event:
    try:
        snapshot = parsing.message(subject)
    except ValueError:
        return Unknown(event_type)
    if variant == "truncated" or "body" not in subject:
        return MessageTruncated(snapshot.id, snapshot.thread_id, _token(subject))
    return MessageArrived(snapshot.id, snapshot.thread_id, _token(subject), snapshot, is_update)


def _delivery(kind: str, subject: dict[str, Any], time: int | None) -> DeliveryReport:
    message = _object(subject.get("message"))
    names = {"delivered": "delivered", "bounced": "bounce", "complaint": "complaint"}
    block = _object(subject.get(names.get(kind, "")))
    at_names = ("delivered_at", "bounced_at", "reported_at")
    at = next((parsing.whole(block[name]) for name in at_names if name in block), None)
    if kind == "rejected":
        at = parsing.whole(subject.get("rejected_at"))
    listed = block.get("complained_recipients") or block.get("recipients")
    reports = tuple(_reports(kind, listed, parsing.text(block.get("type"))))
    if not reports:
        everyone = _everyone(message)
        # Bad news without names concerns them all; good news is believed only where it cannot be misread.
        if kind != "delivered" or len(everyone) == 1:
            reports = tuple(_reports(kind, everyone, parsing.text(block.get("type"))))
    return DeliveryReport(
        kind, _message_id(message), _token(message), reports, at if at is not None else time
    )


def _reports(kind: str, listed: Any, block_type: str) -> list[RecipientReport]:
    reports = []
    for entry in listed if isinstance(listed, list) else [listed]:
        recipient = _object(entry)
        address = parsing.text(recipient.get("email")) if recipient else parsing.text(entry)
        if not address:
            continue
        diagnostic = parsing.text(recipient.get("diagnostic_code"))
        if kind == "bounced":
            outcome, code = bounce_kind(diagnostic, block_type)
        else:
            outcome, code = kind, ""
        reports.append(RecipientReport(address[:320], outcome, code, (diagnostic or block_type)[:500]))
    return reports


def _detected_bounce(subject: dict[str, Any], time: int | None) -> DeliveryReport:
    origin = _object(subject.get("origin"))
    reason = parsing.text(subject.get("bounce_reason"))
    status = parsing.text(subject.get("code"))
    outcome, code = bounce_kind(f"{reason} {status}", parsing.text(subject.get("type")))
    # One text, despite its name; a list is taken as well.
    listed = subject.get("bounced_addresses")
    addresses = listed if isinstance(listed, list) else re.split(r"[,;\s]+", parsing.text(listed))
    named = [address for address in map(parsing.text, addresses) if address] or _everyone(origin)
    reports = tuple(RecipientReport(address[:320], outcome, code, reason[:500]) for address in named)
    return DeliveryReport(
        "bounced",
        _message_id(subject) or parsing.text(origin.get("id")),
        _token(origin) or _token(subject),
        reports,
        _mail_date(subject.get("bounce_date")) or time,
    )


def _send_failure(data: dict[str, Any], subject: dict[str, Any], time: int | None) -> SendFailedReport:
    error = _object(data.get("error"))
    reason = parsing.text(data.get("reason")) or parsing.text(error.get("message"))
    code = parsing.text(error.get("status_code"))
    reports = tuple(
        RecipientReport(address[:320], "send_failed", code, reason[:500]) for address in _everyone(subject)
    )
    return SendFailedReport(_message_id(subject), _token(subject), reports, time, reason[:500])


def _everyone(message: dict[str, Any]) -> list[str]:
    found = [
        recipient.email
        for name in ("to", "cc", "bcc")
        for recipient in parsing.addresses(message.get(name))
        if recipient.email
    ]
    return list(dict.fromkeys(found))


def _message_id(message: dict[str, Any]) -> str:
    return parsing.text(message.get("message_id")) or parsing.text(message.get("id"))


def _token(message: dict[str, Any]) -> str:
    return parsing.metadata(message.get("metadata")).get("key1", "")


def _mail_date(value: Any) -> int | None:
    try:
        return int(parsedate_to_datetime(parsing.text(value)).timestamp())
    except (TypeError, ValueError, OverflowError):
        return parsing.whole(value)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
