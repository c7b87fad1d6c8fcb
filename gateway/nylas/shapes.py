"""The provider's objects as agents get them here: without the marks of the desk, and made from our own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from agentmail import parsing
from agentmail.mail_html import is_html, to_text
from agentmail.models import Mailbox
from approvals import marks, submissions
from approvals.models import Draft, Submission
from gateway import standing
from gateway.callers import NotThere

SNIPPET_CHARACTERS = 100
# What the models of the official clients need, whatever is selected.
_ALWAYS = frozenset({"id", "grant_id", "object"})
_GRANT_FIELDS = ("id", "provider", "grant_status", "email", "name", "scope", "created_at", "updated_at")


def shown(value: Any) -> Any:
    """What the provider gave, without the marks of the desk."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: marks.without(item) if key == "metadata" and isinstance(item, dict) else shown(item)
        for key, item in value.items()
    }


def selected(shape: dict[str, Any], select: str) -> dict[str, Any]:
    """The named fields of an object; all of them when none is named."""
    names = {name.strip() for name in select.split(",") if name.strip()}
    return {key: item for key, item in shape.items() if key in names | _ALWAYS} if names else shape


def grant(given: Mapping[str, Any]) -> dict[str, Any]:
    """A grant without how it is connected."""
    return {name: given[name] for name in _GRANT_FIELDS if name in given}


def mail(
    submission: Submission | None, draft: Draft | None, kind: Literal["draft", "message"] = "draft"
) -> dict[str, Any]:
    """A mail of an agent with how it stands, which `metadata` repeats: the official clients drop unknown fields."""
    owner = draft if draft is not None else submission
    if owner is None:
        raise NotThere
    says = submissions.wording(submission, draft)
    found = standing.standing(submission, draft)
    told = {"status": found.status.value, "code": found.code} | (
        {"reason": found.reason} if found.reason else {}
    )
    mailbox = owner.mailbox
    own_name = {"name": mailbox.display_name} if mailbox.display_name else {}
    return {
        "id": str(owner.public_id),
        "grant_id": mailbox.grant_id,
        "object": kind,
        "thread_id": draft.thread_id if draft is not None else "",
        "from": [own_name | {"email": mailbox.address}],
        "to": [one.to_json() for one in says.to],
        "cc": [one.to_json() for one in says.cc],
        "bcc": [one.to_json() for one in says.bcc],
        "reply_to": [one.to_json() for one in says.reply_to],
        "subject": says.subject,
        "body": says.body,
        "snippet": _snippet(says.body),
        "date": _seconds(draft.arrived_at if draft is not None else _received(submission)),
        "unread": False,
        "starred": False,
        "folders": [],
        "attachments": attachments(submission, draft),
        "reply_to_message_id": says.parent_message_id,
        "metadata": told,
        **told,
    }


def attachments(submission: Submission | None, draft: Draft | None) -> list[dict[str, Any]]:
    """What is attached to a mail of an agent; ids exist once its draft does."""
    if draft is not None and draft.current_revision is not None:
        names = ("id", "filename", "content_type", "size", "content_id", "is_inline")
        return [
            {"grant_id": draft.grant_id} | {name: part[name] for name in names if part.get(name) is not None}
            for part in draft.current_revision.attachments
        ]
    given = submission.content.get("attachments", []) if submission is not None else []
    return [{"filename": part["filename"], "content_type": part["content_type"]} for part in given]


def thread(
    mailbox: Mailbox, thread_id: str, messages: Sequence[dict[str, Any]], drafts: Sequence[Draft]
) -> dict[str, Any]:
    """A thread of nothing but these messages and drafts of an agent. There is at least one of either."""
    told = sorted((shown(one) for one in messages), key=_date)
    written = sorted((mail(None, draft) for draft in drafts), key=_date)
    both = sorted([*told, *written], key=_date)
    sent = [one for one in told if _is_from(one, mailbox.address)]
    received = [one for one in told if one not in sent]
    people = {
        parsing.text(one.get("email")).casefold(): one
        for each in both
        for name in ("from", "to", "cc")
        for one in each.get(name) or []
        if isinstance(one, dict)
    }
    shape: dict[str, Any] = {
        "id": thread_id,
        "grant_id": mailbox.grant_id,
        "object": "thread",
        "subject": both[0].get("subject", ""),
        "snippet": (received or told or both)[-1].get("snippet", ""),
        "participants": list(people.values()),
        "unread": any(one.get("unread") is True for one in told),
        "starred": any(one.get("starred") is True for one in told),
        "has_attachments": any(one.get("attachments") for one in both),
        "has_drafts": bool(written),
        "message_ids": [one["id"] for one in told],
        "draft_ids": [one["id"] for one in written],
        "folders": sorted({str(folder) for one in told for folder in one.get("folders") or []}),
        "latest_draft_or_message": both[-1],
    }
    if told:
        shape["earliest_message_date"] = _date(told[0])
    if received:
        shape["latest_message_received_date"] = _date(received[-1])
    if sent:
        shape["latest_message_sent_date"] = _date(sent[-1])
    return shape


def _is_from(message: Mapping[str, Any], address: str) -> bool:
    senders = parsing.addresses(message.get("from"))
    return any(one.email.casefold() == address.casefold() for one in senders)


def _date(shape: Mapping[str, Any]) -> int:
    return parsing.whole(shape.get("date")) or 0


def _snippet(body: str) -> str:
    text = to_text(body) if is_html(body) else body
    return " ".join(text.split())[:SNIPPET_CHARACTERS]


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _received(submission: Submission | None) -> datetime:
    if submission is None:
        raise NotThere
    return submission.received_at
