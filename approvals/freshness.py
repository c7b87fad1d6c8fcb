"""One look at a draft and its thread at the provider, and what the look means for the draft.

Material are: a new message in or out, a deleted one, a change of participants or subject of the answered
message, a thread that is gone. Labels, read state and folder moves are not (they are not in a fingerprint).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentmail.client import NylasClient
from agentmail.exceptions import NotFound
from agentmail.types import Address, DraftSnapshot, MessageSnapshot, ThreadSnapshot
from approvals.content import MESSAGE_BYTES, content_of_draft
from approvals.models import Draft, StaleReason


@dataclass(frozen=True, slots=True)
class ThreadLook:
    """A thread as it is now: `pinned` is what the fingerprint covers; both are empty without a thread."""

    thread: ThreadSnapshot | None
    pinned: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the provider says now. `draft` is None when it is gone. `looked_at` is of the monotonic clock."""

    draft: DraftSnapshot | None
    upstream_sha256: str
    thread: ThreadLook
    looked_at: float

    def age_seconds(self) -> float:
        return time.monotonic() - self.looked_at


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why a draft no longer answers its thread, and the messages that are new in it."""

    reason: StaleReason
    message_ids: tuple[str, ...] = ()


def look(
    draft: Draft, client: NylasClient, *, verify_attachments: bool, read_timeout: float | None = None
) -> Look:
    """Read the draft, its thread and the answered message. Writes nothing.

    With `verify_attachments` the bytes are read again; otherwise an attachment with a known id counts as
    unchanged. Raises ProviderError when the provider gives no usable answer: that is never "fresh".
    """
    digests: dict[str, str] = {}
    if not verify_attachments:
        digests = _known_digests(draft)
    elif any(draft.revisions.values_list("attachments", flat=True)):
        # Before the look begins: reading large files may take longer than a look stays fresh.
        before = _draft_now(draft, client, read_timeout)
        digests = _read_digests(draft, before, client, {}) if before is not None else {}
    started = time.monotonic()
    snapshot = _draft_now(draft, client, read_timeout)
    upstream_sha256 = ""
    if snapshot is not None:
        digests = _read_digests(draft, snapshot, client, digests)
        mailbox = Address(draft.mailbox.address, draft.mailbox.display_name)
        upstream_sha256 = content_of_draft(
            snapshot, mailbox=mailbox, parent_message_id="", digests=digests
        ).upstream_sha256
    thread = look_at_thread(
        client, draft.grant_id, draft.thread_id, draft.parent_message_id, read_timeout=read_timeout
    )
    return Look(draft=snapshot, upstream_sha256=upstream_sha256, thread=thread, looked_at=started)


def look_at_thread(
    client: NylasClient,
    grant_id: str,
    thread_id: str,
    parent_message_id: str,
    *,
    read_timeout: float | None = None,
) -> ThreadLook:
    """Read a thread and the message answered in it; a draft outside any thread has an empty look."""
    thread: ThreadSnapshot | None = None
    if thread_id:
        try:
            thread = client.get_thread(grant_id, thread_id, read_timeout=read_timeout)
        except NotFound:
            thread = None
    parent: MessageSnapshot | None = None
    if parent_message_id:
        try:
            parent = client.get_message(grant_id, parent_message_id, read_timeout=read_timeout)
        except NotFound:
            parent = None
    pinned: dict[str, Any] = {"thread": thread.id if thread else "", "parent": _parent_facts(parent)}
    if thread is not None:
        pinned |= {
            "messages": sorted(thread.message_ids),
            "received": thread.latest_message_received_date,
            "sent": thread.latest_message_sent_date,
        }
    return ThreadLook(thread=thread, pinned=pinned, fingerprint=fingerprint_of(pinned))


def fingerprint_of(pinned: Mapping[str, Any]) -> str:
    text = json.dumps(pinned, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def staleness(pinned: Mapping[str, Any], now: ThreadLook) -> Staleness | None:
    """Compare what a draft was written for with what is there now; None when it still answers it."""
    if fingerprint_of(pinned) == now.fingerprint:
        return None
    if pinned.get("thread") and not now.pinned.get("thread"):
        return Staleness(StaleReason.THREAD_GONE)
    before, after = set(pinned.get("messages", ())), set(now.pinned.get("messages", ()))
    arrived = tuple(sorted(after - before))
    received_moved = (now.pinned.get("received") or 0) != (pinned.get("received") or 0)
    sent_moved = (now.pinned.get("sent") or 0) != (pinned.get("sent") or 0)
    if arrived or ((received_moved or sent_moved) and not before - after):
        answered = sent_moved and not received_moved
        return Staleness(StaleReason.ANSWERED if answered else StaleReason.NEW_INBOUND, arrived)
    if before - after:
        return Staleness(StaleReason.MESSAGE_GONE)
    return Staleness(StaleReason.PARENT_CHANGED)


def _parent_facts(parent: MessageSnapshot | None) -> dict[str, Any] | None:
    if parent is None:
        return None
    fields = {"from": parent.from_, "to": parent.to, "cc": parent.cc, "reply_to": parent.reply_to}
    facts: dict[str, Any] = {
        name: sorted(address.email.casefold() for address in addresses) for name, addresses in fields.items()
    }
    return facts | {"id": parent.id, "subject": parent.subject}


def _draft_now(draft: Draft, client: NylasClient, read_timeout: float | None) -> DraftSnapshot | None:
    try:
        return client.get_draft(draft.grant_id, draft.provider_draft_id, read_timeout=read_timeout)
    except NotFound:
        return None


def _known_digests(draft: Draft) -> dict[str, str]:
    lists = draft.revisions.filter(author_kind="agent").values_list("attachments", flat=True)
    return {part["id"]: part["sha256"] for attachments in lists for part in attachments}


def _read_digests(
    draft: Draft, snapshot: DraftSnapshot, client: NylasClient, read_before: Mapping[str, str]
) -> dict[str, str]:
    digests: dict[str, str] = {}
    for part in snapshot.attachments:
        if part.id in read_before:
            digests[part.id] = read_before[part.id]
        else:
            data = client.download_attachment(
                draft.grant_id, part.id, parent_id=snapshot.id, limit=MESSAGE_BYTES
            )
            digests[part.id] = hashlib.sha256(data).hexdigest()
    return digests
