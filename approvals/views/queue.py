from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from approvals.forms import QueueFilterForm, after_text, filter_query
from approvals.queries import QueueFilter, QueuePage, queue_page, queue_version, running_holds
from approvals.states import DraftState
from approvals.templatetags.bar import facts_for
from approvals.views.access import person_of, signed_in


@require_safe
def front(request: HttpRequest) -> HttpResponseBase:
    return redirect("approvals:queue")


@require_safe
@signed_in
def queue(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    now = timezone.now()
    is_refresh = bool(request.GET.get("seen"))
    if is_refresh and request.GET["seen"] == queue_version(now):
        # 204, never 304: htmx would take the empty body of a 304 for the new content.
        return HttpResponse(status=204)
    form = QueueFilterForm(request.GET, person=person)
    chosen = form.chosen()
    context = queue_context(request, chosen, now=now, open_id=request.GET.get("open", ""))
    context |= {"form": form, "here": "queue", "is_refresh": is_refresh}
    if is_refresh:
        return render(request, "approvals/queue.html#list", context)
    return render(request, "approvals/queue.html", context)


def queue_context(
    request: HttpRequest, chosen: QueueFilter, *, now: datetime, open_id: str = ""
) -> dict[str, Any]:
    """What the queue column needs, on its own page and beside the draft that is open, whose own hold it leaves out."""
    person = person_of(request)
    # Read before the rows: whatever happens from here on makes the version differ.
    facts = facts_for(request)
    version = queue_version(now, facts.sequence)
    page = queue_page(person, chosen)
    holds = running_holds(person, now) if facts.holds else []
    tabs = [
        (DraftState.PENDING, _("Waiting"), facts.queue),
        (DraftState.STALE, _("Stale"), facts.stale),
        (DraftState.CHANGES_REQUESTED, _("Sent back"), facts.changes_requested),
        (DraftState.APPROVED, _("Approved"), 0),
    ]
    query = filter_query(chosen)
    return {
        "now": now,
        "chosen": chosen,
        "query": query,
        "place_query": filter_query(chosen, after=""),
        "drafts": page.drafts,
        "open_id": open_id,
        "paging": paging(chosen, page),
        "holds": [hold for hold in holds if str(hold.draft.public_id) != open_id],
        "tabs": [
            {
                "word": word,
                "count": count,
                "is_current": chosen.state == state,
                "address": queue_address(
                    filter_query(chosen, state="" if state == DraftState.PENDING else state, after="")
                ),
            }
            for state, word, count in tabs
        ],
        "is_filtered": bool(chosen.text or chosen.mailbox),
        "clear_address": queue_address(filter_query(chosen, q="", mailbox="", after="")),
        "list_refresh_address": queue_address(
            "&".join(
                filter(None, [query, urlencode({"open": open_id} if open_id else {}), f"seen={version}"])
            )
        ),
    }


def paging(chosen: QueueFilter, page: QueuePage) -> dict[str, str]:
    following = ""
    if page.has_more:
        last = page.drafts[-1]
        following = queue_address(filter_query(chosen, after=after_text(last.expires_at, last.pk)))
    first = queue_address(filter_query(chosen, after="")) if chosen.after else ""
    return {"next_address": following, "first_address": first}


def queue_address(query: str) -> str:
    address = reverse("approvals:queue")
    return f"{address}?{query}" if query else address
