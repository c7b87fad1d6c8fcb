"""The keys that a person chose for themselves; see `approvals.keys` for the commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from approvals.keys import COMMANDS
from approvals.models import Keyboard


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether single keys act at all, the keys that differ from the registry, by the id of the command, and whether
    the next draft is opened after a decision.
    """

    has_letters: bool = True
    opens_next: bool = True
    own: Mapping[str, str] = field(default_factory=dict)


def keyboard_of(person: User) -> Kept:
    row = Keyboard.objects.filter(person=person).first()
    return Kept(row.has_letters, row.opens_next, row.keys) if row else Kept()


def keep(person: User, *, has_letters: bool, opens_next: bool, keys: Mapping[str, str]) -> None:
    """Keep how a person works; a key that is the registry's is not kept, so that it follows the registry."""
    own = {name: chosen for name, chosen in keys.items() if chosen != COMMANDS[name].keys}
    fields = {"has_letters": has_letters, "opens_next": opens_next, "keys": own}
    Keyboard.objects.update_or_create(person=person, defaults=fields)


def reset(person: User) -> None:
    """Give every command its key again; what is opened after a decision stays as chosen."""
    Keyboard.objects.filter(person=person).update(has_letters=True, keys={})
