"""What leaves a mailbox, as it turns up there: evidence for a send of ours, or a second copy of one."""

from __future__ import annotations

from datetime import timedelta

from agentmail.client import NylasClient
from agentmail.exceptions import NotFound
from agentmail.models import Message
from agentmail.types import MessageSnapshot
from approvals import content
from approvals.content import content_of_revision
from approvals.models import Send
from approvals.states import IN_FLIGHT_SEND_STATES, SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import SYSTEM, Actor

# How long after a send an equal mail counts as a copy of it and not as a mail of its own.
ALIKE_WITHIN = timedelta(days=30)
ALIKE_LOOKED_AT = 20


def note(message: Message, client: NylasClient, *, source: str, actor: Actor = SYSTEM) -> None:
    """Take a stored message of a mailbox as what it proves about a send; one that came from outside proves nothing.

    Our token in it is evidence that the send left. A further message that says the same as a send, with the token or
    without, is a second copy: an alarm and a follow-up. Raises ProviderError when a copy cannot be compared.
    """
    if not message.is_outbound:
        return
    token = str(message.metadata.get("key1", ""))
    mine = Send.objects.filter(mailbox_id=message.mailbox_id)
    send = mine.filter(token=token).first() if token else None
    if send is None:
        send = _sent_alike(message, client)
    elif send.state == SendState.DISPATCHED:
        # Its worker is about to write down the reply itself, which is better evidence.
        return
    elif send.state != SendState.ACCEPTED:
        sends.found(
            send.pk,
            source=source,
            provider_message_id=message.provider_id,
            provider_thread_id=message.thread_id,
            actor=actor,
        )
        return
    if send is not None:
        note_reported(send, message.provider_id, client)


def note_reported(send: Send, provider_message_id: str, client: NylasClient) -> None:
    """Raise the alarm of a second copy when a message that is known to be a copy of a sent mail is another one.

    Raises ProviderError when that cannot be found out.
    """
    if _is_another(send, provider_message_id, client):
        sends.note_second_copy(send.pk, provider_message_id)


def _sent_alike(message: Message, client: NylasClient) -> Send | None:
    mine = Send.objects.filter(mailbox_id=message.mailbox_id)
    if mine.filter(state__in=IN_FLIGHT_SEND_STATES, draft__subject=message.subject).exists():
        # It may be the copy of that one, whose token the provider has not written yet.
        return None
    candidates = (
        mine.filter(
            state=SendState.ACCEPTED,
            accepted_at__gte=database_now() - ALIKE_WITHIN,
            decision__revision__subject=message.subject,
        )
        .exclude(provider_message_id=message.provider_id)
        .select_related("decision__revision")
        .order_by("-accepted_at")[:ALIKE_LOOKED_AT]
    )
    snapshot: MessageSnapshot | None = None
    for send in candidates:
        if snapshot is None:
            try:
                snapshot = client.get_message(send.grant_id, message.provider_id)
            except NotFound:
                return None
        if content.is_same_mail(content_of_revision(send.decision.revision), snapshot):
            return send
    return None


def _is_another(send: Send, provider_message_id: str, client: NylasClient) -> bool:
    if send.provider_message_id in ("", provider_message_id) or not provider_message_id:
        return False
    try:
        # Some providers give a message another id when it moves; then the first one is gone.
        client.get_message(send.grant_id, send.provider_message_id)
    except NotFound:
        return False
    return True
