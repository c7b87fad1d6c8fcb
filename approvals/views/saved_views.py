from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from approvals import saved_views
from approvals.forms import QueueFilterForm, filter_query
from approvals.models import QueueStart
from approvals.saved_views import LIMIT, NAME_CHARACTERS, ViewRefused
from approvals.views.access import person_of, signed_in
from approvals.views.queue import queue_address
from approvals.views.writing import NotWritable, nothing_changed

STEPS = {"up": -1, "down": 1}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def views(request: HttpRequest) -> HttpResponseBase:
    """The person's views; a POST keeps the filter of the queue under a name."""
    if request.method != "POST":
        return _page(request)
    person = person_of(request)
    given = QueueFilterForm(QueryDict(request.POST.get("query", "")[:2000]), person=person)
    # Only the fields that the filter knows, and only what it understands of them.
    query = filter_query(given.chosen(), after="")
    name = request.POST.get("name", "")
    try:
        kept = saved_views.keep(person, name=name, query=query, is_shared="shared" in request.POST)
    except ViewRefused as refusal:
        return _page(request, problem=str(refusal), typed=name, query=query, status=422)
    except NotWritable:
        return _page(request, problem=nothing_changed(), typed=name, query=query, status=503)
    messages.success(request, _("“%(name)s” stands beside the tabs now.") % {"name": kept.name})
    return redirect(queue_address(kept.query))


@require_POST
@signed_in
def change(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """Rename, move or remove a view, or start with it."""
    person = person_of(request)
    view = saved_views.views_of(person).filter(public_id=public_id).first()
    if view is None:
        raise Http404
    act = request.POST.get("do", "")
    try:
        if act == "rename":
            saved_views.rename(view, person, name=request.POST.get("name", ""))
            messages.success(request, _("Renamed."))
        elif act in STEPS:
            saved_views.move(view, person, step=STEPS[act])
        elif act == "remove":
            saved_views.remove(view, person)
            messages.success(request, _("Removed. The drafts in it stay as they are."))
        elif act == "start":
            saved_views.start_with(view, person)
            messages.success(request, _("You start with “%(name)s” from now on.") % {"name": view.name})
        elif act == "start_plain":
            saved_views.start_with(None, person)
            messages.success(request, _("You start with the plain queue from now on."))
        else:
            return _page(request, problem=_("This page is damaged; load it again."), status=422)
    except ViewRefused as refusal:
        status = 422 if refusal.field else 403
        return _page(request, problem=str(refusal), status=status)
    except NotWritable:
        return _page(request, problem=nothing_changed(), status=503)
    return redirect("approvals:views")


def _page(
    request: HttpRequest, *, problem: str = "", typed: str = "", query: str = "", status: int = 200
) -> HttpResponse:
    person = person_of(request)
    start = QueueStart.objects.filter(person=person).values_list("view_id", flat=True).first()
    found = list(saved_views.views_of(person).order_by("position", "pk"))
    groups: list[dict[str, Any]] = [
        {
            "heading": heading,
            "rows": [
                {
                    "view": view,
                    "address": queue_address(view.query),
                    "is_start": view.pk == start,
                    "may_change": saved_views.may_change(view, person),
                }
                for view in found
                if (view.person_id is None) == is_shared
            ],
        }
        for heading, is_shared in ((_("Yours"), False), (_("Everybody's"), True))
    ]
    context = {
        "here": "queue",
        "groups": groups,
        "may_share": saved_views.may_share(person),
        "problem": problem,
        "typed": typed,
        "query": query,
        "limit": LIMIT,
        "characters": NAME_CHARACTERS,
    }
    return render(request, "approvals/views.html", context, status=status)
