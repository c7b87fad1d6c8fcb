"""Working side by side: claims, and who is here."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from approvals import people
from approvals import presence as presences
from approvals.models import Draft
from approvals.people import Right
from approvals.transitions import claims
from approvals.transitions.drafts import DecisionRefused
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.draft import (
    beside_context,
    draft_address,
    place_in_queue,
    refused,
    unwritten,
    with_typed,
)
from approvals.views.writing import NotWritable


class PresenceForm(forms.Form):
    """What a page says by itself: what its person does, and whether they are deciding or stopped to."""

    page = forms.RegexField(r"^[0-9a-z]{1,32}$")
    doing = forms.ChoiceField(choices=[(one, one) for one in ("viewing", "editing", "left")])
    claim = forms.ChoiceField(choices=[("", ""), ("keep", "keep"), ("release", "release")], required=False)


@require_POST
@signed_in
def presence(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    form = PresenceForm(request.POST)
    if not form.is_valid():
        return HttpResponse(status=422)
    said = form.cleaned_data
    person = person_of(request)
    try:
        if said["doing"] == "left":
            presences.leave(draft, person, page=said["page"])
        else:
            presences.note(draft, person, page=said["page"], is_editing=said["doing"] == "editing")
        if said["claim"] == "release":
            claims.release(draft.pk, person=person, outcome="left")
        elif said["claim"] == "keep" and people.may(person, Right.DECIDE, draft.mailbox_id):
            claims.claim(draft.pk, person=person)
    except DecisionRefused:
        # Somebody else is deciding, or nothing is left to decide: the page learns it as it refreshes.
        pass
    except NotWritable:
        return HttpResponse(status=503)
    return HttpResponse(status=204)


@require_safe
@signed_in
def beside(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    context = beside_context(request, draft, timezone.now())
    if request.GET.get("beside") == context["beside_version"]:
        return HttpResponse(status=204)
    return render(request, "components/beside-editing.html", context)


@require_POST
@signed_in
def claim(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    return _done(request, draft, lambda: claims.claim(draft.pk, person=person_of(request)))


@require_POST
@signed_in
def release_claim(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    return _done(request, draft, lambda: claims.release(draft.pk, person=person_of(request)))


@require_POST
@signed_in
def take_over(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    return _done(request, draft, lambda: claims.take_over(draft.pk, person=person_of(request)))


def _done(request: HttpRequest, draft: Draft, act: Callable[[], object]) -> HttpResponseBase:
    try:
        act()
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, None, typed=request.POST.get("reason", ""))
    except NotWritable:
        return unwritten(request, draft, typed=request.POST.get("reason", ""))
    if request.POST.get("reason", "").strip():
        return with_typed(request, draft)
    return redirect(draft_address(draft, place_in_queue(request)))
