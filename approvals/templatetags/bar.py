from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from approvals import people
from approvals.queries import BarFacts, bar_facts

register = template.Library()

THEME_COOKIE = "theme"
THEMES = ("light", "dark")

_PLACES = (
    ("approvals:queue", _("Queue"), "queue"),
    ("approvals:follow_ups", _("Follow-ups"), "follow_ups"),
    ("approvals:needs_person", _("Needs a person"), "needs_person"),
    ("approvals:unknown", _("Unknown"), "unknown"),
    ("approvals:sent", _("Sent"), ""),
    ("approvals:mailboxes", _("Mailboxes"), ""),
    ("approvals:policies", _("Policies"), ""),
    ("approvals:operations", _("Operations"), ""),
    ("approvals:audit", _("Audit"), ""),
)


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """The theme chosen on this browser, "light" or "dark", or "" to follow the system."""
    request: HttpRequest | None = context.get("request")
    chosen = request.COOKIES.get(THEME_COOKIE, "") if request else ""
    return chosen if chosen in THEMES else ""


@register.inclusion_tag("components/bar.html", takes_context=True)
def bar(context: dict[str, Any], here: str = "") -> dict[str, Any]:
    """The bar on top: the places that exist, with bounded counts, the way to stop sending, and the person."""
    request: HttpRequest = context["request"]
    facts = facts_for(request)
    places = []
    for name, word, counted in _PLACES:
        try:
            address = reverse(name)
        except NoReverseMatch:
            continue
        places.append(
            {
                "address": address,
                "word": word,
                "count": count_text(getattr(facts, counted)) if counted else "",
                "is_here": name == f"approvals:{here}",
            }
        )
    return {
        "request": request,
        "user": request.user,
        "roles": people.roles_of(request.user),
        "places": places,
        "is_stopped": not facts.sending.is_open,
        "operations": _address_or_none("approvals:operations"),
        "theme_address": _address_or_none("approvals:theme"),
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
    return {"sending": facts.sending, "operations": _address_or_none("approvals:operations")}


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


def _address_or_none(name: str) -> str | None:
    try:
        return reverse(name)
    except NoReverseMatch:
        return None
