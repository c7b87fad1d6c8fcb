"""The commands of the desk and their keys: buttons, hints, the overlay, the palette and the script read them here.

A key presses, follows or focuses what the page offers, found by its `data-command`; it can do nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

# How many keys one after the other stand for a command at most.
SEQUENCE_KEYS = 2
# How many kept reasons have a key of their own.
KEPT_REASON_KEYS = 3


class Where(TextChoices):
    """The part of the desk that has the element of a command."""

    QUEUE = "queue", _("Queue")
    DRAFT = "draft", _("Draft")
    EVERYWHERE = "everywhere", _("Everywhere")
    PLACES = "places", _("Places")


class Does(StrEnum):
    """What `static/js/desk.js` does for a command, with the element of its `data-command`."""

    PRESS = "press"  # press the button or follow the link
    SIGN = "sign"  # bring the end of the letter into view and arm the button; press it the second time
    EXPLAIN = "explain"  # go to the reason in the form of the button
    CONFIRM = "confirm"  # press the button whose reason is being written
    FOCUS = "focus"  # go to the first field
    NEXT = "next"  # mark the row below
    PREVIOUS = "previous"  # mark the row above
    OPEN = "open"  # follow the marked row
    CHOOSE = "choose"  # tick the box of the marked row
    HELP = "help"
    PALETTE = "palette"


@dataclass(frozen=True, slots=True)
class Command:
    """`keys` are one character, or two with a space between. A fixed command has a chord and keeps it."""

    id: str
    word: str | Promise
    keys: str
    does: Does
    where: Where
    is_fixed: bool = False


COMMANDS: Mapping[str, Command] = {
    command.id: command
    for command in (
        Command("next_row", _("Mark the draft below"), "j", Does.NEXT, Where.QUEUE),
        Command("previous_row", _("Mark the draft above"), "k", Does.PREVIOUS, Where.QUEUE),
        Command("open", _("Open the marked draft"), "o", Does.OPEN, Where.QUEUE),
        Command("select", _("Choose the marked draft"), "x", Does.CHOOSE, Where.QUEUE),
        Command("together", _("Read the chosen drafts together"), "b", Does.PRESS, Where.QUEUE),
        Command("undo", _("Undo the approval"), "u", Does.PRESS, Where.QUEUE),
        Command("search", _("Search drafts"), "/", Does.FOCUS, Where.QUEUE),
        Command("approve", _("Approve and send"), "a", Does.SIGN, Where.DRAFT),
        Command("edit", _("Edit draft"), "e", Does.PRESS, Where.DRAFT),
        Command("keep_version", _("Keep this version"), "Ctrl+S", Does.PRESS, Where.DRAFT, True),
        Command("request_changes", _("Request changes"), "c", Does.EXPLAIN, Where.DRAFT),
        Command("reject", _("Reject"), "r", Does.EXPLAIN, Where.DRAFT),
        Command("confirm", _("Decide with this reason"), "Ctrl+Enter", Does.CONFIRM, Where.DRAFT, True),
        *(
            Command(
                f"reason_{number}",
                format_lazy(_("Write kept reason {number}"), number=number),
                str(number),
                Does.PRESS,
                Where.DRAFT,
            )
            for number in range(1, KEPT_REASON_KEYS + 1)
        ),
        Command("look_again", _("Return to queue"), "l", Does.PRESS, Where.DRAFT),
        Command("claim", _("Claim"), "", Does.PRESS, Where.DRAFT),
        Command("assign_to_me", _("Assign to me"), "i", Does.PRESS, Where.DRAFT),
        Command("assign", _("Assign"), "d", Does.PRESS, Where.DRAFT),
        Command("escalate", _("Escalate"), "h", Does.PRESS, Where.DRAFT),
        Command("snooze", _("Snooze"), "s", Does.PRESS, Where.DRAFT),
        Command("next_draft", _("Next draft"), "n", Does.PRESS, Where.DRAFT),
        Command("help", _("Show the keys of this page"), "?", Does.HELP, Where.EVERYWHERE),
        Command("palette", _("Find a command or a place"), "Ctrl+K", Does.PALETTE, Where.EVERYWHERE, True),
        Command("stop", _("Stop all sending"), "g x", Does.PRESS, Where.EVERYWHERE),
        Command("queue", _("Queue"), "g q", Does.PRESS, Where.PLACES),
        Command("notices", _("Notices"), "g t", Does.PRESS, Where.PLACES),
        Command("follow_ups", _("Follow-ups"), "g f", Does.PRESS, Where.PLACES),
        Command("needs_person", _("Needs a person"), "g n", Does.PRESS, Where.PLACES),
        Command("unknown", _("Unknown"), "g u", Does.PRESS, Where.PLACES),
        Command("sent", _("Sent"), "g s", Does.PRESS, Where.PLACES),
        Command("mailboxes", _("Mailboxes"), "g m", Does.PRESS, Where.PLACES),
        Command("policies", _("Policies"), "g p", Does.PRESS, Where.PLACES),
        Command("insights", _("Insights"), "g i", Does.PRESS, Where.PLACES),
        Command("operations", _("Operations"), "g o", Does.PRESS, Where.PLACES),
        Command("audit", _("Audit"), "g a", Does.PRESS, Where.PLACES),
    )
}


def read_keys(text: str) -> str:
    """Read one key or a sequence as a person writes it: "A" is "a", "" is no key. Raises ValueError."""
    keys = text.lower().split()
    if len(keys) > SEQUENCE_KEYS or any(len(key) != 1 or not key.isprintable() for key in keys):
        raise ValueError(text)
    return " ".join(keys)


def is_clash(one: str, other: str) -> bool:
    """Whether one of two keys would keep the other from being pressed: the same, or its beginning."""
    return bool(one and other) and (f"{one} ".startswith(f"{other} ") or f"{other} ".startswith(f"{one} "))


def clashes(chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of commands, by their ids, whose keys clash."""
    ids = list(chosen)
    for number, one in enumerate(ids):
        for other in ids[number + 1 :]:
            if is_clash(chosen[one], chosen[other]):
                yield one, other


def chosen_keys(own: Mapping[str, str]) -> dict[str, str]:
    """The key of every command that can have another, by its id; "" for none.

    `own` holds those that a person changed. A default that came later gives way to them.
    """
    changed = {name: keys for name, keys in own.items() if name in COMMANDS and not COMMANDS[name].is_fixed}
    return {
        command.id: changed[command.id]
        if command.id in changed
        else ""
        if any(is_clash(command.keys, keys) for keys in changed.values())
        else command.keys
        for command in COMMANDS.values()
        if not command.is_fixed
    }


def keys_in_effect(has_letters: bool, own: Mapping[str, str]) -> dict[str, str]:
    """The key that each command has for a person, by its id; without letters only the chords are left."""
    chosen = chosen_keys(own) if has_letters else {}
    return {
        command.id: command.keys if command.is_fixed else chosen.get(command.id, "")
        for command in COMMANDS.values()
    }
