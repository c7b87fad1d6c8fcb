"""Cancelling everything that waits in a mailbox, one draft at a time, so that each is on record by itself."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.models import Draft
from approvals.states import OPEN_DRAFT_STATES
from approvals.transitions import drafts
from audit.clock import database_now

# A request ends so many; the rest waits for the next one, which the page offers.
CANCELLED_AT_ONCE = 200


class CountChanged(Exception):
    """The mailbox holds another number of open drafts than the person confirmed; nothing was cancelled."""

    def __init__(self, count: int) -> None:
        super().__init__(
            _("There are %(count)d drafts by now; look again and confirm that number.") % {"count": count}
        )
        self.count = count


class Interrupted(Exception):
    """The run stopped after `cancelled` drafts, which stay cancelled; the chained cause is what stopped it."""

    def __init__(self, cancelled: int) -> None:
        super().__init__(f"stopped after {cancelled}")
        self.cancelled = cancelled


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What one step did: drafts cancelled, drafts that were decided or expired meanwhile, drafts that still wait."""

    cancelled: int
    left_alone: int
    remaining: int


def open_in(mailbox: Mailbox) -> QuerySet[Draft]:
    """What cancelling all would end, the next to expire first.

    Neither approved mail that waits to leave is among it, nor a draft whose time is over: that one expires.
    """
    return Draft.objects.filter(
        mailbox=mailbox,
        state__in=OPEN_DRAFT_STATES,
        current_revision__isnull=False,
        expires_at__gt=database_now(),
    ).order_by("expires_at", "pk")


def cancel_all(
    mailbox: Mailbox, *, person: User, confirmed: int, reason: str, at_once: int = CANCELLED_AT_ONCE
) -> Cancelled:
    """End up to `at_once` open drafts of a mailbox, each in its own transaction with its own entry.

    `confirmed` is the number the person saw. Raises CountChanged, NotAllowed or DatabaseError with nothing done;
    Interrupted when the right or the database was lost on the way.
    """
    found = open_in(mailbox)
    count = found.count()
    if count != confirmed:
        raise CountChanged(count)
    cancelled = left_alone = 0
    for draft_id in list(found.values_list("pk", flat=True)[:at_once]):
        try:
            was_open = drafts.cancel(draft_id, person=person, reason=reason)
        except (drafts.NotAllowed, DatabaseError) as error:
            if cancelled:
                raise Interrupted(cancelled) from error
            raise
        cancelled += was_open
        left_alone += not was_open
    return Cancelled(cancelled, left_alone, open_in(mailbox).count())
