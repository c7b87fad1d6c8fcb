"""A decision about a draft that writes its recipients onto a list along with it."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from approvals import decisions, people
from approvals.forms import DecisionForm, ReasonedForm, SeenForm
from approvals.models import DecisionKind, Draft
from approvals.people import Right
from approvals.transitions.drafts import Seen
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.draft import decided


@require_POST
@signed_in
def approve_and_allow(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = _draft(request, public_id)

    def act(seen: Seen, form: SeenForm) -> str:
        decisions.approve_and_allow(
            draft, person=person_of(request), seen=seen, form_id=form.cleaned_data["form_id"]
        )
        return _("Its recipients are allowed for this mailbox from now on.")

    return decided(request, draft, DecisionForm(request.POST), act, DecisionKind.APPROVE)


@require_POST
@signed_in
def reject_and_deny(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = _draft(request, public_id)
    domain = request.POST.get("domain", "")

    def act(seen: Seen, form: SeenForm) -> str:
        decisions.reject_and_deny(
            draft,
            person=person_of(request),
            seen=seen,
            reason=form.cleaned_data["reason"],
            domain=domain,
            form_id=form.cleaned_data["form_id"],
        )
        return _("%(domain)s is denied for this mailbox.") % {"domain": domain}

    return decided(request, draft, ReasonedForm(request.POST), act, DecisionKind.REJECT)


def _draft(request: HttpRequest, public_id: UUID) -> Draft:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    if not people.may(person_of(request), Right.EDIT_LISTS, draft.mailbox_id):
        raise PermissionDenied
    return draft
