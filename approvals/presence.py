"""Keeping who has a draft open. It is a courtesy between people: nothing is decided by it, and nothing recorded."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User

from approvals.models import Draft, Presence
from approvals.together import PRESENCE_SECONDS
from audit.clock import database_now

# A page that says more often that it is open costs reads only.
PRESENCE_WRITE_SECONDS = 9


def note(draft: Draft, person: User, *, page: str, is_editing: bool) -> None:
    """Keep that a page of a person shows a draft, at most once in `PRESENCE_WRITE_SECONDS` while nothing differs."""
    now = database_now()
    known = Presence.objects.filter(draft=draft, person=person).first()
    said = {"page": page, "is_editing": is_editing}
    if known is None:
        Presence.objects.update_or_create(draft=draft, person=person, defaults=said | {"seen_at": now})
    elif (known.page, known.is_editing) != (page, is_editing) or now - known.seen_at >= timedelta(
        seconds=PRESENCE_WRITE_SECONDS
    ):
        Presence.objects.filter(pk=known.pk).update(**said, seen_at=now)


def leave(draft: Draft, person: User, *, page: str) -> None:
    """End what a page said. Another page of the same person, opened since, stays."""
    Presence.objects.filter(draft=draft, person=person, page=page).delete()


def leave_all(person: User) -> None:
    """End what every page of a person said, as when they sign out."""
    Presence.objects.filter(person=person).delete()


def forget_old() -> int:
    """Delete the rows of pages that fell silent; how many."""
    age = database_now() - timedelta(seconds=2 * PRESENCE_SECONDS)
    return Presence.objects.filter(seen_at__lte=age).delete()[0]
