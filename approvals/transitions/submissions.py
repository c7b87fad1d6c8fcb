"""What can happen to a submission: received, then drafted, refused by the provider, or cancelled by its agent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from approvals import wake
from approvals.models import Draft, Submission, SubmissionState
from audit.clock import database_now
from audit.record import Actor, record


class NotCancellable(Exception):
    """The mail left, or is about to; it cannot be taken back. `state` says which."""

    def __init__(self, state: str, sentence: str) -> None:
        super().__init__(sentence)
        self.state = state


def keep(*, agent: Actor, recipients: Sequence[str], is_awaited: bool, **fields: Any) -> Submission:
    """Keep a submission in a transaction of its own; a worker is told of it then, unless somebody waits for it.

    Raises IntegrityError for a key that the agent used before.
    """
    with transaction.atomic():
        now = database_now()
        row = Submission.objects.create(
            agent_id=agent.id, agent_name=agent.name, received_at=now, next_try_at=now, **fields
        )
        record(
            "approvals.submission.received",
            actor=agent,
            mailbox_id=row.mailbox_id,
            draft_id=row.draft_id,
            recipients=recipients,
            idempotency_key=row.client_key,
            data={"submission": str(row.public_id), "payload_sha256": row.payload_sha256},
        )
        if not is_awaited:
            transaction.on_commit(lambda: wake.submission(row.pk))
    return row


def latest_of(draft: Draft) -> Submission | None:
    """What was handed in last for a draft; None for one that its agent wrote at the provider."""
    return Submission.objects.filter(draft=draft).order_by("-pk").first()


def begin_try(submission_id: int) -> None:
    """Count a try before the provider is asked, so that the next one looks for what this one may have made."""
    Submission.objects.filter(pk=submission_id).update(tries=F("tries") + 1)


def note_drafted(submission_id: int, draft: Draft) -> bool:
    """End a submission whose draft is in the queue; whether it was open."""
    return bool(
        Submission.objects.filter(pk=submission_id, state=SubmissionState.RECEIVED).update(
            state=SubmissionState.DRAFTED, draft=draft, next_try_at=None, trouble=""
        )
    )


def put_off(submission_id: int, *, seconds: float, why: str) -> None:
    """Let an open submission be tried again later."""
    Submission.objects.filter(pk=submission_id, state=SubmissionState.RECEIVED).update(
        next_try_at=database_now() + timedelta(seconds=seconds), trouble=why[:500]
    )


def refuse(row: Submission, *, why: str) -> bool:
    """End an open submission that the provider does not take; whether it was open."""
    return _end(
        row,
        SubmissionState.REFUSED,
        "approvals.submission.refused",
        Actor("agent", row.agent_id, row.agent_name),
        why,
    )


def cancel(row: Submission, *, agent: Actor) -> None:
    """End a submission before its draft was asked for. Raises NotCancellable when it is too late for that."""
    row.refresh_from_db()
    if row.state == SubmissionState.CANCELLED:
        return
    if row.state == SubmissionState.REFUSED:
        raise NotCancellable("refused", _("The provider did not take it: there is nothing to take back."))
    if row.tries or not _end(row, SubmissionState.CANCELLED, "approvals.submission.cancelled", agent, ""):
        raise NotCancellable("handing_over", _("It is being taken into the queue; try again in a moment."))


def _end(row: Submission, to: SubmissionState, action: str, actor: Actor, why: str) -> bool:
    with transaction.atomic():
        ended = Submission.objects.filter(pk=row.pk, state=SubmissionState.RECEIVED).update(
            state=to, next_try_at=None, trouble=why[:500]
        )
        if ended:
            record(
                action,
                actor=actor,
                mailbox_id=row.mailbox_id,
                reason=why,
                data={"submission": str(row.public_id)},
            )
    return bool(ended)
