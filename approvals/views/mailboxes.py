from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError, ProviderNotConfigured, Unauthenticated
from agentmail.models import Mailbox
from agentmail.types import GrantSnapshot
from approvals import mailboxes as domain
from approvals import people, switchboard
from approvals.forms_ledgers import ConnectForm, MailboxForm
from approvals.ledgers import evaluations_of, mailbox_for, mailbox_rows
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.modes import PURPOSES
from approvals.views.operations import ReleaseForm, StopForm, acknowledged, not_written, released
from approvals.views.writing import NotWritable, nothing_changed
from policies import switch

GRANT_READ_SECONDS = 5.0
GRANTS_SHOWN = 100


@require_safe
@signed_in
def mailboxes(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    context: dict[str, Any] = {
        "here": "mailboxes",
        "now": timezone.now(),
        "rows": mailbox_rows(person),
        "may_manage": people.may_everywhere(person, Right.MANAGE),
    }
    return render(request, "approvals/mailboxes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def connect(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may_everywhere(person, Right.MANAGE):
        raise PermissionDenied
    if request.method != "POST":
        return _connect_page(request, ConnectForm())
    form = ConnectForm(request.POST)
    if not form.is_valid():
        return _connect_page(request, form, status=422)
    try:
        mailbox = domain.connect(
            configured_client(), form.cleaned_data["grant"], actor=people.actor_for(person)
        )
    except domain.MailboxRefused as refusal:
        form.add_error("grant", str(refusal))
        return _connect_page(request, form, status=422)
    except ProviderError as error:
        return _connect_page(request, form, problem=_provider_words(error), status=502)
    except NotWritable:
        return _connect_page(request, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Connected. Its mail and drafts are read from now on."))
    return redirect("approvals:mailbox", mailbox.public_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def mailbox(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if request.method != "POST":
        return _page(request, found)
    person = person_of(request)
    if not people.may(person, Right.MANAGE, found.pk):
        raise PermissionDenied
    form = MailboxForm(request.POST, mailbox=found)
    if not form.is_valid():
        return _page(request, found, form=form, status=422)
    try:
        domain.change(found.pk, actor=people.actor_for(person), **form.options())
    except domain.MailboxRefused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        return _page(request, found, form=form, status=422)
    except NotWritable:
        return _page(request, found, form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It holds for what is approved from now on."))
    return redirect("approvals:mailbox", public_id)


@require_POST
@signed_in
def stop(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    form = StopForm(request.POST)
    if not form.is_valid():
        return _page(request, found, stop_form=form, status=422)
    try:
        done = switchboard.stop(found.scope, person=person_of(request), reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return _page(request, found, stop_form=form, problem=str(refusal), status=403)
    except DatabaseError:
        return _page(request, found, stop_form=form, problem=not_written(), status=503)
    messages.success(request, acknowledged(done))
    return redirect("approvals:mailbox", public_id)


@require_POST
@signed_in
def resume(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    person = person_of(request)
    if not people.may(person, Right.RESUME, found.pk):
        problem = _("Only an operator or an admin can resume sending.")
        return _page(request, found, problem=problem, status=403)
    form = ReleaseForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, found, release_form=form, status=422)
    try:
        held = switchboard.release(found.scope, person=person, reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return _page(request, found, release_form=form, problem=str(refusal), status=409)
    except NotWritable:
        return _page(request, found, release_form=form, problem=nothing_changed(), status=503)
    messages.success(request, released(held))
    return redirect("approvals:mailbox", public_id)


def _found(request: HttpRequest, public_id: UUID) -> Mailbox:
    found = mailbox_for(person_of(request), public_id)
    if found is None:
        raise Http404
    return found


def _page(
    request: HttpRequest,
    found: Mailbox,
    *,
    form: MailboxForm | None = None,
    stop_form: StopForm | None = None,
    release_form: ReleaseForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    may_resume = people.may(person, Right.RESUME, found.pk)
    context: dict[str, Any] = {
        "here": "mailboxes",
        "now": timezone.now(),
        "mailbox": found,
        "mode_purpose": PURPOSES[found.mode],
        "reading": switch.read([found.scope]),
        "evaluations": evaluations_of(found),
        "may_manage": people.may(person, Right.MANAGE, found.pk),
        "may_stop": people.may(person, Right.STOP, found.pk),
        "may_resume": may_resume,
        "form": form or MailboxForm(mailbox=found),
        "stop_form": stop_form or StopForm(),
        "release_form": release_form or ReleaseForm(request=request),
        "problem": problem,
    }
    return render(request, "approvals/mailbox.html", context, status=status)


def _connect_page(
    request: HttpRequest, form: ConnectForm, *, problem: str = "", status: int = 200
) -> HttpResponse:
    grants: list[GrantSnapshot] = []
    try:
        grants = _unconnected_grants()
    except ProviderError as error:
        problem = problem or _provider_words(error)
    context: dict[str, Any] = {"here": "mailboxes", "form": form, "grants": grants, "problem": problem}
    return render(request, "approvals/connect.html", context, status=status)


def _unconnected_grants() -> list[GrantSnapshot]:
    connected = set(Mailbox.objects.values_list("grant_id", flat=True))
    found = []
    for grant in configured_client().list_grants(read_timeout=GRANT_READ_SECONDS):
        if grant.id not in connected:
            found.append(grant)
        if len(found) == GRANTS_SHOWN:
            break
    return found


def _provider_words(error: ProviderError) -> str:
    if isinstance(error, ProviderNotConfigured):
        return _("No provider is set up: NYLAS_API_URI and NYLAS_API_KEY are not set.")
    if isinstance(error, Unauthenticated):
        return _("The provider refuses our key. Set NYLAS_API_KEY to a valid one.")
    return _("The provider gives no usable answer. Try again in a moment; nothing was changed.")
