from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from approvals import exports, job_files, jobs
from approvals.models import Job, JobKind
from approvals.states import OPEN_JOB_STATES, JobState
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

logger = logging.getLogger(__name__)

# Where each export is asked for.
PAGES: Mapping[JobKind, str] = {
    JobKind.OVERSIGHT_REPORT: "approvals:oversight_report",
    JobKind.RECIPIENTS: "approvals:recipients",
}
SHAPES: Mapping[JobState, tuple[str, str]] = {
    JobState.WAITING: ("clock", ""),
    JobState.RUNNING: ("play", "ink"),
    JobState.DONE: ("check", ""),
    JobState.FAILED: ("x", "look"),
}


@require_safe
@signed_in
def job(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """How far an export is, and its file."""
    found = _export_or_404(request, public_id)
    version = jobs.version_of(found)
    if request.GET.get("seen") == version:
        return HttpResponse(status=204)
    return _page(request, found, is_news="seen" in request.GET)


@require_safe
@signed_in
def file(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _export_or_404(request, public_id)
    if found.state != JobState.DONE:
        raise Http404
    if not jobs.may_have_file(person_of(request), found):
        raise PermissionDenied
    try:
        opened = job_files.opened(found)
    except FileNotFoundError:
        logger.exception("the file of job %s is gone", found.pk)
        problem = _("The file is gone from the disk of this desk. Ask for it again.")
        return _page(request, found, problem=problem, status=410)
    return FileResponse(
        opened,
        as_attachment=True,
        filename=found.file_name,
        content_type=exports.CONTENT_TYPES[JobKind(found.kind)],
    )


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


def left_to_worker(
    request: HttpRequest, kind: JobKind, asked: Mapping[str, str], *, back: str
) -> HttpResponseBase:
    """Ask for an export and go to its page; back to where it was asked for when that is refused."""
    try:
        return redirect(jobs.address_of(jobs.ask(person_of(request), kind, asked)))
    except jobs.JobRefused as refusal:
        messages.error(request, str(refusal))
    except NotWritable:
        messages.error(request, nothing_changed())
    return redirect(back)


def too_long_at_once(request: HttpRequest, *, back: str) -> HttpResponseBase:
    """Answer the address of a download that has to be left to a worker."""
    said = _("This file has more than %(limit)d rows, so a worker writes it: press the button of the export.")
    messages.info(request, said % {"limit": exports.AT_ONCE_ROWS})
    return redirect(back)


def _export_or_404(request: HttpRequest, public_id: UUID) -> Job:
    found = job_or_404(request, public_id)
    if found.kind not in PAGES:
        raise Http404
    return found


def _page(
    request: HttpRequest, found: Job, *, is_news: bool = False, problem: str = "", status: int = 200
) -> HttpResponse:
    query = urlencode({name: value for name, value in found.parameters.items() if value})
    context = shown_job(found) | {
        "here": "audit" if found.kind == JobKind.OVERSIGHT_REPORT else "policies",
        "is_done": found.state == JobState.DONE,
        "may_have": jobs.may_have_file(person_of(request), found),
        "kept_until": found.ended_at + timedelta(hours=jobs.KEPT_HOURS) if found.ended_at else None,
        "back": f"{reverse(PAGES[JobKind(found.kind)])}?{query}",
        "problem": problem,
    }
    return render(
        request, "approvals/job.html#export" if is_news else "approvals/job.html", context, status=status
    )


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
