from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse

from approvals import people
from approvals.keys import COMMANDS
from approvals.models import Role
from approvals.people import Right
from approvals.queries import BarFacts, bar_facts

register = template.Library()

THEME_COOKIE = "theme"
THEMES = ("light", "dark")

# Each place by its command, the count beside it, and the rights of which one opens it; with none, it is everybody's.
_PLACES: tuple[tuple[str, str, frozenset[Right]], ...] = (
    ("queue", "queue", frozenset({Right.SEE})),
    ("notices", "notices", frozenset({Right.SEE})),
    ("follow_ups", "follow_ups", frozenset({Right.SEE})),
    ("needs_person", "needs_person", frozenset({Right.SEE})),
    ("unknown", "unknown", frozenset({Right.SEE})),
    ("sent", "", frozenset({Right.SEE})),
    ("mailboxes", "", frozenset({Right.SEE})),
    ("policies", "", frozenset({Right.READ_POLICIES, Right.EDIT_LISTS})),
    ("insights", "", frozenset({Right.SEE})),
    ("operations", "sent_elsewhere", frozenset({Right.SEE})),
    ("audit", "", frozenset()),
)


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """The theme chosen on this browser, "light" or "dark", or "" to follow the system."""
    request: HttpRequest | None = context.get("request")
    chosen = request.COOKIES.get(THEME_COOKIE, "") if request else ""
    return chosen if chosen in THEMES else ""


@register.inclusion_tag("components/bar.html", takes_context=True)
def bar(context: dict[str, Any], here: str = "") -> dict[str, Any]:
    """The bar on top: the places the person may open, with bounded counts, the way to stop sending, and the person."""
    request: HttpRequest = context["request"]
    facts = facts_for(request)
    places = []
    for name, counted, rights in _PLACES:
        if rights and not any(people.may(request.user, right) for right in rights):
            continue
        places.append(
            {
                "command": name,
                "address": reverse(f"approvals:{name}"),
                "word": COMMANDS[name].word,
                "count": count_text(getattr(facts, counted)) if counted else "",
                "is_here": name == here,
            }
        )
    return {
        "request": request,
        "user": request.user,
        "roles": [Role(role).label for role in people.roles_of(request.user)],
        "places": places,
        "may_stop": facts.sending.is_open and people.may(request.user, Right.STOP),
        "theme": theme(context),
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("components/bar-refresh.html", takes_context=True)
def bar_refresh(context: dict[str, Any], here: str = "") -> dict[str, Any]:
    """The parts of the bar that change by themselves, and the band, to be swapped beside another element."""
    return bar(context, here) | {"sending": facts_for(context["request"]).sending}


@register.inclusion_tag("components/seal-band.html", takes_context=True)
def seal_band(context: dict[str, Any]) -> dict[str, Any]:
    """The band that says on every page that sending is stopped, since when and by whom."""
    facts = facts_for(context["request"])
    return {"sending": facts.sending}


@register.filter
def count_text(count: int | None) -> str:
    """Write a bounded count: nothing for zero, "99+" beyond the bound."""
    if not count:
        return ""
    return "99+" if count > 99 else str(count)


def facts_for(request: HttpRequest) -> BarFacts:
    """What the bar and the band say, read once for each request."""
    remembered: BarFacts | None = getattr(request, "_countersign_bar", None)
    if remembered is None:
        remembered = bar_facts(request.user)
        request._countersign_bar = remembered  # type: ignore[attr-defined]
    return remembered
