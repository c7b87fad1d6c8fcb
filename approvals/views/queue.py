from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from approvals import load, people
from approvals.forms import QueueFilterForm, after_text, filter_query
from approvals.models import Decision
from approvals.people import Person, Right
from approvals.queries import (
    BarFacts,
    QueueFilter,
    QueuePage,
    decided_lately,
    hold_of,
    place_in,
    queue_page,
    queue_version,
    running_holds,
    stood_in,
)
from approvals.saved_views import Option, may_share, start_query
from approvals.states import DECIDABLE_STATES, DraftState
from approvals.templatetags.bar import facts_for
from approvals.together import Only
from approvals.views.access import person_of, signed_in

# The tag of a message that says what was decided, on the page that follows.
DECIDED = "decided"


@require_safe
def front(request: HttpRequest) -> HttpResponseBase:
    sees_lists_only = people.may(request.user, Right.EDIT_LISTS) and not people.may(request.user, Right.SEE)
    if sees_lists_only:
        return redirect("approvals:recipients")
    person = request.user
    return redirect(queue_address(start_query(person) if isinstance(person, User) else ""))


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
    form.offer_agents(context["drafts"])
    context |= {
        "views": _shown_views(form.options.views, chosen),
        "keepable": filter_query(chosen, after=""),
        "may_share_views": may_share(person),
    }
    context |= {"is_overfull": load.fullness(person, now).is_overfull, "is_moved_on": is_moved_on(request)}
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
    decisions = decided_lately(person, chosen, now) if facts.decided else []
    holds = running_holds(person, decisions, now)
    tabs = [
        (DraftState.PENDING, _("Waiting"), facts.queue),
        (DraftState.STALE, _("Stale"), facts.stale),
        (DraftState.CHANGES_REQUESTED, _("Sent back"), facts.changes_requested),
        (DraftState.APPROVED, _("Approved"), 0),
    ]
    query = filter_query(chosen)
    everything = QueueFilter(state=chosen.state)
    is_filtered = replace(chosen, after=None) != everything
    return {
        "now": now,
        "chosen": chosen,
        "query": query,
        "place_query": filter_query(chosen, after=""),
        "drafts": page.drafts,
        "rows": rows_of(chosen, page, decisions, person, now),
        "choosable": _choosable(person, page),
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
        "only_tabs": [
            {
                "word": word,
                "count": count,
                "is_current": chosen.only == only,
                "address": queue_address(
                    filter_query(chosen, only="" if chosen.only == only else only, after="")
                ),
            }
            for only, word, count in _views(facts)
        ]
        if chosen.state == DraftState.PENDING
        else [],
        "is_filtered": is_filtered,
        "places_left": [] if page.drafts else _places_left(facts, chosen, is_filtered=is_filtered),
        "clear_address": queue_address(filter_query(everything)),
        "list_refresh_address": queue_address(
            "&".join(
                filter(None, [query, urlencode({"open": open_id} if open_id else {}), f"seen={version}"])
            )
        ),
    }


def _places_left(facts: BarFacts, chosen: QueueFilter, *, is_filtered: bool) -> list[dict[str, Any]]:
    """Where a person can go on who has nothing left in a list: the places where something waits."""
    drafts = [
        (_("Every draft that waits"), facts.queue, ""),
        (_("Stale drafts"), facts.stale, f"state={DraftState.STALE}"),
        (_("Drafts sent back"), facts.changes_requested, f"state={DraftState.CHANGES_REQUESTED}"),
    ]
    others = [
        (_("Follow-ups"), facts.follow_ups, "follow_ups"),
        (_("Needs a person"), facts.needs_person, "needs_person"),
        (_("Unknown"), facts.unknown, "unknown"),
    ]
    here = "" if chosen.state == DraftState.PENDING else f"state={chosen.state}"
    return [
        {"word": word, "count": count, "address": queue_address(query)}
        for word, count, query in drafts
        if count and (is_filtered or query != here)
    ] + [
        {"word": word, "count": count, "address": reverse(f"approvals:{name}")}
        for word, count, name in others
        if count
    ]


def rows_of(
    chosen: QueueFilter, page: QueuePage, decisions: Sequence[Decision], person: User, now: datetime
) -> list[dict[str, Any]]:
    """The rows of a list in their order: what is in it, and what was just decided, where it stood."""
    rows: list[dict[str, Any]] = [{"draft": draft, "decision": None} for draft in page.drafts]
    for decision in decisions:
        draft = decision.draft
        if not stood_in(chosen, page, decision):
            continue
        is_own = decision.person_id == person.pk
        send = getattr(draft, "send", None) if draft.state == DraftState.APPROVED else None
        hold = hold_of(send, now) if send is not None and is_own else None
        rows.append({"draft": draft, "decision": decision, "is_own": is_own, "hold": hold})
    return sorted(rows, key=lambda row: place_in(chosen, row["draft"]))


def is_moved_on(request: HttpRequest) -> bool:
    """Whether this page was opened by a decision about another draft."""
    return any(DECIDED in message.tags.split() for message in messages.get_messages(request))


def _shown_views(views: Sequence[Option], chosen: QueueFilter) -> list[dict[str, Any]]:
    now = filter_query(chosen, after="")
    return [
        {"word": view.word, "address": queue_address(view.query), "is_current": view.query == now}
        for view in views
    ]


def _choosable(person: Person, page: QueuePage) -> set[int]:
    """The drafts of a page about which the person can decide together with others."""
    return {
        draft.pk
        for draft in page.drafts
        if draft.state in DECIDABLE_STATES and people.may(person, Right.DECIDE, draft.mailbox_id)
    }


def _views(facts: BarFacts) -> list[tuple[str, Any, int]]:
    counts = {Only.MINE: facts.mine, Only.ESCALATED: facts.escalated, Only.SNOOZED: facts.snoozed}
    return [(only, only.label, counts.get(only, 0)) for only in Only]


def paging(chosen: QueueFilter, page: QueuePage) -> dict[str, str]:
    following = ""
    if page.has_more:
        place = place_in(chosen, page.drafts[-1])
        following = queue_address(filter_query(chosen, after=after_text(*place)))
    first = queue_address(filter_query(chosen, after="")) if chosen.after else ""
    return {"next_address": following, "first_address": first}


def queue_address(query: str) -> str:
    address = reverse("approvals:queue")
    return f"{address}?{query}" if query else address
