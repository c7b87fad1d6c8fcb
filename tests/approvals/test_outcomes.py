"""What became of a mail: facts of recipients from events in any order, doubled, forged or lost (H62 to H69)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail import webhooks
from agentmail.models import Mailbox, ProviderEvent, WebhookRejection
from approvals import outcomes, sweeps
from approvals.models import Draft, FollowUp, OutcomeKind, RecipientOutcome, Send
from audit.clock import database_now
from audit.models import Entry
from tests.approvals.conftest import (
    Notifications,
    actions,
    age,
    approve,
    at_once,
    report,
    sent,
)

CASEY = "casey@example.net"
HARD = "smtp; 550 5.1.1 User unknown"
SOFT = "smtp; 452 4.2.2 Mailbox full"


@pytest.fixture
def accepted(agent_writes: Callable[..., Draft], alice: User, sandbox: Any) -> Send:
    """A mail to Casey of which the provider says nothing by itself."""
    sandbox.post("webhooks/pause")
    return sent(agent_writes(to=[{"email": CASEY}]), alice)


def kinds(send: Send) -> list[str]:
    return sorted(send.outcomes.values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("local", "kind", "follow_up"),
    [
        ("casey", "delivered", None),
        ("hard-bounce", "hard_bounce", "hard_bounce"),
        ("soft-bounce", "soft_bounce", "soft_bounce"),
        ("complaint", "complaint", "complaint"),
        ("rejected", "rejected", "rejected"),
    ],
)
@pytest.mark.row("D4")
def test_what_the_provider_reports_becomes_a_fact_and_work_for_the_approver(
    agent_writes: Callable[..., Draft],
    alice: User,
    notifications: Notifications,
    local: str,
    kind: str,
    follow_up: str | None,
) -> None:
    send = sent(agent_writes(to=[{"email": f"{local}@example.net"}]), alice)

    notifications.deliver_new()

    assert outcomes.picture(send.outcomes.all()) == {f"{local}@example.net": kind}
    assert [(f.kind, f.assigned_to) for f in FollowUp.objects.all()] == (
        [(follow_up, alice)] if follow_up else []
    )
    send.refresh_from_db()
    assert send.state == "accepted"


def test_queued_mail_that_failed_later_is_a_send_failure_when_it_was_taken_as_sent(
    accepted: Send, notifications: Notifications
) -> None:
    event = notifications.deliver(
        {
            "specversion": "1.0",
            "id": "failed-1",
            "type": "message.send_failed",
            "time": 1_790_000_000,
            "data": {
                "grant_id": accepted.grant_id,
                "reason": "Mailbox over quota",
                "object": {
                    "id": accepted.provider_message_id,
                    "grant_id": accepted.grant_id,
                    "to": [{"email": CASEY}],
                },
            },
        }
    )

    assert event.state == "done"
    assert kinds(accepted) == ["send_failed"]
    assert FollowUp.objects.get().kind == "send_failed"


def test_send_success_adds_no_fact_and_changes_nothing(accepted: Send, notifications: Notifications) -> None:
    event = notifications.deliver(
        {
            "specversion": "1.0",
            "id": "success-1",
            "type": "message.send_success",
            "time": 1_790_000_000,
            "data": {
                "grant_id": accepted.grant_id,
                "object": {"id": accepted.provider_message_id, "grant_id": accepted.grant_id},
            },
        }
    )

    assert (event.state, kinds(accepted)) == ("done", [])


@pytest.mark.parametrize(
    ("reason", "kind"), [("550 5.1.1 no such user", "hard_bounce"), ("452 4.2.2 full", "soft_bounce")]
)
def test_bounce_detected_of_other_grants_counts_too(
    accepted: Send, notifications: Notifications, reason: str, kind: str
) -> None:
    notifications.deliver(
        {
            "specversion": "1.0",
            "id": "bounce-1",
            "type": "message.bounce_detected",
            "time": 1_790_000_000,
            "data": {
                "grant_id": accepted.grant_id,
                "object": {
                    "grant_id": accepted.grant_id,
                    "bounced_addresses": CASEY,
                    "bounce_reason": reason,
                    "type": "mailbox_unavailable",
                    "origin": {"id": accepted.provider_message_id, "to": [{"email": CASEY}]},
                },
            },
        }
    )

    assert kinds(accepted) == [kind]


def five(send: Send) -> list[dict[str, Any]]:
    return [
        report("bounced", send, [CASEY], notification_id="e-soft", code=SOFT),
        report("delivered", send, [CASEY, "dana@example.net"], notification_id="e-delivered"),
        report("bounced", send, [CASEY], notification_id="e-hard", code=HARD),
        report("complaint", send, ["dana@example.net"], notification_id="e-complaint"),
        report("bounced", send, ["erik@example.net"], notification_id="e-erik", code=SOFT),
    ]


@pytest.mark.row("003-31")
def test_h63_every_order_of_five_events_gives_one_picture(
    accepted: Send, notifications: Notifications
) -> None:
    events = [notifications.deliver(envelope) for envelope in five(accepted)]
    pictures, works, facts = set(), set(), set()

    for order in itertools.permutations(events):
        RecipientOutcome.objects.all().delete()
        FollowUp.objects.all().delete()
        for event in order:
            ProviderEvent.objects.filter(pk=event.pk).update(state="stored")
            outcomes.process(event.pk)
        pictures.add(tuple(sorted(outcomes.picture(accepted.outcomes.all()).items())))
        works.add(tuple(FollowUp.objects.filter(state="open").values_list("kind", flat=True)))
        facts.add(accepted.outcomes.count())

    assert pictures == {
        (
            (CASEY, OutcomeKind.HARD_BOUNCE),
            ("dana@example.net", OutcomeKind.COMPLAINT),
            ("erik@example.net", OutcomeKind.SOFT_BOUNCE),
        )
    }
    assert works == {("complaint",)}
    assert facts == {6}


@pytest.mark.parametrize("is_soft_first", [True, False])
def test_h69_soft_bounce_and_delivery_of_one_recipient_leave_no_open_work(
    accepted: Send, notifications: Notifications, is_soft_first: bool
) -> None:
    both = five(accepted)[:2]

    for envelope in both if is_soft_first else both[::-1]:
        notifications.deliver(envelope)

    assert outcomes.picture(accepted.outcomes.all())[CASEY] == OutcomeKind.DELIVERED
    assert not FollowUp.objects.filter(state="open").exists()


def test_h69_part_of_the_recipients_bounces(accepted: Send, notifications: Notifications) -> None:
    _, delivered, hard, *_ = five(accepted)

    notifications.deliver(delivered)
    notifications.deliver(hard)

    assert outcomes.picture(accepted.outcomes.all()) == {
        CASEY: OutcomeKind.HARD_BOUNCE,
        "dana@example.net": OutcomeKind.DELIVERED,
    }


def test_one_delivery_does_not_close_the_work_of_another_recipient(
    accepted: Send, notifications: Notifications
) -> None:
    notifications.deliver(
        report("bounced", accepted, [CASEY, "erik@example.net"], notification_id="a", code=SOFT)
    )

    notifications.deliver(report("delivered", accepted, [CASEY], notification_id="b"))

    assert FollowUp.objects.get().state == "open"


@pytest.mark.row("000-20")
def test_h62_hundred_copies_over_eight_connections_make_one_fact(
    transactional_db: None, accepted: Send, notifications: Notifications
) -> None:
    envelope = report("bounced", accepted, [CASEY], notification_id="once", code=HARD)

    at_once(*[lambda: [notifications.deliver(envelope) for _ in range(13)]] * 8)

    assert ProviderEvent.objects.count() == 1
    assert kinds(accepted) == ["hard_bounce"]
    assert FollowUp.objects.count() == 1
    assert actions(accepted.draft).count("approvals.outcome.recorded") == 1


def test_h62_eight_workers_on_one_stored_event_make_one_fact(
    transactional_db: None, accepted: Send, notifications: Notifications
) -> None:
    event = notifications.deliver(report("delivered", accepted, [CASEY], notification_id="once"))
    RecipientOutcome.objects.all().delete()
    ProviderEvent.objects.filter(pk=event.pk).update(state="stored")

    at_once(*[lambda: outcomes.process(event.pk)] * 8)

    assert kinds(accepted) == ["delivered"]


def test_h61_report_that_is_there_before_the_reply_waits_for_it(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, notifications: Notifications
) -> None:
    sandbox.post("webhooks/pause")
    send = approve(agent_writes(to=[{"email": CASEY}]), alice)
    early = report("delivered", send, [CASEY], notification_id="early")
    early["data"]["object"]["message"] |= {"id": "not-known-yet", "metadata": {}}

    event = notifications.deliver(early)

    assert (event.state, event.next_attempt_at is not None) == ("stored", True)
    Send.objects.filter(pk=send.pk).update(provider_message_id="not-known-yet")
    outcomes.process(event.pk)
    assert kinds(send) == ["delivered"]


def test_report_about_a_mail_that_nobody_here_sent_is_ignored_in_the_end(
    mailbox: Mailbox, accepted: Send, notifications: Notifications
) -> None:
    foreign = report("delivered", accepted, [CASEY], notification_id="foreign")
    foreign["data"]["object"]["message"] |= {"id": "somebody-elses", "metadata": {}}

    event = notifications.deliver(foreign)
    for _try in range(outcomes.MATCH_TRIES):
        outcomes.process(event.pk)

    event.refresh_from_db()
    assert (event.state, kinds(accepted)) == ("ignored", [])


def test_h64_forged_notification_changes_nothing(accepted: Send, notifications: Notifications) -> None:
    forged = report("bounced", accepted, [CASEY], notification_id="forged", code=HARD)

    with pytest.raises(webhooks.Rejected) as refusal:
        notifications.deliver(forged, secret="a guess")

    assert refusal.value.status_code == 401
    assert not ProviderEvent.objects.exists()
    assert kinds(accepted) == []


def test_h65_repeated_old_notification_has_no_second_effect(
    accepted: Send, notifications: Notifications
) -> None:
    envelope = report("bounced", accepted, [CASEY], notification_id="old", code=SOFT)
    notifications.deliver(envelope)
    entries = Entry.objects.count()

    notifications.deliver(envelope | {"time": 1_850_000_000})

    assert (Entry.objects.count(), kinds(accepted)) == (entries, ["soft_bounce"])


def test_h68_notification_for_a_grant_that_is_not_ours_is_quarantined(
    accepted: Send, notifications: Notifications
) -> None:
    foreign = report("bounced", accepted, [CASEY], notification_id="foreign", code=HARD)
    foreign["data"]["grant_id"] = "somebody-elses-grant"

    event = notifications.deliver(foreign)

    assert event.state == "quarantined"
    assert kinds(accepted) == []
    assert not WebhookRejection.objects.exists()


def test_event_of_another_mailbox_cannot_speak_about_a_send(
    accepted: Send, notifications: Notifications, mailbox: Mailbox
) -> None:
    other = Mailbox.objects.create(grant_id="other-grant", address="other@harbour.example")
    foreign = report("bounced", accepted, [CASEY], notification_id="cross", code=HARD)
    foreign["data"]["grant_id"] = other.grant_id
    foreign["data"]["object"]["message"]["grant_id"] = other.grant_id

    notifications.deliver(foreign)

    assert kinds(accepted) == []


@pytest.mark.parametrize("local", ["casey", "hard-bounce", "complaint", "rejected"])
def test_h66_lost_events_are_found_by_asking(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, local: str
) -> None:
    sandbox.post("faults", event="*", times=0, action="drop")
    send = sent(agent_writes(to=[{"email": f"{local}@example.net"}]), alice)
    sandbox.get("idle?timeout=20")
    age(send, next_outcome_poll_at=timedelta(minutes=3))

    assert sweeps.due_outcomes() == 1

    expected = {"casey": "delivered", "hard-bounce": "hard_bounce"}.get(local, local)
    assert outcomes.picture(send.outcomes.all()) == {f"{local}@example.net": expected}
    assert FollowUp.objects.exists() == (expected != "delivered")


def test_answer_to_the_poll_does_not_repeat_what_an_event_told(
    agent_writes: Callable[..., Draft], alice: User, notifications: Notifications
) -> None:
    send = sent(agent_writes(to=[{"email": "soft-bounce@example.net"}]), alice)
    notifications.deliver_new()
    before = send.outcomes.count()

    outcomes.poll(send.pk)

    assert send.outcomes.count() == before


def test_h66_after_72_hours_without_a_word_that_is_what_is_shown(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    send = sent(agent_writes(to=[{"email": "no-report@example.net"}]), alice)
    outcomes.poll(send.pk)
    assert kinds(send) == []
    age(send, accepted_at=timedelta(hours=72))

    outcomes.poll(send.pk)

    send.refresh_from_db()
    assert kinds(send) == ["no_report"]
    assert send.next_outcome_poll_at is None
    assert not FollowUp.objects.exists()


def test_delivery_that_is_reported_after_no_report_replaces_it(
    accepted: Send, notifications: Notifications
) -> None:
    outcomes.add_fact(accepted.pk, address=CASEY, kind=OutcomeKind.NO_REPORT, source="desk")

    notifications.deliver(report("delivered", accepted, [CASEY], notification_id="late"))

    assert outcomes.picture(accepted.outcomes.all()) == {CASEY: OutcomeKind.DELIVERED}


def test_silent_provider_at_the_outcome_poll_is_asked_again_later(accepted: Send, sandbox: Any) -> None:
    sandbox.post("faults", route="list_activity", times=0, action="reply", options={"status": 503})
    age(accepted, next_outcome_poll_at=timedelta(minutes=3))

    sweeps.due_outcomes()

    accepted.refresh_from_db()
    assert accepted.next_outcome_poll_at is not None
    assert sweeps.due_outcomes() == 0


def test_accepted_mail_is_asked_after_seven_times_in_three_days(accepted: Send, sandbox: Any) -> None:
    asked_after = []
    for _poll in range(7):
        accepted.refresh_from_db()
        assert accepted.accepted_at is not None and accepted.next_outcome_poll_at is not None
        age_now = accepted.next_outcome_poll_at - accepted.accepted_at
        asked_after.append(round(age_now.total_seconds() / 60))
        # As if this moment had come.
        age(accepted, accepted_at=accepted.next_outcome_poll_at - database_now())
        outcomes.poll(accepted.pk)

    assert asked_after == [2, 10, 60, 360, 1440, 2880, 4320]
    accepted.refresh_from_db()
    assert accepted.next_outcome_poll_at is None


def test_complaint_whose_event_was_lost_after_the_delivery_is_found_by_asking(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", event="*", times=0, action="drop")
    send = sent(agent_writes(to=[{"email": "casey@example.net"}]), alice)
    sandbox.get("idle?timeout=20")
    outcomes.poll(send.pk)
    assert kinds(send) == ["delivered"]
    sandbox.post("outcomes", message_id=send.provider_message_id, outcome="complaint")
    age(send, next_outcome_poll_at=timedelta(hours=1))

    sweeps.due_outcomes()

    assert kinds(send) == ["complaint", "delivered"]


def test_silent_provider_after_72_hours_is_not_taken_for_no_report(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    send = sent(agent_writes(to=[{"email": "no-report@example.net"}]), alice)
    sandbox.post("faults", route="list_activity", action="reply", options={"status": 503})
    age(send, accepted_at=timedelta(hours=73))

    outcomes.poll(send.pk)

    send.refresh_from_db()
    assert kinds(send) == []
    assert send.next_outcome_poll_at is not None


def test_addresses_are_compared_without_regard_to_letter_case(
    accepted: Send, notifications: Notifications
) -> None:
    notifications.deliver(report("bounced", accepted, [CASEY.upper()], notification_id="up", code=SOFT))
    notifications.deliver(report("delivered", accepted, [CASEY], notification_id="low"))

    assert outcomes.picture(accepted.outcomes.all()) == {CASEY: OutcomeKind.DELIVERED}


def test_i14_no_outcome_sends_anything(accepted: Send, notifications: Notifications, sandbox: Any) -> None:
    for envelope in five(accepted):
        notifications.deliver(envelope)

    assert sweeps.due_sends() == []
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_event_that_failed_for_the_provider_is_taken_up_by_the_sweep(
    accepted: Send, notifications: Notifications, sandbox: Any
) -> None:
    sandbox.post("faults", route="get_message", action="reply", options={"status": 503})
    event = notifications.deliver(
        {
            "specversion": "1.0",
            "id": "c-1",
            "type": "message.created",
            "time": 1_790_000_000,
            "data": {
                "grant_id": accepted.grant_id,
                "object": {
                    "id": accepted.draft.parent_message_id,
                    "grant_id": accepted.grant_id,
                    "thread_id": accepted.thread_id,
                    "body": "x",
                },
            },
        }
    )
    assert event.state == "failing"
    ProviderEvent.objects.filter(pk=event.pk).update(next_attempt_at=event.received_at)

    assert sweeps.waiting_events() == [event.pk]
    assert outcomes.process(event.pk) == "done"
