"""The closed table of replies to a send. What is not in it is ambiguous."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from agentmail import parsing
from agentmail.types import MessageSnapshot, ReplyClass, SendReply

LONGEST_RETRY_AFTER_SECONDS = 86_400

_ERROR_TEXT_LENGTH = 500
# What the messages about policies, rules, lists and workspaces call a field, the longest name of each first.
_FIELDS = re.compile(
    r"\b(?:(?:limits|spam_detection|match|actions|options)\.[a-z_.]*[a-z_]|limit_[a-z_]+|use_[a-z_]+|spam_sensitivity"
    r"|policy_id|rule_ids|assign_grants|remove_grants|auto_group|priority|enabled|trigger|conditions|operator"
    r"|actions|description|domain|items|type|name|outbound\.type)\b"
)


def classify(
    *,
    status_code: int,
    headers: Mapping[str, str],
    body: bytes,
    grant_id: str = "",
    is_draft_send: bool = False,
) -> SendReply:
    """Say what a complete HTTP reply to a send proves.

    `body` is the decoded body. `headers` must be case-insensitive. Source: send-safety section 6;
    400, 413 and 422 count only with an error object of the API, since a proxy may answer in its place.
    """
    content = _content(body)
    error_type, error_message = api_error(content)
    message = _sent_message(content, grant_id)
    reply_class, detail = _row(status_code, error_type, message, is_draft_send=is_draft_send)
    return SendReply(
        reply_class=reply_class,
        detail=detail,
        status_code=status_code,
        message=message,
        request_id=request_id(content, headers),
        is_replay=headers.get("Idempotent-Response", "").strip().lower() == "true",
        retry_after_seconds=retry_after_seconds(headers),
        error_type=error_type,
        error_message=error_message,
    )


def not_started(detail: str) -> SendReply:
    """The reply class of a call of which no byte has left."""
    return SendReply(ReplyClass.NOT_STARTED, detail)


def without_reply(detail: str, *, status_code: int | None = None) -> SendReply:
    """The reply class of a call that began and gave no complete reply; the status may be known."""
    return SendReply(ReplyClass.AMBIGUOUS, detail, status_code=status_code)


def api_error(content: Any) -> tuple[str, str]:
    """Type and message of an error body of the API, both empty when it is none."""
    if not isinstance(content, dict):
        return "", ""
    error = content.get("error")
    if not isinstance(error, dict):
        # Some error bodies come without the envelope (nylas-v3 section 1.2).
        error = content if "request_id" in content else {}
    error_type = parsing.text(error.get("type"))[:100]
    error_message = parsing.text(error.get("message"))[:_ERROR_TEXT_LENGTH]
    return (error_type, error_message) if error_type else ("", "")


def named_field(message: str) -> str:
    """The field of a request that an error message names, or empty; an unknown list is one of a condition's value."""
    if "invalid list id" in message.lower():
        return "match.conditions.value"
    found = _FIELDS.search(message)
    name = found.group() if found else ""
    return "match.conditions.value" if name == "outbound.type" else name


def request_id(content: Any, headers: Mapping[str, str]) -> str:
    given = parsing.text(content.get("request_id")) if isinstance(content, dict) else ""
    return (given or headers.get("x-request-id", ""))[:255]


def retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    """Seconds to wait, 0 to a day, None when not given. A date is read against the reply's own `Date`."""
    given = headers.get("Retry-After", "").strip()
    if given.isdecimal() and given.isascii():
        return min(int(given[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(given)
        now = parsedate_to_datetime(headers.get("Date", ""))
        seconds = int((until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0, min(seconds, LONGEST_RETRY_AFTER_SECONDS))


def _row(
    status_code: int, error_type: str, message: MessageSnapshot | None, *, is_draft_send: bool
) -> tuple[ReplyClass, str]:
    match status_code:
        case 200 if message is not None:
            return ReplyClass.ACCEPTED, "The provider accepted the message."
        case 200:
            return ReplyClass.AMBIGUOUS, "The provider answered 200 without a message id."
        case 202:
            return ReplyClass.AMBIGUOUS, "The provider queued the message and did not say that it was sent."
        case 400 | 413 | 422 if error_type:
            return ReplyClass.REFUSED, f"The provider refused the request with {status_code}."
        case 401:
            return ReplyClass.UNAUTHENTICATED, "The provider did not accept the key or the grant."
        case 403:
            return ReplyClass.BLOCKED, "The provider blocked the message."
        case 404 if is_draft_send:
            return ReplyClass.GONE, "The provider no longer has the draft."
        case 409 if error_type.endswith("invalid_idempotent_request"):
            return ReplyClass.PAYLOAD_MISMATCH, "The provider saw this key with another payload."
        case 409 if error_type.endswith("concurrent_idempotent_request"):
            return ReplyClass.AMBIGUOUS, "The provider is still working on an earlier request."
        case 429:
            return ReplyClass.RATE_LIMITED, "The provider asked to wait."
    return ReplyClass.AMBIGUOUS, f"The provider answered {status_code}, which does not tell what happened."


def _content(body: bytes) -> Any:
    try:
        return parsing.json_content(body)
    except ValueError:
        return None


def _sent_message(content: Any, grant_id: str) -> MessageSnapshot | None:
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict) or not parsing.text(data.get("id")):
        return None
    return parsing.message(data, grant_id=grant_id)
