from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from approvals import people, policy_scopes
from approvals.forms import REASON_CHARACTERS
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.versions import differences, with_version
from approvals.views.writing import NotWritable, nothing_changed
from policies import changes, switch, trips
from policies.models import TripLimits

WORDS: Mapping[str, tuple[Any, Any]] = {
    "window_hours": (_lazy("Hours looked back for bounces and failures"), ""),
    "bounce_percent": (
        _lazy("Hard bounces, percent"),
        _lazy("More mails than this, of those sent in that time, and at least two."),
    ),
    "bounce_sample": (
        _lazy("Fewest mails for that"),
        _lazy("Below so many no share of bounces stops anything."),
    ),
    "complaint_hours": (_lazy("Hours looked back for complaints"), ""),
    "complaints_per_thousand": (
        _lazy("Complaints, of a thousand mails"),
        _lazy("More than this, and at least two."),
    ),
    "complaint_sample": (_lazy("Fewest mails for that"), ""),
    "failures_in_a_row": (
        _lazy("Failed sends in a row"),
        _lazy("Refused, unknown or unreachable, with no accepted one in between."),
    ),
    "pace_factor": (
        _lazy("Sends a minute, times the usual"),
        _lazy("The usual is the median of the minutes with sends of the last seven days."),
    ),
    "pace_minimum": (_lazy("Fewest sends a minute for that"), _lazy("More than this, too.")),
}


class TripForm(forms.Form):
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    is_on = forms.BooleanField(
        label=_lazy("Stop mailboxes by these limits"),
        required=False,
        help_text=_lazy("Without this nothing is stopped by itself here."),
    )
    reason = forms.CharField(
        label=_lazy("Why"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence why; it is kept in the record.")},
    )

    def __init__(self, data: QueryDict | None = None, *, limits: TripLimits, version: int) -> None:
        initial = {name: getattr(limits, name) for name in trips.LIMITS}
        super().__init__(
            data, initial=initial | {"is_on": limits.is_on, "version": version}, auto_id="trip_%s"
        )
        for name, (low, high) in trips.LIMITS.items():
            label, help_text = WORDS[name]
            bounds = _("%(low)d to %(high)d.") % {"low": low, "high": high}
            self.fields[name] = forms.IntegerField(
                label=label,
                min_value=low,
                max_value=high,
                help_text=f"{help_text} {bounds}".strip(),
            )
        self.order_fields(["version", "is_on", *trips.LIMITS, "reason"])

    def limits(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("is_on", *trips.LIMITS)}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def limits(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    scope = _scope(request)
    stored = TripLimits.objects.filter(scope=scope).first()
    shown = stored or trips.of_scope(scope, switch.GLOBAL)
    version = stored.version if stored else 0
    if request.method != "POST":
        return _page(request, scope, TripForm(limits=shown, version=version))
    if not people.may_everywhere(person, Right.EDIT_POLICIES):
        raise PermissionDenied
    form = TripForm(request.POST, limits=shown, version=version)
    if not form.is_valid():
        return _page(request, scope, form, status=422)
    actor, reason = people.actor_for(person), form.cleaned_data["reason"]
    try:
        if "remove" in request.POST:
            trips.remove(scope, version=form.cleaned_data["version"], actor=actor, reason=reason)
            messages.success(request, _("Removed. The limits around it count again."))
        else:
            trips.write(
                scope, version=form.cleaned_data["version"], actor=actor, reason=reason, **form.limits()
            )
            messages.success(request, _("Kept. The next look at the mailboxes, within a minute, goes by it."))
    except changes.Conflict as conflict:
        stored_now = TripLimits.objects.filter(scope=scope).first()
        now = stored_now.version if stored_now is not None else 0
        again = TripForm(with_version(request.POST, now), limits=shown, version=now)
        again.is_valid()
        return _page(request, scope, again, conflict=conflict, status=409)
    except NotWritable:
        return _page(request, scope, form, problem=nothing_changed(), status=503)
    return redirect("approvals:trips")


def _scope(request: HttpRequest) -> str:
    """The scope of the address: everywhere, or a workspace or mailbox that the person may see."""
    scope = request.GET.get("scope", switch.GLOBAL)
    if scope not in policy_scopes.visible_to(person_of(request), Right.READ_POLICIES):
        raise Http404
    return scope


def _page(
    request: HttpRequest,
    scope: str,
    form: TripForm,
    *,
    conflict: changes.Conflict | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    own = {row.scope: row for row in TripLimits.objects.all()}
    words = policy_scopes.words_of(policy_scopes.visible_to(person, Right.READ_POLICIES))
    context: dict[str, Any] = {
        "here": "policies",
        "now": timezone.now(),
        "scope": scope,
        "words": words[scope],
        "form": form,
        "places": [
            {"scope": one, "words": word, "row": own.get(one), "is_here": one == scope}
            for one, word in words.items()
        ],
        "may_edit": people.may_everywhere(person, Right.EDIT_POLICIES),
        "may_remove": scope in own,
        "differences": differences(conflict, form.fields),
        "conflict": conflict,
        "problem": problem,
    }
    return render(request, "approvals/trips.html", context, status=status)
