"""Reads for the pages about mail that left a mailbox and that no decision allowed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals.models import SentMessage
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere

ROWS = 20
NAMED = 5


def visible_items(person: Person) -> QuerySet[SentMessage]:
    """What was sent elsewhere from the mailboxes that a person sees."""
    found = SentMessage.objects.filter(send__isnull=True)
    if may_everywhere(person, Right.SEE):
        return found
    return found.filter(mailbox_id__in=mailbox_ids_with(person, Right.SEE))


def items_page(
    person: Person, *, is_acknowledged: bool, after: tuple[datetime, int] | None = None
) -> tuple[list[SentMessage], bool]:
    """One page of them, the newest first; whether there are more."""
    found = visible_items(person).filter(acknowledged_at__isnull=not is_acknowledged)
    if after is not None:
        at, item_id = after
        found = found.filter(noted_at__lte=at).filter(Q(noted_at__lt=at) | Q(noted_at=at, pk__lt=item_id))
    rows = list(_with_message(found).order_by("-noted_at", "-pk")[: ROWS + 1])
    return rows[:ROWS], len(rows) > ROWS


def newest_open(person: Person) -> list[SentMessage]:
    """The newest ones that nobody acknowledged, as many as the operations page names."""
    return items_page(person, is_acknowledged=False)[0][:NAMED]


def item_for(person: Person, public_id: UUID) -> SentMessage | None:
    return _with_message(visible_items(person)).filter(public_id=public_id).first()


def _with_message(found: QuerySet[SentMessage]) -> QuerySet[SentMessage]:
    return found.select_related("message", "mailbox", "draft", "acknowledged_by").defer(
        "draft__search_text", "draft__thread_pinned"
    )
