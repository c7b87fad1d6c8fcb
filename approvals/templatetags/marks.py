from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django import template
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from approvals.history import stage_word

register = template.Library()
register.filter(stage_word)

# Icons drawn as filled shapes.
_FILLED = frozenset({"diamond", "dot"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A word and a shape for a stored code. `tone` is "", "look" (before you sign), "ink" (yours), "stop"."""

    word: str | Promise
    shape: str
    tone: str = ""


MARKS: Mapping[str, Mapping[str, Mark]] = {
    "draft": {
        "pending": Mark(_("Pending"), "ring", "ink"),
        "approved": Mark(_("Approved"), "check"),
        "rejected": Mark(_("Rejected"), "x"),
        "changes_requested": Mark(_("Changes requested"), "back"),
        "stale": Mark(_("Stale"), "stale", "look"),
        "superseded": Mark(_("Superseded"), "next"),
        "withdrawn": Mark(_("Withdrawn"), "dash"),
        "expired": Mark(_("Expired"), "clock"),
        "sent_elsewhere": Mark(_("Sent elsewhere"), "flag", "look"),
    },
    "send": {
        "queued": Mark(_("Queued"), "clock"),
        "held": Mark(_("Held"), "stop", "stop"),
        "dispatched": Mark(_("Under way"), "next"),
        "accepted": Mark(_("Accepted"), "check"),
        "failed": Mark(pgettext_lazy("send", "Failed"), "x"),
        "stopped": Mark(_("Stopped"), "stop", "stop"),
        "dry_run": Mark(_("Would have been sent"), "dash"),
        "unknown": Mark(_("Unknown"), "question", "look"),
        "closed_sent": Mark(_("Closed, taken as sent"), "check"),
        "closed_not_sent": Mark(_("Closed, taken as not sent"), "x"),
    },
    "attempt": {
        "dispatched": Mark(_("Under way"), "next"),
        "accepted": Mark(_("Accepted"), "check"),
        "refused": Mark(_("Refused"), "x"),
        "not_started": Mark(_("Not started"), "dash"),
        "unknown": Mark(_("Unknown"), "question", "look"),
        "overridden": Mark(_("Overridden by a resend"), "next"),
        "closed": Mark(_("Closed by a person"), "person"),
    },
    "outcome": {
        "delivered": Mark(_("Delivered"), "check"),
        "soft_bounce": Mark(_("Soft bounce"), "clock"),
        "hard_bounce": Mark(_("Hard bounce"), "returned"),
        "complaint": Mark(_("Complaint"), "flag", "look"),
        "rejected": Mark(pgettext_lazy("outcome", "Rejected"), "x"),
        "send_failed": Mark(_("Send failed"), "x"),
        "no_report": Mark(_("No report"), "dash"),
    },
    "gate": {
        "passed": Mark(_("Passed"), "check"),
        "refused": Mark(_("Refused"), "x", "look"),
        "open": Mark(_("Open"), "ring", "ink"),
        "not_asked": Mark(_("Not asked yet"), "dash"),
    },
    "grant": {
        "valid": Mark(_("Connected"), "check"),
        "invalid": Mark(_("Needs re-authentication"), "flag", "look"),
        "removed": Mark(_("Removed at the provider"), "x"),
    },
    "card": {
        "waiting": Mark(_("Waits"), "clock"),
        "up": Mark(_("Put up"), "check"),
        "settled": Mark(_("Settled there"), "check"),
        "not_needed": Mark(_("Not needed any more"), "dash"),
        "given_up": Mark(_("Given up"), "x", "look"),
    },
    "receiver": {
        "on": Mark(_("On"), "check"),
        "failing": Mark(_("Failing"), "flag", "look"),
        "off": Mark(_("Switched off"), "stop", "stop"),
    },
    "event": {
        "stored": Mark(_("Waiting"), "clock"),
        "done": Mark(_("Done"), "check"),
        "ignored": Mark(_("Of no concern"), "dash"),
        "quarantined": Mark(_("Quarantined"), "lock", "look"),
        "failing": Mark(_("Failing"), "flag", "look"),
    },
}


@register.simple_tag
def icon(name: str, kind: str = "") -> SafeString:
    """One shape of the sprite, hidden from screen readers: a word always stands beside it."""
    style = "i i--fill" if kind == "fill" or name in _FILLED else "i"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', style, static("img/icons.svg"), name
    )


@register.simple_tag
def mark(kind: str, code: str, word: str = "") -> SafeString:
    """The word and the shape of a stored code of one kind (see `MARKS`); `word` replaces the word.

    Raises KeyError for a code that has no mark, so that a new state cannot be shown without one.
    """
    found = MARKS[kind][str(code)]
    return show_mark(word or found.word, found.shape, found.tone)


@register.simple_tag
def say(shape: str, word: str, tone: str = "") -> SafeString:
    """A shape and a free word, in one of the tones of `Mark`."""
    return show_mark(word, shape, tone)


def show_mark(word: str | Promise, shape: str, tone: str) -> SafeString:
    style = f"mark mark--{tone}" if tone else "mark"
    return format_html('<span class="{}">{}{}</span>', style, icon(shape), word)
