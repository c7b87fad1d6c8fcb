"""What can happen to a draft. Each function is one transaction: a conditional update and its audit entry."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from agentmail.failpoints import reach
from agentmail.models import Mailbox
from approvals import bulk, gates, judgements, people, risk, switch_scopes, together, unsaved, wake, wording
from approvals.content import Content, content_of_revision
from approvals.freshness import Look, Staleness, ThreadLook
from approvals.gates import Consequence, Standing, Verdict
from approvals.models import (
    Claim,
    Decision,
    DecisionKind,
    Draft,
    Origin,
    Revision,
    Send,
    Stage,
    Submission,
    VoidReason,
)
from approvals.states import DECIDABLE_STATES, DRAFT_MOVES, OPEN_DRAFT_STATES, DraftState, SendState
from approvals.transitions import sends, submissions
from approvals.transitions.moves import lock_draft, move_draft, void
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies import modes, switch


class DecisionRefused(Exception):
    """The decision was not made; nothing was written. The message says why, for the person."""


class AlreadyDecided(DecisionRefused):
    """Somebody decided before. `decision` is theirs."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            _("%(name)s decided this before: %(kind)s.")
            % {"name": decision.person_name, "kind": DecisionKind(decision.kind).label}
        )
        self.decision = decision


class NotOpen(DecisionRefused):
    """The draft is in a state in which this cannot be decided. `state` names it."""

    def __init__(self, state: str) -> None:
        super().__init__(_("This draft is %(state)s.") % {"state": DraftState(state).label.lower()})
        self.state = state


class DraftExpired(DecisionRefused):
    """The time for a decision is over."""


class DraftChanged(DecisionRefused):
    """The person saw another revision than the current one."""


class ThreadMoved(DecisionRefused):
    """The person saw another state of the thread than the current one."""


class NotReadYet(DecisionRefused):
    """A message of the thread has not been read in full, so nobody can judge the draft yet."""


class FormUsed(DecisionRefused):
    """A decision was made with this very form before, and then taken back or ended."""


class NotAllowed(DecisionRefused):
    """The person has no right to decide on this mailbox."""


class Claimed(DecisionRefused):
    """Somebody else is deciding about the draft. `claim` is theirs; whoever takes it over may decide."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(
            _("%(name)s is deciding about this, until %(time)s. Take over to decide yourself.")
            % {"name": people.name_of(claim.person), "time": f"{timezone.localtime(claim.until):%H:%M}"}
        )
        self.claim = claim


class GateRefused(DecisionRefused):
    """A gate would refuse the mail; the approval is not spent on it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


class QuestionsChanged(DecisionRefused):
    """The chain asks something that the person's page did not show. `verdict` is the question."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(_("Your page did not show this yet: %(what)s") % {"what": verdict.sentence})
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Seen:
    """What was on the person's screen: the decision binds it. `asks` are the questions the page showed."""

    revision_number: int
    content_sha256: str
    thread_fingerprint: str
    asks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AgentSays:
    """What an agent says about its own draft: a category, and its confidence from 0 to 1 (None: nothing usable).

    `plain_part` is the plain text that it handed in beside the HTML.
    """

    category: str = ""
    confidence: float | None = None
    plain_part: str = ""


def seen_of(draft: Draft) -> Seen:
    """What a person sees who opens the draft now, with every question that an approval would answer."""
    revision = _current(draft)
    verdicts = gates.evaluate(gates.facts_about(draft, revision, now=database_now()))
    return Seen(revision.number, revision.content_sha256, draft.thread_fingerprint, gates.questions(verdicts))


def arrive(
    mailbox: Mailbox,
    *,
    provider_draft_id: str,
    content: Content,
    thread_id: str,
    thread: ThreadLook,
    incomplete_reason: str = "",
    origin: Origin = Origin.AGENT,
    linked_from: Draft | None = None,
    author: User | None = None,
    agent_says: AgentSays | None = None,
    submission: Submission | None = None,
) -> Draft | None:
    """Put a draft into the queue; None when it is known already. It keeps the mailbox's mode of this moment.

    The draft of a `submission` takes over its id and its agent, once. A draft of the agent of which changes were
    requested in this thread answers that request: the older one is superseded.
    """
    try:
        with transaction.atomic():
            agent_id = submission.agent_id if submission is not None else ""
            older = linked_from or _answered_request(mailbox, agent_id, content, thread_id)
            if older is not None:
                older = lock_draft(older.pk)
            now = database_now()
            draft = Draft.objects.create(
                **_handed_in(submission),
                mailbox=mailbox,
                grant_id=mailbox.grant_id,
                provider_draft_id=provider_draft_id,
                state=DraftState.PENDING,
                # Asked anew: whoever brings the draft may have read the mailbox before the mode changed.
                mode=Mailbox.objects.values_list("mode", flat=True).get(pk=mailbox.pk),
                origin=origin,
                linked_from=older,
                thread_id=thread_id,
                parent_message_id=content.parent_message_id,
                thread_fingerprint=thread.fingerprint,
                thread_pinned=thread.pinned,
                upstream_sha256=content.upstream_sha256,
                is_complete=not incomplete_reason,
                incomplete_reason=incomplete_reason,
                agent_category=agent_says.category if agent_says is not None else "",
                agent_confidence=agent_says.confidence if agent_says is not None else None,
                arrived_at=now,
                expires_at=now + timedelta(hours=mailbox.expiry_hours),
                queue_at=now + timedelta(hours=mailbox.expiry_hours),
                state_changed_at=now,
                looked_at=now,
            )
            if submission is not None:
                submissions.note_drafted(submission.pk, draft)
            plain_part = agent_says.plain_part if agent_says is not None else ""
            revision = _write_revision(draft, content, author=author, now=now, plain_part=plain_part)
            risk.keep(draft)
            actor = people.actor_for(author) if author is not None else _agent_of(draft)
            _record("approvals.draft.arrived", draft, revision, actor=actor, data={"origin": origin.value})
            if older is not None and older.state == DraftState.CHANGES_REQUESTED:
                _void_live(older, VoidReason.ANSWERED, now=now)
                move_draft(older, DraftState.SUPERSEDED, now=now)
                _record("approvals.draft.superseded", older, actor=actor, data={"by": str(draft.public_id)})
            return draft
    except IntegrityError:
        known = Q(grant_id=mailbox.grant_id, provider_draft_id=provider_draft_id)
        if submission is not None:
            known |= Q(public_id=submission.public_id)
        if Draft.objects.filter(known).exists():
            return None
        raise


def _handed_in(submission: Submission | None) -> dict[str, Any]:
    if submission is None:
        return {}
    return {"public_id": submission.public_id, "agent_id": submission.agent_id}


def _agent_of(draft: Draft) -> Actor:
    return Actor(kind="agent", id=draft.agent_id, name=_agent_name(draft) or "agent")


def _agent_name(draft: Draft) -> str:
    """What the token of its agent is called; empty for a draft that was written at the provider."""
    handed_in = submissions.latest_of(draft) if draft.agent_id else None
    return handed_in.agent_name if handed_in is not None else ""


def revise(
    draft_id: int,
    *,
    content: Content,
    thread: ThreadLook,
    incomplete_reason: str = "",
    agent_says: AgentSays | None = None,
) -> Revision | None:
    """Take the agent's new wording of a draft that is not sent yet; None when it changes nothing.

    An approval that was waiting is void. An answer to a request for changes, or to a stale thread, is pinned to
    the thread as it is now and waits again.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        now = database_now()
        Draft.objects.filter(pk=draft.pk).update(looked_at=now)
        was_incomplete = not draft.is_complete
        if draft.upstream_sha256 == content.upstream_sha256 and not (
            was_incomplete and not incomplete_reason
        ):
            return None
        if not (was_incomplete or incomplete_reason) and _is_current_wording(draft, content):
            # Put there by the desk itself, before it sends the draft.
            Draft.objects.filter(pk=draft.pk).update(upstream_sha256=content.upstream_sha256)
            return None
        if draft.state == DraftState.APPROVED:
            send = _lock_own_send(draft)
            if send is None or send.state != SendState.QUEUED:
                return None
            sends.stop(
                send,
                _("The agent changed this draft after it was approved."),
                VoidReason.CHANGED,
                now=now,
                draft_state=DraftState.PENDING,
                outcome="blocked_stale",
            )
        elif draft.state not in OPEN_DRAFT_STATES:
            return None
        if draft.upstream_sha256 == content.upstream_sha256:
            _write(draft, is_complete=True, incomplete_reason="", upstream_sha256=content.upstream_sha256)
            risk.keep(draft)
            return None
        reopens = draft.state in (DraftState.CHANGES_REQUESTED, DraftState.STALE)
        if reopens:
            _void_live(draft, VoidReason.ANSWERED, now=now)
        plain_part = agent_says.plain_part if agent_says is not None else ""
        revision = _write_revision(draft, content, author=None, now=now, plain_part=plain_part)
        fields: dict[str, Any] = {
            # A new wording is an act of the agent under the mode of now; what it may not do now it cannot do so.
            "mode": modes.strictest(draft.mode, draft.mailbox.mode),
            "upstream_sha256": content.upstream_sha256,
            "is_complete": not incomplete_reason,
            "incomplete_reason": incomplete_reason,
        }
        if agent_says is not None:
            fields |= {"agent_category": agent_says.category, "agent_confidence": agent_says.confidence}
        if reopens:
            fields |= {
                "thread_fingerprint": thread.fingerprint,
                "thread_pinned": thread.pinned,
                "stale_reason": "",
                "stale_message_ids": [],
                "expires_at": now + timedelta(hours=draft.mailbox.expiry_hours),
                "queue_at": now + timedelta(hours=draft.mailbox.expiry_hours),
            }
            move_draft(draft, DraftState.PENDING, now=now, **fields)
        else:
            _write(draft, **fields)
        risk.keep(draft)
        _record(
            "approvals.draft.revised",
            draft,
            revision,
            actor=_agent_of(draft),
            data={"revision": revision.number},
        )
        return revision


def edit(draft_id: int, *, person: User, seen: Seen, content: Content) -> Revision:
    """Keep a person's wording as the next revision of a pending draft; the agent's stays on record.

    Raises the same as `approve`; a wording that changes nothing gives the current revision back.
    """
    with transaction.atomic():
        draft, now = _pending_for(draft_id, person, seen)
        unsaved.discard_edit(draft.pk, person)
        if draft.current_revision is not None and draft.current_revision.content_sha256 == content.sha256:
            return draft.current_revision
        revision = _write_revision(draft, content, author=person, now=now)
        risk.keep(draft)
        _record(
            "approvals.draft.edited",
            draft,
            revision,
            actor=people.actor_for(person),
            data={"revision": revision.number, "fields": sorted(revision.difference)},
        )
        return revision


def approve(
    draft_id: int,
    *,
    person: User,
    seen: Seen,
    look: Look,
    form_id: uuid.UUID | None,
    also: Callable[[], object] | None = None,
) -> Decision:
    """C1: bind one revision and one state of the thread to a person's yes, and queue the one send.

    Nothing leaves before the undo hold of the mailbox is over, and then only through every gate again. `also` is done
    in the same transaction: both are kept or neither is. Raises
    AlreadyDecided, NotOpen, DraftExpired, DraftChanged, ThreadMoved, NotAllowed or GateRefused; nothing but the
    evaluation is written then.
    """
    with transaction.atomic():
        # Share-locked, and first of all rows: a flip under way is waited for and seen, a later one waits.
        reading = switch.read(switch_scopes.scopes_of_draft(draft_id), lock=True)
        draft, now = _pending_for(draft_id, person, seen)
        if obstacle := owner_obstacle(draft, person):
            raise NotAllowed(obstacle)
        revision = _current(draft)
        facts = gates.facts_about(draft, revision, now=now, look=look)
        verdicts = gates.evaluate(facts)
        refusal = _refusal(verdicts, seen)
        held = "" if reading.is_open else "blocked_kill_switch"
        if not held:
            holding = [one for one in verdicts if one.consequence is Consequence.HOLD]
            held = holding[0].result if holding else ""
        if refusal is None:
            verdicts = gates.as_approved(verdicts, people.name_of(person))
        judgements.keep(facts, verdicts, Stage.APPROVAL)
        if refusal is None:
            decision = _approved(facts, person, seen.asks, form_id=form_id, held=held)
            if also is not None:
                also()
            return decision
    raise refusal


def _refusal(verdicts: Sequence[Verdict], seen: Seen) -> DecisionRefused | None:
    for verdict in verdicts:
        if verdict.consequence in (Consequence.STALE, Consequence.WITHDRAW):
            return ThreadMoved(verdict.sentence)
        if verdict.consequence is Consequence.CHANGED:
            return DraftChanged(verdict.sentence)
        if verdict.consequence is Consequence.STOP:
            return GateRefused(verdict)
    for verdict in verdicts:
        if verdict.standing is Standing.OPEN and not set(verdict.asks) <= seen.asks:
            return QuestionsChanged(verdict)
    return None


def approve_by_mode(draft_id: int, *, look: Look) -> Decision | None:
    """Approve a pending draft because its oversight mode needs no person, and queue it; None when it must wait.

    Every gate is asked, as for mail that no person decides, and all of them must pass now, but for what the claim
    waits for by itself. The evaluation is written
    either way: its refusal says what the draft waits for. There is no undo hold.
    """
    with transaction.atomic():
        # In every scope, as for an approval by a person: a stop waits for it and then holds what it queued.
        switch.read(switch_scopes.scopes_of_draft(draft_id), lock=True)
        draft = lock_draft(draft_id)
        now = database_now()
        if draft.state != DraftState.PENDING or live_decision(draft) is not None or draft.expires_at <= now:
            return None
        facts = gates.facts_about(draft, _current(draft), now=now, look=look, is_reviewed=False)
        name = _mode_name(draft.mailbox)
        verdicts = [_decided_by_mode(verdict, name) for verdict in gates.evaluate(facts)]
        judgements.keep(facts, verdicts, Stage.WITHOUT_PERSON)
        is_too_old = look.age_seconds() > settings.APPROVAL_FRESHNESS_SECONDS
        if is_too_old or not all(map(_lets_queue, verdicts)):
            return None
        return _approved(facts, None, frozenset(), form_id=None, held="")


def _lets_queue(verdict: Verdict) -> bool:
    # A rehearsal and the spacing between two sends are matters of the claim, which needs nobody for either.
    return (
        verdict.standing is Standing.PASSED
        or (verdict.gate == "dry_run" and verdict.standing is Standing.NOT_ASKED)
        or (verdict.gate == "caps" and verdict.consequence is Consequence.WAIT)
    )


def _mode_name(mailbox: Mailbox) -> str:
    return f"Oversight mode {mailbox.mode}"


def _decided_by_mode(verdict: Verdict, name: str) -> Verdict:
    if verdict.gate != "decision" or verdict.standing is not Standing.OPEN:
        return verdict
    return Verdict("decision", Standing.PASSED, _("Decided by %(name)s.") % {"name": name})


def _approved(
    facts: gates.Facts,
    person: User | None,
    asks: frozenset[str],
    *,
    form_id: uuid.UUID | None,
    held: str,
) -> Decision:
    draft, revision, now = facts.draft, facts.revision, facts.now
    undo_seconds = draft.mailbox.undo_seconds if person is not None else 0
    decision = _decide(
        draft,
        revision,
        DecisionKind.APPROVE,
        person,
        now=now,
        reason="",
        form_id=form_id,
        valid_until=now + timedelta(seconds=undo_seconds, minutes=draft.mailbox.approval_minutes),
        answers=sorted(asks),
    )
    move_draft(draft, DraftState.APPROVED, now=now)
    actor = _actor(draft, person)
    try:
        send = sends.queue(draft, decision, now=now, undo_seconds=undo_seconds, held=held, actor=actor)
    except sends.SendRefused as error:
        raise DecisionRefused(str(error)) from error
    data: dict[str, Any] = {"revision": revision.number, "undo_seconds": undo_seconds}
    if asks:
        data["answered"] = sorted(asks)
    _record("approvals.draft.approved", draft, revision, actor=actor, outcome=held, data=data)
    if not held:
        wake.sender_on_commit(send.pk, in_seconds=undo_seconds)
    reach("C1")
    return decision


def reject(
    draft_id: int,
    *,
    person: User,
    seen: Seen,
    reason: str,
    form_id: uuid.UUID | None,
    also: Callable[[], object] | None = None,
) -> Decision:
    """End a pending or stale draft with a person's no. `also` is done in the same transaction. Raises as `approve`."""
    with transaction.atomic():
        decision = _end(draft_id, DecisionKind.REJECT, DraftState.REJECTED, person, seen, reason, form_id)
        if also is not None:
            also()
        return decision


def request_changes(
    draft_id: int, *, person: User, seen: Seen, note: str, form_id: uuid.UUID | None
) -> Decision:
    """Send a pending or stale draft back to its agent with a note. Raises as `approve`."""
    return _end(
        draft_id, DecisionKind.REQUEST_CHANGES, DraftState.CHANGES_REQUESTED, person, seen, note, form_id
    )


def cancel(draft_id: int, *, person: User, reason: str) -> bool:
    """End an open draft as one of many that a person cancels together; whether it was still open.

    Counts as that person's rejection. Raises NotAllowed without the right to cancel; a draft that somebody decided
    about, whose approval waits to leave, or whose time is over, is left alone.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not people.is_still_allowed(person.pk, people.Right.CANCEL, draft.mailbox_id):
            raise NotAllowed(_("You may not cancel the drafts of this mailbox."))
        now = database_now()
        if draft.state not in OPEN_DRAFT_STATES or draft.current_revision is None or draft.expires_at <= now:
            return False
        revision = _current(draft)
        _void_live(draft, VoidReason.CANCELLED, now=now)
        _decide(
            draft,
            revision,
            DecisionKind.REJECT,
            person,
            now=now,
            reason=reason,
            form_id=None,
            valid_until=None,
        )
        move_draft(draft, DraftState.REJECTED, now=now)
        _record("approvals.draft.cancelled", draft, revision, actor=people.actor_for(person), reason=reason)
        return True


def undo(draft_id: int, *, person: User) -> Draft:
    """Take an approval back while its undo hold runs, or while its mail is held; the draft waits again.

    The approver may, and whoever may stop sends of the mailbox as an operator does. Raises DecisionRefused
    when the hold is over or the mail is under way: there is no recalling then.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        send = _lock_own_send(draft)
        now = database_now()
        if send is None or draft.state != DraftState.APPROVED:
            raise NotOpen(draft.state)
        is_own = send.decision.person_id == person.pk
        right = people.Right.DECIDE if is_own else people.Right.RESUME
        if not people.is_still_allowed(person.pk, right, draft.mailbox_id):
            raise NotAllowed(_("Only the person who approved, or an operator, can undo this."))
        # What is queued has left by none of its attempts, so a held one can be taken back at any time.
        if send.state != SendState.QUEUED or (send.not_before <= now and not send.held):
            raise DecisionRefused(_("The undo time is over; this mail can no longer be held back here."))
        sends.stop(
            send,
            _("Undone by %(name)s.") % {"name": people.name_of(person)},
            VoidReason.UNDONE,
            now=now,
            draft_state=DraftState.PENDING,
            actor=people.actor_for(person),
        )
        _record("approvals.draft.undone", draft, _current(draft), actor=people.actor_for(person))
        return draft


def mark_stale(draft_id: int, stale: Staleness) -> bool:
    """Invalidate a draft whose thread moved; whether it was pending or waiting to be sent.

    An approval that was waiting is void. What is under way is left to its sender.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        now = database_now()
        fields: dict[str, Any] = {
            "stale_reason": stale.reason,
            "stale_message_ids": list(stale.message_ids),
        }
        if draft.state == DraftState.APPROVED:
            send = _lock_own_send(draft)
            if send is None or send.state != SendState.QUEUED:
                return False
            sends.stop(
                send,
                str(gates.STALE_SENTENCES[stale.reason]),
                VoidReason.STALE,
                now=now,
                draft_state=DraftState.STALE,
                outcome="blocked_stale",
                **fields,
            )
        elif draft.state == DraftState.PENDING:
            move_draft(draft, DraftState.STALE, now=now, **fields)
        else:
            return False
        _record(
            "approvals.draft.stale",
            draft,
            _current(draft),
            outcome="blocked_stale",
            reason=stale.reason.value,
            data={"new_messages": list(stale.message_ids)},
        )
        return True


def return_to_pending(draft_id: int, *, person: User, thread: ThreadLook) -> Draft:
    """Let a stale draft wait again, pinned to the thread as the person has now seen it."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        check_right(person, draft)
        if draft.state != DraftState.STALE:
            raise NotOpen(draft.state)
        now = database_now()
        if draft.expires_at <= now:
            raise DraftExpired(_("This draft expired."))
        _check_claim(draft, person, now)
        move_draft(
            draft,
            DraftState.PENDING,
            now=now,
            thread_fingerprint=thread.fingerprint,
            thread_pinned=thread.pinned,
            stale_reason="",
            stale_message_ids=[],
            looked_at=now,
        )
        risk.keep(draft)
        _record("approvals.draft.returned_to_pending", draft, _current(draft), actor=people.actor_for(person))
        return draft


def withdraw(draft_id: int) -> bool:
    """Close a draft that is gone at the provider; whether it was still open or waiting to be sent."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not _close_unsent(
            draft,
            DraftState.WITHDRAWN,
            VoidReason.WITHDRAWN,
            _("The agent withdrew this draft."),
            outcome="blocked_stale",
        ):
            return False
        _record("approvals.draft.withdrawn", draft, _current(draft), actor=_agent_of(draft))
        return True


def close_sent_elsewhere(draft_id: int) -> bool:
    """Close a draft whose mail left the mailbox without this desk; whether it was still open or waiting to be sent.

    One that had vanished is closed too: somebody sent it, which is why it was gone.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not _close_unsent(
            draft,
            DraftState.SENT_ELSEWHERE,
            VoidReason.SENT_ELSEWHERE,
            _("It was sent without this desk, so it is not sent again."),
        ):
            return False
        _record("approvals.draft.sent_elsewhere", draft, _current(draft))
        return True


def _close_unsent(draft: Draft, to: DraftState, reason: VoidReason, sentence: str, **stopped: Any) -> bool:
    """Move a draft to one of its ends, with a send that still waits; False for one whose send may have begun."""
    now = database_now()
    if draft.state == DraftState.APPROVED:
        send = _lock_own_send(draft)
        if send is None or send.state != SendState.QUEUED:
            return False
        sends.stop(send, sentence, reason, now=now, draft_state=to, **stopped)
        return True
    if to not in DRAFT_MOVES[DraftState(draft.state)]:
        return False
    _void_live(draft, reason, now=now)
    move_draft(draft, to, now=now)
    return True


def expire(draft_id: int) -> bool:
    """Cancel an open draft whose time is over by the database's clock; whether it was."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        now = database_now()
        if draft.state not in OPEN_DRAFT_STATES or draft.expires_at > now:
            return False
        _void_live(draft, VoidReason.RAN_OUT, now=now)
        move_draft(draft, DraftState.EXPIRED, now=now)
        _record("approvals.draft.expired", draft, _current(draft))
        return True


def live_decision(draft: Draft) -> Decision | None:
    return draft.decisions.filter(voided_at__isnull=True).first()


def _end(
    draft_id: int,
    kind: DecisionKind,
    to: DraftState,
    person: User,
    seen: Seen,
    reason: str,
    form_id: uuid.UUID | None,
) -> Decision:
    with transaction.atomic():
        draft, now = _pending_for(draft_id, person, seen, may_be_stale=True)
        if gates.has_unread_mail(draft):
            raise NotReadYet(_("A message of this thread is still being fetched; decide when it is here."))
        revision = _current(draft)
        decision = _decide(
            draft, revision, kind, person, now=now, reason=reason, form_id=form_id, valid_until=None
        )
        move_draft(draft, to, now=now)
        _record(f"approvals.draft.{to.value}", draft, revision, actor=people.actor_for(person), reason=reason)
        return decision


def _pending_for(
    draft_id: int, person: User, seen: Seen, *, may_be_stale: bool = False
) -> tuple[Draft, datetime]:
    draft = lock_draft(draft_id)
    check_right(person, draft)
    decision = live_decision(draft)
    if decision is not None:
        raise AlreadyDecided(decision)
    if draft.state not in (DECIDABLE_STATES if may_be_stale else (DraftState.PENDING,)):
        raise NotOpen(draft.state)
    now = database_now()
    if draft.expires_at <= now:
        raise DraftExpired(say_expired())
    _check_claim(draft, person, now)
    revision = _current(draft)
    if seen.revision_number != revision.number or seen.content_sha256 != revision.content_sha256:
        raise DraftChanged(_("This draft changed after your page was made; look at it again."))
    if not may_be_stale and seen.thread_fingerprint != draft.thread_fingerprint:
        raise ThreadMoved(_("The thread moved after your page was made; look at it again."))
    return draft, now


def _is_current_wording(draft: Draft, upstream: Content) -> bool:
    """Whether a waiting draft reads at the provider as its current revision, which may be a person's."""
    if draft.state not in (DraftState.PENDING, DraftState.APPROVED) or draft.current_revision is None:
        return False
    return content_of_revision(draft.current_revision).upstream_sha256 == upstream.upstream_sha256


def owner_obstacle(draft: Draft, person: User) -> str:
    """Why a person may not approve what their own agent handed in; empty where they may."""
    # What no agent handed in has nobody who answers for it.
    if settings.OWNERS_MAY_APPROVE or not draft.agent_id:
        return ""
    if not Submission.objects.filter(draft=draft, owner=person).exists():
        return ""
    return _("You answer for the agent that wrote this, so somebody else approves it.")


def check_right(person: User, draft: Draft) -> None:
    """Refuse with NotAllowed whoever may not decide about a draft, by the database as it is now."""
    if not people.is_still_allowed(person.pk, people.Right.DECIDE, draft.mailbox_id):
        raise NotAllowed(_("You may not decide drafts of this mailbox."))


def say_expired() -> str:
    return _("This draft expired while you were reading; nothing was sent.")


def _check_claim(draft: Draft, person: User, now: datetime) -> None:
    # Under the lock of the draft, which every claim takes too: of two who decide at once, one sees the other's.
    standing = together.standing_claim(draft, now)
    if standing is not None and standing.person_id != person.pk:
        raise Claimed(standing)


def _decide(
    draft: Draft,
    revision: Revision,
    kind: DecisionKind,
    person: User | None,
    *,
    now: datetime,
    reason: str,
    form_id: uuid.UUID | None,
    valid_until: datetime | None,
    answers: Sequence[str] = (),
) -> Decision:
    if form_id is not None and Decision.objects.filter(form_id=form_id).exists():
        raise FormUsed(_("This page was used for a decision before; look at the draft again."))
    if person is not None:
        unsaved.discard(draft.pk, person)
    return Decision.objects.create(
        draft=draft,
        kind=kind,
        revision=revision,
        person=person,
        person_name=people.name_of(person) if person is not None else _mode_name(draft.mailbox),
        made_at=now,
        content_sha256=revision.content_sha256,
        thread_fingerprint=draft.thread_fingerprint,
        valid_until=valid_until,
        reason=reason,
        form_id=form_id,
        answers=list(answers),
    )


def _actor(draft: Draft, person: User | None) -> Actor:
    if person is not None:
        return people.actor_for(person)
    return Actor(kind="system", id=f"mode:{draft.mailbox.mode}", name=_mode_name(draft.mailbox))


def _write_revision(
    draft: Draft, content: Content, *, author: User | None, now: datetime, plain_part: str = ""
) -> Revision:
    before = draft.current_revision
    agent = "" if author is not None else _agent_name(draft)
    revision = wording.revision_of(draft, content, author=author, agent_name=agent, at=now)
    revision.plain_part = plain_part
    revision.save()
    text = revision.body_text
    first = next(iter(content.to), None)
    counterpart = (first.name or first.email) if first else ""
    fields = {
        "current_revision": revision,
        "subject": content.subject,
        "counterpart": counterpart[:320],
        "search_text": _search_text(draft, content),
        "looks_bulk": bool(bulk.signs_in(content.subject, text, len(content.recipients()))),
        "family": bulk.family_of(content, text),
        "audience": bulk.audience_of(content),
        # Of the wording before; whoever writes a revision has it told anew.
        "risk": None,
        "risk_reasons": [],
    }
    if Draft.objects.filter(pk=draft.pk, current_revision=before).update(**fields) != 1:
        raise DraftChanged(_("This draft changed at the same moment; look at it again."))
    for name, value in fields.items():
        setattr(draft, name, value)
    return revision


def _write(draft: Draft, **fields: Any) -> None:
    """Write fields of a locked draft that are no state."""
    Draft.objects.filter(pk=draft.pk).update(**fields)
    for name, value in fields.items():
        setattr(draft, name, value)


def _search_text(draft: Draft, content: Content) -> str:
    addresses: Sequence[str] = [
        f"{address.name} {address.email}".strip()
        for field in (content.to, content.cc, content.bcc)
        for address in field
    ]
    return "\n".join([content.subject, *addresses, draft.mailbox.address]).casefold()[:4000]


def _answered_request(mailbox: Mailbox, agent_id: str, content: Content, thread_id: str) -> Draft | None:
    if not thread_id:
        return None
    return (
        Draft.objects.filter(
            mailbox=mailbox,
            agent_id=agent_id,
            thread_id=thread_id,
            parent_message_id=content.parent_message_id,
            state=DraftState.CHANGES_REQUESTED,
        )
        .order_by("-state_changed_at")
        .first()
    )


def _void_live(draft: Draft, reason: VoidReason, *, now: datetime) -> None:
    decision = live_decision(draft)
    if decision is not None:
        void(decision, reason, now=now)


def _lock_own_send(draft: Draft) -> Send | None:
    send = (
        Send.objects.select_for_update(of=("self",))
        .select_related("decision__revision")
        .filter(draft=draft)
        .first()
    )
    if send is not None:
        send.draft = draft
        send.mailbox = draft.mailbox
    return send


def _current(draft: Draft) -> Revision:
    if draft.current_revision is None:
        raise DraftChanged(_("This draft has no content yet."))
    return draft.current_revision


def _record(
    action: str,
    draft: Draft,
    revision: Revision | None = None,
    *,
    actor: Actor = SYSTEM,
    **fields: Any,
) -> None:
    record(
        action,
        actor=actor,
        mailbox_id=draft.mailbox_id,
        draft_id=draft.pk,
        content_sha256=revision.content_sha256 if revision is not None else "",
        inbound_message_id=draft.parent_message_id,
        thread_id=draft.thread_id,
        recipients=revision.recipients() if revision is not None else (),
        **fields,
    )
