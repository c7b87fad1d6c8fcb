"""Who is told of a notice, and which notices a person sees: asked of the rights of now, each time."""

from __future__ import annotations

from collections import defaultdict

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from approvals.models import Membership
from approvals.notices.kinds import KINDS
from approvals.notices.models import Notice, NoticeKind
from approvals.people import Person, Right, mailbox_ids_with, may, may_everywhere, roles_with

# What a notice of all mailboxes has for a mailbox; no mailbox has this key.
ALL = 0


def people_for(notice: Notice) -> list[User]:
    """The people who are told of a notice now, each once; for a person's own that one, while they have the right."""
    right = KINDS[NoticeKind(notice.kind)].right
    memberships = Membership.objects.filter(role__in=roles_with(right))
    if notice.mailbox_id is not None:
        memberships = memberships.filter(Q(mailbox__isnull=True) | Q(mailbox_id=notice.mailbox_id))
    found = User.objects.filter(is_active=True, pk__in=memberships.values("user_id"))
    if notice.person_id is not None:
        found = found.filter(pk=notice.person_id)
    return list(found.select_related("notice_settings").order_by("pk"))


def is_for(notice: Notice, person: Person) -> bool:
    """Whether a person is told of a notice, by the rights that were read for `person`."""
    if notice.person_id not in (None, person.pk):
        return False
    return may(person, KINDS[NoticeKind(notice.kind)].right, notice.mailbox_id)


def visible_notices(person: Person) -> QuerySet[Notice]:
    """The notices that a person may see: their own, and those of the mailboxes on which they have the right."""
    kinds_by_right: dict[Right, list[str]] = defaultdict(list)
    for kind, entry in KINDS.items():
        kinds_by_right[entry.right].append(kind)
    found = Q(pk__in=[])
    for right, kinds in kinds_by_right.items():
        if may_everywhere(person, right):
            found |= Q(kind__in=kinds)
        elif may(person, right):
            ids = mailbox_ids_with(person, right)
            found |= Q(kind__in=kinds, of_mailbox__in=[ALL, *ids])
    # Written so that no index of persons or mailboxes is walked: lists are cut from the newest end.
    whose = Coalesce(F("person_id"), Value(person.pk))
    of_mailbox = Coalesce(F("mailbox_id"), Value(ALL))
    return Notice.objects.alias(whose=whose, of_mailbox=of_mailbox).filter(found, whose=person.pk)
