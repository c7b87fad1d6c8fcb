"""How a mail that was handed in stands, in the words that an agent is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import estimates
from approvals.models import DecisionKind, Draft, Send, Submission, SubmissionState
from approvals.recipients import Recipient
from approvals.states import DraftState, SendState
from policies.modes import Answer
from policies.recipients import Outcome

_OF_DRAFT = {
    DraftState.PENDING: (Answer.PENDING, "pending_approval"),
    DraftState.CHANGES_REQUESTED: (Answer.PENDING, "changes_requested"),
    DraftState.STALE: (Answer.PENDING, "stale"),
    DraftState.REJECTED: (Answer.BLOCKED, "rejected"),
    DraftState.EXPIRED: (Answer.BLOCKED, "expired"),
    DraftState.SUPERSEDED: (Answer.BLOCKED, "superseded"),
    DraftState.WITHDRAWN: (Answer.BLOCKED, "cancelled"),
    DraftState.SENT_ELSEWHERE: (Answer.BLOCKED, "sent_elsewhere"),
}
_OF_SEND = {
    SendState.QUEUED: (Answer.PENDING, "approved_holding"),
    SendState.DISPATCHED: (Answer.PENDING, "sending"),
    SendState.ACCEPTED: (Answer.EXECUTED, "sent"),
    SendState.DRY_RUN: (Answer.EXECUTED, "dry_run"),
    SendState.UNKNOWN: (Answer.PENDING, "unknown"),
    SendState.CLOSED_SENT: (Answer.EXECUTED, "sent"),
    SendState.CLOSED_NOT_SENT: (Answer.BLOCKED, "not_sent"),
    SendState.FAILED: (Answer.BLOCKED, "failed"),
    SendState.STOPPED: (Answer.PENDING, "pending_approval"),
}
_OF_SUBMISSION = {
    SubmissionState.RECEIVED: (Answer.PENDING, "received"),
    SubmissionState.DRAFTED: (Answer.PENDING, "pending_approval"),
    SubmissionState.REFUSED: (Answer.BLOCKED, "refused_by_provider"),
    SubmissionState.CANCELLED: (Answer.BLOCKED, "cancelled"),
}
_VERDICTS = {Outcome.DENIED: "denied", Outcome.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Standing:
    """`code` says in one word why `status` is what it is; `reason` is a person's, where one gave one."""

    status: Answer
    code: str
    reason: str = ""


def standing(submission: Submission | None, draft: Draft | None) -> Standing:
    if draft is None:
        if submission is None:
            raise ValueError("there is nothing to tell about")
        status, code = _OF_SUBMISSION[SubmissionState(submission.state)]
        return Standing(status, code, submission.trouble)
    if draft.state == DraftState.APPROVED:
        send = Send.objects.filter(draft=draft).first()
        status, code = _OF_SEND[SendState(send.state)] if send is not None else _OF_DRAFT[DraftState.PENDING]
        return Standing(status, code, send.stop_reason if send is not None else "")
    status, code = _OF_DRAFT[DraftState(draft.state)]
    return Standing(status, code, _said(draft))


def review_time(mailbox: Mailbox) -> dict[str, Any]:
    """How long people usually take in a mailbox: seconds, or None with the reason why that is not known."""
    found = estimates.review_time(mailbox)
    return {"estimated_review_time": found.seconds, "estimate_reason": found.reason or None}


def verdicts(judged: Sequence[Recipient]) -> list[dict[str, str]]:
    """What the lists say about each recipient: allowed, denied or unknown."""
    return [
        {"address": one.address, "verdict": _VERDICTS.get(one.match.outcome, "allowed")} for one in judged
    ]


def _said(draft: Draft) -> str:
    kinds = {
        DraftState.REJECTED: DecisionKind.REJECT,
        DraftState.CHANGES_REQUESTED: DecisionKind.REQUEST_CHANGES,
    }
    kind = kinds.get(DraftState(draft.state))
    if kind is not None:
        decision = draft.decisions.filter(kind=kind).order_by("-pk").first()
        return decision.reason if decision is not None else ""
    return _("Nobody decided in time.") if draft.state == DraftState.EXPIRED else ""
