"""Keeping all senders together under the provider's limit of sends per second."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from approvals.models import Pace
from audit.clock import database_now

SENDS = "sends"


def reserve_send(longest_seconds: float) -> float:
    """Take the next free moment for a send over all processes; the seconds until it comes.

    A moment that is further away than `longest_seconds` is not taken: whoever does not wait for it must not push
    the others back. The provider counts the sends of one application, whatever the mailbox (nylas-v3 section 10).
    """
    if not settings.SENDS_PER_SECOND:
        return 0.0
    with transaction.atomic():
        pace, _ = Pace.objects.select_for_update().get_or_create(
            name=SENDS, defaults={"next_at": database_now()}
        )
        now = database_now()
        turn = timedelta(seconds=1 / settings.SENDS_PER_SECOND)
        moment = max(now, pace.next_at)
        if moment > now + timedelta(seconds=longest_seconds) + turn:
            # Nobody takes a moment so far ahead: the clock of the database was set back.
            moment = now
        if (moment - now).total_seconds() > longest_seconds:
            return (moment - now).total_seconds()
        Pace.objects.filter(pk=pace.pk).update(next_at=moment + turn)
    return (moment - now).total_seconds()
