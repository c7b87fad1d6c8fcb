from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from approvals import jobs
from approvals.models import Job, JobKind
from approvals.states import OPEN_JOB_STATES, JobState
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

SHAPES = {
    JobState.WAITING: ("clock", ""),
    JobState.RUNNING: ("play", "ink"),
    JobState.DONE: ("check", ""),
    JobState.FAILED: ("x", "look"),
}


@require_POST
@signed_in
def cancel(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    job = job_or_404(request, public_id)
    try:
        if not jobs.cancel(job):
            messages.info(request, _("It was over before."))
    except NotWritable:
        messages.error(request, nothing_changed())
    return redirect(jobs.address_of(job))


def job_or_404(request: HttpRequest, public_id: UUID) -> Job:
    job = jobs.job_of(person_of(request), public_id)
    if job is None:
        raise Http404
    return job


def shown_job(job: Job) -> dict[str, Any]:
    """What the page of a job shows of it, see `components/job.html`."""
    version = jobs.version_of(job)
    is_open = job.state in OPEN_JOB_STATES
    return {
        "job": job,
        "version": version,
        "progress": jobs.progress_of(job),
        "epitaph": jobs.epitaph_of(job),
        "may_cancel": is_open,
        "refresh_address": f"{jobs.address_of(job)}?seen={version}" if is_open else "",
    }


def own_jobs(person: User, kind: JobKind) -> list[dict[str, Any]]:
    """The jobs of a kind that a person can go back to, see `components/own-jobs.html`."""
    return [
        {"job": job, "address": jobs.address_of(job), "shape": SHAPES[JobState(job.state)]}
        for job in jobs.shown_to(person, kind)
    ]
