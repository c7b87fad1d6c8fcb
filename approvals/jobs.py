"""Long work that a person asks for and a worker does: simulations, and exports that are not sure to be short.

The rows are the queue. One job of a kind runs at a time on the whole desk, so that other threads stay free to send;
whoever works holds the lock of the kind as long as it lives. A job whose worker died is begun anew by the next, from
the start: nothing but its own row and file is written, and only its latest run may write them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, transaction
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from agentmail.failpoints import reach
from approvals import exports, job_files, wake
from approvals.exports import ExportRefused
from approvals.models import Job, JobKind
from approvals.page_version import page_version
from approvals.progress import Progress
from approvals.simulation import SimulationRefused, mailboxes_to_simulate, rules_in, simulate
from approvals.states import OPEN_JOB_STATES, JobState
from approvals.transitions import jobs
from approvals.transitions.moves import LostRace
from audit.clock import database_now
from policies import locks

logger = logging.getLogger(__name__)

# How long what came of a job is kept, and how long the row that says there was one.
KEPT_HOURS = 24
REMEMBERED_DAYS = 30
# So many results of a kind are kept for one person; the oldest gives way to a new one.
KEPT_OF_A_KIND = 5
# A job that outlived so many workers is given up: it may be what ends them.
RUNS = 3
# How often a worker says how far it is.
TOLD_SECONDS = 1.0


class JobRefused(Exception):
    """Nothing was asked for; the message says why."""


def ask(person: User, kind: JobKind, parameters: Mapping[str, Any]) -> Job:
    """Leave work to a worker; a page shows how far it is. One open job of a kind for each person.

    `parameters` are plain JSON. Raises JobRefused while an earlier job of the kind is open.
    """
    try:
        with transaction.atomic():
            job = jobs.ask(person, kind, parameters)
            for old in of_person(person, kind).filter(state=JobState.DONE)[KEPT_OF_A_KIND - 1 :]:
                _expire(old)
            wake.jobs_on_commit(kind)
    except jobs.StillOpen as error:
        raise JobRefused(
            _(
                "One at a time for each person: what you asked for before is not over yet. Wait until it is, "
                "or cancel it."
            )
        ) from error
    return job


def of_person(person: User, kind: JobKind) -> Any:
    """A person's own jobs of a kind, the latest first."""
    return Job.objects.filter(person_id=person.pk, kind=kind).order_by("-pk")


def shown_to(person: User, kind: JobKind) -> Sequence[Job]:
    """The jobs of a kind that a person can go back to, the latest first."""
    kept = (*OPEN_JOB_STATES, JobState.DONE, JobState.FAILED)
    return list(of_person(person, kind).filter(state__in=kept).defer("result")[:KEPT_OF_A_KIND])


def job_of(person: User, public_id: UUID) -> Job | None:
    """A person's own job; nobody else has it."""
    return Job.objects.filter(person_id=person.pk, public_id=public_id).first()


def address_of(job: Job) -> str:
    name = "simulation" if job.kind == JobKind.SIMULATION else "job"
    return reverse(f"approvals:{name}", args=[job.public_id])


def may_have_file(person: User, job: Job) -> bool:
    """Whether there is a file, and its person may read at this moment all that it speaks of."""
    if job.state != JobState.DONE or not job.file_name:
        return False
    return exports.may_have(person, JobKind(job.kind), job.result["covers"])


def cancel(job: Job) -> bool:
    """End a job that is open; whether it was."""
    try:
        jobs.cancel(job)
    except LostRace:
        return False
    return True


def open_kinds() -> list[str]:
    """The kinds of which a job waits, or was begun and is not over."""
    rows = Job.objects.filter(state__in=OPEN_JOB_STATES)
    return list(rows.order_by("kind").values_list("kind", flat=True).distinct())


def work(kind: str) -> int:
    """Do what waits of a kind, one after another in the order in which it was asked for; how many ended.

    Nothing happens while another process does, which holds the lock of the kind as long as it lives.
    """
    with locks.hold(f"jobs:{kind}") as lock:
        if lock is None:
            return 0
        done = 0
        last = 0
        while job_id := _next(kind, after=last):
            done += _work_on(job_id)
            last = job_id
        return done


def _next(kind: str, *, after: int) -> int | None:
    waiting = Job.objects.filter(kind=kind, state__in=OPEN_JOB_STATES, pk__gt=after)
    return waiting.order_by("pk").values_list("pk", flat=True).first()


class Run:
    """One run of a job, and how far it is."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done = 0
        self._told_at = -TOLD_SECONDS

    def tell(self, done: int, total: int) -> None:
        """Note how far it is; written down once a second. Raises LostRace when the job was cancelled."""
        self.done = done
        reach("J1")
        if time.monotonic() - self._told_at >= TOLD_SECONDS:
            self._told_at = time.monotonic()
            jobs.tell(self.job, done=done, total=total)


def _work_on(job_id: int) -> bool:
    """Begin a job and end it; whether it ended here. Raises when the database fails: it is begun anew then."""
    try:
        job = jobs.begin(job_id)
    except LostRace:
        return False
    try:
        if job.run > RUNS:
            jobs.fail(
                job, sentence=_("It was begun %(runs)d times and never came to its end.") % {"runs": RUNS}
            )
        else:
            _WORK[JobKind(job.kind)](Run(job))
    except LostRace:
        logger.info("job %s was cancelled, or begun anew elsewhere", job_id)
        job_files.remove(job)
        return False
    except (OperationalError, InterfaceError):
        raise
    except (SimulationRefused, ExportRefused) as refusal:
        return _failed(job, str(refusal))
    except OSError as error:
        logger.exception("the file of job %s could not be written", job_id)
        said = _("Its file could not be written: %(why)s.") % {"why": error.strerror or error}
        return _failed(job, said)
    except Exception:
        # What fails once fails again, and must not come back for ever.
        logger.exception("job %s could not be done", job_id)
        return _failed(job, _("It could not be done; operators find the reason in the log."))
    return True


def _failed(job: Job, sentence: str) -> bool:
    job_files.remove(job)
    try:
        jobs.fail(job, sentence=sentence)
    except LostRace:
        return False
    return True


def _simulate(run: Run) -> None:
    asked = run.job.parameters
    mailbox = mailboxes_to_simulate(run.job.person).filter(public_id=asked["mailbox"]).first()
    if mailbox is None:
        raise SimulationRefused(_("You may not see this mailbox or its policies any more."))
    rules = rules_in(asked["rules"])
    found = simulate(mailbox, mode=asked["mode"], rules=rules, last=asked["last"], tell=run.tell)
    jobs.finish(run.job, done=run.done, result=found.to_json())


def _export(run: Run) -> None:
    job = run.job
    export = exports.export_of(job.person, JobKind(job.kind), job.parameters)
    run.tell(0, export.rows)
    parts = export.parts(lambda: run.tell(run.done + 1, export.rows))
    written = job_files.write(job, parts)
    jobs.finish(
        job,
        done=run.done,
        result={"covers": list(export.covers)},
        file_name=export.file_name,
        file_bytes=written.size,
        file_sha256=written.sha256,
    )


_WORK: Mapping[JobKind, Callable[[Run], None]] = {
    JobKind.SIMULATION: _simulate,
    JobKind.OVERSIGHT_REPORT: _export,
    JobKind.RECIPIENTS: _export,
}


def forget_old() -> None:
    """Let go of old results with their files, and of the rows of jobs that ended long ago."""
    now = database_now()
    for job in Job.objects.filter(state=JobState.DONE, ended_at__lt=now - timedelta(hours=KEPT_HOURS))[:100]:
        _expire(job)
    jobs.forget(now - timedelta(days=REMEMBERED_DAYS))
    # The files are listed before the rows are read: the file of a run that begins meanwhile is not among them.
    files = job_files.every()
    kept = Job.objects.filter(state__in=(JobState.RUNNING, JobState.DONE)).only("public_id", "run")
    for path in files - {job_files.path_of(job) for job in kept}:
        path.unlink(missing_ok=True)


def _expire(job: Job) -> None:
    try:
        jobs.expire(job)
    except LostRace:
        logger.info("job %s expired elsewhere", job.pk)


def progress_of(job: Job) -> Progress:
    """How far a job is, for its page."""
    return Progress(
        word=str(JobKind(job.kind).label),
        unit=str(_UNITS[JobKind(job.kind)]),
        done=job.done,
        total=job.total,
        began_at=job.began_at,
        ended_at=job.ended_at,
        is_over=job.state not in OPEN_JOB_STATES,
        next_step=_next_step(job),
        failure=job.failure,
        what_to_do=_("Nothing was changed. Ask for it again."),
        address=address_of(job),
    )


def epitaph_of(job: Job) -> str:
    """What a page says of a job of which nothing can be shown any more; empty while something can."""
    if job.state == JobState.CANCELLED:
        return _("You cancelled it. Nothing of it is kept.")
    if job.state == JobState.EXPIRED:
        return _(
            "What came of it is gone: it is kept for %(hours)d hours, and the latest %(count)d of a kind. Ask for it "
            "again."
        ) % {"hours": KEPT_HOURS, "count": KEPT_OF_A_KIND}
    return ""


def version_of(job: Job) -> str:
    """A short text that changes when anything shown of a job does."""
    ahead = _ahead_of(job) if job.state == JobState.WAITING else 0
    return page_version(job.state, job.done, job.total, job.run, ahead)


def _ahead_of(job: Job) -> int:
    return Job.objects.filter(kind=job.kind, state__in=OPEN_JOB_STATES, pk__lt=job.pk).count()


def _next_step(job: Job) -> str:
    if job.state == JobState.WAITING:
        ahead = _ahead_of(job)
        if ahead:
            said = ngettext(
                "%(count)d that was asked for before has its turn first.",
                "%(count)d that were asked for before have their turn first.",
                ahead,
            )
            return said % {"count": ahead}
        return _("A worker begins within %(seconds)d s.") % {"seconds": max(1, round(settings.SWEEP_SECONDS))}
    if job.state == JobState.RUNNING:
        return _("You can leave this page; it goes on all the same.")
    return _("What came of it is kept for %(hours)d hours.") % {"hours": KEPT_HOURS}


_UNITS: Mapping[JobKind, str | Promise] = {
    JobKind.SIMULATION: _lazy("drafts"),
    JobKind.OVERSIGHT_REPORT: _lazy("mails"),
    JobKind.RECIPIENTS: _lazy("entries"),
}
