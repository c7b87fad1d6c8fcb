from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from approvals import people
from approvals.forms import REASON_CHARACTERS
from approvals.forms_ledgers import place_text, read_place
from approvals.models import NeedsPerson, NeedsPersonState
from approvals.needs import messages_of, needs_page, needs_person_for
from approvals.people import Right
from approvals.templatetags.bar import count_text, facts_for
from approvals.transitions import needs_person as transitions
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

ANSWERED, CLOSED = "answered", "closed"


class EndForm(forms.Form):
    """How an item ends. The reason is kept in the record."""

    how = forms.ChoiceField(
        label=_lazy("What was done"),
        choices=[
            (ANSWERED, _lazy("A person answered it elsewhere")),
            (CLOSED, _lazy("Nothing needs to be answered")),
        ],
        initial=ANSWERED,
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("Up to 2,000 characters; kept in the record."),
        error_messages={"required": _lazy("Say in a sentence what was done.")},
    )


@require_safe
@signed_in
def needs_person(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    is_closed = request.GET.get("show") == CLOSED
    try:
        after = read_place(request.GET.get("after", ""))
    except ValueError:
        after = None
    state = NeedsPersonState.CLOSED if is_closed else NeedsPersonState.OPEN
    page = needs_page(person, state, after)
    last = page.rows[-1] if page.rows else None
    context: dict[str, Any] = {
        "here": "needs_person",
        "is_closed": is_closed,
        "rows": [{"item": row, "subject": page.subjects[row.pk]} for row in page.rows],
        "open_count": count_text(facts_for(request).needs_person),
        "open_address": reverse("approvals:needs_person"),
        "closed_address": _address(is_closed=True),
        "paging": {
            "next_address": _address(is_closed=is_closed, after=place_text(last.opened_at, last.pk))
            if page.has_more and last is not None
            else "",
            "first_address": _address(is_closed=is_closed) if after else "",
        },
    }
    return render(request, "approvals/needs_person.html", context)


@require_safe
@signed_in
def needs_person_item(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _page(request, _found(request, public_id))


@require_POST
@signed_in
def needs_person_close(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    item = _found(request, public_id, Right.FOLLOW_UP)
    form = EndForm(request.POST)
    if not form.is_valid():
        return _page(request, item, form=form, status=422)
    try:
        transitions.close(
            item.pk,
            person=person_of(request),
            reason=form.cleaned_data["reason"],
            is_answered_elsewhere=form.cleaned_data["how"] == ANSWERED,
        )
    except transitions.NeedsPersonRefused as refusal:
        return _page(request, _found(request, public_id), form=form, problem=str(refusal), status=409)
    except NotWritable:
        return _page(request, item, form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Closed. The record keeps your reason."))
    return redirect("approvals:needs_person_item", public_id)


def _found(request: HttpRequest, public_id: UUID, right: Right = Right.SEE) -> NeedsPerson:
    person = person_of(request)
    item = needs_person_for(person, public_id)
    if item is None:
        raise Http404
    if not people.may(person, right, item.mailbox_id):
        raise PermissionDenied
    return item


def _page(
    request: HttpRequest,
    item: NeedsPerson,
    *,
    form: EndForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    thread = messages_of(item)
    answered = next((message for message in thread if message.provider_id == item.message_id), None)
    context: dict[str, Any] = {
        "here": "needs_person",
        "item": item,
        "subject": answered.subject if answered is not None else "",
        "thread": thread,
        "is_open": item.state == NeedsPersonState.OPEN,
        "may_act": people.may(person_of(request), Right.FOLLOW_UP, item.mailbox_id),
        "form": form or EndForm(),
        "problem": problem,
    }
    return render(request, "approvals/needs_person_item.html", context, status=status)


def _address(*, is_closed: bool, after: str = "") -> str:
    values = {"show": CLOSED if is_closed else "", "after": after}
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:needs_person")
    return f"{address}?{query}" if query else address
