"""What a person typed and did not save: kept for them alone, until they save, discard or decide.

It is no revision and nobody else sees it: no page of another person, no program, not the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import OuterRef, Q, QuerySet, Subquery

from approvals.models import Draft, Revision, UnsavedEdit
from approvals.people import Person
from approvals.states import OPEN_DRAFT_STATES, DraftState
from audit.clock import database_now

DAYS = 14
# An approval can be undone, and then what was typed is of use again.
KEPT_STATES = (*OPEN_DRAFT_STATES, DraftState.APPROVED)
# A letter with its recipients; what is longer is saved or lost.
KEPT_CHARACTERS = 1_200_000
EDITED_FIELDS = ("to", "cc", "bcc", "reply_to", "subject", "body", "body_form")


class NotKept(Exception):
    """Nothing was kept: the draft is at its end, or never had the revision."""


class TooLong(NotKept):
    """Nothing was kept: what was typed has more than `limit` characters."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


def keep_edit(draft: Draft, person: User, *, number: int, fields: Mapping[str, str]) -> UnsavedEdit:
    """Keep what a person typed into the edit form, in place of what was kept before. Raises `NotKept`, `TooLong`.

    `number` is the revision it was typed against, `fields` the fields of the form as typed.
    """
    revision = Revision.objects.filter(draft_id=draft.pk, number=number).first()
    if revision is None:
        raise NotKept
    typed = {name: fields.get(name, "") for name in EDITED_FIELDS}
    if sum(map(len, typed.values())) > KEPT_CHARACTERS:
        raise TooLong(KEPT_CHARACTERS)
    return _keep(draft, person, revision=revision, fields=typed)


def keep_reason(draft: Draft, person: User, reason: str) -> UnsavedEdit:
    """Keep a reason or note that a person began. Raises `NotKept`."""
    return _keep(draft, person, reason=reason)


def _keep(draft: Draft, person: User, **what: object) -> UnsavedEdit:
    if draft.state not in KEPT_STATES:
        raise NotKept
    values = what | {"kept_at": database_now()}
    row, _made = UnsavedEdit.objects.update_or_create(draft=draft, person=person, defaults=values)
    return row


def edit_of(draft: Draft, person: User) -> UnsavedEdit | None:
    """The edit that a person did not save, with the revision it was typed against."""
    return (
        UnsavedEdit.objects.select_related("revision")
        .filter(draft=draft, person=person, revision__isnull=False)
        .first()
    )


def noted(drafts: QuerySet[Draft], person: Person) -> QuerySet[Draft]:
    """The drafts with what this person left at each, or None: `unsaved_edit_at`, `unsaved_fields`, `unsaved_reason`."""
    own = UnsavedEdit.objects.filter(draft=OuterRef("pk"), person_id=person.pk)
    return drafts.annotate(
        unsaved_edit_at=Subquery(own.filter(revision__isnull=False).values("kept_at")[:1]),
        unsaved_fields=Subquery(own.filter(revision__isnull=False).values("fields")[:1]),
        unsaved_reason=Subquery(own.values("reason")[:1]),
    )


def discard_edit(draft_id: int, person: User) -> None:
    """Drop what a person typed into the edit form; a reason stays."""
    own = UnsavedEdit.objects.filter(draft_id=draft_id, person=person)
    own.filter(reason="").delete()
    own.update(revision=None, fields={})


def discard(draft_id: int, person: User) -> None:
    """Drop all that a person typed about a draft: they decided about it."""
    UnsavedEdit.objects.filter(draft_id=draft_id, person=person).delete()


def forget_old() -> int:
    """Drop what was left for `DAYS` days, and what is empty; how many."""
    old = Q(kept_at__lt=database_now() - timedelta(days=DAYS)) | Q(revision__isnull=True, reason="")
    return UnsavedEdit.objects.filter(old).delete()[0]
