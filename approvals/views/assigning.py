"""Who is to look at a draft: assigning, escalating, snoozing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from approvals import people
from approvals.forms_together import AssignForm, EscalateForm, SnoozeForm
from approvals.models import Draft
from approvals.notices.wishes import zone_of
from approvals.people import Right
from approvals.transitions import assignments
from approvals.transitions.drafts import DecisionRefused, NotAllowed
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.draft import draft_address, moved_on, place_in_queue, refused, unwritten
from approvals.views.writing import NotWritable, nothing_changed


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def assign(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    form = AssignForm(request.POST if request.method == "POST" else None, draft=draft)

    def act() -> HttpResponseBase:
        to = form.cleaned_data["to"]
        assignments.assign(draft.pk, person=person_of(request), to=to)
        said = _("Assigned to %(name)s.") % {"name": people.name_of(to)} if to else _("Assigned to nobody.")
        messages.success(request, said)
        return redirect(draft_address(draft, place_in_queue(request)))

    return _answered(request, draft, "assign", form, act)


@require_POST
@signed_in
def assign_to_me(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    person = person_of(request)
    return _done(request, draft, lambda: assignments.assign(draft.pk, person=person, to=person))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def escalate(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    person = person_of(request)
    form = EscalateForm(request.POST if request.method == "POST" else None, draft=draft, person=person)

    before = draft.assigned_to

    def act() -> HttpResponseBase:
        to, reason = form.cleaned_data["to"], form.cleaned_data["reason"]
        assignments.escalate(draft.pk, person=person, to=to, reason=reason)
        who = people.name_of(to) if to else _("the admins and operators who may decide")
        said = _("Escalated to %(who)s.") % {"who": who}
        if before is not None and before != to:
            said += " " + _("It is no longer assigned to %(name)s.") % {"name": people.name_of(before)}
        messages.success(request, said)
        return redirect(draft_address(draft, place_in_queue(request)))

    return _answered(request, draft, "escalate", form, act)


@require_POST
@signed_in
def end_escalation(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    return _done(request, draft, lambda: assignments.end_escalation(draft.pk, person=person_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def snooze(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    person = person_of(request)
    zone = zone_of(person)
    data = request.POST if request.method == "POST" else None
    form = SnoozeForm(data, draft=draft, zone=zone, now=timezone.now())

    def act() -> HttpResponseBase:
        made = assignments.snooze(draft.pk, person=person, until=form.until())
        said = _("Snoozed until %(time)s.") % {"time": f"{made.until.astimezone(zone):%Y-%m-%d %H:%M}"}
        return moved_on(request, draft, said)

    return _answered(request, draft, "snooze", form, act, field="time")


@require_POST
@signed_in
def unsnooze(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    return _done(request, draft, lambda: assignments.unsnooze(draft.pk, person=person_of(request)))


def _answered(
    request: HttpRequest,
    draft: Draft,
    name: str,
    form: forms.Form,
    act: Callable[[], HttpResponseBase],
    *,
    field: str = "to",
) -> HttpResponseBase:
    """The page of a form, and what became of it: what is wrong stands beside its field, and nothing typed is lost."""
    if request.method != "POST":
        return _page(request, draft, name, form)
    if not form.is_valid():
        return _page(request, draft, name, form, status=422)
    try:
        return act()
    except NotAllowed as refusal:
        return refused(request, draft, refusal, None)
    except (assignments.NotAssignable, assignments.SnoozeRefused) as refusal:
        form.add_error(field, str(refusal))
        return _page(request, draft, name, form, status=422)
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, None)
    except NotWritable:
        return _page(request, draft, name, form, status=503, problem=nothing_changed())


def _page(
    request: HttpRequest, draft: Draft, name: str, form: forms.Form, *, status: int = 200, problem: str = ""
) -> HttpResponse:
    chosen = place_in_queue(request)
    context: dict[str, Any] = {
        "here": "queue",
        "draft": draft,
        "name": name,
        "form": form,
        "problem": problem,
        "action": draft_address(draft, chosen, name),
        "draft_address": draft_address(draft, chosen),
    }
    return render(request, "approvals/assigning.html", context, status=status)


def _done(request: HttpRequest, draft: Draft, act: Callable[[], object]) -> HttpResponseBase:
    try:
        act()
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, None)
    except NotWritable:
        return unwritten(request, draft)
    return redirect(draft_address(draft, place_in_queue(request)))
