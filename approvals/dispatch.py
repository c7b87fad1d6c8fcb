"""Handing one approved draft to the provider: steps C3 to C11 of send-safety section 5.

This is the only caller of the provider's send. Every state it changes is written by `transitions.sends`; between
its steps the process may die at any moment, and the sweeps know what that means.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection
from django.utils.translation import gettext as _

from agentmail import mirror
from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import (
    NotFound,
    ProviderError,
    ProviderNotConfigured,
    RequestRefused,
    Unauthenticated,
)
from agentmail.failpoints import reach
from agentmail.models import Transport
from agentmail.types import MessageSnapshot, ReplyClass, SendReply
from approvals import (
    content,
    evaluations,
    freshness,
    instance,
    intake,
    mailboxes,
    pace,
    switch_scopes,
    switchboard,
)
from approvals.content import Content, content_of_revision, frozen_payload
from approvals.freshness import Look
from approvals.gates import Consequence
from approvals.models import AttachmentBlob, Attempt, Draft, Send
from approvals.states import AttemptState, SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import SYSTEM
from policies import locks, mailbox_settings, switch
from policies.models import Delivery

logger = logging.getLogger(__name__)

PROVIDER_SILENT_SECONDS = 15
LONGEST_PACE_SECONDS = 2.0
# A provider this slow gives no look that is fresh enough, and a worker has other sends to try.
LOOK_READ_SECONDS = 30.0
RECORD_PAUSES_SECONDS = (0.5, 2.0, 5.0)


class Result(StrEnum):
    """What one run made of a send; the row tells the same in full."""

    NOTHING = "nothing"  # not due, or another worker has it
    REFUSED = "refused"  # a gate said no
    DEFERRED = "deferred"  # asked again later
    NOT_STARTED = "not_started"  # claimed, and the second look said no
    FOUND = "found"  # it had left before
    POSTED = "posted"  # one POST was made, whatever came of it


def dispatch(send_id: int) -> Result:
    """Try once to hand over a due send. Safe to call at any time, any number of times, from any process."""
    with locks.hold(lock_name(send_id)) as lock:  # C3
        if lock is None:
            return Result.NOTHING
        reach("C3")
        instance.ensure()
        send = (
            Send.objects.select_related(
                "draft__mailbox", "draft__current_revision", "decision__revision", "mailbox"
            )
            .filter(pk=send_id)
            .first()
        )
        if send is None or not _is_due(send):
            return Result.NOTHING
        wait = pace.reserve_send(LONGEST_PACE_SECONDS)
        if wait > LONGEST_PACE_SECONDS:
            if send.state == SendState.QUEUED:  # a resend stays due, as its person was told
                sends.defer(
                    send_id, _("Waits for its turn: the provider takes so many a second."), seconds=int(wait)
                )
            return Result.DEFERRED
        time.sleep(wait)
        with locks.hold(draft_lock_name(send.draft_id)) as draft_lock:
            if draft_lock is None:  # its agent's new wording is on its way to the provider
                return Result.NOTHING
            result = _dispatch_locked(send, lock)
    if result is Result.POSTED:
        finish(send_id)
    return result


def lock_name(send_id: int) -> str:
    return f"send:{send_id}"


def draft_lock_name(draft_id: int) -> str:
    """The lock under which the desk changes a draft at the provider, or lets it be sent: never both at once."""
    return f"draft:{draft_id}"


def finish(send_id: int) -> None:
    """C10 and C11: after an acceptance, delete the draft that was left behind and look at the thread again.

    Each is done once and again until it succeeds; a crash or a silent provider leaves it to the sweep.
    """
    send = Send.objects.select_related("draft__mailbox", "decision").get(pk=send_id)
    if send.state != SendState.ACCEPTED:
        return
    try:
        client = configured_client()
        if send.draft_deleted_at is None:
            client.delete_draft(send.grant_id, send.draft.provider_draft_id)
            sends.note_draft_deleted(send_id)
            reach("C10")
        if send.looked_after_at is None:
            _look_after(send, client)
            reach("C11")
    except ProviderError:
        logger.warning("what follows the acceptance of send %s is left to the sweep", send_id)


def _dispatch_locked(send: Send, lock: locks.HeldLock) -> Result:
    revision_content = content_of_revision(send.decision.revision)
    try:
        payload, content_type = frozen_payload(revision_content, send.token, _blobs(revision_content))
    except ValueError:
        logger.exception("the payload of send %s cannot be built", send.pk)
        sends.defer(send.pk, _("The frozen attachments of this draft are missing or damaged."), seconds=300)
        return Result.DEFERRED
    transport = sends.transport_of(send)
    look: Look | None = None
    trouble = ""
    is_rehearsal = _is_rehearsal(send)
    scopes = switch_scopes.scopes_of(send.draft, send.decision.revision.recipients())
    if switch.read(scopes, is_preview=True).is_open:
        try:
            client = configured_client()
            if _found_by_token(send, client):  # a mail that a restored database has forgotten
                return Result.FOUND
            if transport == Transport.PROVIDER_DRAFT and not is_rehearsal:
                _prepare_upstream(send, revision_content, client)
            look = freshness.look(  # C4
                send.draft, client, verify_attachments=True, read_timeout=LOOK_READ_SECONDS
            )
        except Unauthenticated as error:
            mailboxes.pause(send.mailbox_id, why=str(error))
            send.draft.mailbox.refresh_from_db()
        except ProviderNotConfigured as error:
            sends.defer(send.pk, str(error), seconds=PROVIDER_SILENT_SECONDS)
            return Result.DEFERRED
        except ProviderError as error:
            trouble = _("The provider did not answer, so the thread could not be read again: %(why)s") % {
                "why": error
            }
            sends.defer(send.pk, trouble, seconds=PROVIDER_SILENT_SECONDS)
            return Result.DEFERRED
    reach("C4")
    try:
        claimed = sends.claim(  # C5
            send.pk,
            decision_id=send.decision_id,
            transport=transport,
            look=look,
            trouble=trouble,
            worker=worker_name(),
            is_rehearsal=is_rehearsal,
        )
    except IntegrityError:
        # Two sends of a thread that are claimed at one moment: the database lets one of them through.
        logger.info("send %s was claimed beside another one of its thread", send.pk)
        sends.defer(send.pk, _("Waits for another send of the same thread."), seconds=sends.WAIT_SECONDS)
        return Result.DEFERRED
    if claimed is None:
        return Result.NOTHING
    if isinstance(claimed, sends.Refusal):
        _take_news(send.draft, claimed, look)
        return Result.REFUSED
    reach("C5")
    return _post(claimed, look, lock, payload, content_type)


def _post(
    claim: sends.Claim, look: Look | None, lock: locks.HeldLock, payload: bytes, content_type: str
) -> Result:
    send, attempt = claim.send, claim.attempt
    # Inside the fence a second look at the switch and the POST are one: whoever stops sending waits for it.
    with ExitStack() as inside:
        try:
            inside.enter_context(locks.fence_shared(switch.fences(claim.scopes)))
            refusal = _second_look(claim, look, lock)  # C6
        except (locks.LocksUnavailable, DatabaseError) as error:
            logger.warning("the second look at send %s failed: %s", send.pk, type(error).__name__)
            refusal = _("The second look before sending could not be taken; it is tried again."), ""
        if refusal is not None:
            sends.not_started(attempt.pk, refusal[0], held=refusal[1])
            return Result.NOT_STARTED
        reach("C6")
        reply = _call(send, attempt, payload, content_type)  # C7, C8 inside
        if reply.reply_class is ReplyClass.GONE:
            reply = _looked_for(send, reply)
        _write_down(attempt, reply)  # C9
        reach("C9")
    if reply.reply_class is ReplyClass.UNAUTHENTICATED:
        mailboxes.pause(send.mailbox_id, why=reply.detail)
    elif reply.reply_class is ReplyClass.BLOCKED:
        evaluations.explain(attempt.pk)
    elif reply.reply_class is ReplyClass.PAYLOAD_MISMATCH:
        switchboard.stop_as(
            SYSTEM,
            send.mailbox.scope,
            reason=_("The provider holds another payload under the key of a send: a defect, or tampering."),
        )
    return Result.POSTED


def _write_down(attempt: Attempt, reply: SendReply) -> None:
    # A database that restarts in these seconds would turn what is known into an unknown send.
    for pause in RECORD_PAUSES_SECONDS:
        try:
            return sends.record_reply(attempt.pk, reply)
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            logger.warning("the reply to attempt %s could not be written down; it is tried again", attempt.pk)
            time.sleep(pause)
            connection.close_if_unusable_or_obsolete()
    sends.record_reply(attempt.pk, reply)


def _call(send: Send, attempt: Attempt, payload: bytes, content_type: str) -> SendReply:
    client = configured_client()
    if attempt.transport == Transport.PROVIDER_DRAFT:
        return client.send_draft(send.grant_id, send.draft.provider_draft_id, attempt_id=attempt.pk)
    return client.send_message(
        send.grant_id,
        body=payload,
        content_type=content_type,
        idempotency_key=attempt.idempotency_key,
        attempt_id=attempt.pk,
    )


def _looked_for(send: Send, reply: SendReply) -> SendReply:
    """Accept a mail whose draft is gone because it left already; otherwise give what its reply proves then."""
    try:
        _found_by_token(send, configured_client())
    except ProviderError:
        return replace(reply, reply_class=ReplyClass.AMBIGUOUS)
    return reply


def _second_look(claim: sends.Claim, look: Look | None, lock: locks.HeldLock) -> tuple[str, str] | None:
    """Why the POST must not be made after all, and what holds it; None when it may."""
    reading = switch.read(claim.scopes)
    if not reading.is_open:
        return reading.sentence, "blocked_kill_switch"
    if not lock.is_alive():
        return _("The lock of this send was lost; it is tried again."), ""
    if not Attempt.objects.filter(pk=claim.attempt.pk, state=AttemptState.DISPATCHED).exists():
        return _("The end of this send became known before anything was posted."), ""
    if look is None or look.age_seconds() > settings.APPROVAL_FRESHNESS_SECONDS:
        return _("The last look at the thread is too old; it is taken again."), ""
    if _is_rehearsal(claim.send):
        return _("The mailbox went into its dry run a moment ago."), ""
    try:
        instance.advance()
    except instance.MarkUnreadable as error:
        return _("The instance file cannot be written: %(why)s") % {"why": error}, "blocked_kill_switch"
    return None


def _is_rehearsal(send: Send) -> bool:
    return mailbox_settings.of(send.mailbox_id).delivery != Delivery.LIVE


def _is_due(send: Send) -> bool:
    if send.state == SendState.UNKNOWN:
        return send.resend_at is not None
    return send.state == SendState.QUEUED and not send.held and send.next_attempt_at <= database_now()


def _found_by_token(send: Send, client: NylasClient) -> bool:
    found = client.list_messages(
        send.grant_id, metadata_pair=f"key1:{send.token}", read_timeout=LOOK_READ_SECONDS
    )
    try:
        message = next(iter(found), None)
    except (NotFound, RequestRefused):
        # Not every grant can be asked so; the restore guard does not depend on it.
        return False
    return message is not None and sends.found(
        send.pk, source="metadata", provider_message_id=message.id, provider_thread_id=message.thread_id
    )


def _prepare_upstream(send: Send, approved: Content, client: NylasClient) -> None:
    """Give the provider's draft our token and the approved wording before the last look at it.

    Metadata is replaced as a whole by the provider, so it is merged here (nylas-v3 section 1.4). Does nothing to a
    draft that is neither what the agent wrote nor what was approved: the look that follows sees that.
    """
    draft = send.draft
    try:
        snapshot = client.get_draft(draft.grant_id, draft.provider_draft_id)
    except NotFound:
        return
    look = freshness.look(draft, client, verify_attachments=False)
    if look.upstream_sha256 not in (draft.upstream_sha256, approved.upstream_sha256):
        return
    fields: dict[str, object] = {}
    if snapshot.metadata.get("key1") != send.token:
        fields["metadata"] = {**snapshot.metadata, "key1": send.token}
    if look.upstream_sha256 != approved.upstream_sha256:
        fields |= {
            "subject": approved.subject,
            "body": approved.body,
            "to": [address.to_json() for address in approved.to],
            "cc": [address.to_json() for address in approved.cc],
            "bcc": [address.to_json() for address in approved.bcc],
            "reply_to": [address.to_json() for address in approved.reply_to],
        }
    changes = {"upstream_sha256": approved.upstream_sha256}
    if fields:
        updated = client.update_draft(draft.grant_id, draft.provider_draft_id, fields)
        if updated.id and updated.id != draft.provider_draft_id:
            changes["provider_draft_id"] = updated.id
    Draft.objects.filter(pk=draft.pk, upstream_sha256=draft.upstream_sha256).update(**changes)
    for name, value in changes.items():
        setattr(draft, name, value)


def _take_news(draft: Draft, refusal: sends.Refusal, look: Look | None) -> None:
    """Fetch the wording or the messages on which the claim failed, so that the reviewer sees them at once."""
    if look is None or look.draft is None:
        return
    try:
        if refusal.verdict.consequence is Consequence.CHANGED:
            intake.observe(draft.mailbox, look.draft, configured_client())
        elif refusal.verdict.consequence is Consequence.STALE:
            stale = freshness.staleness(draft.thread_pinned, look.thread)
            if stale is not None:
                intake.fetch_news(draft, stale, look.thread, configured_client())
    except ProviderError:
        logger.warning("what is new about draft %s is left to the next poll", draft.pk)


def _look_after(send: Send, client: NylasClient) -> None:
    """See whether a message crossed with ours, and whether what was sent is what was approved.

    Marked as done at the end only, so that a crash in between costs no alarm; each alarm is raised once.
    """
    draft = send.draft
    if draft.thread_id:
        thread = freshness.look_at_thread(client, draft.grant_id, draft.thread_id, draft.parent_message_id)
        if thread.thread is not None:
            mirror.store_thread(draft.mailbox, thread.thread)
        pinned = set(draft.thread_pinned.get("messages", ()))
        arrived = set(thread.pinned.get("messages", ())) - pinned - {send.provider_message_id}
        for message_id in sorted(arrived):
            snapshot = _message_if_there(client, draft.grant_id, message_id)
            if snapshot is None:
                continue
            stored = mirror.store_message(draft.mailbox, snapshot)
            if not stored.is_outbound and not mirror.is_in_its_name(draft.mailbox, snapshot):
                sends.note_crossing(send.pk, message_id)
    sent = _message_if_there(client, send.grant_id, send.provider_message_id)
    if sent is not None:
        mirror.store_message(draft.mailbox, sent)
        approved = content_of_revision(send.decision.revision)
        if not content.is_same_mail(approved, sent):
            sends.alarm(send.pk, "content_differs", _("The sent mail differs from the approved one."))
    Send.objects.filter(pk=send.pk, looked_after_at__isnull=True).update(looked_after_at=database_now())


def _message_if_there(client: NylasClient, grant_id: str, message_id: str) -> MessageSnapshot | None:
    try:
        return client.get_message(grant_id, message_id, with_headers=True)
    except (NotFound, RequestRefused):
        # Gone meanwhile, or an id that cannot be asked for: asking again every minute would change nothing.
        return None


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def _blobs(approved: Content) -> Mapping[str, bytes]:
    digests = {part.sha256 for part in approved.attachments}
    if not digests:
        return {}
    return {
        sha256: bytes(data)
        for sha256, data in AttachmentBlob.objects.filter(sha256__in=digests).values_list("sha256", "content")
    }
