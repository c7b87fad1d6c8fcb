"""What a mailbox's channel is to be told, kept in the transaction of what it is about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agentmail.models import Mailbox
from approvals.models import Notification, Send
from audit.clock import database_now
from policies import channels, modes

SENT, UNKNOWN, TEST = "email.sent", "email.unknown", "channel.test"


def note_send(send: Send, *, now: datetime, kind: str = SENT) -> None:
    """Keep what is to be told of a monitored mailbox: its mail left, or may have. For the writer of that state."""
    is_monitored = send.mailbox.mode == modes.MONITORED
    was_monitored = send.decision.person_id is None and send.draft.mode == modes.MONITORED
    if not (is_monitored or was_monitored) or channels.of(send.mailbox_id) is None:
        return
    revision = send.decision.revision
    data = {
        "draft": str(send.draft.public_id),
        "mailbox": send.mailbox.address,
        "to": revision.recipients(),
        "subject": revision.subject,
        "message_id": send.provider_message_id,
        "decided_by": send.decision.person_name,
        "oversight_mode": send.mailbox.mode,
    }
    _keep(send.mailbox, kind, data, now=now, send=send)


def send_test(mailbox: Mailbox) -> Notification:
    """Tell the channel of a mailbox that this is a test."""
    return _keep(mailbox, TEST, {"mailbox": mailbox.address}, now=database_now())


def _keep(
    mailbox: Mailbox, kind: str, data: dict[str, Any], *, now: datetime, send: Send | None = None
) -> Notification:
    payload = {"type": kind, "created_at": now.isoformat(), "data": data}
    if send is None:
        return Notification.objects.create(
            mailbox=mailbox, type=kind, payload=payload, made_at=now, next_try_at=now
        )
    kept, _is_new = Notification.objects.get_or_create(
        send=send,
        type=kind,
        defaults={"mailbox": mailbox, "payload": payload, "made_at": now, "next_try_at": now},
    )
    return kept
