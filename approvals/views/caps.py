from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.models import Mailbox
from approvals import cap_rows, people
from approvals.cap_rows import CapRow
from approvals.forms_caps import AttachForm, OrganisationCapForm, PolicyForm
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.recipients import EntryPlaceField
from approvals.views.versions import differences, version_given, with_version
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now
from policies import cap_usage, caps, changes, mailbox_settings
from policies.cap_usage import Effective, Limit, Source, Use
from policies.models import Delivery, Policy, Workspace
from policies.scopes import mailbox_scope

LIMIT_WORDS: Mapping[Limit, Any] = {
    Limit.HOUR: _lazy("this hour"),
    Limit.DAY: _lazy("today"),
    Limit.SPACING: _lazy("between two sends"),
    Limit.ORGANISATION_HOUR: _lazy("this hour, all mailboxes"),
    Limit.ORGANISATION_DAY: _lazy("today, all mailboxes"),
}
OF_ALL_MAILBOXES = (Limit.ORGANISATION_HOUR, Limit.ORGANISATION_DAY)
METER_WIDTH = 100


class PlaceForm(forms.Form):
    after = EntryPlaceField()


@require_safe
@signed_in
def show(request: HttpRequest) -> HttpResponseBase:
    return _page(request)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def add(request: HttpRequest) -> HttpResponseBase:
    person = _admin(request)
    if request.method != "POST":
        return _policy_page(request, PolicyForm())
    form = PolicyForm(request.POST)
    if not form.is_valid():
        return _policy_page(request, form, status=422)
    try:
        caps.add_policy(actor=people.actor_for(person), reason=form.cleaned_data["reason"], **form.values())
    except ValidationError as error:
        form.add_error(None, error)
        return _policy_page(request, form, status=422)
    except NotWritable:
        return _policy_page(request, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Added. It holds for whatever it is attached to."))
    return redirect("approvals:caps")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    policy = _policy(request, pk)
    if request.method != "POST":
        return _policy_page(request, PolicyForm(policy=policy), policy=policy)
    person = _admin(request)
    form = PolicyForm(request.POST, policy=policy)
    if not form.is_valid():
        return _policy_page(request, form, policy=policy, status=422)
    try:
        caps.change_policy(
            pk,
            version=form.cleaned_data["version"],
            actor=people.actor_for(person),
            reason=form.cleaned_data["reason"],
            **form.values(),
        )
    except ValidationError as error:
        form.add_error(None, error)
        return _policy_page(request, form, policy=policy, status=422)
    except changes.Conflict as conflict:
        current = conflict.current
        if not isinstance(current, Policy):
            return _page(request, problem=_("Somebody else removed this policy meanwhile."), status=409)
        again = PolicyForm(with_version(request.POST, current.version), policy=current)
        again.is_valid()
        return _policy_page(request, again, policy=current, conflict=conflict, status=409)
    except NotWritable:
        return _policy_page(request, form, policy=policy, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. The next send goes by it."))
    return redirect("approvals:caps")


@require_POST
@signed_in
def make_default(request: HttpRequest, pk: int) -> HttpResponseBase:
    policy = _policy(request, pk)
    person = _admin(request)

    def act() -> None:
        caps.make_default(pk, version=version_given(request), actor=people.actor_for(person))
        messages.success(
            request, _("%(name)s holds where nothing nearer is attached.") % {"name": policy.name}
        )

    return _acted(request, act)


@require_POST
@signed_in
def remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    policy = _policy(request, pk)
    person = _admin(request)
    if policy.is_default:
        problem = _("This is the default; make another policy the default first.")
        return _page(request, problem=problem, status=409)

    def act() -> None:
        changes.remove(Policy, pk, version=version_given(request), actor=people.actor_for(person))
        messages.success(request, _("Removed."))

    try:
        return _acted(request, act)
    except ProtectedError:
        problem = _("%(name)s is attached to a workspace or a mailbox; attach another there first.") % {
            "name": policy.name
        }
        return _page(request, problem=problem, status=409)


@require_POST
@signed_in
def attach(request: HttpRequest) -> HttpResponseBase:
    person = _admin(request)
    form = AttachForm(request.POST)
    if not form.is_valid():
        return _page(request, problem=_first_fault(form), status=422)
    kind, _colon, number = form.cleaned_data["scope"].partition(":")
    found = _target(kind, int(number))
    version, policy = form.cleaned_data["version"], form.cleaned_data["policy"]
    actor = people.actor_for(person)

    def act() -> None:
        if isinstance(found, Workspace):
            changes.change(Workspace, found.pk, version=version, actor=actor, policy=policy)
        else:
            mailbox_settings.write(found.pk, version=version, actor=actor, policy=policy)
        messages.success(request, _("Attached. The next send goes by it."))

    try:
        act()
    except changes.Conflict as conflict:
        current = found.version if isinstance(found, Workspace) else mailbox_settings.of(found.pk).version
        again = AttachForm(
            with_version(request.POST, current),
            among=Policy.objects.order_by("-is_default", "name"),
            auto_id=_attach_id(form.cleaned_data["scope"]),
        )
        again.is_valid()
        return _page(request, attach_form=again, conflict=conflict, status=409)
    except NotWritable:
        return _page(request, problem=nothing_changed(), status=503)
    place = PlaceForm(request.GET)
    return redirect(_address(place.cleaned_data["after"] if place.is_valid() else None))


@require_POST
@signed_in
def organisation(request: HttpRequest) -> HttpResponseBase:
    person = _admin(request)
    form = OrganisationCapForm(request.POST, cap=caps.organisation_cap())
    if not form.is_valid():
        return _page(request, organisation_form=form, status=422)
    try:
        caps.set_organisation_cap(
            version=form.cleaned_data["version"], actor=people.actor_for(person), **form.values()
        )
    except (changes.Conflict, IntegrityError) as error:
        conflict = error if isinstance(error, changes.Conflict) else changes.Conflict(None, {})
        current = caps.organisation_cap()
        again = OrganisationCapForm(with_version(request.POST, current.version), cap=current)
        again.is_valid()
        return _page(request, organisation_form=again, conflict=conflict, status=409)
    except NotWritable:
        return _page(request, organisation_form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. The next send goes by it."))
    return redirect("approvals:caps")


def _acted(request: HttpRequest, act: Callable[[], None]) -> HttpResponseBase:
    try:
        act()
    except changes.Conflict as conflict:
        return _page(request, conflict=conflict, status=409)
    except ProtectedError:
        # Of these integrity errors the caller knows what to say.
        raise
    except IntegrityError:
        problem = _("Somebody else made another policy the default at the same moment.")
        return _page(request, problem=problem, status=409)
    except NotWritable:
        return _page(request, problem=nothing_changed(), status=503)
    return redirect("approvals:caps")


def _admin(request: HttpRequest) -> Any:
    person = person_of(request)
    if not people.may_everywhere(person, Right.EDIT_POLICIES):
        raise PermissionDenied
    return person


def _policy(request: HttpRequest, pk: int) -> Policy:
    if not people.may(person_of(request), Right.READ_POLICIES):
        raise PermissionDenied
    found = Policy.objects.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _target(kind: str, pk: int) -> Workspace | Mailbox:
    found: Workspace | Mailbox | None = (
        Workspace.objects.filter(pk=pk).first()
        if kind == "workspace"
        else Mailbox.objects.filter(pk=pk).first()
    )
    if found is None:
        raise Http404
    return found


def _first_fault(form: forms.Form) -> str:
    return next((str(fault) for faults in form.errors.values() for fault in faults), "")


def _policy_page(
    request: HttpRequest,
    form: PolicyForm,
    *,
    policy: Policy | None = None,
    conflict: changes.Conflict | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "policies",
        "form": form,
        "policy": Policy.objects.filter(pk=policy.pk).first() if policy is not None else None,
        "conflict": conflict,
        "differences": differences(conflict, form.fields),
        "problem": problem,
        "may_edit": people.may_everywhere(person_of(request), Right.EDIT_POLICIES),
    }
    return render(request, "approvals/cap_policy.html", context, status=status)


def _page(
    request: HttpRequest,
    *,
    attach_form: AttachForm | None = None,
    organisation_form: OrganisationCapForm | None = None,
    conflict: changes.Conflict | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    now = database_now()
    may_edit = people.may_everywhere(person, Right.EDIT_POLICIES)
    place = PlaceForm(request.GET)
    after = place.cleaned_data["after"] if place.is_valid() else None
    shown = cap_rows.page(person, now=now, after=after)
    policies = list(Policy.objects.order_by("-is_default", "name"))
    attach = partial(_attach_form, among=policies, typed=attach_form)
    whole = caps.organisation_cap()
    typed = organisation_form or attach_form
    context: dict[str, Any] = {
        "here": "policies",
        "now": now,
        "problem": problem,
        "place_form": place,
        "conflict": conflict,
        "differences": differences(conflict, typed.fields if typed is not None else None),
        "may_edit": may_edit,
        "rows": [_row(row, attach if may_edit else None) for row in shown.rows],
        "workspaces": [
            {
                "workspace": row,
                "form": attach(f"workspace:{row.pk}", row.version, row.policy_id) if may_edit else None,
            }
            for row in cap_rows.workspaces(person)
        ],
        "policies": policies,
        "organisation": whole,
        "organisation_uses": [shown_use(use) for use in cap_usage.organisation_uses(now=now)],
        "organisation_form": organisation_form or OrganisationCapForm(cap=whole),
        "paging": {
            "next_address": _address(shown.following) if shown.following is not None else "",
            "first_address": _address(None) if after is not None else "",
        },
        # A form comes back to the page that it is on.
        "attach_address": _address(after, "cap_attach"),
    }
    return render(request, "approvals/caps.html", context, status=status)


def _address(after: tuple[str, int] | None, name: str = "caps") -> str:
    address = reverse(f"approvals:{name}")
    return f"{address}?{urlencode({'after': f'{after[0]}~{after[1]}'})}" if after is not None else address


def _row(row: CapRow, attach: Callable[..., AttachForm] | None) -> dict[str, Any]:
    effective = row.answer.effective
    scope = mailbox_scope(row.mailbox.pk)
    return {
        "mailbox": row.mailbox,
        "policy": effective.policy,
        "source": source_words(effective),
        "uses": [shown_use(use) for use in row.answer.uses if use.limit not in OF_ALL_MAILBOXES],
        "ramp_until": effective.ramp_until,
        "ramp_cap": effective.hour_cap,
        "is_dry_run": row.settings.delivery == Delivery.DRY_RUN,
        "evidence": row.evidence,
        "form": attach(scope, row.settings.version, row.settings.policy_id) if attach is not None else None,
    }


def _attach_form(
    scope: str, version: int, policy_id: int | None, *, among: Sequence[Policy], typed: AttachForm | None
) -> AttachForm:
    if typed is not None and typed.cleaned_data.get("scope") == scope:
        return typed
    initial = {"scope": scope, "version": version, "policy": policy_id}
    return AttachForm(among=among, initial=initial, auto_id=_attach_id(scope))


def _attach_id(scope: str) -> str:
    return f"attach-{scope.replace(':', '-')}-%s"


def source_words(effective: Effective) -> str:
    """Which policy is in force and why."""
    name = effective.policy.name
    if effective.source is Source.MAILBOX:
        return _("%(name)s, attached to the mailbox") % {"name": name}
    if effective.source is Source.WORKSPACE:
        return _("%(name)s, from workspace %(workspace)s") % {
            "name": name,
            "workspace": effective.workspace,
        }
    return _("%(name)s, the default") % {"name": name}


def shown_use(use: Use) -> dict[str, Any]:
    """One limit as the page draws it."""
    return {
        "word": LIMIT_WORDS[use.limit],
        "use": use,
        "is_spacing": use.limit is Limit.SPACING,
        "is_full": use.opens_at is not None,
        "width": min(METER_WIDTH, round(METER_WIDTH * use.used / use.cap)) if use.cap else METER_WIDTH,
    }
