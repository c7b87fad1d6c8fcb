from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from approvals.forms_ledgers import SentFilterForm, place_text, sent_query
from approvals.ledgers import SentFilter, SentPage, sent_page
from approvals.views.access import person_of, signed_in


@require_safe
@signed_in
def sent(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    form = SentFilterForm(request.GET, person=person)
    chosen = form.chosen()
    page = sent_page(person, chosen)
    tabs = [
        ("", _("Sent")),
        ("not_sent", _("Not sent")),
        ("dry_run", _("Would have been sent")),
        ("closed", _("Closed by a person")),
    ]
    context: dict[str, Any] = {
        "here": "sent",
        "form": form,
        "chosen": chosen,
        "rows": page.rows,
        "paging": _paging(chosen, page),
        "tabs": [
            {
                "word": word,
                "is_current": chosen.view == view,
                "address": _address(sent_query(chosen, view=view, after="")),
            }
            for view, word in tabs
        ],
        "is_filtered": bool(chosen.text or chosen.mailbox or chosen.outcome),
        "clear_address": _address(sent_query(SentFilter(view=chosen.view))),
    }
    return render(request, "approvals/sent.html", context)


def _paging(chosen: SentFilter, page: SentPage) -> dict[str, str]:
    following = ""
    if page.has_more:
        last = page.rows[-1].send
        at = last.state_changed_at if chosen.view or last.accepted_at is None else last.accepted_at
        following = _address(sent_query(chosen, after=place_text(at, last.pk)))
    return {
        "next_address": following,
        "first_address": _address(sent_query(chosen, after="")) if chosen.after else "",
    }


def _address(query: str) -> str:
    address = reverse("approvals:sent")
    return f"{address}?{query}" if query else address
