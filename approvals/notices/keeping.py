"""The one way that notices are kept and closed: in the transaction of the caller, with what is to be delivered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet

from approvals.models import Draft
from approvals.notices.audience import people_for
from approvals.notices.kinds import KINDS
from approvals.notices.models import (
    How,
    Notice,
    NoticeCard,
    NoticeChannel,
    NoticeKind,
    NoticeMail,
)
from approvals.notices.wishes import how_of, wishes_of
from audit.clock import database_now

KEPT_DAYS = 90


def notify(
    kind: NoticeKind,
    *,
    key: str,
    path: str,
    mailbox_id: int | None,
    draft: Draft | None = None,
    person_id: int | None = None,
    first_person_id: int | None = None,
    is_urgent: bool = False,
    event: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Notice | None:
    """Tell people of something, once: None when a notice about the same thing is open.

    `key` names the thing, `path` is the page of it (never an address that decides). Without `person_id` everybody
    with the right of the kind on the mailbox is told, or on any mailbox when it is None; `first_person_id` is written
    to before the others. Nothing leaves here: mails and cards are rows that a worker delivers after the commit.
    Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a notice is kept in the transaction of what it is about"
        )
    now = database_now()
    try:
        with transaction.atomic():
            notice = Notice.objects.create(
                key=key,
                kind=kind,
                event=event or key,
                mailbox_id=mailbox_id,
                draft=draft,
                person_id=person_id,
                is_urgent=is_urgent,
                path=path,
                facts=dict(facts or {}),
                made_at=now,
            )
    except IntegrityError:
        if Notice.objects.filter(key=key, closed_at__isnull=True).exists():
            return None
        raise
    _keep_mails(notice, first_person_id, now)
    _keep_cards(notice, now)
    return notice


def close(rows: QuerySet[Notice], *, by: str, settled: str) -> int:
    """Close the open ones of some notices, because the thing was settled; how many.

    What did not begin to leave does not leave any more, and every card that was put up says how it was settled; one of
    several notices does once the last of them is.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a notice is closed in the transaction of what closed it"
        )
    ids = list(rows.filter(closed_at__isnull=True).values_list("pk", flat=True))
    if not ids:
        return 0
    now = database_now()
    Notice.objects.filter(pk__in=ids, closed_at__isnull=True).update(
        closed_at=now, closed_by=by[:256], settled=settled[:32]
    )
    NoticeMail.objects.filter(notice__in=ids, delivered_at__isnull=True, message__isnull=True).delete()
    cards = NoticeCard.objects.filter(
        Q(notice__in=ids, bundle__isnull=True) | Q(bundle__in=_settled_bundles(ids))
    )
    cards.filter(tries=0, shown=0).update(wanted=2, next_try_at=None)
    cards.filter(Q(shown=1, given_up_at__isnull=True) | Q(tries__gt=0, next_try_at__isnull=False)).update(
        wanted=2, next_try_at=now
    )
    return len(ids)


def _settled_bundles(ids: list[int]) -> list[UUID]:
    """The bundles of cards that some notices are in, and no open one any more."""
    bundles = NoticeCard.objects.filter(bundle__isnull=False)
    touched = set(bundles.filter(notice__in=ids).values_list("bundle", flat=True))
    still = bundles.filter(bundle__in=touched, notice__closed_at__isnull=True).values_list(
        "bundle", flat=True
    )
    return [bundle for bundle in touched.difference(still) if bundle is not None]


def forget_old() -> int:
    """Delete what was settled, or only told, more than KEPT_DAYS ago, with its mails and cards; how many notices."""
    old = database_now() - timedelta(days=KEPT_DAYS)
    told = [kind for kind, entry in KINDS.items() if entry.is_information]
    rows = Notice.objects.filter(Q(closed_at__lt=old) | Q(kind__in=told, made_at__lt=old))
    _count, by_model = rows.delete()
    NoticeCard.objects.filter(notice__isnull=True, made_at__lt=old).delete()
    return by_model.get("approvals.Notice", 0)


def _keep_mails(notice: Notice, first_person_id: int | None, now: datetime) -> None:
    told = people_for(notice)
    told.sort(key=lambda person: person.pk != first_person_id)
    before: set[int] = set()
    if notice.event != notice.key:
        others = NoticeMail.objects.filter(notice__event=notice.event)
        before = set(others.values_list("person_id", flat=True))
    mails = []
    for person in told:
        how = how_of(wishes_of(person), notice.kind)
        if how is How.NOT or not person.email or person.pk in before:
            continue
        is_at_once = how is How.AT_ONCE
        mails.append(
            NoticeMail(
                notice=notice, person=person, how=how, made_at=now, next_try_at=now if is_at_once else None
            )
        )
    NoticeMail.objects.bulk_create(mails)


def _keep_cards(notice: Notice, now: datetime) -> None:
    if notice.person_id is not None or not KINDS[NoticeKind(notice.kind)].is_for_channels:
        return
    channels = NoticeChannel.objects.filter(is_on=True)
    if notice.mailbox_id is not None:
        channels = channels.filter(Q(mailbox__isnull=True) | Q(mailbox_id=notice.mailbox_id))
    before: set[int] = set()
    if notice.event != notice.key:
        others = NoticeCard.objects.filter(notice__event=notice.event)
        before = set(others.values_list("channel_id", flat=True))
    NoticeCard.objects.bulk_create(
        NoticeCard(channel=channel, notice=notice, made_at=now, next_try_at=now)
        for channel in channels.order_by("pk")
        if notice.kind in channel.kinds and channel.pk not in before
    )
