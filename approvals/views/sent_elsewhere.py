from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from approvals import elsewhere, people
from approvals.forms import REASON_CHARACTERS, read_ids
from approvals.forms_ledgers import place_text, read_place
from approvals.models import SentMessage
from approvals.people import Right
from approvals.templatetags.bar import count_text, facts_for
from approvals.transitions import sent_messages
from approvals.views.access import person_of, signed_in
from approvals.views.content import framed
from approvals.views.writing import NotWritable, nothing_changed

ACKNOWLEDGED = "acknowledged"


class AcknowledgeForm(forms.Form):
    """Which messages, and what they were. The note is kept in the record."""

    chosen = forms.TypedMultipleChoiceField(
        coerce=UUID,
        error_messages={
            "required": _lazy("Choose at least one message."),
            "invalid_choice": _lazy("One of these is no message of the list; look at it again."),
        },
    )
    note = forms.CharField(
        label=_lazy("What it was"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("Who sent it and why, up to 2,000 characters; kept in the record."),
        error_messages={"required": _lazy("Say in a sentence who sent it and why.")},
    )

    def __init__(self, data: Any = None, *, rows: list[SentMessage]) -> None:
        super().__init__(data, auto_id="acknowledge_%s")
        chosen: Any = self.fields["chosen"]
        chosen.choices = [(str(row.public_id), row.message.subject) for row in rows]


@require_safe
@signed_in
def sent_elsewhere(request: HttpRequest) -> HttpResponseBase:
    return _list(request)


@require_safe
@signed_in
def item(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _item(request, _found(request, public_id))


@framed
def body(request: HttpRequest, public_id: UUID) -> str:
    return _found(request, public_id).message.body_html


@require_POST
@signed_in
def acknowledge(request: HttpRequest) -> HttpResponseBase:
    """Acknowledge the chosen messages of the list, or the one of a page of its own."""
    person = person_of(request)
    given = read_ids(request.POST.getlist("chosen"), elsewhere.ROWS)
    rows = list(elsewhere.visible_items(person).filter(public_id__in=given))
    alone = rows[0] if "alone" in request.POST and len(rows) == 1 else None
    form = AcknowledgeForm(request.POST, rows=rows)

    def again(problem: str, status: int) -> HttpResponseBase:
        if alone is not None:
            return _item(request, _found(request, alone.public_id), form=form, problem=problem, status=status)
        return _list(request, form=form, problem=problem, status=status)

    if not form.is_valid():
        return again("", 422)
    try:
        done = sent_messages.acknowledge(
            [row.pk for row in rows], person=person, note=form.cleaned_data["note"]
        )
    except sent_messages.AcknowledgementRefused as refusal:
        return again(str(refusal), 403)
    except NotWritable:
        return again(nothing_changed(), 503)
    if done:
        said = ngettext(
            "%(count)d message acknowledged; the record keeps your note.",
            "%(count)d messages acknowledged; the record keeps your note.",
            len(done),
        )
        messages.success(request, said % {"count": len(done)})
    else:
        messages.info(request, _("Somebody acknowledged this before; nothing was changed."))
    return redirect("approvals:sent_elsewhere")


def _found(request: HttpRequest, public_id: UUID) -> SentMessage:
    found = elsewhere.item_for(person_of(request), public_id)
    if found is None:
        raise Http404
    return found


def _list(
    request: HttpRequest, *, form: AcknowledgeForm | None = None, problem: str = "", status: int = 200
) -> HttpResponse:
    person = person_of(request)
    is_acknowledged = request.GET.get("show") == ACKNOWLEDGED
    try:
        after = read_place(request.GET.get("after", ""))
    except ValueError:
        after = None
    rows, has_more = elsewhere.items_page(person, is_acknowledged=is_acknowledged, after=after)
    chosen = request.POST.getlist("chosen")
    context: dict[str, Any] = {
        "here": "operations",
        "is_acknowledged": is_acknowledged,
        "rows": [
            {
                "item": row,
                "may_act": not is_acknowledged and people.may(person, Right.RESOLVE, row.mailbox_id),
                "is_chosen": str(row.public_id) in chosen,
            }
            for row in rows
        ],
        "form": form or AcknowledgeForm(rows=rows),
        "problem": problem,
        "open_count": count_text(facts_for(request).sent_elsewhere),
        "open_address": _address(is_acknowledged=False),
        "acknowledged_address": _address(is_acknowledged=True),
        "paging": {
            "next_address": _address(
                is_acknowledged=is_acknowledged, after=place_text(rows[-1].noted_at, rows[-1].pk)
            )
            if has_more
            else "",
            "first_address": _address(is_acknowledged=is_acknowledged) if after else "",
        },
    }
    context["may_act"] = any(row["may_act"] for row in context["rows"])
    return render(request, "approvals/sent_elsewhere.html", context, status=status)


def _item(
    request: HttpRequest,
    found: SentMessage,
    *,
    form: AcknowledgeForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "operations",
        "item": found,
        "message": found.message,
        "body_address": reverse("approvals:sent_elsewhere_body", args=[found.public_id]),
        "may_act": people.may(person_of(request), Right.RESOLVE, found.mailbox_id),
        "form": form or AcknowledgeForm(rows=[found]),
        "problem": problem,
    }
    return render(request, "approvals/sent_elsewhere_item.html", context, status=status)


def _address(*, is_acknowledged: bool, after: str = "") -> str:
    values = {"show": ACKNOWLEDGED if is_acknowledged else "", "after": after}
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:sent_elsewhere")
    return f"{address}?{query}" if query else address
