"""What is said of a message that left a mailbox: which send it is, or that it was sent elsewhere. Once per message."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from agentmail.models import Message
from approvals import people
from approvals.models import Send, SentMessage
from approvals.transitions import drafts
from approvals.transitions.moves import lock_draft
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record


class AcknowledgementRefused(Exception):
    """The message cannot be acknowledged; the message says why."""


def allowed_by(message: Message, send: Send) -> None:
    """Keep that a message is a copy of a send; what was said of it before stays."""
    SentMessage.objects.get_or_create(
        message=message,
        defaults={"mailbox_id": message.mailbox_id, "send": send, "noted_at": database_now()},
    )


def sent_elsewhere(message: Message, draft_id: int | None, *, actor: Actor = SYSTEM) -> bool:
    """Raise the alarm that a message left the mailbox and no decision allowed it; whether that was news.

    The draft whose words it says, if there is one and it still waited, is closed with it.
    """
    with transaction.atomic():
        if draft_id is not None:
            # The row below may wait for whoever notes the same message, and closing a draft records: locks come first.
            lock_draft(draft_id)
        item, is_new = SentMessage.objects.get_or_create(
            message=message,
            defaults={
                "mailbox_id": message.mailbox_id,
                "draft_id": draft_id,
                "noted_at": database_now(),
            },
        )
        is_closed = draft_id is not None and drafts.close_sent_elsewhere(draft_id)
        if is_new:
            _record(
                "approvals.message.sent_elsewhere",
                item,
                message,
                actor=actor,
                outcome="draft_closed" if is_closed else "",
            )
        return is_new


def acknowledge(item_ids: Collection[int], *, person: User, note: str) -> list[SentMessage]:
    """Take messages that were sent elsewhere off the alarm, with a note; those that somebody took off before stay.

    Raises AcknowledgementRefused, with nothing written, when the person may not do it for one of them.
    """
    with transaction.atomic():
        rows = (
            SentMessage.objects.select_for_update(of=("self",))
            .select_related("message")
            .filter(pk__in=item_ids, send__isnull=True, acknowledged_at__isnull=True)
            .order_by("pk")
        )
        items, now = list(rows), database_now()
        for mailbox_id in {item.mailbox_id for item in items}:
            if not people.is_still_allowed(person.pk, people.Right.RESOLVE, mailbox_id):
                raise AcknowledgementRefused(
                    _("Only an operator or an admin of the mailbox acknowledges its mail.")
                )
        SentMessage.objects.filter(pk__in=[item.pk for item in items]).update(
            acknowledged_at=now, acknowledged_by=person, acknowledge_note=note
        )
        for item in items:
            _record(
                "approvals.message.acknowledged",
                item,
                item.message,
                actor=people.actor_for(person),
                reason=note,
            )
        return items


def _record(action: str, item: SentMessage, message: Message, *, actor: Actor, **fields: Any) -> None:
    addresses = [entry["email"] for part in (message.to, message.cc, message.bcc) for entry in part]
    record(
        action,
        actor=actor,
        mailbox_id=item.mailbox_id,
        draft_id=item.draft_id,
        thread_id=message.thread_id,
        recipients=addresses,
        provider_id=message.provider_id,
        data={"item": str(item.public_id)},
        **fields,
    )
