"""Filters of the queue that people keep under a name, their own or everybody's, and what a filter can be set to.

A view keeps the fields of the filter and no more: what somebody may not see is not in their list, whatever view they
use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import CharField, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from approvals import people
from approvals.models import QueueStart, SavedView
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from audit.record import record
from policies.models import Category

NAME_CHARACTERS = 40
QUERY_CHARACTERS = 600
# Of one person, and of those that everybody has.
LIMIT = 20


class ViewRefused(Exception):
    """Nothing was kept or changed; the message says why. `field` names what was wrong, or is empty."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Option:
    """A value of a filter, or a view with its query; `is_start` of the view that a person starts with."""

    key: str
    word: str
    query: str = ""
    is_shared: bool = False
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What the filter of a person can be set to, and the views they have."""

    mailboxes: Sequence[Option]
    categories: Sequence[Option]
    views: Sequence[Option]


def options_for(person: Person) -> Options:
    """Read everything at once: one query, because the page of the queue has few."""
    text, number = CharField(), IntegerField()

    def named(
        rows: QuerySet[Any], kind: str, key: Combinable, word: Combinable, **more: Combinable
    ) -> QuerySet[Any]:
        given: dict[str, Combinable] = {
            "query": Value(""),
            "shared": Value(0),
            "start": Value(0),
            "place": Value(0),
        } | more
        found = rows.order_by().annotate(
            o_kind=Value(kind, output_field=text),
            o_key=Cast(key, text),
            o_word=Cast(word, text),
            o_query=Cast(given["query"], text),
            o_shared=Cast(given["shared"], number),
            o_start=Cast(given["start"], number),
            o_place=Cast(given["place"], number),
        )
        return found.values_list("o_kind", "o_key", "o_word", "o_query", "o_shared", "o_start", "o_place")

    starts = QueueStart.objects.filter(person_id=person.pk or 0, view=OuterRef("pk"))
    rows = named(visible_mailboxes(person), "mailbox", F("public_id"), F("address")).union(
        named(Category.objects.filter(is_enabled=True), "category", F("key"), F("name"), place=F("position")),
        named(
            views_of(person).annotate(is_shared=Q(person__isnull=True), is_start=Exists(starts)),
            "view",
            F("public_id"),
            F("name"),
            query=F("query"),
            shared=F("is_shared"),
            start=F("is_start"),
            place=F("position"),
        ),
        all=True,
    )
    found: dict[str, list[Option]] = {"mailbox": [], "category": [], "view": []}
    for kind, key, word, query, shared, start, place in sorted(
        rows, key=lambda row: (row[4], row[6], row[2])
    ):
        del place
        # SQLite keeps the digits of a UUID alone.
        key_text = key if kind == "category" else str(UUID(key))
        found[kind].append(Option(key_text, word, query, bool(shared), bool(start)))
    return Options(found["mailbox"], found["category"], found["view"])


def views_of(person: Person) -> QuerySet[SavedView]:
    """The views that a person has: their own, and those of everybody."""
    return SavedView.objects.filter(Q(person_id=person.pk or 0) | Q(person__isnull=True))


def start_query(person: User) -> str:
    """The query of the view that a person starts with, or "" for the plain queue."""
    query: str | None = (
        QueueStart.objects.filter(person=person)
        .filter(Q(view__person=person) | Q(view__person__isnull=True))
        .values_list("view__query", flat=True)
        .first()
    )
    return query or ""


def keep(person: User, *, name: str, query: str, is_shared: bool = False) -> SavedView:
    """Keep a filter under a name, for its person or for everybody. Raises ViewRefused."""
    name = _checked_name(name)
    if not query:
        raise ViewRefused(_("The plain queue needs no view. Set a filter first."))
    if len(query) > QUERY_CHARACTERS:
        raise ViewRefused(
            _("This filter is too long for a view: %(count)d characters, and %(limit)d fit.")
            % {"count": len(query), "limit": QUERY_CHARACTERS}
        )
    if is_shared:
        _check_may_share(person)
    owner = None if is_shared else person
    try:
        with transaction.atomic():
            beside = SavedView.objects.filter(person=owner)
            if beside.count() >= LIMIT:
                raise ViewRefused(
                    _("There are %(limit)d views already. Remove one first.") % {"limit": LIMIT}
                )
            last = beside.aggregate(last=Max("position"))["last"] or 0
            view = SavedView.objects.create(person=owner, name=name, query=query, position=last + 1)
            _record_shared("approvals.view.kept", view, person)
            return view
    except IntegrityError as error:
        raise _taken(name) from error


def rename(view: SavedView, person: User, *, name: str) -> None:
    """Give a view another name. Raises ViewRefused."""
    _check_may_change(view, person)
    name = _checked_name(name)
    try:
        with transaction.atomic():
            SavedView.objects.filter(pk=view.pk).update(name=name)
            view.refresh_from_db()
            _record_shared("approvals.view.kept", view, person)
    except IntegrityError as error:
        raise _taken(name) from error


def remove(view: SavedView, person: User) -> None:
    """Remove a view; who started with it starts with the plain queue. Raises ViewRefused."""
    _check_may_change(view, person)
    with transaction.atomic():
        _record_shared("approvals.view.removed", view, person)
        view.delete()


def move(view: SavedView, person: User, *, step: int) -> None:
    """Move a view one place up (-1) or down (1) among those beside it; at the end nothing happens."""
    _check_may_change(view, person)
    with transaction.atomic():
        rows = list(
            SavedView.objects.select_for_update().filter(person_id=view.person_id).order_by("position", "pk")
        )
        at = next((index for index, row in enumerate(rows) if row.pk == view.pk), None)
        if at is None or not 0 <= at + step < len(rows):
            return
        rows[at], rows[at + step] = rows[at + step], rows[at]
        for position, row in enumerate(rows, start=1):
            if row.position != position:
                SavedView.objects.filter(pk=row.pk).update(position=position)
        _record_shared("approvals.view.moved", view, person, place=at + step + 1)


def start_with(view: SavedView | None, person: User) -> None:
    """Let a person start with a view, or with the plain queue."""
    if view is None:
        QueueStart.objects.filter(person=person).delete()
    else:
        QueueStart.objects.update_or_create(person=person, defaults={"view": view})


def may_change(view: SavedView, person: User) -> bool:
    """Whether a person may rename, move or remove a view: their own, or everybody's as an admin."""
    return view.person_id == person.pk or (view.person_id is None and may_share(person))


def may_share(person: Person) -> bool:
    return people.may_everywhere(person, Right.MANAGE)


def _check_may_share(person: User) -> None:
    if not may_share(person):
        raise ViewRefused(_("Only an admin keeps views for everybody."))


def _check_may_change(view: SavedView, person: User) -> None:
    if not may_change(view, person):
        raise ViewRefused(_("Only an admin changes the views of everybody."))


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise ViewRefused(_("Give it a name."), "name")
    if len(name) > NAME_CHARACTERS:
        raise ViewRefused(
            _("The name has %(count)d characters; it can have %(limit)d.")
            % {"count": len(name), "limit": NAME_CHARACTERS},
            "name",
        )
    return name


def _taken(name: str) -> ViewRefused:
    return ViewRefused(_("There is a view with the name “%(name)s” already.") % {"name": name}, "name")


def _record_shared(action: str, view: SavedView, person: User, **more: int) -> None:
    """A person's own views are their own affair; those of everybody are on record."""
    if view.person_id is None:
        record(
            action,
            actor=people.actor_for(person),
            data={"view": str(view.public_id), "name": view.name, "query": view.query} | more,
        )
