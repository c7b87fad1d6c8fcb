"""What can happen to a send. Each function is one transaction: a conditional update and its audit entry."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from agentmail.models import Transport
from agentmail.types import ReplyClass, SendReply
from approvals import contacts, gates, judgements, people, switch_scopes
from approvals.content import content_of_revision, idempotency_key, send_token
from approvals.freshness import Look, staleness
from approvals.gates import Consequence, Verdict
from approvals.models import Attempt, Decision, Draft, Send, Stage, StaleReason, VoidReason
from approvals.states import DRAFT_MOVES, LIVE_ATTEMPT_STATES, AttemptState, DraftState, SendState
from approvals.transitions import follow_ups, notifications
from approvals.transitions.moves import lock_draft, lock_send, move_attempt, move_draft, move_send, void
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies import caps, switch

# After the first, second and third failure to reach the provider; then the approval is void.
CONNECT_BACKOFF_SECONDS = (5, 30, 120)
WAIT_SECONDS = 5
OUTCOME_POLL_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Claim:
    """A committed attempt: the right to make exactly one POST, while the switch is open in all its scopes."""

    attempt: Attempt
    send: Send
    scopes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The chain said no; what that means for the send is already written."""

    verdict: Verdict


class SendRefused(Exception):
    """The send is in no state for what was asked; the message says which."""


def queue(
    draft: Draft, decision: Decision, *, now: datetime, undo_seconds: int, held: str, actor: Actor
) -> Send:
    """Queue the one send of an approved draft, or queue it again after its last approval was void.

    Runs inside the approval's transaction. Raises SendRefused when the send can never leave again.
    """
    not_before = now + timedelta(seconds=undo_seconds)
    fields: dict[str, Any] = {
        "decision": decision,
        "queued_at": now,
        "not_before": not_before,
        "next_attempt_at": not_before,
        "held": held,
        "held_at": now if held else None,
        "waiting_for": "",
        "stop_reason": "",
        "valid_until": None,
        "connect_failures": 0,
    }
    existing = Send.objects.select_for_update(of=("self",)).filter(draft=draft).first()
    if existing is None:
        send = Send.objects.create(
            draft=draft,
            mailbox=draft.mailbox,
            grant_id=draft.grant_id,
            thread_id=draft.thread_id,
            token=send_token(draft.grant_id, draft.provider_draft_id),
            state=SendState.QUEUED,
            state_changed_at=now,
            **fields,
        )
    else:
        if existing.state != SendState.STOPPED:
            raise SendRefused(_("This draft was handed over before and is not sent again."))
        send = existing
        move_send(send, SendState.QUEUED, now=now, thread_id=draft.thread_id, **fields)
    send.draft = draft
    _record(
        "approvals.send.queued", send, actor=actor, outcome=held, data={"not_before": not_before.isoformat()}
    )
    return send


def claim(
    send_id: int,
    *,
    decision_id: int,
    transport: str,
    look: Look | None,
    trouble: str,
    worker: str,
    is_rehearsal: bool = False,
) -> Claim | Refusal | None:
    """C5: ask every gate and, if all pass, commit the attempt that allows one POST and count it against the caps.

    `decision_id` and `transport` are those that the worker prepared its request for; with `is_rehearsal` it made
    nothing ready for sending, so no attempt is given. None when there is nothing to claim, or when the send goes by
    another approval or another transport by now: whoever prepares it anew may claim it. A refusal has been written
    when this returns. A send in `unknown` is claimed only when a named person authorised a resend, and then goes back
    to `unknown` on any refusal.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO ON")
        scopes = switch_scopes.scopes_of_send(send_id)
        switch.read(scopes, lock=True)  # first, as in `_switch_of`
        send = lock_send(send_id)
        now = database_now()
        is_resend = send.state == SendState.UNKNOWN and send.resend_at is not None
        is_due = send.state == SendState.QUEUED and not send.held and send.next_attempt_at <= now
        if not (is_resend or is_due):
            return None
        if send.decision_id != decision_id or transport_of(send) != transport:
            return None
        if not is_rehearsal and _waits_for_its_wording(send, transport, look):
            return None
        revision = send.decision.revision
        facts = gates.facts_about(
            send.draft,
            revision,
            now=now,
            decision=send.decision,
            send=send,
            look=look,
            trouble=trouble,
            is_claim=True,
            is_rehearsal=is_rehearsal,
        )
        verdicts = gates.evaluate(facts)
        if not gates.may_leave(verdicts):
            refusal = gates.first_refusal(verdicts) or verdicts[0]
            # A send that waits is asked every few seconds; the same answer is kept once.
            if refusal.consequence is not Consequence.WAIT or send.waiting_for != refusal.sentence[:300]:
                judgements.keep(facts, verdicts, Stage.CLAIM)
            _refuse(send, refusal, verdicts, look, now=now)
            return Refusal(refusal)
        judgements.keep(facts, verdicts, Stage.CLAIM)
        caps.reserve(send.mailbox_id, send.token, keep=is_resend)
        if is_resend:
            for old in send.attempts.filter(state=AttemptState.UNKNOWN):
                move_attempt(old, AttemptState.OVERRIDDEN, now=now)
        attempt = Attempt.objects.create(
            send=send,
            number=send.attempts.count() + 1,
            state=AttemptState.DISPATCHED,
            decision=send.decision,
            transport=transport,
            idempotency_key=idempotency_key(send.token, send.key_epoch),
            payload_sha256=facts.content.sha256,
            worker=worker[:100],
            gates=[verdict.to_json() for verdict in verdicts],
            request_started_at=now,
        )
        move_send(
            send, SendState.DISPATCHED, now=now, held="", held_at=None, waiting_for="", next_lookup_at=None
        )
        _record(
            "approvals.send.claimed",
            send,
            idempotency_key=attempt.idempotency_key,
            gates=[verdict.to_json() for verdict in verdicts],
            data={"attempt": attempt.number, "worker": worker, "transport": attempt.transport},
        )
    return Claim(attempt, send, scopes)


def transport_of(send: Send) -> str:
    """The transport that the next attempt of a send goes by.

    A resend goes by that of the attempt before it, whatever the mailbox uses by now: only there does the provider
    know what it has done already, by the key or because the draft is gone.
    """
    if send.state == SendState.UNKNOWN:
        before = send.attempts.order_by("-number").values_list("transport", flat=True).first()
        if before is not None:
            return before
    return send.mailbox.transport


def _waits_for_its_wording(send: Send, transport: str, look: Look | None) -> bool:
    """Whether the draft that would be sent itself says what the agent wrote, and not yet what was approved."""
    if transport != Transport.PROVIDER_DRAFT or look is None or look.draft is None:
        return False
    approved = content_of_revision(send.decision.revision)
    return look.upstream_sha256 == send.draft.upstream_sha256 != approved.upstream_sha256


def not_started(attempt_id: int, detail: str, *, held: str = "") -> None:
    """Note that the POST of an attempt was not made: the second look said no, or this process knows.

    The send is queued again (held when a person must resume it), or unknown when it was ambiguous before.
    """
    with transaction.atomic():
        _switch_of(Attempt.objects.values_list("send_id", flat=True).get(pk=attempt_id))
        attempt, send, now = _locked(attempt_id)
        if attempt.state != AttemptState.DISPATCHED or send.state != SendState.DISPATCHED:
            return
        move_attempt(attempt, AttemptState.NOT_STARTED, now=now, detail=detail[:500])
        _refund(send)
        _back_in_queue(send, now=now, held=held, waiting_for="" if held else detail, seconds=0)
        _record(
            "approvals.send.not_started", send, outcome=held, reason=detail, data={"attempt": attempt.number}
        )


def record_reply(attempt_id: int, reply: SendReply) -> None:
    """C9: write what the reply to an attempt proves. A second call for a finished attempt changes nothing.

    Once a send was ambiguous nothing but an acceptance moves it here (send-safety I4). An acceptance that comes after
    a person ended or repeated the attempt counts as evidence found late, and one of another mail than the known one
    as a second copy.
    """
    if (
        _record_in_time(attempt_id, reply)
        or reply.reply_class is not ReplyClass.ACCEPTED
        or not reply.message
    ):
        return
    attempt = Attempt.objects.get(pk=attempt_id)
    if attempt.state in (AttemptState.OVERRIDDEN, AttemptState.CLOSED):
        found(
            attempt.send_id,
            source="late_reply",
            provider_message_id=reply.message.id,
            provider_thread_id=reply.message.thread_id,
        )
    known = Send.objects.values_list("provider_message_id", flat=True).get(pk=attempt.send_id)
    if known not in ("", reply.message.id):
        note_second_copy(attempt.send_id, reply.message.id)


def _record_in_time(attempt_id: int, reply: SendReply) -> bool:
    with transaction.atomic():
        _switch_of(Attempt.objects.values_list("send_id", flat=True).get(pk=attempt_id))
        attempt, send, now = _locked(attempt_id)
        if attempt.state not in LIVE_ATTEMPT_STATES or send.state not in (
            SendState.DISPATCHED,
            SendState.UNKNOWN,
        ):
            return False
        Attempt.objects.filter(pk=attempt.pk).update(
            reply_class=reply.reply_class.value,
            status_code=reply.status_code,
            provider_request_id=reply.request_id[:255],
            is_replay=reply.is_replay,
            detail=_told(reply)[:500],
        )
        if reply.reply_class is ReplyClass.ACCEPTED and reply.message is not None:
            _accept(
                send,
                attempt,
                now=now,
                provider_message_id=reply.message.id,
                provider_thread_id=reply.message.thread_id,
                evidence={"source": "reply", "request_id": reply.request_id, "replay": reply.is_replay},
            )
        elif attempt.state == AttemptState.UNKNOWN or send.ambiguous or reply.reply_class in _UNPROVEN:
            _make_unknown(send, attempt, reply, now=now)
        else:
            _DEFINITE[reply.reply_class](send, attempt, reply, now)
        return True


def abandon(send_id: int) -> bool:
    """Turn a dispatched send whose worker is gone into an unknown one; whether it did.

    The caller holds the send's lock, which proves that no worker is between its claim and its record.
    """
    with transaction.atomic():
        send = lock_send(send_id)
        attempt = send.attempts.filter(state=AttemptState.DISPATCHED).first()
        if send.state != SendState.DISPATCHED or attempt is None:
            return False
        detail = _("The process that was sending it ended before it could write down the reply.")
        reply = SendReply(reply_class=ReplyClass.AMBIGUOUS, detail=detail)
        Attempt.objects.filter(pk=attempt.pk).update(reply_class=ReplyClass.AMBIGUOUS.value, detail=detail)
        _make_unknown(send, attempt, reply, now=database_now())
        return True


def found(
    send_id: int,
    *,
    source: str,
    provider_message_id: str,
    provider_thread_id: str = "",
    actor: Actor = SYSTEM,
) -> bool:
    """Accept a send on positive evidence, whatever was believed before; whether that was news.

    Evidence against a "not sent" raises an alarm and a follow-up; every earlier entry stays.
    """
    with transaction.atomic():
        send = lock_send(send_id)
        if send.state == SendState.ACCEPTED:
            return False
        now = database_now()
        believed_not_sent = send.state in (
            SendState.STOPPED,
            SendState.FAILED,
            SendState.DRY_RUN,
            SendState.CLOSED_NOT_SENT,
        )
        attempt = (
            send.attempts.exclude(state__in=[AttemptState.REFUSED, AttemptState.NOT_STARTED])
            .order_by("-number")
            .first()
        )
        before = send.state
        follow_ups.lock_open(send)
        caps.count(send.mailbox_id, send.token)
        _accept(
            send,
            attempt,
            now=now,
            provider_message_id=provider_message_id,
            provider_thread_id=provider_thread_id,
            evidence={"source": source, "believed_before": before},
            action="approvals.send.found",
            actor=actor,
        )
        if (
            send.draft.state != DraftState.APPROVED
            and DraftState.WITHDRAWN in DRAFT_MOVES[DraftState(send.draft.state)]
        ):
            for decision in Decision.objects.filter(draft=send.draft, voided_at__isnull=True):
                void(decision, VoidReason.WITHDRAWN, now=now)
            move_draft(send.draft, DraftState.WITHDRAWN, now=now)
        if believed_not_sent:
            _alarm(send, "contradicted", _("This was taken as not sent, and it was sent after all."), now=now)
        return True


def stop(
    send: Send,
    verdict_sentence: str,
    void_reason: VoidReason,
    *,
    now: datetime,
    draft_state: DraftState,
    outcome: str = "blocked_decision",
    actor: Actor = SYSTEM,
    verdicts: Sequence[Verdict] = (),
    **draft_fields: Any,
) -> None:
    """Void the approval of a queued send and move its draft where a person, or nobody, must decide anew.

    Runs inside the caller's transaction, with the rows locked.
    """
    move_send(
        send,
        SendState.STOPPED,
        now=now,
        held="",
        held_at=None,
        waiting_for="",
        stop_reason=verdict_sentence[:300],
    )
    void(send.decision, void_reason, now=now)
    move_draft(send.draft, draft_state, now=now, **draft_fields)
    _record(
        "approvals.send.stopped",
        send,
        actor=actor,
        outcome=outcome,
        reason=verdict_sentence,
        gates=[verdict.to_json() for verdict in verdicts],
        data={"void_reason": void_reason.value, "draft_state": draft_state.value},
    )


def run_out(send_id: int) -> bool:
    """Void an approval whose time is over while its send still waits; whether it did."""
    with transaction.atomic():
        send = lock_send(send_id)
        now = database_now()
        until = _valid_until(send)
        if send.state != SendState.QUEUED or until is None or until > now:
            return False
        sentence = _("The approval ran out before the draft could leave; look at it again.")
        stop(send, sentence, VoidReason.RAN_OUT, now=now, draft_state=DraftState.PENDING)
        return True


def return_undecided(send_id: int) -> bool:
    """Void the approval of a queued send that no person decided, so that a person must; whether it did."""
    with transaction.atomic():
        send = lock_send(send_id)
        if send.state != SendState.QUEUED or send.decision.person_id is not None:
            return False
        sentence = _("The mode %(mode)s lets nothing leave that no person decided.") % {
            "mode": send.mailbox.mode
        }
        stop(
            send,
            sentence,
            VoidReason.BLOCKED,
            now=database_now(),
            draft_state=DraftState.PENDING,
            outcome="blocked_mode",
        )
        return True


def resume(send_id: int, *, person: User) -> bool:
    """Let a held send ask its gates again; whether it does. Needs the right to resume on its mailbox.

    While sending is stopped it stays held, or the end of the stop would let it out by itself.
    """
    with transaction.atomic():
        is_open = _switch_of(send_id).is_open
        send = lock_send(send_id)
        if not people.is_still_allowed(person.pk, people.Right.RESUME, send.mailbox_id):
            raise SendRefused(_("You may not resume sends of this mailbox."))
        if send.state != SendState.QUEUED or not send.held or not is_open:
            return False
        now = database_now()
        held = send.held
        Send.objects.filter(pk=send.pk, state=SendState.QUEUED).update(
            held="", held_at=None, waiting_for="", next_attempt_at=max(now, send.not_before)
        )
        _record("approvals.send.resumed", send, actor=people.actor_for(person), outcome=held)
        return True


def plan_resume(send_id: int, *, at: datetime) -> bool:
    """Let the approval of a held send not run out before its turn to be resumed at `at`; whether it is still valid."""
    with transaction.atomic():
        send = lock_send(send_id)
        until = _valid_until(send)
        if send.state != SendState.QUEUED or not send.held or until is None or until <= database_now():
            return False
        Send.objects.filter(pk=send.pk).update(valid_until=_valid_past(send, at))
        return True


def hold_queued(scope_filter: Mapping[str, Any], result: str) -> int:
    """Hold every queued send of a scope, inside the transaction that engages its switch; how many.

    The permissions to resend that were given in it and not used yet end too: a release must not use them.
    """
    held = Send.objects.filter(state=SendState.QUEUED, held="", **scope_filter).update(
        held=result, held_at=database_now()
    )
    authorised = Send.objects.select_for_update(of=("self",)).filter(
        state=SendState.UNKNOWN, resend_at__isnull=False, **scope_filter
    )
    for send in list(authorised.select_related("draft", "decision__revision").order_by("pk")):
        _end_resend(send, _("Sending was stopped."), outcome=result)
    return held


def close(send_id: int, *, person: User, as_sent: bool, reason: str) -> Send:
    """Close an unknown send as a named person's judgement, for good unless evidence turns up."""
    with transaction.atomic():
        send = _unknown_for(send_id, person)
        now = database_now()
        for attempt in send.attempts.filter(state=AttemptState.UNKNOWN):
            move_attempt(attempt, AttemptState.CLOSED, now=now)
        to = SendState.CLOSED_SENT if as_sent else SendState.CLOSED_NOT_SENT
        outdated = _lock_others_of_thread(send) if as_sent else []
        move_send(send, to, now=now, next_lookup_at=None, resend_at=None, resend_by=None)
        _record(f"approvals.send.{to.value}", send, actor=people.actor_for(person), reason=reason)
        _outdate(outdated, send.provider_message_id, now=now)
        return send


def authorise_resend(send_id: int, *, person: User, reason: str) -> Send:
    """Allow one more POST for an unknown send, with the same key, once every gate has passed again.

    Raises SendRefused while sending is stopped: the permission would outlive the stop.
    """
    with transaction.atomic():
        reading = _switch_of(send_id)
        send = _unknown_for(send_id, person)
        if not reading.is_open:
            raise SendRefused(reading.sentence)
        now = database_now()
        Send.objects.filter(pk=send.pk, state=SendState.UNKNOWN).update(
            resend_by=person, resend_at=now, resend_reason=reason, waiting_for=""
        )
        send.resend_at, send.resend_by = now, person
        _record("approvals.send.resend_authorised", send, actor=people.actor_for(person), reason=reason)
        return send


def defer(send_id: int, waiting_for: str, *, seconds: int) -> None:
    """Ask again later, and say what is waited for. Nothing was sent and nothing was claimed."""
    with transaction.atomic():
        send = lock_send(send_id)
        if send.state == SendState.UNKNOWN and send.resend_at is not None:
            _end_resend(send, waiting_for)
            return
        if send.state != SendState.QUEUED:
            return
        now = database_now()
        is_news = send.waiting_for != waiting_for[:300]
        Send.objects.filter(pk=send.pk, state=SendState.QUEUED).update(
            waiting_for=waiting_for[:300], next_attempt_at=now + timedelta(seconds=seconds)
        )
        if is_news:
            _record("approvals.send.deferred", send, reason=waiting_for)


def _refuse(
    send: Send, refusal: Verdict, verdicts: Sequence[Verdict], look: Look | None, *, now: datetime
) -> None:
    if send.state == SendState.UNKNOWN:
        _end_resend(send, refusal.sentence, outcome=refusal.result, verdicts=verdicts)
        return
    if refusal.consequence is Consequence.HOLD:
        Send.objects.filter(pk=send.pk, state=SendState.QUEUED).update(
            held=refusal.result, held_at=now, waiting_for=refusal.sentence[:300]
        )
        _record(
            "approvals.send.held",
            send,
            outcome=refusal.result,
            reason=refusal.sentence,
            gates=[verdict.to_json() for verdict in verdicts],
        )
    elif refusal.consequence is Consequence.WAIT:
        is_news = send.waiting_for != refusal.sentence[:300]
        Send.objects.filter(pk=send.pk, state=SendState.QUEUED).update(
            waiting_for=refusal.sentence[:300], **_waiting_times(send, refusal, now)
        )
        if is_news:
            _record(
                "approvals.send.deferred",
                send,
                outcome=refusal.result,
                reason=refusal.sentence,
                gates=[verdict.to_json() for verdict in verdicts],
            )
    elif refusal.consequence is Consequence.REHEARSED:
        move_send(send, SendState.DRY_RUN, now=now, held="", held_at=None, waiting_for="")
        _record(
            "approvals.send.rehearsed",
            send,
            outcome=refusal.result,
            gates=[verdict.to_json() for verdict in verdicts],
        )
    else:
        draft_state, void_reason, fields = _after_stop(send, refusal, look)
        stop(
            send,
            refusal.sentence,
            void_reason,
            now=now,
            draft_state=draft_state,
            outcome=refusal.result,
            verdicts=verdicts,
            **fields,
        )


def _waiting_times(send: Send, refusal: Verdict, now: datetime) -> dict[str, datetime]:
    """When to ask again. An approval that waits for a time which is known does not run out before it."""
    if refusal.retry_at is None:
        return {"next_attempt_at": now + timedelta(seconds=WAIT_SECONDS)}
    return {"next_attempt_at": refusal.retry_at, "valid_until": _valid_past(send, refusal.retry_at)}


def _valid_until(send: Send) -> datetime | None:
    until = send.decision.valid_until
    return until if until is None or send.valid_until is None else max(until, send.valid_until)


def _valid_past(send: Send, moment: datetime) -> datetime:
    until = moment + timedelta(minutes=send.mailbox.approval_minutes)
    if send.valid_until is not None:
        until = max(until, send.valid_until)
    return min(until, send.draft.expires_at)


def _refund(send: Send) -> None:
    # A mail of which an earlier attempt may have left keeps its place.
    if not send.ambiguous:
        caps.refund(send.token)


def _after_stop(
    send: Send, refusal: Verdict, look: Look | None
) -> tuple[DraftState, VoidReason, dict[str, Any]]:
    if refusal.consequence is Consequence.STALE:
        stale = staleness(send.draft.thread_pinned, look.thread) if look is not None else None
        reason = stale.reason if stale is not None else StaleReason.NEW_INBOUND
        ids = list(stale.message_ids) if stale is not None else []
        return DraftState.STALE, VoidReason.STALE, {"stale_reason": reason, "stale_message_ids": ids}
    if refusal.consequence is Consequence.CHANGED:
        return DraftState.PENDING, VoidReason.CHANGED, {}
    if refusal.consequence is Consequence.WITHDRAW:
        return DraftState.WITHDRAWN, VoidReason.WITHDRAWN, {}
    ran_out = (
        refusal.gate == "decision"
        and send.decision.valid_until
        and send.decision.valid_until <= database_now()
    )
    return DraftState.PENDING, VoidReason.RAN_OUT if ran_out else VoidReason.BLOCKED, {}


def _end_resend(send: Send, sentence: str, *, outcome: str = "", verdicts: Sequence[Verdict] = ()) -> None:
    Send.objects.filter(pk=send.pk, state=SendState.UNKNOWN).update(
        resend_at=None, resend_by=None, waiting_for=_("Not sent again: %(why)s") % {"why": sentence[:250]}
    )
    _record(
        "approvals.send.refused",
        send,
        outcome=outcome,
        reason=sentence,
        gates=[verdict.to_json() for verdict in verdicts],
    )


def _accept(
    send: Send,
    attempt: Attempt | None,
    *,
    now: datetime,
    provider_message_id: str,
    provider_thread_id: str,
    evidence: Mapping[str, Any],
    action: str = "approvals.send.accepted",
    actor: Actor = SYSTEM,
) -> None:
    outdated = _lock_others_of_thread(send)
    if attempt is not None:
        move_attempt(attempt, AttemptState.ACCEPTED, now=now)
    move_send(
        send,
        SendState.ACCEPTED,
        now=now,
        ambiguous=False,
        evidence=dict(evidence),
        accepted_at=now,
        provider_message_id=provider_message_id[:255],
        provider_thread_id=provider_thread_id[:255],
        held="",
        held_at=None,
        waiting_for="",
        next_lookup_at=None,
        resend_at=None,
        resend_by=None,
        next_outcome_poll_at=now + timedelta(seconds=OUTCOME_POLL_SECONDS),
    )
    notifications.note_send(send, now=now)
    contacts.note(send.mailbox_id, send.decision.revision.recipients(), at=now)
    _record(
        action,
        send,
        actor=actor,
        outcome="sent",
        provider_id=provider_message_id,
        idempotency_key=attempt.idempotency_key if attempt else "",
        data=dict(evidence) | ({"attempt": attempt.number} if attempt else {}),
    )
    _outdate(outdated, provider_message_id, now=now)


def _lock_others_of_thread(send: Send) -> list[tuple[Draft, Send | None]]:
    """The other drafts of a thread that wait for a person or to be sent, with their sends, locked in order."""
    if not send.thread_id:
        return []
    waiting = Draft.objects.filter(grant_id=send.grant_id, thread_id=send.thread_id).filter(
        Q(state=DraftState.PENDING) | Q(state=DraftState.APPROVED, send__state=SendState.QUEUED)
    )
    ids = list(waiting.exclude(pk=send.draft_id).order_by("pk").values_list("pk", flat=True))
    locked = [lock_draft(draft_id) for draft_id in ids]
    rows = Send.objects.select_for_update(of=("self",)).select_related("decision__revision")
    sends = {row.draft_id: row for row in rows.filter(draft_id__in=ids).order_by("pk")}
    return [(draft, sends.get(draft.pk)) for draft in locked]


def _outdate(others: Sequence[tuple[Draft, Send | None]], message_id: str, *, now: datetime) -> None:
    """Make the drafts of a thread stale that was answered just now (send-safety I19).

    The provider may show the copy of the answer much later, so this does not wait until the thread shows it.
    """
    new_messages = [message_id] if message_id else []
    fields: dict[str, Any] = {"stale_reason": StaleReason.ANSWERED, "stale_message_ids": new_messages}
    for draft, send in others:
        if draft.state == DraftState.PENDING:
            move_draft(draft, DraftState.STALE, now=now, **fields)
        elif draft.state == DraftState.APPROVED and send is not None and send.state == SendState.QUEUED:
            send.draft, send.mailbox = draft, draft.mailbox
            stop(
                send,
                str(gates.STALE_SENTENCES[StaleReason.ANSWERED]),
                VoidReason.STALE,
                now=now,
                draft_state=DraftState.STALE,
                outcome="blocked_stale",
                **fields,
            )
        else:
            continue
        revision = draft.current_revision
        record(
            "approvals.draft.stale",
            actor=SYSTEM,
            mailbox_id=draft.mailbox_id,
            draft_id=draft.pk,
            content_sha256=revision.content_sha256 if revision is not None else "",
            inbound_message_id=draft.parent_message_id,
            thread_id=draft.thread_id,
            recipients=revision.recipients() if revision is not None else (),
            outcome="blocked_stale",
            reason=StaleReason.ANSWERED.value,
            data={"new_messages": new_messages},
        )


def _make_unknown(send: Send, attempt: Attempt, reply: SendReply, *, now: datetime) -> None:
    if attempt.state == AttemptState.DISPATCHED:
        move_attempt(attempt, AttemptState.UNKNOWN, now=now)
    fields: dict[str, Any] = {}
    if reply.message is not None and reply.message.id:
        fields["provider_message_id"] = reply.message.id[:255]
    if reply.reply_class is ReplyClass.PAYLOAD_MISMATCH:
        fields["alarm"] = _alarms(send, _("The provider holds another payload under the same key."))
    if send.state == SendState.DISPATCHED:
        move_send(
            send,
            SendState.UNKNOWN,
            now=now,
            ambiguous=True,
            lookups_done=0,
            next_lookup_at=now + timedelta(seconds=settings.LOOKUP_SECONDS[0]),
            resend_at=None,
            resend_by=None,
            **fields,
        )
        notifications.note_send(send, now=now, kind=notifications.UNKNOWN)
    elif fields:
        # Its worker was given up for dead; what the late reply names is still worth asking for.
        Send.objects.filter(pk=send.pk, state=SendState.UNKNOWN).update(**fields)
    _record(
        "approvals.send.unknown",
        send,
        outcome=reply.reply_class.value,
        reason=reply.detail,
        idempotency_key=attempt.idempotency_key,
        data={"attempt": attempt.number, "status": reply.status_code, "request_id": reply.request_id},
    )


def _on_not_started(send: Send, attempt: Attempt, reply: SendReply, now: datetime) -> None:
    move_attempt(attempt, AttemptState.NOT_STARTED, now=now)
    _refund(send)
    failures = send.connect_failures + 1
    Send.objects.filter(pk=send.pk).update(connect_failures=failures)
    if failures > len(CONNECT_BACKOFF_SECONDS):
        sentence = _("The provider could not be reached; nothing was sent. Approve again when it answers.")
        stop(
            send,
            sentence,
            VoidReason.UNREACHABLE,
            now=now,
            draft_state=DraftState.PENDING,
            outcome=reply.reply_class.value,
        )
        return
    seconds = CONNECT_BACKOFF_SECONDS[failures - 1]
    waiting = _("The provider could not be reached; nothing was sent yet.")
    _back_in_queue(send, now=now, held="", waiting_for=waiting, seconds=seconds)
    _record_deferred(send, attempt, reply)


def _on_rate_limited(send: Send, attempt: Attempt, reply: SendReply, now: datetime) -> None:
    # The provider replays a stored error under the same key for an hour, so the next try needs another.
    move_attempt(attempt, AttemptState.REFUSED, now=now)
    seconds = reply.retry_after_seconds
    if seconds is None:
        tries = send.attempts.filter(reply_class=ReplyClass.RATE_LIMITED.value).count()
        seconds = min(2**tries, 300) + random.randint(0, 5)
    waiting = _("The provider asks to wait; nothing was sent yet.")
    _back_in_queue(
        send,
        now=now,
        held="",
        waiting_for=waiting,
        seconds=min(seconds, 86_400),
        key_epoch=send.key_epoch + 1,
    )
    _record_deferred(send, attempt, reply)


def _on_unauthenticated(send: Send, attempt: Attempt, reply: SendReply, now: datetime) -> None:
    move_attempt(attempt, AttemptState.REFUSED, now=now)
    _back_in_queue(
        send,
        now=now,
        held="blocked_grant",
        waiting_for=_("The mailbox needs to be authenticated again at the provider."),
        seconds=0,
        key_epoch=send.key_epoch + 1,
    )
    _record_deferred(send, attempt, reply)


def _on_refused(send: Send, attempt: Attempt, reply: SendReply, now: datetime) -> None:
    follow_ups.lock_open(send)
    move_attempt(attempt, AttemptState.REFUSED, now=now)
    move_send(send, SendState.FAILED, now=now, stop_reason=_told(reply)[:300])
    _record(
        "approvals.send.failed",
        send,
        outcome="blocked_rule" if reply.reply_class is ReplyClass.BLOCKED else reply.reply_class.value,
        reason=reply.detail,
        idempotency_key=attempt.idempotency_key,
        data={"attempt": attempt.number, "status": reply.status_code, "request_id": reply.request_id},
    )
    follow_ups.open_for(send, "failed", now=now)


def _told(reply: SendReply) -> str:
    # The provider's own words help to mend the mail. They may name an address, so the audit does without them.
    return f"{reply.detail} {reply.error_message}".strip()


def _on_gone(send: Send, attempt: Attempt, reply: SendReply, now: datetime) -> None:
    if attempt.number > 1:
        _make_unknown(send, attempt, reply, now=now)
        return
    move_attempt(attempt, AttemptState.REFUSED, now=now)
    stop(
        send,
        _("The agent withdrew this draft before it could be sent."),
        VoidReason.WITHDRAWN,
        now=now,
        draft_state=DraftState.WITHDRAWN,
        outcome=reply.reply_class.value,
    )


_UNPROVEN = frozenset({ReplyClass.ACCEPTED, ReplyClass.AMBIGUOUS, ReplyClass.PAYLOAD_MISMATCH})
_DEFINITE = {
    ReplyClass.NOT_STARTED: _on_not_started,
    ReplyClass.RATE_LIMITED: _on_rate_limited,
    ReplyClass.UNAUTHENTICATED: _on_unauthenticated,
    ReplyClass.REFUSED: _on_refused,
    ReplyClass.BLOCKED: _on_refused,
    ReplyClass.GONE: _on_gone,
}


def _back_in_queue(
    send: Send, *, now: datetime, held: str, waiting_for: str, seconds: int, **fields: Any
) -> None:
    if send.ambiguous:
        move_send(
            send,
            SendState.UNKNOWN,
            now=now,
            next_lookup_at=now + timedelta(seconds=settings.LOOKUP_SECONDS[0]),
            lookups_done=0,
            resend_at=None,
            resend_by=None,
        )
        return
    # A stop holds what is queued, and this was not queued when it came; its end must not let it out either.
    reading = switch.read(switch_scopes.scopes_of_send(send.pk))
    if not (held or reading.is_open):
        held, waiting_for = "blocked_kill_switch", reading.sentence
    move_send(
        send,
        SendState.QUEUED,
        now=now,
        held=held,
        held_at=now if held else None,
        waiting_for=waiting_for[:300],
        next_attempt_at=now + timedelta(seconds=seconds),
        **fields,
    )


def _record_deferred(send: Send, attempt: Attempt, reply: SendReply) -> None:
    _record(
        "approvals.send.deferred",
        send,
        outcome=reply.reply_class.value,
        reason=reply.detail,
        idempotency_key=attempt.idempotency_key,
        data={"attempt": attempt.number, "status": reply.status_code, "held": send.held},
    )


def _alarm(send: Send, kind: str, sentence: str, *, now: datetime, **fields: Any) -> None:
    follow_ups.lock_open(send)
    send.alarm = _alarms(send, sentence)
    Send.objects.filter(pk=send.pk).update(alarm=send.alarm)
    _record(f"approvals.send.{kind}", send, reason=sentence, **fields)
    follow_ups.open_for(send, kind, now=now)


def _alarms(send: Send, sentence: str) -> str:
    """Every alarm of a send, each once: one that came first must not keep a graver one back."""
    return send.alarm if sentence in send.alarm else f"{send.alarm} {sentence}".strip()[:300]


def alarm(send_id: int, kind: str, sentence: str) -> None:
    """Raise an alarm about a send that already left (`content_differs`), once: a follow-up for its approver."""
    with transaction.atomic():
        send = lock_send(send_id)
        if _alarms(send, sentence) == send.alarm:
            return
        _alarm(send, kind, sentence, now=database_now())


def note_second_copy(send_id: int, provider_message_id: str) -> bool:
    """Raise an alarm about a further copy of a mail that was sent, once for each send; whether it was news."""
    with transaction.atomic():
        send = lock_send(send_id)
        sentence = _("A second copy of this mail was sent outside this desk.")
        if _alarms(send, sentence) == send.alarm:
            return False
        _alarm(send, "second_copy", sentence, now=database_now(), data={"message": provider_message_id})
        return True


def note_draft_deleted(send_id: int) -> None:
    """Note once that the draft a sent mail was made from is gone at the provider."""
    with transaction.atomic():
        send = lock_send(send_id)
        if send.draft_deleted_at is None:
            Send.objects.filter(pk=send_id).update(draft_deleted_at=database_now())
            _record("approvals.send.draft_deleted", send)


def note_crossing(send_id: int, provider_message_id: str) -> None:
    """Note once that a message arrived while this mail was on its way: it may not answer it any more."""
    with transaction.atomic():
        send = lock_send(send_id)
        if send.crossed_message_id:
            return
        follow_ups.lock_open(send)
        Send.objects.filter(pk=send.pk).update(crossed_message_id=provider_message_id)
        _record("approvals.send.crossed", send, data={"message": provider_message_id})
        follow_ups.open_for(send, "crossed", now=database_now())


def _locked(attempt_id: int) -> tuple[Attempt, Send, datetime]:
    send = lock_send(Attempt.objects.values_list("send_id", flat=True).get(pk=attempt_id))
    attempt = Attempt.objects.select_for_update(of=("self",)).get(pk=attempt_id)
    return attempt, send, database_now()


def _switch_of(send_id: int) -> switch.Reading:
    """Read and share-lock the switch of a send, before all other rows: a stop holds its row while it holds sends."""
    return switch.read(switch_scopes.scopes_of_send(send_id), lock=True)


def _unknown_for(send_id: int, person: User) -> Send:
    send = lock_send(send_id)
    if not people.is_still_allowed(person.pk, people.Right.RESOLVE, send.mailbox_id):
        raise SendRefused(_("You may not resolve unknown sends of this mailbox."))
    if send.state != SendState.UNKNOWN:
        raise SendRefused(
            _("This send is no longer unknown: it is %(state)s.") % {"state": send.get_state_display()}
        )
    if send.resend_at is not None:
        raise SendRefused(_("A resend of this mail is under way; wait for its result."))
    return send


def _record(action: str, send: Send, *, actor: Actor = SYSTEM, **fields: Any) -> None:
    draft = send.draft
    record(
        action,
        actor=actor,
        mailbox_id=send.mailbox_id,
        draft_id=draft.pk,
        send_id=send.pk,
        content_sha256=send.decision.content_sha256,
        inbound_message_id=draft.parent_message_id,
        thread_id=draft.thread_id,
        recipients=send.decision.revision.recipients(),
        **fields,
    )
