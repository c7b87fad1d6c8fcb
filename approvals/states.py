"""Every state of the machines and the moves between them. `docs/states.md` shows the same tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class DraftState(models.TextChoices):
    PENDING = "pending", _("Pending")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    CHANGES_REQUESTED = "changes_requested", _("Changes requested")
    STALE = "stale", _("Stale")
    SUPERSEDED = "superseded", _("Superseded")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")
    SENT_ELSEWHERE = "sent_elsewhere", _("Sent elsewhere")


class SendState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    DISPATCHED = "dispatched", _("Dispatched")
    ACCEPTED = "accepted", _("Accepted")
    FAILED = "failed", _("Failed")
    STOPPED = "stopped", _("Stopped")
    DRY_RUN = "dry_run", _("Would have been sent")
    UNKNOWN = "unknown", _("Unknown")
    CLOSED_SENT = "closed_sent", _("Closed, taken as sent")
    CLOSED_NOT_SENT = "closed_not_sent", _("Closed, taken as not sent")


class AttemptState(models.TextChoices):
    DISPATCHED = "dispatched", _("Under way")
    ACCEPTED = "accepted", _("Accepted")
    REFUSED = "refused", _("Refused")
    NOT_STARTED = "not_started", _("Not started")
    UNKNOWN = "unknown", _("Unknown")
    OVERRIDDEN = "overridden", _("Overridden by a resend")
    CLOSED = "closed", _("Closed by a person")


class BatchState(models.TextChoices):
    READING = "reading", _("Being read")
    RUNNING = "running", _("Under way")
    ENDED = "ended", _("Ended")


class BatchItemState(models.TextChoices):
    LISTED = "listed", _("Listed")
    WAITING = "waiting", _("Waiting")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    REFUSED = "refused", _("Not decided")
    LEFT_OUT = "left_out", _("Left out")


class JobState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Under way")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Expired")


DRAFT_MOVES: Mapping[DraftState, frozenset[DraftState]] = {
    DraftState.PENDING: frozenset(
        {
            DraftState.APPROVED,
            DraftState.REJECTED,
            DraftState.CHANGES_REQUESTED,
            DraftState.STALE,
            DraftState.SUPERSEDED,
            DraftState.WITHDRAWN,
            DraftState.EXPIRED,
            DraftState.SENT_ELSEWHERE,
        }
    ),
    DraftState.APPROVED: frozenset(
        {DraftState.PENDING, DraftState.STALE, DraftState.WITHDRAWN, DraftState.SENT_ELSEWHERE}
    ),
    DraftState.CHANGES_REQUESTED: frozenset(
        {
            DraftState.PENDING,
            DraftState.REJECTED,
            DraftState.SUPERSEDED,
            DraftState.WITHDRAWN,
            DraftState.EXPIRED,
            DraftState.SENT_ELSEWHERE,
        }
    ),
    DraftState.STALE: frozenset(
        {
            DraftState.PENDING,
            DraftState.REJECTED,
            DraftState.CHANGES_REQUESTED,
            DraftState.SUPERSEDED,
            DraftState.WITHDRAWN,
            DraftState.EXPIRED,
            DraftState.SENT_ELSEWHERE,
        }
    ),
    DraftState.REJECTED: frozenset(),
    DraftState.SUPERSEDED: frozenset(),
    # It may have vanished because somebody sent it, which shows later.
    DraftState.WITHDRAWN: frozenset({DraftState.SENT_ELSEWHERE}),
    DraftState.EXPIRED: frozenset(),
    DraftState.SENT_ELSEWHERE: frozenset(),
}

# Nothing leads from UNKNOWN or ACCEPTED back to QUEUED: a resend goes from UNKNOWN straight into a
# claim that a named person authorised. Positive evidence leads to ACCEPTED from everywhere.
SEND_MOVES: Mapping[SendState, frozenset[SendState]] = {
    SendState.QUEUED: frozenset(
        {SendState.DISPATCHED, SendState.STOPPED, SendState.DRY_RUN, SendState.ACCEPTED}
    ),
    SendState.DISPATCHED: frozenset(
        {SendState.ACCEPTED, SendState.FAILED, SendState.UNKNOWN, SendState.QUEUED, SendState.STOPPED}
    ),
    SendState.UNKNOWN: frozenset(
        {SendState.DISPATCHED, SendState.ACCEPTED, SendState.CLOSED_SENT, SendState.CLOSED_NOT_SENT}
    ),
    SendState.STOPPED: frozenset({SendState.QUEUED, SendState.ACCEPTED}),
    SendState.DRY_RUN: frozenset({SendState.ACCEPTED}),
    SendState.FAILED: frozenset({SendState.ACCEPTED}),
    SendState.CLOSED_SENT: frozenset({SendState.ACCEPTED}),
    SendState.CLOSED_NOT_SENT: frozenset({SendState.ACCEPTED}),
    SendState.ACCEPTED: frozenset(),
}

# The results of the items are final: what became of a draft afterwards is the state of the draft.
BATCH_MOVES: Mapping[BatchState, frozenset[BatchState]] = {
    BatchState.READING: frozenset({BatchState.RUNNING}),
    BatchState.RUNNING: frozenset({BatchState.ENDED}),
    BatchState.ENDED: frozenset(),
}

BATCH_ITEM_MOVES: Mapping[BatchItemState, frozenset[BatchItemState]] = {
    BatchItemState.LISTED: frozenset({BatchItemState.WAITING, BatchItemState.LEFT_OUT}),
    BatchItemState.WAITING: frozenset(
        {
            BatchItemState.APPROVED,
            BatchItemState.REJECTED,
            BatchItemState.REFUSED,
            BatchItemState.LEFT_OUT,
        }
    ),
    BatchItemState.APPROVED: frozenset(),
    BatchItemState.REJECTED: frozenset(),
    BatchItemState.REFUSED: frozenset(),
    BatchItemState.LEFT_OUT: frozenset(),
}

# A job whose worker died stays RUNNING until the next worker begins it anew.
JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset({JobState.EXPIRED}),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

ATTEMPT_MOVES: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.DISPATCHED: frozenset(
        {AttemptState.ACCEPTED, AttemptState.REFUSED, AttemptState.NOT_STARTED, AttemptState.UNKNOWN}
    ),
    AttemptState.UNKNOWN: frozenset({AttemptState.ACCEPTED, AttemptState.OVERRIDDEN, AttemptState.CLOSED}),
    AttemptState.OVERRIDDEN: frozenset({AttemptState.ACCEPTED}),
    AttemptState.CLOSED: frozenset({AttemptState.ACCEPTED}),
    AttemptState.ACCEPTED: frozenset(),
    AttemptState.REFUSED: frozenset(),
    AttemptState.NOT_STARTED: frozenset(),
}

State = TypeVar("State", bound=models.TextChoices)

# A person has a word about it; a stale one can be turned down or looked at again.
DECIDABLE_STATES = (DraftState.PENDING, DraftState.STALE)
OPEN_DRAFT_STATES = (*DECIDABLE_STATES, DraftState.CHANGES_REQUESTED)
IN_FLIGHT_SEND_STATES = (SendState.DISPATCHED, SendState.UNKNOWN)
OPEN_JOB_STATES = (JobState.WAITING, JobState.RUNNING)
LIVE_ATTEMPT_STATES = (AttemptState.DISPATCHED, AttemptState.UNKNOWN)


def check_moves(initial: State, moves: Mapping[State, frozenset[State]], states: list[State]) -> None:
    """Refuse a table that misses a state, names an unknown one or cannot reach one. Raises ValueError."""
    if set(moves) != set(states):
        raise ValueError(f"the table must name exactly these states: {sorted(states)}")
    reached, frontier = {initial}, [initial]
    while frontier:
        for state in moves[frontier.pop()] - reached:
            if state not in moves:
                raise ValueError(f"unknown state {state}")
            reached.add(state)
            frontier.append(state)
    if reached != set(states):
        raise ValueError(f"unreachable states: {sorted(set(states) - reached)}")


check_moves(DraftState.PENDING, DRAFT_MOVES, list(DraftState))
check_moves(SendState.QUEUED, SEND_MOVES, list(SendState))
check_moves(AttemptState.DISPATCHED, ATTEMPT_MOVES, list(AttemptState))
check_moves(BatchState.READING, BATCH_MOVES, list(BatchState))
check_moves(BatchItemState.LISTED, BATCH_ITEM_MOVES, list(BatchItemState))
check_moves(JobState.WAITING, JOB_MOVES, list(JobState))
