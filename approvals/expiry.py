"""When a draft that waits is near its end: one rule for the mark on the pages and for the warning that people get."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from agentmail.models import Mailbox
from approvals.models import Draft

# How much of its time is over when a draft that waits is marked.
WARNED_SHARE = 0.75


def life_of(draft: Draft) -> timedelta:
    """How long a draft waits in all since it was last put up; what came back from its agent waits anew."""
    return min(draft.expires_at - draft.arrived_at, timedelta(hours=draft.mailbox.expiry_hours))


def is_near(draft: Draft, now: datetime) -> bool:
    """Whether three quarters of the time in which a draft can be decided are over."""
    return now >= draft.expires_at - life_of(draft) * (1 - WARNED_SHARE)


def may_be_near(now: datetime) -> Q:
    """Finds every draft that is near its end, by the index of the expiry, and few others: ask `is_near` of each."""
    hours = Mailbox.objects.values_list("expiry_hours", flat=True).distinct()
    found = Q(pk__in=[])
    for whole in hours:
        left = timedelta(hours=whole) * (1 - WARNED_SHARE)
        found |= Q(mailbox__expiry_hours=whole, expires_at__lte=now + left)
    return found
