"""The work of a worker in a loop: what the broker's messages and the clock make a real one do."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from django.db import DatabaseError

from agentmail.exceptions import ProviderError
from approvals import dispatch, lookup, outcomes, sweeps
from approvals.models import Send
from approvals.states import SendState
from approvals.transitions.moves import LostRace
from audit.clock import database_now
from policies.locks import LocksUnavailable

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.03
AT_ONCE = 20
# What a task of a real worker may end with: the message is spent, and the sweep tries again.
EXPECTED = (LostRace, LocksUnavailable, DatabaseError, ProviderError)


def work_for_ever(seed: int) -> None:
    """Do all that a worker of the desk does, the order of sends shuffled as a broker would."""
    order = random.Random(seed)
    while True:
        if not work_once(order):
            time.sleep(IDLE_SECONDS)


def work_once(order: random.Random) -> bool:
    """Make one round over everything that is due; whether there was anything."""
    busy = False
    for sweep in (
        sweeps.hold_while_stopped,
        sweeps.run_out_approvals,
        sweeps.abandoned_sends,
        sweeps.unknown_sends,
        sweeps.unfinished_sends,
    ):
        try:
            busy |= bool(sweep())
        except EXPECTED:
            logger.info("a sweep is tried again", exc_info=True)
    due = sweeps.due_sends(AT_ONCE)
    order.shuffle(due)
    for send_id in due:
        busy |= _try(dispatch.dispatch, send_id)
    for event_id in sweeps.waiting_events(AT_ONCE):
        busy |= _try(outcomes.process, event_id)
    return busy


def finish_one(send_id: int) -> None:
    """Bring one send to rest: dispatch it, look it up while look-ups are due, do what follows."""
    dispatch.dispatch(send_id)
    while True:
        send = Send.objects.get(pk=send_id)
        if send.state != SendState.UNKNOWN or send.next_lookup_at is None:
            return
        if send.next_lookup_at <= database_now():
            lookup.look_up(send_id)
        else:
            time.sleep(IDLE_SECONDS)


def _try(act: Callable[[int], object], row_id: int) -> bool:
    try:
        return bool(act(row_id))
    except EXPECTED:
        logger.info("row %s is tried again", row_id, exc_info=True)
        return True
