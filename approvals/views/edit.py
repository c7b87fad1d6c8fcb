from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from approvals import decisions
from approvals.forms import EditForm, seen_initial
from approvals.models import Draft, Revision
from approvals.people import Right
from approvals.queries import conversation
from approvals.states import DraftState
from approvals.transitions.drafts import DecisionRefused, NotAllowed
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.draft import draft_address, place_in_queue, seen_by
from approvals.views.writing import NotWritable, nothing_changed


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    revision = draft.current_revision
    if revision is None:
        raise Http404
    initial = seen_initial(draft, revision, uuid.uuid4()) | {"body_form": request.GET.get("as", "")}
    if request.method != "POST":
        if draft.state != DraftState.PENDING:
            return redirect(draft_address(draft, place_in_queue(request)))
        return _page(request, draft, EditForm(revision=revision, initial=initial))
    form = EditForm(request.POST, revision=revision, initial=initial)
    if not form.is_valid():
        return _page(request, draft, form, status=422)
    try:
        made = decisions.edit(draft, person=person_of(request), seen=seen_by(form), changes=form.changes())
    except DecisionRefused as refusal:
        status = 403 if isinstance(refusal, NotAllowed) else 409
        return _page(request, draft, form, status=status, problem=str(refusal))
    except NotWritable:
        return _page(request, draft, form, status=503, problem=nothing_changed())
    if made.pk == revision.pk:
        messages.info(request, _("Nothing was different, so there is no new version."))
    else:
        messages.success(
            request, _("Version %(number)d is kept. Approve it when it is right.") % {"number": made.number}
        )
    return redirect(draft_address(draft, place_in_queue(request)))


def _page(
    request: HttpRequest, draft: Draft, form: EditForm, *, status: int = 200, problem: str = ""
) -> HttpResponse:
    revision: Revision | None = draft.current_revision
    chosen = place_in_queue(request)
    context: dict[str, Any] = {
        "here": "queue",
        "draft": draft,
        "revision": revision,
        "form": form,
        "problem": problem,
        "talk": conversation(draft, None),
        "action": draft_address(draft, chosen, "edit"),
        "draft_address": draft_address(draft, chosen),
        "other_form_address": draft_address(
            draft, chosen, "edit", **{"as": "text" if form.shown_form == "html" else "html"}
        ),
    }
    return render(request, "approvals/edit.html", context, status=status)
