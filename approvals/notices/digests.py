"""The digest of a person: how many drafts wait for them, and what happened that they are not told of at once."""

from __future__ import annotations

import logging
from datetime import datetime

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from approvals.models import Draft, Membership
from approvals.notices import audience, keeping, wishes
from approvals.notices.models import DigestRhythm, How, Notice, NoticeKind, NoticeMail, NoticeSettings
from approvals.people import Right
from approvals.queries import visible_drafts
from approvals.states import DraftState
from audit.clock import database_now

logger = logging.getLogger(__name__)

COUNTED = 1000
AT_ONCE = 200


def make_due() -> int:
    """Make the digests that are due, each in a transaction of its own; how many had something to say."""
    _give_rhythm()
    due = NoticeSettings.objects.filter(next_digest_at__lte=database_now()).order_by("next_digest_at")
    made = 0
    for pk in list(due.values_list("pk", flat=True)[:AT_ONCE]):
        try:
            made += _make(pk)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # The digest of one person must not keep the others from theirs.
            logger.exception("digest of %s could not be made", pk)
    return made


def _give_rhythm() -> None:
    """Let everybody who has a role be told by the defaults until they choose otherwise."""
    rows = User.objects.filter(
        is_active=True, notice_settings__isnull=True, pk__in=Membership.objects.values("user_id")
    )
    for person in rows[:AT_ONCE]:
        wishes.stored_for(person)


def _make(pk: int) -> bool:
    with transaction.atomic():
        found = NoticeSettings.objects.select_for_update(of=("self",)).select_related("person").get(pk=pk)
        now = database_now()
        if found.next_digest_at is None or found.next_digest_at > now:
            return False
        since = found.last_digest_at or now
        NoticeSettings.objects.filter(pk=pk).update(
            last_digest_at=now, next_digest_at=wishes.next_digest(found, now)
        )
        person = found.person
        if not person.is_active:
            return False
        waiting = _waiting_for(person, now)
        count = _count(waiting)
        new = _count(waiting.filter(arrived_at__gt=since))
        carried = NoticeMail.objects.filter(
            person=person,
            how=How.DIGEST,
            delivered_at__isnull=True,
            notice__in=audience.visible_notices(person).filter(closed_at__isnull=True),
        )
        if not (new or carried.exists() or (count and found.digest == DigestRhythm.DAILY)):
            return False
        first = waiting.order_by("expires_at").values_list("expires_at", flat=True).first()
        older = Notice.objects.filter(kind=NoticeKind.DIGEST, person=person)
        keeping.close(older, by="", settled="newer")
        notice = keeping.notify(
            NoticeKind.DIGEST,
            key=f"digest:{person.pk}",
            path=reverse("approvals:queue" if count else "approvals:notices"),
            mailbox_id=None,
            person_id=person.pk,
            facts={
                "waiting": count,
                "new": new,
                "limit": COUNTED,
                "expires_at": first.isoformat() if first is not None else "",
            },
        )
        if notice is not None:
            carried.update(digest=notice)
        return notice is not None


def has_something_to_say(digest: Notice, person: User) -> bool:
    """Whether a digest that was made still says anything, with rights and drafts as they are now."""
    return bool(carried_by(digest, person)) or _waiting_for(person, database_now()).exists()


def carried_by(digest: Notice, person: User) -> list[Notice]:
    """What happened that a digest tells of, oldest first: what is open, or was when its mail was first tried."""
    rows = NoticeMail.objects.filter(digest=digest, person=person).filter(
        Q(notice__closed_at__isnull=True) | Q(message__isnull=False)
    )
    found = rows.select_related("notice__mailbox").order_by("notice_id")
    return [row.notice for row in found if audience.is_for(row.notice, person)]


def _waiting_for(person: User, now: datetime) -> QuerySet[Draft]:
    return visible_drafts(person, Right.DECIDE).filter(state=DraftState.PENDING, expires_at__gt=now)


def _count(rows: QuerySet[Draft]) -> int:
    return rows.order_by()[:COUNTED].count()
