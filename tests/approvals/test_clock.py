"""Deadlines go by the database's clock, whatever this process believes: H4 and H72 (I17)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from agentmail.models import Mailbox
from approvals import decisions, dispatch, pace, sweeps
from approvals.models import Draft, Pace
from approvals.transitions import drafts
from approvals.transitions.drafts import DecisionRefused, DraftExpired
from audit.clock import database_now
from tests.approvals.conftest import age, approve, seen, sent

SHIFTS = pytest.mark.parametrize("hours", [-26, 26], ids=["26h_slow", "26h_fast"])


def shifted(hours: int) -> Any:
    return time_machine.travel(timezone.now() + timedelta(hours=hours))


@SHIFTS
def test_draft_neither_expires_early_nor_lives_on_with_a_wrong_clock(
    agent_writes: Callable[..., Draft], hours: int
) -> None:
    fresh, over = agent_writes(), agent_writes()
    age(fresh, expires_at=timedelta(hours=71))
    age(over, expires_at=timedelta(hours=72, seconds=1))

    with shifted(hours):
        assert sweeps.expired_drafts() == 1

    fresh.refresh_from_db()
    over.refresh_from_db()
    assert (fresh.state, over.state) == ("pending", "expired")


@SHIFTS
def test_expiry_is_counted_from_the_databases_clock(
    mailbox: Mailbox, agent_writes: Callable[..., Draft], hours: int
) -> None:
    before = database_now()

    with shifted(hours):
        draft = agent_writes()

    assert before + timedelta(hours=72) <= draft.expires_at <= database_now() + timedelta(hours=72)


@SHIFTS
def test_expired_draft_cannot_be_approved_with_a_wrong_clock(pending: Draft, alice: User, hours: int) -> None:
    age(pending, expires_at=timedelta(hours=72, seconds=1))

    with shifted(hours), pytest.raises(DraftExpired):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


@SHIFTS
def test_undo_hold_ends_by_the_databases_clock(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, hours: int
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=60)

    with shifted(hours):
        send = approve(pending, alice)
        assert sweeps.due_sends() == []
        assert dispatch.dispatch(send.pk) == "nothing"
        drafts.undo(pending.pk, person=alice)

    assert sandbox.sends() == []


@SHIFTS
def test_undo_after_the_hold_is_refused_with_a_wrong_clock(
    pending: Draft, alice: User, mailbox: Mailbox, hours: int
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=60)
    send = approve(pending, alice)
    age(send, not_before=timedelta(seconds=61), next_attempt_at=timedelta(seconds=61))

    with shifted(hours), pytest.raises(DecisionRefused):
        drafts.undo(pending.pk, person=alice)


@SHIFTS
def test_approval_that_is_valid_is_sent_with_a_wrong_clock(
    pending: Draft, alice: User, sandbox: Any, hours: int
) -> None:
    with shifted(hours):
        send = sent(pending, alice)

    assert send.state == "accepted"
    assert len(sandbox.sends()) == 1
    assert abs(send.accepted_at - database_now()) < timedelta(minutes=5)


@SHIFTS
def test_approval_that_ran_out_is_not_sent_with_a_wrong_clock(
    pending: Draft, alice: User, sandbox: Any, hours: int
) -> None:
    send = approve(pending, alice)
    age(send.decision, valid_until=timedelta(minutes=31))

    with shifted(hours):
        assert dispatch.dispatch(send.pk) == "refused"

    assert sandbox.sends() == []


@pytest.mark.parametrize(
    ("left", "is_allowed"),
    [(timedelta(seconds=2), True), (timedelta(), False), (timedelta(milliseconds=-1), False)],
    ids=["before", "at_the_moment", "just_after"],
)
def test_h4_approval_counts_until_the_deadline_and_not_at_it(
    pending: Draft, alice: User, left: timedelta, is_allowed: bool
) -> None:
    Draft.objects.filter(pk=pending.pk).update(expires_at=database_now() + left)

    if is_allowed:
        assert decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    else:
        with pytest.raises(DraftExpired):
            decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


def test_clock_that_was_set_back_does_not_keep_mail_waiting_for_its_turn(
    pending: Draft, alice: User, sandbox: Any, settings: Any
) -> None:
    settings.SENDS_PER_SECOND = 10
    pace.reserve_send(2.0)
    Pace.objects.update(next_at=F("next_at") + timedelta(hours=26))

    assert sent(pending, alice).state == "accepted"


def test_turn_that_is_taken_is_waited_for(mailbox: Mailbox, settings: Any) -> None:
    settings.SENDS_PER_SECOND = 0.01
    pace.reserve_send(2.0)

    assert 2.0 < pace.reserve_send(2.0) <= 100.0
