"""The only place where the state of a draft, a send, an attempt or a follow-up is written.

Each move is a conditional update that must change exactly one row; the caller holds the transaction and
writes the audit entry in it. Rows are locked in the order draft, send, attempt.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from approvals.models import (
    Attempt,
    Claim,
    Decision,
    Draft,
    FollowUp,
    FollowUpState,
    NeedsPerson,
    NeedsPersonState,
    Send,
    VoidReason,
)
from approvals.states import (
    ATTEMPT_MOVES,
    DECIDABLE_STATES,
    DRAFT_MOVES,
    SEND_MOVES,
    AttemptState,
    DraftState,
    SendState,
)


class IllegalMove(Exception):
    """The table of states does not allow the move: a defect in the caller."""


class LostRace(Exception):
    """Somebody else moved the row first; nothing was written."""


def lock_draft(draft_id: int) -> Draft:
    """The draft, locked until the end of the transaction (on SQLite the transaction itself is the lock)."""
    # Locked first and read afterwards: PostgreSQL reads the joined rows as they were before it waited, so that the
    # revision of another writer would be missing.
    if connection.features.has_select_for_update:
        Draft.objects.select_for_update().values_list("pk").get(pk=draft_id)
    return Draft.objects.select_related("mailbox", "current_revision").get(pk=draft_id)


def lock_send(send_id: int) -> Send:
    """The send, its draft locked before it. `send.draft` is the locked row."""
    draft_id = Send.objects.values_list("draft_id", flat=True).get(pk=send_id)
    draft = lock_draft(draft_id)
    send = Send.objects.select_for_update(of=("self",)).select_related("decision__revision").get(pk=send_id)
    send.draft = draft
    send.mailbox = draft.mailbox
    return send


def move_draft(draft: Draft, to: DraftState, *, now: datetime, **fields: Any) -> None:
    if to not in DRAFT_MOVES[DraftState(draft.state)]:
        raise IllegalMove(f"draft {draft.pk}: {draft.state} to {to}")
    is_settled = to not in DECIDABLE_STATES
    if is_settled:
        # Nothing is left to decide, so it is with nobody.
        fields |= {"assigned_to": None, "escalated_by": None, "escalation_reason": ""}
        if draft.escalated_at is not None:
            # Told anew should it wait again: being escalated was a part of it.
            fields |= {"escalated_at": None, "risk": None, "risk_reasons": []}
    _move(draft, Draft.objects.filter(current_revision_id=draft.current_revision_id), to, now, fields)
    if is_settled:
        Claim.objects.filter(draft=draft).delete()


def move_send(send: Send, to: SendState, *, now: datetime, **fields: Any) -> None:
    if to not in SEND_MOVES[SendState(send.state)]:
        raise IllegalMove(f"send {send.pk}: {send.state} to {to}")
    _move(send, Send.objects.all(), to, now, fields)


def move_attempt(attempt: Attempt, to: AttemptState, *, now: datetime, **fields: Any) -> None:
    if to not in ATTEMPT_MOVES[AttemptState(attempt.state)]:
        raise IllegalMove(f"attempt {attempt.pk}: {attempt.state} to {to}")
    changed = Attempt.objects.filter(pk=attempt.pk, state=attempt.state).update(
        state=to, finished_at=now, **fields
    )
    _exactly_one(changed, attempt)
    for name, value in ({"state": to.value, "finished_at": now} | fields).items():
        setattr(attempt, name, value)


def close_follow_up(follow_up: FollowUp, **fields: Any) -> None:
    changed = FollowUp.objects.filter(pk=follow_up.pk, state=FollowUpState.OPEN).update(
        state=FollowUpState.CLOSED, **fields
    )
    _exactly_one(changed, follow_up)
    follow_up.refresh_from_db()


def close_needs_person(item: NeedsPerson, **fields: Any) -> None:
    changed = NeedsPerson.objects.filter(pk=item.pk, state=NeedsPersonState.OPEN).update(
        state=NeedsPersonState.CLOSED, **fields
    )
    _exactly_one(changed, item)
    item.refresh_from_db()


def void(decision: Decision, reason: VoidReason, *, now: datetime) -> None:
    """End a live decision, so that another can be made. It stays on record."""
    changed = Decision.objects.filter(pk=decision.pk, voided_at__isnull=True).update(
        voided_at=now, void_reason=reason
    )
    _exactly_one(changed, decision)
    decision.voided_at, decision.void_reason = now, reason.value


def _move(
    row: Draft | Send,
    rows: models.QuerySet[Any],
    to: models.TextChoices,
    now: datetime,
    fields: dict[str, Any],
) -> None:
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("a state is written inside a transaction only")
    written = {"state": to.value, "state_changed_at": now} | fields
    _exactly_one(rows.filter(pk=row.pk, state=row.state).update(**written), row)
    for name, value in written.items():
        setattr(row, name, value)


def _exactly_one(changed: int, row: models.Model) -> None:
    if changed != 1:
        raise LostRace(f"{row._meta.model_name} {row.pk}")
