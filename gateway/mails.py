"""What programs do with mail, whichever door they use: hand it in, ask after it, take it back, decide about it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db import DatabaseError, InterfaceError
from django.utils.translation import gettext as _

from agentmail.mail_html import is_html, to_text
from agentmail.models import Mailbox, Message
from agentmail.types import Address
from approvals import decisions, inbound, submissions
from approvals.models import Decision, DecisionKind, Draft, Submission
from approvals.people import Right
from approvals.states import OPEN_DRAFT_STATES, DraftState
from approvals.submissions import Mail, Says, SubmissionRefused
from approvals.transitions import drafts
from approvals.transitions.drafts import AlreadyDecided, DecisionRefused
from gateway import standing
from gateway.callers import Caller, NotThere, Refused
from gateway.models import Scope
from gateway.schemas import DecideIn, DecideOneIn, ReplyIn, SendIn, Wording, addresses
from policies import modes

PREVIEW_CHARACTERS = 300
WAIT_STEP_SECONDS = 0.5
# How many requests of one process may wait: the threads that are left are for people's pages.
WAITS_AT_ONCE = 2
_waits = threading.BoundedSemaphore(WAITS_AT_ONCE)
# Below what proxies usually wait for an answer.
DECIDING_SECONDS = 45
_ACTIONS = {
    "approve": DecisionKind.APPROVE,
    "reject": DecisionKind.REJECT,
    "request_changes": DecisionKind.REQUEST_CHANGES,
}
_cursors = Signer(salt="countersign.pending")


def send(caller: Caller, payload: SendIn, *, key: str) -> dict[str, Any]:
    """Hand in a mail for the holder of a token, once for a `key`; what it is told, with the verdict of each recipient.

    Raises as `submissions.receive`, NotThere for a mail to revise that is none of the agent's, and Refused.
    """
    caller.need(Scope.SEND)
    mailbox = _sender(caller, payload.from_)
    return _handed_in(caller, mailbox, payload, to=addresses(payload.to), parent="", key=key)


def reply(caller: Caller, payload: ReplyIn, *, key: str) -> dict[str, Any]:
    """Hand in an answer to a message; without `to` it goes to whoever wrote that message. Otherwise as `send`."""
    caller.need(Scope.SEND)
    mailbox = _sender(caller, payload.from_)
    to = addresses(payload.to) if payload.to is not None else _author_of(mailbox, payload.message_id)
    return _handed_in(caller, mailbox, payload, to=to, parent=payload.message_id, key=key)


def shown(caller: Caller, public_id: UUID) -> dict[str, Any]:
    """How a mail of the holder of a token stands. Raises NotThere and Refused."""
    caller.need(Scope.READ)
    submission, draft = caller.mail(public_id)
    return _shown(submission, draft)


def awaited(caller: Caller, public_id: UUID, *, code: str, seconds: int) -> dict[str, Any]:
    """How a mail stands as soon as its code is another than `code`, or after some seconds; at once when others wait.

    Raises as `shown`.
    """
    caller.need(Scope.READ)
    may_wait = _waits.acquire(blocking=False)
    try:
        until = time.monotonic() + (seconds if may_wait else 0)
        while True:
            submission, draft = caller.mail(public_id)
            if standing.standing(submission, draft).code != code or time.monotonic() >= until:
                return _shown(submission, draft)
            time.sleep(WAIT_STEP_SECONDS)
    finally:
        if may_wait:
            _waits.release()


def pending(caller: Caller, mailbox: Mailbox, *, cursor: str, limit: int) -> dict[str, Any]:
    """A page of what waits for a decision in a mailbox, the oldest first; an agent sees its own.

    Raises Refused, and SubmissionRefused for a cursor that is none of ours.
    """
    caller.need(Scope.READ)
    rows = Draft.objects.filter(
        mailbox=mailbox, state__in=OPEN_DRAFT_STATES, current_revision__isnull=False
    ).select_related("current_revision")
    if caller.is_agent:
        rows = rows.filter(agent_id=caller.token.agent_id)
    found = list(rows.filter(pk__gt=_after(cursor)).order_by("pk")[: limit + 1])
    return {
        "messages": [_waiting(draft) for draft in found[:limit]],
        "next_cursor": _cursors.sign(str(found[limit - 1].pk)) if len(found) > limit else None,
    }


def take_back(caller: Caller, public_id: UUID) -> dict[str, Any]:
    """Take back a mail that has not left; how it stands then. Raises NotThere, Refused and NotCancellable."""
    caller.need(Scope.SEND)
    submission, draft = caller.mail(public_id)
    if draft is None and submission is not None:
        submissions.cancel(submission, agent=caller.actor)
    elif draft is not None:
        submissions.withdraw(draft)
    submission, draft = caller.mail(public_id)
    return _status(submission, draft)


def decide(caller: Caller, public_id: UUID, payload: DecideIn) -> dict[str, Any]:
    """Decide about a mail as the owner of a token; how it stands then, and who decided.

    The same decision again changes nothing. Raises NotThere, Refused and DecisionRefused.
    """
    _submission, draft = caller.mail(public_id)
    caller.need(Scope.DECIDE, Right.DECIDE, draft.mailbox if draft is not None else None)
    if draft is None:
        raise NotThere
    kind = _ACTIONS[payload.action]
    try:
        decision = _decided(caller, draft, kind, payload.reason or "")
    except AlreadyDecided as refusal:
        if not decisions.is_repeat(refusal.decision, kind):
            raise
        decision = refusal.decision
    submission, draft = caller.mail(public_id)
    return _status(submission, draft) | {"decided_by": decision.person_name}


def decide_each(
    caller: Caller, wanted: Sequence[DecideOneIn], *, seconds: float = DECIDING_SECONDS
) -> list[tuple[UUID, dict[str, Any] | Exception]]:
    """Decide about mails one after the other, each as `decide`: for each id how it stands then, or why it was refused.

    What is refused about one mail touches no other. A mail whose turn has not come after some seconds is refused too,
    because each approval may wait for the provider. Raises Refused for a token that decides nothing.
    """
    caller.need(Scope.DECIDE)
    until = time.monotonic() + seconds
    results: list[tuple[UUID, dict[str, Any] | Exception]] = []
    for one in wanted:
        try:
            if time.monotonic() >= until:
                raise DecisionRefused(_("There was no time left for this mail; send its decision again."))
            results.append((one.id, decide(caller, one.id, one)))
        except (NotThere, Refused, DecisionRefused, DatabaseError, InterfaceError) as refusal:
            results.append((one.id, refusal))
    return results


def _decided(caller: Caller, draft: Draft, kind: DecisionKind, reason: str) -> Decision:
    person, seen, form_id = caller.token.owner, drafts.seen_of(draft), uuid.uuid4()
    if kind is DecisionKind.APPROVE:
        return decisions.approve(draft, person=person, seen=seen, form_id=form_id)
    if kind is DecisionKind.REJECT:
        return decisions.reject(draft, person=person, seen=seen, reason=reason, form_id=form_id)
    return decisions.request_changes(draft, person=person, seen=seen, note=reason, form_id=form_id)


def _sender(caller: Caller, address: str) -> Mailbox:
    try:
        return caller.mailbox(address)
    except NotThere as error:
        raise SubmissionRefused("from", _("This token has no mailbox of that address.")) from error


def _author_of(mailbox: Mailbox, message_id: str) -> tuple[Address, ...]:
    # Of a message that nobody released the agent learns nothing, not even who wrote it.
    found = inbound.released(Message.objects.filter(mailbox=mailbox, provider_id=message_id))
    message = found.first()
    return tuple(Address.from_json(one) for one in message.sender) if message is not None else ()


def _handed_in(
    caller: Caller,
    mailbox: Mailbox,
    payload: Wording,
    *,
    to: tuple[Address, ...],
    parent: str,
    key: str,
) -> dict[str, Any]:
    mail = Mail(
        to=to,
        cc=addresses(payload.cc),
        bcc=addresses(payload.bcc),
        reply_to=addresses(payload.reply_to),
        subject=payload.subject,
        body=payload.body,
        is_plaintext=payload.is_plaintext,
        parent_message_id=parent,
        attachments=tuple(part.dict() for part in payload.attachments),
    )
    says = Says(payload.note, tuple(payload.sources), payload.category, payload.confidence)
    revises = caller.mail(payload.revises)[1] if payload.revises is not None else None
    if payload.revises is not None and revises is None:
        raise SubmissionRefused("revises", _("This mail is not in the queue yet; wait a moment."))
    is_awaited = not modes.needs_person(mailbox.mode)
    submission, judged = submissions.receive(
        mailbox,
        mail,
        says,
        agent=caller.actor,
        owner=caller.token.owner,
        key=key,
        revises=revises,
        is_awaited=is_awaited,
    )
    if is_awaited:
        submissions.take_through(submission)
    submission.refresh_from_db()
    return _status(submission, submission.draft) | {"recipients": standing.verdicts(judged)}


def _after(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(_cursors.unsign(cursor))
    except (BadSignature, ValueError) as error:
        raise SubmissionRefused("cursor", _("This is no cursor of ours.")) from error


def _waiting(draft: Draft) -> dict[str, Any]:
    revision = draft.current_revision
    if revision is None:
        raise ValueError("a draft that waits has a wording")
    text = to_text(revision.body) if is_html(revision.body) else revision.body
    return {
        "id": draft.public_id,
        "to": [one["email"] for one in revision.to],
        "subject": revision.subject,
        "body_preview": " ".join(text.split())[:PREVIEW_CHARACTERS],
        "state": draft.state,
        "arrived_at": draft.arrived_at,
        "expires_at": draft.expires_at,
    }


def _status(submission: Submission | None, draft: Draft | None) -> dict[str, Any]:
    found = standing.standing(submission, draft)
    owner = draft if draft is not None else submission
    if owner is None:
        raise NotThere
    return {
        "id": owner.public_id,
        "message_id": owner.public_id,
        "status": found.status.value,
        "code": found.code,
        "reason": found.reason or None,
        **standing.review_time(owner.mailbox),
    }


def _shown(submission: Submission | None, draft: Draft | None) -> dict[str, Any]:
    answer = _status(submission, draft)
    if draft is None or draft.current_revision is None:
        content = submission.content if submission is not None else {}
        return answer | {
            "mailbox": submission.mailbox.address if submission is not None else "",
            "to": [one["email"] for one in content.get("to", [])],
            "subject": content.get("subject", ""),
            "revision": None,
            "provider_message_id": None,
            "arrived_at": submission.received_at if submission is not None else None,
            "expires_at": None,
            "outcomes": [],
        }
    send = getattr(draft, "send", None)
    revision = draft.current_revision
    return answer | {
        "mailbox": draft.mailbox.address,
        "to": [one["email"] for one in revision.to],
        "subject": revision.subject,
        "revision": revision.number,
        "provider_message_id": (send.provider_message_id or None) if send is not None else None,
        "arrived_at": draft.arrived_at,
        "expires_at": draft.expires_at if draft.state != DraftState.APPROVED else None,
        "outcomes": [
            {"address": one.address, "kind": one.kind, "code": one.code}
            for one in send.outcomes.order_by("pk")
        ]
        if send is not None
        else [],
    }
