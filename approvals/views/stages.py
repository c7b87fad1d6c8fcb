from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from approvals import people, policy_scopes, stages, switchboard
from approvals.models import StagedRelease
from approvals.page_version import page_version
from approvals.people import Person, Right
from approvals.progress import Progress
from approvals.queries import visible_mailboxes
from approvals.views.access import person_of, signed_in
from approvals.views.reauthentication import PasswordAgain
from approvals.views.writing import NotWritable, nothing_changed
from policies import switch

COUNT_LIMIT = 100_000


class StagesForm(PasswordAgain):
    scope = forms.ChoiceField(label=_lazy("Held mail of"))
    count = forms.IntegerField(
        label=_lazy("How many, the oldest first"),
        min_value=1,
        max_value=COUNT_LIMIT,
        help_text=_lazy("What is held there and more changes nothing: the rest stays held."),
    )
    per_hour = forms.IntegerField(
        label=_lazy("How many an hour"),
        min_value=stages.PER_HOUR_LIMITS[0],
        max_value=stages.PER_HOUR_LIMITS[1],
        initial=stages.PER_HOUR,
        help_text=_lazy("1 to 3600. The caps of each mailbox hold as well."),
    )
    field_order = ["scope", "count", "per_hour", "password"]

    def __init__(
        self, data: QueryDict | None = None, *, request: HttpRequest, places: list[tuple[str, str, int]]
    ) -> None:
        super().__init__(data, request=request, auto_id="stages_%s")
        self.fields["scope"].choices = [  # type: ignore[attr-defined]
            (scope, f"{words} ({count})") for scope, words, count in places
        ]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def in_stages(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.RESUME):
        raise PermissionDenied
    if request.GET.get("seen"):
        rows = _rows(person)
        address = _refresh_address(rows)
        if not address or address.endswith("?seen=" + request.GET["seen"]):
            return HttpResponse(status=204)
        context = {"rows": rows, "refresh_address": address}
        return render(request, "approvals/stages.html#rows", context)
    places = _places(person)
    if request.method != "POST":
        return _page(request, StagesForm(request=request, places=places), places)
    form = StagesForm(request.POST, request=request, places=places)
    if not form.is_valid():
        return _page(request, form, places, status=422)
    try:
        made = stages.start(
            form.cleaned_data["scope"],
            person=person,
            per_hour=form.cleaned_data["per_hour"],
            count=form.cleaned_data["count"],
        )
    except stages.StagesRefused as refusal:
        return _page(request, form, places, problem=str(refusal), status=409)
    except NotWritable:
        return _page(request, form, places, problem=nothing_changed(), status=503)
    messages.success(
        request,
        ngettext(
            "%(count)d mail is resumed, every check asked again before it leaves.",
            "%(count)d mails are resumed, %(pace)d an hour, every check asked again before each leaves.",
            made.total,
        )
        % {"count": made.total, "pace": made.per_hour},
    )
    return redirect("approvals:stages")


@require_POST
@signed_in
def end(request: HttpRequest, release_id: int) -> HttpResponseBase:
    person = person_of(request)
    found = next((one for one in stages.visible(person) if one.pk == release_id), None)
    if found is None:
        raise Http404
    if not switchboard.may_stop(person, found.scope):
        raise PermissionDenied
    try:
        stages.stop(found.pk, person=person)
    except stages.StagesRefused as refusal:
        messages.info(request, str(refusal))
    except NotWritable:
        messages.error(request, nothing_changed())
    else:
        messages.success(request, _("Ended. What was not resumed yet stays held."))
    return redirect("approvals:stages" if people.may(person, Right.RESUME) else "approvals:operations")


def _rows(person: User) -> list[dict[str, Any]]:
    return [
        {
            "release": one,
            "words": policy_scopes.word_of(one.scope),
            "progress": _progress(one),
            "html_id": f"stages-{one.pk}",
            "may_end": one.ended_at is None and switchboard.may_stop(person, one.scope),
        }
        for one in stages.visible(person)
    ]


def _progress(release: StagedRelease) -> Progress:
    next_at = timezone.localtime(release.next_at)
    return Progress(
        word=policy_scopes.word_of(release.scope),
        unit=_("mails resumed"),
        done=release.resumed,
        total=release.total,
        began_at=release.started_at,
        is_over=release.ended_at is not None,
        ended_at=release.ended_at,
        next_step=release.end_reason
        or _("The next at %(time)s, %(pace)d an hour; the caps of each mailbox hold as well.")
        % {"time": f"{next_at:%H:%M:%S}", "pace": release.per_hour},
    )


def _refresh_address(rows: list[dict[str, Any]]) -> str:
    """Where the page asks for news; nothing when nothing runs. It changes with what is shown."""
    releases: list[StagedRelease] = [row["release"] for row in rows]
    if all(one.ended_at for one in releases):
        return ""
    version = page_version(*((one.pk, one.resumed, one.next_at, one.ended_at) for one in releases))
    return f"{reverse('approvals:stages')}?seen={version}"


def _places(person: Person) -> list[tuple[str, str, int]]:
    """The scopes with mail held by a stop that the person may resume: scope, words, how many."""
    scopes = [switch.GLOBAL] if people.may_everywhere(person, Right.RESUME) else []
    scopes += [mailbox.scope for mailbox in visible_mailboxes(person, Right.RESUME)]
    found = [(scope, policy_scopes.word_of(scope), stages.held_in(scope)) for scope in scopes]
    return [place for place in found if place[2]]


def _page(
    request: HttpRequest,
    form: StagesForm,
    places: list[tuple[str, str, int]],
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    context: dict[str, Any] = {
        "here": "operations",
        "now": timezone.now(),
        "form": form,
        "places": places,
        "problem": problem,
        "rows": (rows := _rows(person)),
        "refresh_address": _refresh_address(rows),
    }
    return render(request, "approvals/stages.html", context, status=status)
