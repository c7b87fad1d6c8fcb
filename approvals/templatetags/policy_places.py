from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from approvals import people
from approvals.people import Right

register = template.Library()

# The pages under Policies: route, word, what it is for, and the rights of which one is enough to see it.
PLACES: tuple[tuple[str, Any, Any, tuple[Right, ...]], ...] = (
    (
        "approvals:policies",
        _("Overview"),
        _("Who may do what, and what changed last."),
        (Right.READ_POLICIES, Right.EDIT_LISTS),
    ),
    (
        "approvals:recipients",
        _("Recipients"),
        _("Who may be written to, and who may not."),
        (Right.READ_POLICIES, Right.EDIT_LISTS),
    ),
    (
        "approvals:rules",
        _("Rules"),
        _("What blocks a mail, and what holds it for a person."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:value_lists",
        _("Lists"),
        _("Values that rules look up."),
        (Right.READ_POLICIES, Right.EDIT_LISTS),
    ),
    (
        "approvals:caps",
        _("Caps"),
        _("How much each mailbox may send an hour and a day, and what is used."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:categories",
        _("Categories"),
        _("Which kinds of mail an agent may send, which need a person, and which only people write."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:history",
        _("Evaluations"),
        _("What was judged, when, and which row decided."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:simulate",
        _("Simulation"),
        _("What other policies would have made of the last drafts."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:provider",
        _("Provider"),
        _("What the mail provider enforces by itself, also for what goes around this desk."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:trips",
        _("Automatic stops"),
        _("When the desk stops a mailbox by itself."),
        (Right.READ_POLICIES,),
    ),
    (
        "approvals:notice_channels",
        _("Channels"),
        _("Slack channels and programs that are told of notices."),
        (Right.EDIT_POLICIES,),
    ),
    (
        "approvals:switch_proof",
        _("Proof of the switch"),
        _("Each stop, how long it took and what was under way."),
        (Right.AUDIT, Right.RESUME),
    ),
)


@register.inclusion_tag("components/policy-places.html", takes_context=True)
def policy_places(context: dict[str, Any], here: str) -> dict[str, Any]:
    """The row of links on top of every page of the policies; only pages that the person may see."""
    request: HttpRequest = context["request"]
    return {
        "places": [
            {
                "address": reverse(name),
                "word": word,
                "purpose": purpose,
                "is_here": name == f"approvals:{here}",
            }
            for name, word, purpose, rights in PLACES
            if any(people.may(request.user, right) for right in rights)
        ]
    }
