from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from approvals import kept_reasons, people
from approvals.kept_reasons import LIMIT, TEXT_CHARACTERS, ReasonRefused
from approvals.keys import KEPT_REASON_KEYS
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def reasons(request: HttpRequest) -> HttpResponseBase:
    """The reasons that a person can choose; a POST keeps one more."""
    person = person_of(request)
    if not (people.may(person, Right.DECIDE) or kept_reasons.may_share(person)):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request)
    text = request.POST.get("text", "")
    try:
        kept_reasons.keep(person, text=text, is_shared="shared" in request.POST)
    except ReasonRefused as refusal:
        return _page(request, problem=str(refusal), typed=text, status=422 if refusal.is_input else 403)
    except NotWritable:
        return _page(request, problem=nothing_changed(), typed=text, status=503)
    messages.success(request, _("Kept. It is offered wherever a reason is asked for."))
    return redirect("approvals:reasons")


@require_POST
@signed_in
def change(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give a reason another wording, or remove it."""
    person = person_of(request)
    reason = kept_reasons.reasons_of(person).filter(pk=pk).first()
    if reason is None:
        raise Http404
    typed = request.POST.get("text", "")
    try:
        if request.POST.get("do") == "remove":
            kept_reasons.remove(reason, person)
            messages.success(request, _("Removed. What was decided with it keeps its words."))
        else:
            kept_reasons.change(reason, person, text=typed)
            messages.success(request, _("Kept in its new wording."))
    except ReasonRefused as refusal:
        status = 422 if refusal.is_input else 403
        return _page(request, problem=str(refusal), changed={reason.pk: typed}, status=status)
    except NotWritable:
        return _page(request, problem=nothing_changed(), changed={reason.pk: typed}, status=503)
    return redirect("approvals:reasons")


def offered(person: User) -> list[dict[str, str]]:
    """The kept reasons of a person as a form offers them; the most used have a key."""
    return [
        {"text": reason.text, "command": f"reason_{number}" if number <= KEPT_REASON_KEYS else ""}
        for number, reason in enumerate(kept_reasons.reasons_of(person), start=1)
    ]


def _page(
    request: HttpRequest,
    *,
    problem: str = "",
    typed: str = "",
    changed: dict[int, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    found = list(kept_reasons.reasons_of(person))
    groups: list[dict[str, Any]] = [
        {
            "heading": heading,
            "rows": [
                {
                    "reason": reason,
                    "text": (changed or {}).get(reason.pk, reason.text),
                    "is_open": reason.pk in (changed or {}),
                    "may_change": kept_reasons.may_change(reason, person),
                }
                for reason in found
                if (reason.person_id is None) == is_shared
            ],
        }
        for heading, is_shared in ((_("Yours"), False), (_("Everybody's"), True))
    ]
    context = {
        "here": "queue",
        "groups": groups,
        "may_share": kept_reasons.may_share(person),
        "problem": problem,
        "typed": typed,
        "limit": LIMIT,
        "characters": TEXT_CHARACTERS,
    }
    return render(request, "approvals/reasons.html", context, status=status)
