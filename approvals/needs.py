"""Reads for the pages about mail that only a person may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from agentmail.models import Message
from approvals.models import NeedsPerson, NeedsPersonState
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere

ROWS = 50
MESSAGES = 200


@dataclass(frozen=True, slots=True)
class NeedsPage:
    rows: Sequence[NeedsPerson]
    subjects: dict[int, str]
    has_more: bool


def visible_needs(person: Person) -> QuerySet[NeedsPerson]:
    if may_everywhere(person, Right.SEE):
        return NeedsPerson.objects.all()
    return NeedsPerson.objects.filter(mailbox_id__in=mailbox_ids_with(person, Right.SEE))


def needs_page(person: Person, state: NeedsPersonState, after: tuple[datetime, int] | None) -> NeedsPage:
    """One page of items, newest first, with the subject of the message that each is about."""
    found = visible_needs(person).filter(state=state)
    if after is not None:
        at, item_id = after
        beyond = Q(opened_at__lt=at) | Q(opened_at=at, pk__lt=item_id)
        found = found.filter(beyond, opened_at__lte=at)
    rows = list(found.select_related("mailbox", "closed_by").order_by("-opened_at", "-pk")[: ROWS + 1])
    messages = Message.objects.filter(
        mailbox_id__in={row.mailbox_id for row in rows},
        provider_id__in={row.message_id for row in rows if row.message_id},
    ).values_list("mailbox_id", "provider_id", "subject")
    subjects = {(mailbox_id, provider_id): subject for mailbox_id, provider_id, subject in messages}
    return NeedsPage(
        rows[:ROWS],
        {row.pk: subjects.get((row.mailbox_id, row.message_id), "") for row in rows},
        len(rows) > ROWS,
    )


def needs_person_for(person: Person, public_id: UUID) -> NeedsPerson | None:
    return (
        visible_needs(person)
        .select_related("mailbox", "draft", "closed_by")
        .filter(public_id=public_id)
        .first()
    )


def messages_of(item: NeedsPerson) -> list[Message]:
    """The newest `MESSAGES` messages of the conversation, oldest first."""
    found = Message.objects.filter(mailbox_id=item.mailbox_id)
    found = (
        found.filter(thread_id=item.thread_id)
        if item.thread_id
        else found.filter(provider_id=item.message_id)
    )
    return list(found.order_by("-date", "-pk")[:MESSAGES])[::-1]
