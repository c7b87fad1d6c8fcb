"""What leaves a mailbox, as it turns up there: evidence for a send, a second copy of one, or sent elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentmail.client import NylasClient
from agentmail.exceptions import NotFound, RequestRefused
from agentmail.models import Mailbox, Message
from agentmail.types import MessageSnapshot
from approvals import content
from approvals.content import content_of_revision
from approvals.models import Draft, Send
from approvals.states import IN_FLIGHT_SEND_STATES, OPEN_DRAFT_STATES, DraftState, SendState
from approvals.transitions import sends, sent_messages
from audit.clock import database_now
from audit.record import SYSTEM, Actor

# How long after a send an equal mail counts as a copy of it and not as a mail of its own.
ALIKE_WITHIN = timedelta(days=30)
ALIKE_LOOKED_AT, ALIKE_AT_ONCE = 500, 20
SETTLED_AT_ONCE = 200

_LEFT_BY_US = (
    SendState.DISPATCHED,
    SendState.UNKNOWN,
    SendState.ACCEPTED,
    SendState.CLOSED_SENT,
)


def note(message: Message, client: NylasClient, *, source: str, actor: Actor = SYSTEM) -> None:
    """Take a stored message of a mailbox as what it proves about a send; one that came from outside proves nothing.

    Our token in it is evidence that the send left. A further message that says the same as a send, with the token or
    without, is a second copy: an alarm and a follow-up. One that is no send of ours was sent elsewhere: an alarm, and
    the draft with its words is closed. What may yet turn out to be a send under way is left to `unsettled`.
    Raises ProviderError when a copy cannot be compared.
    """
    if not message.is_outbound:
        return
    mine = Send.objects.filter(mailbox_id=message.mailbox_id)
    token = str(message.metadata.get("key1", ""))
    send = mine.filter(token=token).first() if token else None
    if send is not None and send.state == SendState.DISPATCHED:
        # Its worker is about to write down the reply itself, which is better evidence.
        return
    if send is not None and send.state != SendState.ACCEPTED:
        sends.found(
            send.pk,
            source=source,
            provider_message_id=message.provider_id,
            provider_thread_id=message.thread_id,
            actor=actor,
        )
        sent_messages.allowed_by(message, send)
        return
    send = send or mine.filter(provider_message_id=message.provider_id).first()
    if send is None and mine.filter(state__in=IN_FLIGHT_SEND_STATES, draft__subject=message.subject).exists():
        # It may be the copy of that one, whose token the provider has not written yet.
        return
    snapshot = None
    if send is None:
        snapshot = _read(message, client)
        send = _sent_alike(message, snapshot)
    if send is not None:
        note_reported(send, message.provider_id, client)
        sent_messages.allowed_by(message, send)
    elif _is_since_connection(message):
        draft = _draft_sent_as(message, snapshot, client)
        sent_messages.sent_elsewhere(message, draft.pk if draft is not None else None, actor=actor)


def unsettled(mailbox: Mailbox) -> list[Message]:
    """What left the mailbox and is to be noted again: its send was under way, or a process ended before it could."""
    since = max(mailbox.connected_at, database_now() - ALIKE_WITHIN)
    left = Message.objects.filter(
        mailbox=mailbox,
        is_outbound=True,
        is_complete=True,
        date__gte=int(since.timestamp()),
        sent_message__isnull=True,
    )
    return list(left.order_by("date", "pk")[:SETTLED_AT_ONCE])


def note_reported(send: Send, provider_message_id: str, client: NylasClient) -> None:
    """Raise the alarm of a second copy when a message that is known to be a copy of a sent mail is another one.

    Raises ProviderError when that cannot be found out.
    """
    if _is_another(send, provider_message_id, client):
        sends.note_second_copy(send.pk, provider_message_id)


def _is_since_connection(message: Message) -> bool:
    return (message.date or 0) >= int(message.mailbox.connected_at.timestamp())


def _left_at(message: Message) -> datetime:
    # A date may be any number, and one in the future says nothing.
    now = database_now()
    return datetime.fromtimestamp(min(max(message.date or 0, 0), now.timestamp()), UTC)


def _read(message: Message, client: NylasClient) -> MessageSnapshot | None:
    try:
        return client.get_message(message.mailbox.grant_id, message.provider_id)
    except (NotFound, RequestRefused):
        # Gone, or an id that nobody can ask for: there is nothing to compare, now and later.
        return None


def _sent_alike(message: Message, snapshot: MessageSnapshot | None) -> Send | None:
    if snapshot is None:
        return None
    candidates = (
        Send.objects.filter(
            mailbox_id=message.mailbox_id,
            state__in=[SendState.ACCEPTED, SendState.CLOSED_SENT],
            state_changed_at__gte=_left_at(message) - ALIKE_WITHIN,
            decision__revision__subject=message.subject,
        )
        .select_related("decision__revision")
        .order_by("-state_changed_at")[:ALIKE_LOOKED_AT]
    )
    for send in candidates.iterator(chunk_size=ALIKE_AT_ONCE):
        if content.is_same_mail(content_of_revision(send.decision.revision), snapshot):
            return send
    return None


def _draft_sent_as(message: Message, snapshot: MessageSnapshot | None, client: NylasClient) -> Draft | None:
    """The draft that a message is: the same mail, or of the same conversation and vanished when it left."""
    candidates = (
        Draft.objects.filter(
            mailbox_id=message.mailbox_id,
            subject=message.subject,
            arrived_at__gte=database_now() - ALIKE_WITHIN,
            current_revision__isnull=False,
        )
        .exclude(send__state__in=_LEFT_BY_US)
        .select_related("current_revision")
        .defer("search_text", "thread_pinned")
        .order_by("-arrived_at")
    )
    for draft in candidates[:ALIKE_LOOKED_AT].iterator(chunk_size=ALIKE_AT_ONCE):
        revision = draft.current_revision
        if snapshot and revision and content.is_same_mail(content_of_revision(revision), snapshot):
            return draft
    if message.thread_id:
        for draft in list(candidates.filter(thread_id=message.thread_id)[:ALIKE_AT_ONCE]):
            if _left_as(draft, message, client):
                return draft
    return None


def _left_as(draft: Draft, message: Message, client: NylasClient) -> bool:
    if draft.state == DraftState.WITHDRAWN:
        # One that was withdrawn before the message was written is no reason for it.
        return draft.state_changed_at.timestamp() >= (message.date or 0)
    if draft.state not in (*OPEN_DRAFT_STATES, DraftState.APPROVED):
        return False
    try:
        client.get_draft(draft.grant_id, draft.provider_draft_id)
    except NotFound:
        return True
    return False


def _is_another(send: Send, provider_message_id: str, client: NylasClient) -> bool:
    if send.provider_message_id in ("", provider_message_id) or not provider_message_id:
        return False
    try:
        # Some providers give a message another id when it moves; then the first one is gone.
        client.get_message(send.grant_id, send.provider_message_id)
    except NotFound:
        return False
    return True
