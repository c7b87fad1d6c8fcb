"""Incoming mail that an agent may read only once a person released it, in mailboxes that are `gated_all`."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail.models import Mailbox, Message
from approvals import people
from approvals.models import InboundRelease, Send
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import modes


class ReleaseRefused(Exception):
    """Nothing was released; the message says why."""


def hold_if_gated(message: Message) -> bool:
    """Hold a message that was just stored, if its mailbox is `gated_all` by now; whether it is held.

    Runs in the transaction that stores it, so that no reader sees it in between. Only what this desk sent is passed
    over: a stranger can write the mailbox's own address into a sender.
    """
    # Providers number the messages of each mailbox for itself.
    own = Send.objects.filter(mailbox_id=message.mailbox_id, provider_message_id=message.provider_id)
    if not modes.holds_inbound(_mode_now(message.mailbox_id)) or own.exists():
        return False
    with transaction.atomic():
        InboundRelease.objects.create(message=message, mailbox_id=message.mailbox_id, held_at=database_now())
        record(
            "approvals.inbound.held",
            actor=SYSTEM,
            mailbox_id=message.mailbox_id,
            inbound_message_id=message.provider_id,
            thread_id=message.thread_id,
        )
    return True


def is_released(message: Message) -> bool:
    """Whether the agent may read a message: it was never held, or a person released it."""
    return not InboundRelease.objects.filter(message_id=message.pk, released_at__isnull=True).exists()


def released(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Those of some messages that the agent may read."""
    return messages.exclude(release__isnull=False, release__released_at__isnull=True)


def readable(mailbox: Mailbox, provider_ids: Iterable[str]) -> frozenset[str]:
    """Those of some messages at the provider, by their ids, that the agent may read now.

    While the mailbox is `gated_all`, one that is not stored here yet is not readable: it will be held.
    """
    ids = frozenset(provider_ids)
    stored = Message.objects.filter(mailbox=mailbox, provider_id__in=ids)
    if modes.holds_inbound(_mode_now(mailbox.pk)):
        return frozenset(released(stored).values_list("provider_id", flat=True))
    held = held_in(mailbox).filter(message__provider_id__in=ids)
    return ids - frozenset(held.values_list("message__provider_id", flat=True))


def hides_some(mailbox: Mailbox) -> bool:
    """Whether the agent may see less of a mailbox than the provider holds."""
    return modes.holds_inbound(_mode_now(mailbox.pk)) or held_in(mailbox).exists()


def held_in(mailbox: Mailbox) -> QuerySet[InboundRelease]:
    """What waits to be released in a mailbox, the oldest first."""
    return InboundRelease.objects.filter(mailbox=mailbox, released_at__isnull=True).order_by("pk")


def release(mailbox: Mailbox, message_ids: Iterable[int], *, person: User) -> int:
    """Release messages of a mailbox to its agent; how many were held until now.

    Needs the right to decide there. Raises ReleaseRefused without it, and for a message that was not read in full:
    nobody can have judged it.
    """
    if not people.is_still_allowed(person.pk, people.Right.DECIDE, mailbox.pk):
        raise ReleaseRefused(_("You may not release messages of this mailbox."))
    ids = list(dict.fromkeys(message_ids))
    with transaction.atomic():
        rows = list(
            InboundRelease.objects.select_for_update(of=("self",))
            .select_related("message")
            .filter(mailbox=mailbox, message_id__in=ids, released_at__isnull=True)
            .order_by("pk")
        )
        if any(not row.message.is_complete for row in rows):
            raise ReleaseRefused(_("A message has not been read in full yet; release it when it is here."))
        now = database_now()
        InboundRelease.objects.filter(pk__in=[row.pk for row in rows]).update(
            released_at=now, released_by=person
        )
        for row in rows:
            record(
                "approvals.inbound.released",
                actor=people.actor_for(person),
                mailbox_id=mailbox.pk,
                inbound_message_id=row.message.provider_id,
                thread_id=row.message.thread_id,
            )
    return len(rows)


def _mode_now(mailbox_id: int) -> str:
    # Asked anew: whoever brings the mailbox may have read it before the mode changed.
    return Mailbox.objects.values_list("mode", flat=True).get(pk=mailbox_id)
