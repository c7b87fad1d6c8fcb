"""The notices of a person in the desk: what is unread, a page of them, and marking them as read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan

from approvals.notices import wishes
from approvals.notices.audience import visible_notices
from approvals.notices.models import Notice, NoticeRead, NoticeSettings
from approvals.people import Person
from audit.clock import database_now

PAGE = 30


@dataclass(frozen=True, slots=True)
class NoticePage:
    """`rows` carry `is_unread`."""

    rows: Sequence[Notice]
    has_more: bool


def unread_notices(person: Person) -> QuerySet[Notice]:
    """The open notices that a person has not marked as read: what the bar counts."""
    return visible_notices(person).filter(_is_unread(person))


def notice_page(person: Person, *, is_all: bool, before: int = 0) -> NoticePage:
    """One page, newest first: the unread ones, or all; `before` is the number of the last row of the page before."""
    found = visible_notices(person) if is_all else unread_notices(person)
    if before:
        found = found.filter(pk__lt=before)
    shown = found.annotate(is_unread=_is_unread(person)).select_related("mailbox")
    rows = list(shown.order_by("-pk")[: PAGE + 1])
    return NoticePage(rows[:PAGE], len(rows) > PAGE)


def mark_read(person: User, public_id: UUID) -> bool:
    """Mark one notice as read; False when it is not there or not for this person."""
    notice = visible_notices(person).filter(public_id=public_id).first()
    if notice is None:
        return False
    NoticeRead.objects.get_or_create(notice=notice, person=person, defaults={"at": database_now()})
    return True


def mark_all_read(person: User, up_to: int) -> None:
    """Mark every notice up to the number of one that the person saw as read; what came after it stays unread."""
    with transaction.atomic():
        newest = Notice.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        kept = wishes.stored_for(person)
        NoticeSettings.objects.filter(pk=kept.pk, read_up_to__lt=min(up_to, newest)).update(
            read_up_to=min(up_to, newest)
        )
        NoticeRead.objects.filter(person=person, notice_id__lte=min(up_to, newest)).delete()


def _is_unread(person: Person) -> Q:
    read_up_to = NoticeSettings.objects.filter(person_id=person.pk).values("read_up_to")[:1]
    marked = NoticeRead.objects.filter(notice=OuterRef("pk"), person_id=person.pk)
    limit = Coalesce(Subquery(read_up_to), Value(0), output_field=BigIntegerField())
    return Q(closed_at__isnull=True) & Q(GreaterThan(F("pk"), limit)) & ~Q(Exists(marked))
