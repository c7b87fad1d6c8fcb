"""Whose a draft is: assigned, escalated, snoozed, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agentmail.models import Mailbox
from approvals import decisions
from approvals.models import Draft, Risk, Snooze
from approvals.queries import QueueFilter, queue_page
from approvals.transitions import assignments, drafts
from approvals.transitions.assignments import NotAssignable, SnoozeRefused
from approvals.transitions.drafts import NotAllowed
from audit.models import Entry
from tests.approvals.conftest import actions, age, approve, seen

WHY = "Is this discount ours to give?"


def queue_of(person: User) -> list[int]:
    person = User.objects.get(pk=person.pk)
    return [draft.pk for draft in queue_page(person, QueueFilter()).drafts]


def snoozed(draft: Draft, by: User) -> Snooze:
    return assignments.snooze(draft.pk, person=by, until=timezone.now() + timedelta(hours=1))


def test_assigning_is_recorded_with_both_names(pending: Draft, alice: User, bruno: User) -> None:
    assignments.assign(pending.pk, person=alice, to=alice)
    assignments.assign(pending.pk, person=alice, to=bruno)
    assignments.assign(pending.pk, person=bruno, to=bruno)

    entries = Entry.objects.filter(action="approvals.draft.assigned").order_by("sequence")
    assert [entry.data for entry in entries] == [
        {"to": "Alice", "taken_from": ""},
        {"to": "Bruno", "taken_from": "Alice"},
    ]


def test_who_may_not_decide_neither_assigns_nor_is_assigned(
    pending: Draft, alice: User, olga: User, charlie: User
) -> None:
    with pytest.raises(NotAssignable):
        assignments.assign(pending.pk, person=alice, to=charlie)
    with pytest.raises(NotAllowed):
        assignments.assign(pending.pk, person=olga, to=alice)
    with pytest.raises(NotAssignable):
        assignments.escalate(pending.pk, person=alice, to=olga, reason=WHY)
    with pytest.raises(NotAssignable):
        assignments.escalate(pending.pk, person=alice, to=None, reason=WHY)

    pending.refresh_from_db()
    assert (pending.assigned_to, pending.escalated_at) == (None, None)


def test_an_escalated_draft_is_of_high_risk_until_the_escalation_ends(
    pending: Draft, alice: User, bruno: User
) -> None:
    before = pending.risk, pending.queue_at

    assignments.escalate(pending.pk, person=alice, to=bruno, reason=WHY)
    pending.refresh_from_db()
    assert (pending.risk, "escalated" in pending.risk_reasons) == (Risk.HIGH, True)
    assert pending.queue_at <= before[1]

    assignments.end_escalation(pending.pk, person=bruno)
    pending.refresh_from_db()
    assert (pending.risk, pending.queue_at) == before
    assert pending.assigned_to == bruno


def test_a_decision_ends_assignment_and_escalation(pending: Draft, alice: User, bruno: User) -> None:
    assignments.escalate(pending.pk, person=alice, to=bruno, reason=WHY)

    approve(pending, bruno)

    assert (pending.assigned_to, pending.escalated_at, pending.escalated_by) == (None, None, None)
    assert (pending.escalation_reason, pending.risk) == ("", None)
    entry = Entry.objects.get(action="approvals.draft.escalated")
    assert (entry.reason, entry.data) == (WHY, {"to": "Bruno", "taken_from": ""})


@pytest.mark.parametrize(("assigned", "taken_from"), [("alice", "Alice"), ("bruno", "")])
def test_the_record_says_from_whom_an_escalation_took_a_draft(
    pending: Draft, alice: User, bruno: User, assigned: str, taken_from: str
) -> None:
    assignments.assign(pending.pk, person=alice, to={"alice": alice, "bruno": bruno}[assigned])

    assignments.escalate(pending.pk, person=alice, to=bruno, reason=WHY)

    entry = Entry.objects.get(action="approvals.draft.escalated")
    assert entry.data == {"to": "Bruno", "taken_from": taken_from}


def test_an_assignment_keeps_nobody_from_deciding(pending: Draft, alice: User, bruno: User) -> None:
    assignments.assign(pending.pk, person=alice, to=alice)

    assert approve(pending, bruno).state == "queued"


def test_a_snooze_hides_from_one_person_and_ends_by_itself(pending: Draft, alice: User, bruno: User) -> None:
    snooze = snoozed(pending, alice)
    assert (queue_of(alice), queue_of(bruno)) == ([], [pending.pk])

    age(snooze, until=timedelta(hours=1, seconds=1))

    assert queue_of(alice) == [pending.pk]


@pytest.mark.parametrize("what", ["edited", "stale and back", "assigned", "escalated"])
def test_a_snoozed_draft_comes_back_when_something_happens_to_it(
    pending: Draft, alice: User, bruno: User, customer_writes: Callable[..., Any], what: str
) -> None:
    snoozed(pending, alice)

    if what == "edited":
        decisions.edit(pending, person=bruno, seen=seen(pending), changes={"subject": "Re: Order"})
    elif what == "stale and back":
        customer_writes(thread_id=pending.thread_id, body="Never mind.")
        with pytest.raises(drafts.ThreadMoved):
            approve(pending, bruno)
        pending.refresh_from_db()
        decisions.look_again(pending, person=bruno)
    elif what == "assigned":
        assignments.assign(pending.pk, person=bruno, to=alice)
    else:
        assignments.escalate(pending.pk, person=bruno, to=bruno, reason=WHY)

    assert queue_of(alice) == [pending.pk]


def test_assigning_to_somebody_else_leaves_a_snooze(pending: Draft, alice: User, bruno: User) -> None:
    snoozed(pending, alice)

    assignments.assign(pending.pk, person=bruno, to=bruno)

    assert queue_of(alice) == []


def test_a_snooze_never_goes_beyond_three_quarters_of_the_time(pending: Draft, alice: User) -> None:
    latest = pending.arrived_at + (pending.expires_at - pending.arrived_at) * 0.75

    assert assignments.snooze(pending.pk, person=alice, until=latest).until == latest
    for until in (latest + timedelta(seconds=1), timezone.now() - timedelta(minutes=1)):
        with pytest.raises(SnoozeRefused, match="at the latest"):
            assignments.snooze(pending.pk, person=alice, until=until)


def test_what_a_draft_waited_before_its_agent_answered_does_not_shorten_a_snooze(
    pending: Draft, alice: User
) -> None:
    Draft.objects.filter(pk=pending.pk).update(arrived_at=pending.arrived_at - timedelta(days=9))
    latest = pending.expires_at - timedelta(hours=18)

    assert assignments.snooze(pending.pk, person=alice, until=latest).until == latest


def test_a_draft_that_expires_soon_is_not_snoozed(pending: Draft, alice: User) -> None:
    whole = pending.expires_at - pending.arrived_at
    age(pending, arrived_at=whole * 0.8, expires_at=whole * 0.8)

    with pytest.raises(SnoozeRefused, match="Three quarters"):
        snoozed(pending, alice)


def test_whoever_sees_a_draft_may_snooze_it_and_nobody_else(
    pending: Draft, olga: User, charlie: User, mailbox: Mailbox
) -> None:
    snoozed(pending, olga)
    with pytest.raises(NotAllowed):
        snoozed(pending, charlie)

    assert assignments.unsnooze(pending.pk, person=olga)
    assert not assignments.unsnooze(pending.pk, person=olga)
    assert actions(pending)[-2:] == ["approvals.draft.snoozed", "approvals.draft.unsnoozed"]
