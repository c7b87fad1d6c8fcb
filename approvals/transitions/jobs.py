"""What can happen to a job. Each function is one transaction; what a worker writes counts only from its latest run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F

from approvals.models import Job, JobKind
from approvals.states import JOB_MOVES, OPEN_JOB_STATES, JobState
from approvals.transitions.moves import IllegalMove, LostRace
from audit.clock import database_now


class StillOpen(Exception):
    """The person has an open job of this kind; nothing was written."""


def ask(person: User, kind: JobKind, parameters: Mapping[str, Any]) -> Job:
    """Write down what a person asks for. Raises StillOpen."""
    try:
        with transaction.atomic():
            return Job.objects.create(
                person=person, kind=kind, parameters=dict(parameters), asked_at=database_now()
            )
    except IntegrityError as error:
        raise StillOpen from error


def begin(job_id: int) -> Job:
    """Begin a job, or begin it anew when the worker before died; only whoever holds the lock of its kind may.

    Raises LostRace when it is over.
    """
    now = database_now()
    with transaction.atomic():
        job = Job.objects.select_for_update(of=("self",)).get(pk=job_id)
        if job.state not in OPEN_JOB_STATES:
            raise LostRace(f"job {job.pk} is {job.state}")
        _exactly_one(
            Job.objects.filter(pk=job.pk, state=job.state, run=job.run).update(
                state=JobState.RUNNING, run=F("run") + 1, began_at=job.began_at or now, done=0, total=None
            ),
            job,
        )
        return Job.objects.select_related("person").get(pk=job_id)


def tell(job: Job, *, done: int, total: int | None) -> None:
    """Write down how far a run is. Raises LostRace when it is cancelled, or another run has taken over."""
    running = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, run=job.run)
    _exactly_one(running.update(done=done, total=total), job)


def finish(job: Job, *, done: int, result: Mapping[str, Any], **file: Any) -> None:
    """End a job with what came of it. Raises LostRace as `tell` does."""
    _move(job, JobState.DONE, done=done, total=done, result=dict(result), ended_at=database_now(), **file)


def fail(job: Job, *, sentence: str) -> None:
    """End a job that cannot be done, with why. Raises LostRace as `tell` does."""
    _move(job, JobState.FAILED, failure=sentence[:1000], ended_at=database_now())


def cancel(job: Job) -> None:
    """End a job of which the person wants nothing any more; its worker stops when it next tells how far it is.

    Raises LostRace when it is over, or moved since it was read.
    """
    if job.state not in OPEN_JOB_STATES:
        raise LostRace(f"job {job.pk} is {job.state}")
    _move(job, JobState.CANCELLED, ended_at=database_now())


def expire(job: Job) -> None:
    """Let go of what came of a job; what was asked stays. Raises LostRace."""
    _move(job, JobState.EXPIRED, result={})


def forget(before: datetime) -> int:
    """Remove the rows of the jobs that ended before a time and of which nothing is kept; how many."""
    ended = Job.objects.filter(ended_at__lt=before).exclude(state=JobState.DONE)
    count, _by_model = ended.delete()
    return count


def _move(job: Job, to: JobState, **fields: Any) -> None:
    if to not in JOB_MOVES[JobState(job.state)]:
        raise IllegalMove(f"job {job.pk}: {job.state} to {to}")
    _exactly_one(
        Job.objects.filter(pk=job.pk, state=job.state, run=job.run).update(state=to, **fields),
        job,
    )
    job.refresh_from_db()


def _exactly_one(changed: int, job: Job) -> None:
    if changed != 1:
        raise LostRace(f"job {job.pk}")
