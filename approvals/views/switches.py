"""Stopping less than everything: a workspace, a mailbox, an agent or a domain; and allowing it again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from approvals import people, switchboard
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.operations import ReleaseForm, StopForm, acknowledged, not_written, released
from approvals.views.writing import NotWritable, nothing_changed

NAME_CHARACTERS = 320


class ScopeStopForm(StopForm):
    kind = forms.ChoiceField(
        label=_lazy("What to stop"),
        choices=[
            ("mailbox", _lazy("A mailbox")),
            ("workspace", _lazy("A workspace")),
            ("agent", _lazy("An agent")),
            ("domain", _lazy("Mail to a domain")),
        ],
        error_messages={"required": _lazy("Choose what to stop.")},
    )
    name = forms.CharField(
        label=_lazy("Which one"),
        max_length=NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_lazy(
            "The address of the mailbox, the name of the workspace, the id of the agent, or the domain; domains "
            "below it are stopped with it."
        ),
        error_messages={"required": _lazy("Say which one to stop.")},
    )
    field_order = ["kind", "name", "reason"]

    def scope(self, person: people.Person) -> str:
        """The scope that was named, or "" with the reason at the field."""
        try:
            return switchboard.named(self.cleaned_data["kind"], self.cleaned_data["name"], person=person)
        except switchboard.NoSuchScope as error:
            self.add_error("name", str(error))
            return ""


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def stop_scope(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.STOP):
        raise PermissionDenied
    if request.method != "POST":
        return _stop_page(request, ScopeStopForm())
    form = ScopeStopForm(request.POST)
    scope = form.scope(person) if form.is_valid() else ""
    if not scope:
        return _stop_page(request, form, status=422)
    try:
        done = switchboard.stop(scope, person=person, reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return _stop_page(request, form, problem=str(refusal), status=403)
    except DatabaseError:
        return _stop_page(request, form, problem=not_written(), status=503)
    messages.success(request, acknowledged(done, person))
    return redirect("approvals:operations")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def release_scope(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    scope = request.GET.get("scope", "")
    found = next((one for one in switchboard.stopped(person) if one.scope == scope), None)
    if not people.may(person, Right.SEE) or found is None:
        raise Http404
    if not found.may_release:
        raise PermissionDenied
    if request.method != "POST":
        return _release_page(request, found, ReleaseForm(request=request))
    form = ReleaseForm(request.POST, request=request)
    if not form.is_valid():
        return _release_page(request, found, form, status=422)
    try:
        held = switchboard.release(scope, person=person, reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return _release_page(request, found, form, problem=str(refusal), status=409)
    except NotWritable:
        return _release_page(request, found, form, problem=nothing_changed(), status=503)
    messages.success(request, f"{found.words}: {released(held)}")
    return redirect("approvals:operations")


def _stop_page(
    request: HttpRequest, form: ScopeStopForm, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "operations",
        "now": timezone.now(),
        "form": form,
        "problem": problem,
        "stopped": switchboard.stopped(person_of(request)),
    }
    return render(request, "approvals/stop_scope.html", context, status=status)


def _release_page(
    request: HttpRequest,
    found: switchboard.Stopped,
    form: ReleaseForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "operations",
        "now": timezone.now(),
        "found": found,
        "form": form,
        "problem": problem,
    }
    return render(request, "approvals/release_scope.html", context, status=status)
