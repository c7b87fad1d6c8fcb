from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError, ProviderNotConfigured, Unauthenticated
from agentmail.models import Mailbox
from agentmail.types import GrantSnapshot
from approvals import comparisons, first_sync, inbound, people, rehearsal, switchboard
from approvals import mailboxes as domain
from approvals.forms import REASON_CHARACTERS
from approvals.forms_caps import VersionField
from approvals.forms_ledgers import ConnectForm, MailboxForm
from approvals.ledgers import evaluations_of, mailbox_for, mailbox_rows
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.caps import shown_use, source_words
from approvals.views.modes import PURPOSES
from approvals.views.operations import ReleaseForm, StopForm, acknowledged, not_written, released
from approvals.views.reauthentication import PasswordAgain
from approvals.views.versions import with_version
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now
from policies import caps, changes, mailbox_settings, switch
from policies.models import Delivery

GRANT_READ_SECONDS = 5.0
GRANTS_SHOWN = 100


class DryRunForm(forms.Form):
    """Beginning a dry run, or beginning its evidence anew."""

    version = VersionField()

    def __init__(self, data: QueryDict | None = None, *, version: int = 0) -> None:
        super().__init__(data, initial={"version": version}, auto_id="dry_run_%s")


class LeaveForm(PasswordAgain):
    """Leaving the dry run: mail leaves for real afterwards."""

    version = VersionField()
    reason = forms.CharField(
        label=_lazy("Why it may send live"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence why; it is kept in the record.")},
    )
    field_order = ["version", "reason", "password"]

    def __init__(self, data: QueryDict | None = None, *, request: HttpRequest, version: int = 0) -> None:
        super().__init__(data, request=request, initial={"version": version}, auto_id="live_%s")


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
    messages.success(request, acknowledged(done, person_of(request)))
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


@require_POST
@signed_in
def begin_dry_run(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    person = person_of(request)
    form = DryRunForm(request.POST)
    if not form.is_valid():
        return _page(request, found, problem=_("This page is damaged; load it again."), status=422)
    try:
        rehearsal.begin(found.pk, version=form.cleaned_data["version"], person=person)
    except rehearsal.RehearsalRefused as refusal:
        return _page(request, found, problem=str(refusal), status=403)
    except changes.Conflict:
        return _page(request, found, problem=_settings_changed(), status=409)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("In dry run: everything is asked, and nothing of this mailbox leaves."))
    return redirect("approvals:mailbox", public_id)


@require_POST
@signed_in
def leave_dry_run(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    person = person_of(request)
    if not people.may(person, Right.EDIT_POLICIES, found.pk):
        return _page(request, found, problem=_("Only an admin begins or ends a dry run."), status=403)
    form = LeaveForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, found, leave_form=form, status=422)
    try:
        rehearsal.leave(
            found.pk,
            version=form.cleaned_data["version"],
            person=person,
            reason=form.cleaned_data["reason"],
        )
    except rehearsal.RehearsalRefused as refusal:
        return _page(request, found, leave_form=form, problem=str(refusal), status=403)
    except changes.Conflict as conflict:
        now = conflict.current.version if conflict.current is not None else 0
        again = LeaveForm(with_version(request.POST, now), request=request)
        again.is_valid()
        return _page(request, found, leave_form=again, problem=_settings_changed(), status=409)
    except NotWritable:
        return _page(request, found, leave_form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Live. What would have been sent in the dry run is not sent."))
    return redirect("approvals:mailbox", public_id)


@require_safe
@signed_in
def first_reading(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """How far the first reading of a mailbox is, for its page: 204 while that is what the page shows."""
    progress = first_sync.progress_of(_found(request, public_id))
    if progress is None or progress.seen.endswith("?seen=" + request.GET.get("seen", "")):
        return HttpResponse(status=204)
    return render(request, "components/progress.html", {"progress": progress, "id": "first-sync"})


def _settings_changed() -> str:
    return _("Somebody else changed the settings of this mailbox meanwhile; below it is as it is now.")


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
    leave_form: LeaveForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    may_resume = people.may(person, Right.RESUME, found.pk)
    now = database_now()
    answer = caps.ask(found.pk, now=now)
    settings = mailbox_settings.of(found.pk)
    context: dict[str, Any] = {
        "here": "mailboxes",
        "now": timezone.now(),
        "mailbox": found,
        "mode_purpose": PURPOSES[found.mode],
        "held_inbound": inbound.held_in(found).count(),
        "reading": switch.read([found.scope]),
        "evaluations": evaluations_of(found),
        "may_manage": people.may(person, Right.MANAGE, found.pk),
        "may_stop": people.may(person, Right.STOP, found.pk),
        "may_cancel": people.may(person, Right.CANCEL, found.pk),
        "may_resume": may_resume,
        "form": form or MailboxForm(mailbox=found),
        "stop_form": stop_form or StopForm(),
        "release_form": release_form or ReleaseForm(request=request),
        "uses": [shown_use(use) for use in answer.uses],
        "source": source_words(answer.effective),
        "ramp_until": answer.effective.ramp_until,
        "ramp_cap": answer.effective.hour_cap,
        "may_edit_policies": people.may(person, Right.EDIT_POLICIES, found.pk),
        "is_dry_run": settings.delivery == Delivery.DRY_RUN,
        "evidence": comparisons.of(found.pk, now=now),
        "dry_run_form": DryRunForm(version=settings.version),
        "leave_form": leave_form or LeaveForm(request=request, version=settings.version),
        "first_sync": first_sync.progress_of(found),
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
