"""What is known of a mailbox when its mode is to change: counted from what people did, a suggestion only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import decisions, evidence, oversight
from approvals.models import Draft, OutcomeKind, Role
from approvals.outcomes import add_fact
from policies import modes
from tests.approvals.conftest import age, approve, person, seen, sent

NOTHING = evidence.Evidence(
    days_in_mode=30,
    handled=500,
    approved=500,
    rejected=0,
    changes_requested=0,
    untouched=1.0,
    sent=500,
    bounced=0.0,
    complained=0.0,
    complaints=0,
    turned_out_wrong=0,
    pending=0,
)


def met(found: evidence.Evidence) -> list[bool]:
    return [line.is_met for line in evidence.lines_for(found, modes.GATED_SEND, modes.MONITORED)]


@pytest.mark.row("004-12", "K19")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [True, True, True]),
        ({"days_in_mode": 29}, [False, True, True]),
        ({"handled": 499}, [True, False, True]),
        ({"rejected": 1}, [True, True, False]),
        ({"changes_requested": 1}, [True, True, False]),
        ({"turned_out_wrong": 1}, [True, True, False]),
    ],
)
def test_the_step_to_monitored_asks_for_30_days_500_handled_and_none_wrong(
    changes: dict[str, int], expected: list[bool]
) -> None:
    assert met(replace(NOTHING, **changes)) == expected


@pytest.mark.parametrize("after", [modes.READ_ONLY, modes.GATED_ALL, modes.AUTONOMOUS])
def test_other_steps_have_no_thresholds(after: str) -> None:
    assert evidence.lines_for(NOTHING, modes.GATED_SEND, after) == []


def test_what_people_did_is_counted(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User, olga: User
) -> None:
    untouched, edited, rejected, returned, waiting, old = (agent_writes() for _ in range(6))
    send = sent(untouched, alice)
    add_fact(send.pk, address="a@example.net", kind=OutcomeKind.COMPLAINT, source="test")
    decisions.edit(edited, person=alice, seen=seen(edited), changes={"body": "<p>On Friday.</p>"})
    approve(edited, alice)
    decisions.reject(rejected, person=alice, seen=seen(rejected), reason="No.", form_id=None)
    decisions.request_changes(returned, person=alice, seen=seen(returned), note="Shorter.", form_id=None)
    long_ago = decisions.reject(old, person=alice, seen=seen(old), reason="No.", form_id=None)
    age(long_ago, made_at=timedelta(days=31))

    found = evidence.of(mailbox)

    assert (found.handled, found.approved, found.rejected, found.changes_requested) == (4, 2, 1, 1)
    assert (found.untouched, found.sent, found.complaints, found.complained) == (0.5, 1, 1, 1.0)
    assert (found.pending, found.wrong) == (1, 3)
    assert waiting.state == "pending"


def test_the_days_count_from_the_last_change(mailbox: Mailbox, olga: User) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(connected_at=mailbox.connected_at - timedelta(days=40))
    mailbox.refresh_from_db()
    assert evidence.of(mailbox).days_in_mode == 40

    oversight.change_mode(mailbox.pk, to="gated_all", seen="gated_send", person=olga)

    assert evidence.of(mailbox).days_in_mode == 0


@pytest.mark.row("K19")
def test_an_admin_may_loosen_without_the_evidence(mailbox: Mailbox) -> None:
    ada = person("ada", Role.ADMIN)

    change = oversight.change_mode(
        mailbox.pk, to="autonomous", seen="gated_send", person=ada, reason="A test mailbox."
    )

    assert change.evidence["handled"] == 0
