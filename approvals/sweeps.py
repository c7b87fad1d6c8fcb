"""What runs by the clock. Every sweep finds its work in the database, so a lost nudge costs only its delay."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from agentmail import mirror
from agentmail.client import configured_client
from agentmail.exceptions import (
    NotFound,
    ProviderError,
    ProviderNotConfigured,
    RequestRefused,
    Unauthenticated,
)
from agentmail.models import EventState, GrantState, Mailbox, ProviderEvent
from approvals import (
    decisions,
    evaluations,
    intake,
    lookup,
    mailboxes,
    message_parts,
    notifications,
    outcomes,
    risk,
    together,
)
from approvals.dispatch import finish, lock_name
from approvals.models import Draft, Heartbeat, Send
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from approvals.transitions import claims, drafts, sends
from approvals.transitions.moves import LostRace
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import locks, switch

logger = logging.getLogger(__name__)

BATCH = 500
# How long one sweep asks the provider before it leaves the rest to the next one.
PROVIDER_SECONDS = 60.0
# How long one sweep tells risks before it leaves the rest to the next one.
RISK_SECONDS = 5.0
# The first question of a poll; a provider that does not answer it in time is not asked the others.
GRANT_READ_SECONDS = 15.0


def due_sends(limit: int = BATCH) -> list[int]:
    """The sends that may be tried now: queued and due, or unknown with a resend that a person authorised."""
    now = database_now()
    queued = Q(state=SendState.QUEUED, held="", next_attempt_at__lte=now)
    resent = Q(state=SendState.UNKNOWN, resend_at__isnull=False)
    rows = Send.objects.filter(queued | resent).order_by("next_attempt_at", "id")
    return list(rows.values_list("pk", flat=True)[:limit])


def abandoned_sends() -> int:
    """Turn dispatched sends whose worker is gone into unknown ones; how many.

    A worker keeps the lock of its send from before the claim until the reply is written, so a free lock proves
    that it is gone. One that is frozen but alive keeps it, and its send stays as it is.
    """
    found = 0
    for send_id in Send.objects.filter(state=SendState.DISPATCHED).values_list("pk", flat=True)[:BATCH]:
        with locks.hold(lock_name(send_id)) as lock:
            if lock is not None:
                found += sends.abandon(send_id)
    return found


def hold_while_stopped() -> int:
    """Hold what is queued while a stop is in force that no switch row tells of, such as the stop file."""
    reading = switch.read([switch.GLOBAL])
    if reading.is_open:
        return 0
    with transaction.atomic():
        held = sends.hold_queued({}, "blocked_kill_switch")
        if held:
            record(
                "approvals.send.held",
                actor=SYSTEM,
                outcome="blocked_kill_switch",
                reason=reading.sentence,
                data={"count": held},
            )
        return held


def expired_drafts() -> int:
    """Cancel the open drafts whose time is over; how many."""
    rows = Draft.objects.filter(state__in=OPEN_DRAFT_STATES, expires_at__lte=database_now())
    return _each(rows.values_list("pk", flat=True)[:BATCH], drafts.expire)


def untold_risks() -> int:
    """Tell the risk of the drafts that wait without one, such as those from before there was any; how many."""
    return _each(risk.untold(BATCH), risk.keep_of, longest_seconds=RISK_SECONDS)


def lapsed_claims() -> int:
    """End the claims whose time is over, or whose person may not decide any more; how many."""
    rows = together.lapsed_claims(database_now())
    return _each(rows.values_list("draft_id", flat=True)[:BATCH], claims.lapse)


def run_out_approvals() -> int:
    """Void the approvals whose time is over while their sends still wait; how many."""
    now = database_now()
    rows = Send.objects.filter(state=SendState.QUEUED, decision__valid_until__lte=now).exclude(
        valid_until__gt=now
    )
    return _each(rows.values_list("pk", flat=True)[:BATCH], sends.run_out)


def unknown_sends() -> int:
    """Look for evidence about the unknown sends whose next look-up is due; how many were found."""
    rows = Send.objects.filter(
        state=SendState.UNKNOWN, next_lookup_at__lte=database_now(), resend_at__isnull=True
    )
    return _each_alone(
        "unknown", rows.order_by("next_lookup_at").values_list("pk", flat=True)[:BATCH], lookup.look_up
    )


def waiting_events(limit: int = BATCH) -> list[int]:
    """The stored events that were never acted on, or are to be tried again."""
    now = database_now()
    rows = ProviderEvent.objects.filter(state__in=[EventState.STORED, EventState.FAILING]).filter(
        Q(next_attempt_at__lte=now)
        | Q(next_attempt_at__isnull=True, received_at__lte=now - timedelta(seconds=2))
    )
    return list(rows.order_by("id").values_list("pk", flat=True)[:limit])


def due_outcomes() -> int:
    """Ask after accepted sends of which no word came; how many were asked for."""
    rows = Send.objects.filter(next_outcome_poll_at__lte=database_now()).order_by("next_outcome_poll_at")
    return _each_alone("outcomes", rows.values_list("pk", flat=True)[:BATCH], _polled_outcome)


def due_notifications() -> int:
    """Deliver the notifications that are due, one after another; how many were delivered.

    A receiver that hangs keeps one thread, never all that send.
    """
    return _each_alone("notifications", notifications.due(), notifications.deliver)


def unfinished_sends() -> None:
    """Make up for C10 and C11 where a crash or a silent provider left them undone."""
    rows = Send.objects.filter(state=SendState.ACCEPTED, mailbox__grant_state=GrantState.VALID).filter(
        Q(draft_deleted_at__isnull=True) | Q(looked_after_at__isnull=True)
    )
    age = database_now() - timedelta(seconds=settings.SWEEP_SECONDS)
    # The newest first, here and below: what the provider refuses every time must not stand before the rest.
    due = rows.filter(accepted_at__lte=age).order_by("-accepted_at")
    _each_alone("unfinished", due.values_list("pk", flat=True)[:BATCH], _finished)


def rejected_drafts() -> int:
    """Delete rejected and expired drafts at the provider, so that nobody sends them by hand; how many."""
    rows = Draft.objects.filter(
        state__in=[DraftState.REJECTED, DraftState.EXPIRED, DraftState.SUPERSEDED],
        discarded_at__isnull=True,
        mailbox__grant_state=GrantState.VALID,
    ).order_by("-state_changed_at")
    return _each_alone("discard", rows.values_list("pk", flat=True)[:BATCH], _discarded)


def poll_mailbox(mailbox_id: int) -> intake.Polled | None:
    """Bring one mailbox up to date, and note it when the provider refuses it.

    None when that failed, or while another process does it.
    """
    mailbox = Mailbox.objects.get(pk=mailbox_id)
    with locks.hold(f"poll:{mailbox_id}") as lock:
        if lock is None:
            return None
        try:
            return _polled(mailbox)
        except Unauthenticated as error:
            mailboxes.pause(mailbox.pk, why=str(error))
        except ProviderNotConfigured:
            logger.info("no provider is configured; mailbox %s is not polled", mailbox_id)
        except ProviderError as error:
            Mailbox.objects.filter(pk=mailbox.pk).update(trouble=str(error)[:500])
    return None


def _polled(mailbox: Mailbox) -> intake.Polled | None:
    client = configured_client()
    try:
        grant = client.get_grant(mailbox.grant_id, read_timeout=GRANT_READ_SECONDS)
    except NotFound:
        mailboxes.pause(
            mailbox.pk, state=GrantState.REMOVED, why=_("The provider no longer knows the grant.")
        )
        return None
    if not grant.is_valid or grant.is_blocked:
        mailboxes.pause(mailbox.pk, why=_("The provider says the grant is not valid."))
        return None
    mailboxes.recover(mailbox.pk)
    result = intake.poll(mailbox, client)
    message_parts.compare_waiting(mailbox, client)
    try:
        if mirror.store_rule_evaluations(mailbox, client.list_rule_evaluations(mailbox.grant_id)):
            evaluations.explain_earlier(mailbox)
    except (NotFound, RequestRefused):
        # Only some grants have rules.
        logger.info("the provider gives no rule evaluations for mailbox %s", mailbox.pk)
    return result


def beat(kind: str, name: str, **detail: str) -> None:
    """Note that a process is alive."""
    Heartbeat.objects.update_or_create(
        name=name[:100], defaults={"kind": kind, "at": database_now(), "detail": detail}
    )


def _polled_outcome(send_id: int) -> bool:
    outcomes.poll(send_id)
    return True


def _finished(send_id: int) -> bool:
    finish(send_id)
    return True


def _discarded(draft_id: int) -> bool:
    draft = Draft.objects.get(pk=draft_id)
    try:
        decisions.discard_upstream(draft, configured_client())
    except ProviderError:
        logger.warning("draft %s is not deleted upstream yet", draft_id)
        return False
    Draft.objects.filter(pk=draft_id).update(discarded_at=database_now())
    return True


def _each(ids: Iterable[int], act: Callable[[int], bool], *, longest_seconds: float | None = None) -> int:
    done = 0
    began = time.monotonic()
    for row_id in ids:
        if longest_seconds is not None and time.monotonic() - began > longest_seconds:
            break
        try:
            done += act(row_id)
        except LostRace:
            # Somebody else was faster; the next sweep sees what is left.
            logger.info("row %s moved while it was swept", row_id)
        except (OperationalError, InterfaceError):
            # The database itself: the others would fare no better.
            raise
        except Exception:
            # One row that cannot be swept must not keep the others from it, now and every time after.
            logger.exception("row %s could not be swept", row_id)
    return done


def _each_alone(name: str, ids: Iterable[int], act: Callable[[int], bool]) -> int:
    """As `_each`, for work that asks the provider: one process at a time and not for long, because a provider that
    is silent would otherwise take every thread of every worker from what must go on.
    """
    with locks.hold(f"sweep:{name}") as lock:
        return 0 if lock is None else _each(ids, act, longest_seconds=PROVIDER_SECONDS)
