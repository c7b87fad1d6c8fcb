"""Stopping a mailbox by itself when what it sends comes back, is complained about, fails, or leaves far too fast.

What is counted begins anew with the last time that sending from the mailbox was allowed again.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from agentmail.types import ReplyClass
from approvals import switchboard
from approvals.models import Attempt, OutcomeKind, Send
from approvals.states import AttemptState
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import switch, trips
from policies.models import TripLimits

logger = logging.getLogger(__name__)

# One report alone never stops a mailbox, however few were sent.
FEWEST_REPORTS = 2
USUAL_DAYS = 7
# In so many minutes something must have been sent before there is a usual pace; until then the caps are the guard.
USUAL_MINUTES = 10
_FAILED = (AttemptState.REFUSED, AttemptState.UNKNOWN, AttemptState.OVERRIDDEN, AttemptState.CLOSED)
# Answers about the pace, the key or a draft that is gone say nothing about what is sent.
_HARMLESS = (ReplyClass.RATE_LIMITED, ReplyClass.UNAUTHENTICATED, ReplyClass.GONE)


@dataclass(frozen=True, slots=True)
class Trip:
    """Why a mailbox is to be stopped: the cause, and a sentence with what was measured."""

    cause: str
    sentence: str
    measured: dict[str, int]


def check_all() -> int:
    """Ask every mailbox that sent something lately; how many were stopped."""
    now = database_now()
    since = now - timedelta(hours=trips.LIMITS["complaint_hours"][1])
    recent = Attempt.objects.filter(request_started_at__gte=since).order_by().values("send__mailbox_id")
    stopped = 0
    for mailbox in Mailbox.objects.filter(pk__in=recent, is_enabled=True):
        try:
            stopped += check(mailbox)
        except Exception:
            # One mailbox that cannot be measured or stopped must not leave the others unwatched.
            logger.exception("mailbox %s could not be checked; the next sweep tries it again", mailbox.pk)
    return stopped


def check(mailbox: Mailbox) -> bool:
    """Stop the mailbox when a limit is passed, once until somebody allows it again; whether it was stopped now."""
    found = measured_trip(mailbox)
    if found is None:
        return False

    def note() -> None:
        record(
            "policies.switch.tripped",
            actor=SYSTEM,
            mailbox_id=mailbox.pk,
            outcome=found.cause,
            reason=found.sentence,
            data=found.measured,
        )

    return switchboard.stop_as(SYSTEM, mailbox.scope, reason=found.sentence, within=note).is_news


def measured_trip(mailbox: Mailbox) -> Trip | None:
    """The first limit that the mailbox passes now; None while it passes none, or is stopped already."""
    limits = trips.of(mailbox.pk)
    standing = switch.standing(mailbox.scope)
    if not limits.is_on or standing.is_engaged:
        return None
    now = database_now()
    for measure in (_bounces, _complaints, _failures, _pace):
        found = measure(mailbox, limits, now, standing.released_at)
        if found is not None:
            return found
    return None


def _begin(now: datetime, hours: int, released_at: datetime | None) -> datetime:
    begin = now - timedelta(hours=hours)
    return max(begin, released_at) if released_at is not None else begin


def _reported(mailbox: Mailbox, kind: OutcomeKind, begin: datetime) -> tuple[int, int]:
    """How many mails were accepted since, and of how many of them such a report came."""
    accepted = Send.objects.filter(mailbox=mailbox, accepted_at__gte=begin)
    return accepted.count(), accepted.filter(outcomes__kind=kind).distinct().count()


def _bounces(
    mailbox: Mailbox, limits: TripLimits, now: datetime, released_at: datetime | None
) -> Trip | None:
    begin = _begin(now, limits.window_hours, released_at)
    sent, bounced = _reported(mailbox, OutcomeKind.HARD_BOUNCE, begin)
    if sent < limits.bounce_sample or bounced < FEWEST_REPORTS:
        return None
    if bounced * 100 <= limits.bounce_percent * sent:
        return None
    sentence = _(
        "%(bounced)d of %(sent)d mails of the last %(hours)d h bounced hard, more than %(limit)d %%."
    ) % {"bounced": bounced, "sent": sent, "hours": limits.window_hours, "limit": limits.bounce_percent}
    return Trip(
        "bounces", sentence, {"bounced": bounced, "sent": sent, "limit_percent": limits.bounce_percent}
    )


def _complaints(
    mailbox: Mailbox, limits: TripLimits, now: datetime, released_at: datetime | None
) -> Trip | None:
    begin = _begin(now, limits.complaint_hours, released_at)
    sent, complained = _reported(mailbox, OutcomeKind.COMPLAINT, begin)
    if sent < limits.complaint_sample or complained < FEWEST_REPORTS:
        return None
    if complained * 1000 <= limits.complaints_per_thousand * sent:
        return None
    sentence = _(
        "%(complained)d of %(sent)d mails of the last %(hours)d h were complained about, more than %(limit)d "
        "of a thousand."
    ) % {
        "complained": complained,
        "sent": sent,
        "hours": limits.complaint_hours,
        "limit": limits.complaints_per_thousand,
    }
    return Trip(
        "complaints",
        sentence,
        {"complained": complained, "sent": sent, "limit_per_thousand": limits.complaints_per_thousand},
    )


def _failures(
    mailbox: Mailbox, limits: TripLimits, now: datetime, released_at: datetime | None
) -> Trip | None:
    begin = _begin(now, limits.window_hours, released_at)
    ended = Attempt.objects.filter(
        send__mailbox=mailbox, request_started_at__gte=begin, finished_at__isnull=False
    )
    failed: set[int] = set()
    # A send that cannot reach the provider is tried four times, and is one failure.
    newest = ended.order_by("-request_started_at", "-pk").values_list("send_id", "state", "reply_class")
    for send_id, state, reply_class in newest[: limits.failures_in_a_row * 8]:
        if state == AttemptState.ACCEPTED:
            return None
        is_failure = state in _FAILED or reply_class == ReplyClass.NOT_STARTED
        if is_failure and reply_class not in _HARMLESS:
            failed.add(send_id)
        if len(failed) >= limits.failures_in_a_row:
            sentence = _("%(count)d sends in a row failed, the latest among them.") % {"count": len(failed)}
            return Trip("failures", sentence, {"in_a_row": len(failed), "limit": limits.failures_in_a_row})
    return None


def _pace(mailbox: Mailbox, limits: TripLimits, now: datetime, released_at: datetime | None) -> Trip | None:
    minute = timedelta(minutes=1)
    begin = max(now - minute, released_at) if released_at is not None else now - minute
    begun = Attempt.objects.filter(send__mailbox=mailbox).exclude(state=AttemptState.NOT_STARTED)
    count = begun.filter(request_started_at__gte=begin).count()
    if count <= limits.pace_minimum:
        return None
    earlier = begun.filter(
        request_started_at__gte=now - timedelta(days=USUAL_DAYS), request_started_at__lt=now - minute
    ).values_list("request_started_at", flat=True)
    minutes = Counter(at.replace(second=0, microsecond=0) for at in earlier.iterator(chunk_size=2000))
    if len(minutes) < USUAL_MINUTES:
        return None
    usual = int(median(minutes.values()))
    if count <= limits.pace_factor * usual:
        return None
    sentence = _(
        "%(count)d sends within a minute; usual are %(usual)d in a minute with sends, of the last %(days)d days."
    ) % {"count": count, "usual": usual, "days": USUAL_DAYS}
    return Trip("pace", sentence, {"count": count, "usual": usual, "factor": limits.pace_factor})
