"""Looking for evidence about an unknown send. What is found counts; that nothing is found proves nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from agentmail import mirror
from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import NotFound, ProviderError
from agentmail.models import Message, ProviderEvent
from approvals import instance
from approvals.content import REFERENCE_HEADER, send_token
from approvals.dispatch import finish, lock_name
from approvals.models import Draft, Lookup, Send
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from approvals.transitions import drafts, sends
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import locks

logger = logging.getLogger(__name__)

ACCEPTING_STATUSES = frozenset({"accepted", "delivered", "bounced", "complaint", "rejected"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said about a send; `message_id` is empty when it knows nothing of it."""

    source: str
    said: str
    message_id: str = ""
    thread_id: str = ""


def look_up(send_id: int) -> bool:
    """Ask every source about an unknown send and write down what each said; whether it was found.

    A worker that still holds the send keeps this away: its own answer is better evidence.
    """
    with locks.hold(lock_name(send_id)) as lock:
        if lock is None:
            return False
        send = Send.objects.select_related("draft", "mailbox", "decision__revision").get(pk=send_id)
        if send.state not in (SendState.UNKNOWN, SendState.CLOSED_SENT, SendState.CLOSED_NOT_SENT):
            return False
        answers = [_asked(source, send) for source in _SOURCES]
        found = next((answer for answer in answers if answer.message_id), None)
        _write(send, answers)
        if found is not None:
            sends.found(
                send.pk,
                source=found.source,
                provider_message_id=found.message_id,
                provider_thread_id=found.thread_id,
            )
    if found is not None:
        finish(send_id)
    return found is not None


def after_restore() -> tuple[int, int]:
    """Find out what a restored database has forgotten, and take it for this installation's own again.

    Every draft that could still be sent is asked for by its token, which depends on the draft alone. A mail that
    is found closes its draft. Gives how many were asked for and found; raises ProviderError with nothing allowed.
    """
    client = configured_client()
    asked = found = 0
    rows = Draft.objects.filter(state__in=[*OPEN_DRAFT_STATES, DraftState.APPROVED]).select_related("send")
    # Read to the end first: SQLite refuses to write beside a reading that began before another process wrote.
    for draft in list(rows):
        asked += 1
        send: Send | None = getattr(draft, "send", None)
        # The provider may have given the draft another id since the token was made.
        token = send.token if send is not None else send_token(draft.grant_id, draft.provider_draft_id)
        for message in client.list_messages(draft.grant_id, metadata_pair=f"key1:{token}"):
            if send is None:
                drafts.withdraw(draft.pk)
                found += 1
            else:
                found += sends.found(
                    send.pk,
                    source="metadata",
                    provider_message_id=message.id,
                    provider_thread_id=message.thread_id,
                )
            break
    instance.adopt()
    return asked, found


def _asked(source: Callable[[Send, NylasClient], Answer], send: Send) -> Answer:
    name = source.__name__.removeprefix("_in_")
    try:
        return source(send, configured_client())
    except NotFound:
        return Answer(name, _("The provider does not offer this source for the mailbox."))
    except ProviderError as error:
        return Answer(name, _("No usable answer: %(why)s") % {"why": error})


def _in_metadata(send: Send, client: NylasClient) -> Answer:
    for message in client.list_messages(send.grant_id, metadata_pair=f"key1:{send.token}"):
        said = _("A message of the mailbox carries the token of this send.")
        return Answer("metadata", said, message.id, message.thread_id)
    return Answer("metadata", _("No message of the mailbox carries the token."))


def _in_events(send: Send, client: NylasClient) -> Answer:
    message = Message.objects.filter(mailbox=send.mailbox, metadata__key1=send.token).first()
    if message is not None:
        said = _("A notification brought a message with the token of this send.")
        return Answer("events", said, message.provider_id, message.thread_id)
    told = ProviderEvent.objects.filter(grant_id=send.grant_id, received_at__gte=send.queued_at)
    event = told.filter(payload__data__object__message__metadata__key1=send.token).first()
    if event is not None:
        reported = str(event.payload["data"]["object"]["message"].get("id", ""))
        return Answer("events", _("A delivery report carries the token of this send."), reported)
    # A copy that was announced and could not be read, because the provider stores it later or hides it.
    copies = told.filter(type__startswith="message.created", payload__data__object__metadata__key1=send.token)
    for event in copies:
        announced = event.payload["data"]["object"]
        if announced.get("object") != "draft":
            said = _("A notification announced a message with the token of this send.")
            return Answer("events", said, str(announced.get("id", "")))
    failed = told.filter(type="message.send_failed").filter(_about(send)).first()
    if failed is not None:
        # Shown to the person who decides, and no more: absence is never proven (send-safety section 6).
        return Answer("events", _("The provider notified that it could not send the message."))
    return Answer("events", _("No notification carries the token."))


def _about(send: Send) -> Q:
    about = Q(payload__data__object__metadata__key1=send.token)
    if send.provider_message_id:
        about |= Q(payload__data__object__id=send.provider_message_id)
    return about


def _in_sent_mail(send: Send, client: NylasClient) -> Answer:
    if not send.thread_id:
        return Answer("sent_mail", _("The draft started a thread of its own, so there is no thread to read."))
    for message in client.list_messages(send.grant_id, thread_id=send.thread_id, with_headers=True):
        # An answer may repeat the header of what it answers, and is not the mail to ask after.
        if mirror.is_outbound(send.mailbox, message) and any(
            name.casefold() == REFERENCE_HEADER.casefold() and value == send.token
            for name, value in message.headers
        ):
            said = _("A message of the thread carries the token in its header.")
            return Answer("sent_mail", said, message.id, message.thread_id)
    return Answer("sent_mail", _("No message of the thread carries the token in its header."))


def _in_activity(send: Send, client: NylasClient) -> Answer:
    if not send.provider_message_id:
        return Answer("activity", _("The provider gave no message id to ask its send activity for."))
    for entry in client.list_send_activity(send.grant_id, message_id=send.provider_message_id):
        if entry.status in ACCEPTING_STATUSES:
            said = _("The provider's send activity lists the message.")
            return Answer("activity", said, entry.message_id)
    return Answer("activity", _("The provider's send activity does not list the message."))


_SOURCES: tuple[Callable[[Send, NylasClient], Answer], ...] = (
    _in_metadata,
    _in_events,
    _in_sent_mail,
    _in_activity,
)


def _write(send: Send, answers: list[Answer]) -> None:
    with transaction.atomic():
        now = database_now()
        done = send.lookups_done + 1
        following = settings.LOOKUP_SECONDS[done] if done < len(settings.LOOKUP_SECONDS) else None
        Lookup.objects.bulk_create(
            Lookup(
                send=send,
                round=done,
                source=answer.source,
                asked_at=now,
                found=bool(answer.message_id),
                said=answer.said[:300],
            )
            for answer in answers
        )
        Send.objects.filter(pk=send.pk).update(
            lookups_done=done,
            next_lookup_at=(
                None if following is None else max(now, send.state_changed_at + timedelta(seconds=following))
            ),
        )
        record(
            "approvals.send.looked_up",
            actor=SYSTEM,
            mailbox_id=send.mailbox_id,
            draft_id=send.draft_id,
            send_id=send.pk,
            thread_id=send.thread_id,
            outcome="found" if any(answer.message_id for answer in answers) else "not_found",
            data={"round": done, "sources": [answer.source for answer in answers if answer.message_id]},
        )
