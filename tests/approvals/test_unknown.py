"""An unknown send: what counts as evidence, and the three ways a person can end it (send-safety section 6)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db.models import F

from agentmail import webhooks
from agentmail.models import Mailbox
from approvals import dispatch, lookup, sweeps, switchboard
from approvals.models import Draft, FollowUp, Lookup, Send
from approvals.transitions import sends
from approvals.transitions.sends import SendRefused
from policies import switch
from tests.approvals.conftest import WEBHOOK_SECRET, Notifications, actions, report, sent

# What the provider may answer to a resend, and that must not end in "not sent" (I4).
DEFINITE = {
    "400": {"status": 400, "body": {"request_id": "1", "error": {"type": "invalid", "message": "No"}}},
    "401": {"status": 401, "body": {"request_id": "1", "error": {"type": "unauthorized", "message": "No"}}},
    "403": {"status": 403, "body": {"request_id": "1", "error": {"type": "forbidden", "message": "No"}}},
    "404": {"status": 404, "body": {"request_id": "1", "error": {"type": "not_found", "message": "No"}}},
    "429": {"status": 429, "body": {"request_id": "1", "error": {"type": "rate_limit", "message": "No"}}},
    "503": {"status": 503, "body": {}},
}


@pytest.fixture
def unknown(pending: Draft, alice: User, sandbox: Any) -> Send:
    """The provider took nothing and gave an answer that does not say so."""
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)
    assert send.state == "unknown"
    return send


@pytest.fixture
def taken(pending: Draft, alice: User, sandbox: Any) -> Callable[..., Send]:
    """The provider took the mail, hides its copy as told, and its answer was lost."""

    def send_and_lose_the_answer(*hiding: str) -> Send:
        for action in hiding:
            sandbox.post("faults", route="send_message", action=action)
        sandbox.post("faults", route="send_message", action="reset", when="after")
        send = sent(pending, alice)
        assert (send.state, len(sandbox.sends())) == ("unknown", 1)
        return send

    return send_and_lose_the_answer


def test_mail_is_found_by_its_token_in_the_metadata(taken: Callable[..., Send], sandbox: Any) -> None:
    send = taken()

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    (line,) = sandbox.sends()
    assert (send.state, send.ambiguous) == ("accepted", False)
    assert send.evidence == {"source": "metadata", "believed_before": "unknown"}
    assert send.provider_message_id == line["message_id"]
    assert send.attempts.get().state == "accepted"
    assert send.draft_deleted_at is not None
    assert "approvals.send.found" in actions(send.draft)


def test_mail_is_found_by_its_header_when_the_metadata_are_hidden(taken: Callable[..., Send]) -> None:
    send = taken("hide_metadata")

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    assert send.evidence["source"] == "sent_mail"


def test_answer_that_repeats_our_header_is_not_taken_for_the_mail(
    taken: Callable[..., Send], customer_writes: Callable[..., Any]
) -> None:
    send = taken("hide_sent_copy")
    header = {"name": "X-Approval-Ref", "value": send.token}
    customer_writes(thread_id=send.thread_id, body="I am out of the office.", headers=[header])

    assert not lookup.look_up(send.pk)

    send.refresh_from_db()
    assert (send.state, send.provider_message_id) == ("unknown", "")


def test_mail_is_found_by_an_event_that_was_stored_and_not_acted_on(
    taken: Callable[..., Send], connected_settings: Any
) -> None:
    connected_settings.NYLAS_WEBHOOK_SECRET = WEBHOOK_SECRET
    send = taken("hide_sent_copy")
    envelope = report("delivered", send, ["casey@example.net"], notification_id="n-1")
    envelope["data"]["object"]["message"]["id"] = "message-of-the-event"
    body = json.dumps(envelope).encode()
    webhooks.receive(body, signature=hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest())

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    assert send.evidence["source"] == "events"
    assert send.provider_message_id == "message-of-the-event"


def test_mail_is_found_by_the_notice_of_a_copy_that_cannot_be_read(
    taken: Callable[..., Send], notifications: Notifications, sandbox: Any
) -> None:
    send = taken("hide_sent_copy")
    (line,) = sandbox.sends()
    notifications.deliver(created(send, line))

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    assert (send.evidence["source"], send.provider_message_id) == ("events", line["message_id"])


def test_notice_of_a_draft_with_the_token_is_no_evidence(
    taken: Callable[..., Send], notifications: Notifications, sandbox: Any
) -> None:
    send = taken("hide_sent_copy")
    (line,) = sandbox.sends()
    envelope = created(send, line)
    envelope["data"]["object"]["object"] = "draft"
    notifications.deliver(envelope)

    assert not lookup.look_up(send.pk)


def test_failure_of_queued_mail_is_shown_beside_the_unknown_and_does_not_end_it(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, notifications: Notifications
) -> None:
    sandbox.control("PATCH", "switches", queue_seconds=0.05, queued_then="failed")
    send = sent(agent_writes(to=[{"email": "queued@example.net"}]), alice)
    assert notifications.deliver_new("message.send_failed")

    assert not lookup.look_up(send.pk)

    send.refresh_from_db()
    assert send.state == "unknown"
    assert "could not send" in Lookup.objects.get(send=send, source="events").said


def test_queued_mail_is_found_by_the_providers_send_activity(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    sandbox.control("PATCH", "switches", queue_seconds=0.05)
    sandbox.post("faults", route="send_message", action="hide_sent_copy")
    send = sent(agent_writes(to=[{"email": "queued@example.net"}]), alice)
    assert (send.state, bool(send.provider_message_id)) == ("unknown", True)
    sandbox.get("idle?timeout=20")

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    assert (send.state, send.evidence["source"]) == ("accepted", "activity")


def test_every_source_that_was_asked_is_kept_with_what_it_said(unknown: Send) -> None:
    assert not lookup.look_up(unknown.pk)

    asked = Lookup.objects.filter(send=unknown)
    assert [row.source for row in asked] == ["metadata", "events", "sent_mail", "activity"]
    assert all(row.said and not row.found for row in asked)


def test_source_that_is_silent_is_kept_as_such(unknown: Send, sandbox: Any) -> None:
    sandbox.post("faults", route="list_messages", times=0, action="reply", options={"status": 503})

    assert not lookup.look_up(unknown.pk)

    unknown.refresh_from_db()
    assert unknown.state == "unknown"
    assert "No usable answer" in Lookup.objects.get(send=unknown, source="metadata").said


def test_absence_never_ends_an_unknown(unknown: Send) -> None:
    for number in range(1, len(django_settings.LOOKUP_SECONDS) + 2):
        Send.objects.filter(pk=unknown.pk).update(next_lookup_at=F("queued_at"))
        assert sweeps.unknown_sends() == 0
        unknown.refresh_from_db()
        assert (unknown.state, unknown.lookups_done) == ("unknown", number)

    assert unknown.next_lookup_at is None
    assert unknown.ambiguous


def test_look_ups_follow_their_schedule(unknown: Send) -> None:
    assert sweeps.unknown_sends() == 0
    assert not Lookup.objects.exists()
    waits = []
    for _round in range(5):
        Send.objects.filter(pk=unknown.pk).update(next_lookup_at=F("queued_at"))
        sweeps.unknown_sends()
        unknown.refresh_from_db()
        asked_at = Lookup.objects.latest("id").asked_at
        waits.append((unknown.next_lookup_at - asked_at).total_seconds())

    schedule = [120, 600, 1800, 7200, 43200]
    assert all(abs(wait - planned) < 60 for wait, planned in zip(waits, schedule, strict=True))


def test_send_is_listed_as_unknown_until_it_is_ended(unknown: Send, olga: User) -> None:
    assert list(Send.objects.filter(state="unknown")) == [unknown]

    sends.close(unknown.pk, person=olga, as_sent=True, reason="The customer confirmed it.")

    assert not Send.objects.filter(state="unknown").exists()


@pytest.mark.parametrize(("as_sent", "state"), [(True, "closed_sent"), (False, "closed_not_sent")])
def test_closed_send_keeps_who_said_so_and_is_never_sent(
    unknown: Send, olga: User, sandbox: Any, as_sent: bool, state: str
) -> None:
    sends.close(unknown.pk, person=olga, as_sent=as_sent, reason="I asked them.")

    unknown.refresh_from_db()
    assert (unknown.state, unknown.attempts.get().state) == (state, "closed")
    assert f"approvals.send.{state}" in actions(unknown.draft)
    Send.objects.filter(pk=unknown.pk).update(next_attempt_at=F("queued_at"))
    assert dispatch.dispatch(unknown.pk) == "nothing"
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_second_operator_sees_that_the_first_one_ended_it(unknown: Send, olga: User) -> None:
    sends.close(unknown.pk, person=olga, as_sent=True, reason="Seen.")

    with pytest.raises(SendRefused, match="no longer unknown"):
        sends.close(unknown.pk, person=olga, as_sent=False, reason="Not seen.")


@pytest.mark.parametrize("who", ["alice", "charlie"])
def test_reviewer_cannot_end_an_unknown(unknown: Send, request: Any, who: str) -> None:
    person = request.getfixturevalue(who)

    for act in (
        lambda: sends.close(unknown.pk, person=person, as_sent=True, reason="x"),
        lambda: sends.authorise_resend(unknown.pk, person=person, reason="x"),
    ):
        with pytest.raises(SendRefused):
            act()

    unknown.refresh_from_db()
    assert (unknown.state, unknown.resend_at) == ("unknown", None)


def test_resend_uses_the_same_key_and_overrides_the_old_attempt(
    pending: Draft, alice: User, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reset", options={"after_bytes": "half"})
    unknown = sent(pending, alice)
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    assert sweeps.due_sends() == [unknown.pk]
    assert dispatch.dispatch(unknown.pk) == "posted"

    unknown.refresh_from_db()
    first, second = sandbox.get("arrivals")["arrivals"]
    assert first["idempotency_key"] == second["idempotency_key"]
    assert [attempt.state for attempt in unknown.attempts.order_by("number")] == ["overridden", "accepted"]
    assert unknown.state == "accepted"


@pytest.mark.row("000-23")
def test_resend_of_a_mail_that_was_taken_is_answered_from_the_providers_memory(
    taken: Callable[..., Send], olga: User, sandbox: Any
) -> None:
    send = taken("hide_sent_copy")
    sends.authorise_resend(send.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(send.pk) == "posted"

    send.refresh_from_db()
    assert send.state == "accepted"
    assert send.attempts.order_by("number").last().is_replay
    assert len(sandbox.sends()) == 1


def test_resend_goes_by_the_transport_of_the_first_attempt_where_its_key_is_known(
    taken: Callable[..., Send], olga: User, mailbox: Mailbox, sandbox: Any
) -> None:
    send = taken("hide_sent_copy")
    Mailbox.objects.filter(pk=mailbox.pk).update(transport="provider_draft")
    sends.authorise_resend(send.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(send.pk) == "posted"

    assert send.attempts.order_by("number").last().is_replay
    assert len(sandbox.sends()) == 1


def test_resend_is_refused_when_the_person_who_authorised_it_may_no_longer(
    unknown: Send, olga: User, sandbox: Any
) -> None:
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")
    olga.memberships.all().delete()

    assert dispatch.dispatch(unknown.pk) == "refused"

    unknown.refresh_from_db()
    assert (unknown.state, unknown.resend_at) == ("unknown", None)
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_resend_of_a_mail_that_can_be_found_by_now_posts_nothing(
    taken: Callable[..., Send], olga: User, sandbox: Any
) -> None:
    send = taken()
    sends.authorise_resend(send.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(send.pk) == "found"

    send.refresh_from_db()
    assert send.state == "accepted"
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


@pytest.mark.parametrize("name", DEFINITE)
def test_i4_refused_resend_stays_unknown(unknown: Send, olga: User, sandbox: Any, name: str) -> None:
    sandbox.post("faults", route="send_message", action="reply", options=DEFINITE[name])
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    dispatch.dispatch(unknown.pk)

    unknown.refresh_from_db()
    assert (unknown.state, unknown.ambiguous, unknown.resend_at, unknown.key_epoch) == (
        "unknown",
        True,
        None,
        0,
    )
    assert dispatch.dispatch(unknown.pk) == "nothing"
    assert len(sandbox.get("arrivals")["arrivals"]) == 2


def test_i4_gate_that_refuses_a_resend_leaves_it_unknown_and_takes_the_permission_back(
    unknown: Send, olga: User, sandbox: Any, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=unknown.thread_id, body="Never mind.")
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(unknown.pk) == "refused"

    unknown.refresh_from_db()
    assert (unknown.state, unknown.resend_at, unknown.decision.voided_at) == ("unknown", None, None)
    assert unknown.waiting_for
    assert sweeps.due_sends() == []
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_i4_kill_switch_refuses_a_resend_and_its_release_does_not_send_it(
    unknown: Send, olga: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")
    switchboard.stop(switch.GLOBAL, person=olga, reason="Something is wrong.")

    assert dispatch.dispatch(unknown.pk) == "nothing"
    switchboard.release(switch.GLOBAL, person=olga_everywhere(olga), reason="Fine again.")

    assert dispatch.dispatch(unknown.pk) == "nothing"
    unknown.refresh_from_db()
    assert unknown.state == "unknown"
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def olga_everywhere(olga: User) -> User:
    olga.memberships.update(mailbox=None)
    return User.objects.get(pk=olga.pk)


def test_i4_silent_provider_at_a_resend_takes_the_permission_back(
    unknown: Send, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="get_thread", action="reply", options={"status": 503})
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(unknown.pk) == "deferred"

    unknown.refresh_from_db()
    assert (unknown.state, unknown.resend_at) == ("unknown", None)
    assert dispatch.dispatch(unknown.pk) == "nothing"


def test_permission_to_resend_counts_once(unknown: Send, olga: User, sandbox: Any) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")
    dispatch.dispatch(unknown.pk)

    assert dispatch.dispatch(unknown.pk) == "nothing"

    unknown.refresh_from_db()
    assert [attempt.state for attempt in unknown.attempts.order_by("number")] == ["overridden", "unknown"]
    assert len(sandbox.get("arrivals")["arrivals"]) == 2


def test_resend_counts_as_a_fresh_yes_after_the_approval_ran_out(unknown: Send, olga: User) -> None:
    type(unknown.decision).objects.filter(pk=unknown.decision_id).update(
        valid_until=F("valid_until") - timedelta(hours=2)
    )
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    assert dispatch.dispatch(unknown.pk) == "posted"


def test_unknown_cannot_be_closed_while_a_resend_is_under_way(unknown: Send, olga: User) -> None:
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    with pytest.raises(SendRefused, match="under way"):
        sends.close(unknown.pk, person=olga, as_sent=False, reason="x")


def test_approval_of_an_unknown_send_never_runs_out_into_not_sent(unknown: Send) -> None:
    type(unknown.decision).objects.filter(pk=unknown.decision_id).update(
        valid_until=F("valid_until") - timedelta(hours=2)
    )

    assert sweeps.run_out_approvals() == 0

    unknown.refresh_from_db()
    assert unknown.state == "unknown"


# Evidence that comes late


def test_h70_bounce_of_an_unknown_send_proves_that_it_left(
    taken: Callable[..., Send], notifications: Notifications, alice: User
) -> None:
    send = taken("hide_sent_copy")
    send.provider_message_id = "m-1"
    envelope = report(
        "bounced", send, ["casey@example.net"], notification_id="n-1", code="smtp; 550 5.1.1 User unknown"
    )

    notifications.deliver(envelope)

    send.refresh_from_db()
    assert (send.state, send.evidence["source"]) == ("accepted", "event")
    assert send.outcomes.get().kind == "hard_bounce"
    assert FollowUp.objects.get(send=send).assigned_to == alice


def test_h75_delivery_report_after_closing_as_not_sent_raises_an_alarm(
    unknown: Send, olga: User, notifications: Notifications, alice: User
) -> None:
    sends.close(unknown.pk, person=olga, as_sent=False, reason="Nobody has it.")
    unknown.provider_message_id = "m-1"

    notifications.deliver(report("delivered", unknown, ["casey@example.net"], notification_id="n-1"))

    unknown.refresh_from_db()
    assert unknown.state == "accepted"
    assert "sent after all" in unknown.alarm
    follow_up = FollowUp.objects.get(send=unknown)
    assert (follow_up.kind, follow_up.assigned_to) == ("contradicted", alice)
    said = actions(unknown.draft)
    assert said.index("approvals.send.closed_not_sent") < said.index("approvals.send.found")
    assert "approvals.send.contradicted" in said


@pytest.mark.parametrize("as_sent", [True, False])
def test_h75_copy_that_appears_after_closing_is_taken_as_evidence(
    taken: Callable[..., Send], olga: User, notifications: Notifications, sandbox: Any, as_sent: bool
) -> None:
    send = taken("hide_sent_copy")
    sends.close(send.pk, person=olga, as_sent=as_sent, reason="Nobody knows.")
    (line,) = sandbox.sends()
    sandbox.control("PATCH", f"messages/{line['message_id']}", visible_from=0)

    notifications.deliver(created(send, line))

    send.refresh_from_db()
    assert (send.state, send.provider_message_id) == ("accepted", line["message_id"])
    assert bool(send.alarm) == (not as_sent)


def test_h61_copy_that_is_announced_for_an_unknown_send_is_evidence(
    taken: Callable[..., Send], notifications: Notifications, sandbox: Any
) -> None:
    send = taken()
    (line,) = sandbox.sends()

    notifications.deliver(created(send, line))

    send.refresh_from_db()
    assert (send.state, send.evidence["source"]) == ("accepted", "event")


def created(send: Send, line: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "created-1",
        "type": "message.created",
        "time": 1_790_000_000,
        "data": {
            "grant_id": send.grant_id,
            "object": {
                "id": line["message_id"],
                "grant_id": send.grant_id,
                "thread_id": line["thread_id"],
                "object": "message",
                "metadata": {"key1": send.token},
                "body": line["body"],
                "from": [{"email": "support@harbour.example"}],
            },
        },
    }


def test_poll_of_the_mailbox_finds_an_unknown_send_too(taken: Callable[..., Send], mailbox: Mailbox) -> None:
    send = taken()

    sweeps.poll_mailbox(mailbox.pk)

    send.refresh_from_db()
    assert send.state in ("accepted", "unknown")
    assert lookup.look_up(send.pk) or send.state == "accepted"


def test_abandoned_send_becomes_unknown_only_when_its_lock_is_free(pending: Draft, alice: User) -> None:
    send = sent(pending, alice)
    assert sweeps.abandoned_sends() == 0
    send.refresh_from_db()
    assert send.state == "accepted"


def test_second_copy_of_a_sent_mail_raises_an_alarm(
    pending: Draft, alice: User, sandbox: Any, notifications: Notifications
) -> None:
    fault = sandbox.post("faults", route="delete_draft", times=0, action="reply", options={"status": 503})
    send = sent(pending, alice)
    assert send.state == "accepted"
    sandbox.control("DELETE", f"faults/{fault['fault']['id']}")
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)
    assert len(sandbox.sends()) == 2

    notifications.deliver_new("message.created")

    send.refresh_from_db()
    assert "second copy" in send.alarm
    assert FollowUp.objects.get(send=send).kind == "second_copy"
    assert "approvals.send.second_copy" in actions(pending)


def test_second_copy_is_told_beside_an_earlier_alarm(
    pending: Draft, alice: User, sandbox: Any, notifications: Notifications
) -> None:
    rule = sandbox.post("faults", route="delete_draft", times=0, action="reply", options={"status": 503})
    send = sent(pending, alice)
    sends.alarm(send.pk, "content_differs", "The sent mail differs from the approved one.")
    sandbox.control("DELETE", f"faults/{rule['fault']['id']}")
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)

    notifications.deliver_new("message.created")
    notifications.deliver_new("message.updated")

    send.refresh_from_db()
    assert "differs from the approved" in send.alarm
    assert "second copy" in send.alarm
    assert FollowUp.objects.get(send=send).kind == "second_copy"
    assert actions(pending).count("approvals.send.second_copy") == 1


@pytest.mark.row("K5")
def test_h32_resend_after_the_key_was_forgotten_may_send_twice_and_that_is_seen(
    taken: Callable[..., Send], olga: User, sandbox: Any, notifications: Notifications
) -> None:
    send = taken("hide_sent_copy")
    sandbox.post("clock", advance_seconds=3700)
    sends.authorise_resend(send.pk, person=olga, reason="They wait for it.")
    dispatch.dispatch(send.pk)
    first, second = sandbox.sends()
    send.refresh_from_db()
    assert (send.state, send.provider_message_id) == ("accepted", second["message_id"])
    sandbox.control("PATCH", f"messages/{first['message_id']}", visible_from=0)

    notifications.deliver(created(send, first))

    send.refresh_from_db()
    assert "second copy" in send.alarm
    assert send.provider_message_id == second["message_id"]


def test_announcement_of_the_copy_that_is_known_raises_no_alarm(
    pending: Draft, alice: User, sandbox: Any, notifications: Notifications
) -> None:
    send = sent(pending, alice)

    notifications.deliver_new("message.created", "message.updated")

    send.refresh_from_db()
    assert send.alarm == ""


def test_other_mail_of_a_person_in_the_same_thread_is_no_second_copy(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    send = sent(pending, alice)
    sandbox.post(
        "mail-client",
        grant=pending.grant_id,
        thread_id=pending.thread_id,
        to=pending.current_revision.to,
        subject=pending.subject,
        body="<p>One more thing.</p>",
    )

    sweeps.poll_mailbox(mailbox.pk)

    send.refresh_from_db()
    assert send.alarm == ""
    assert not FollowUp.objects.exists()


def test_second_copy_is_found_by_the_poll_too_and_told_once(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    rule = sandbox.post("faults", route="delete_draft", times=0, action="reply", options={"status": 503})
    send = sent(pending, alice)
    sandbox.control("DELETE", f"faults/{rule['fault']['id']}")
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)

    sweeps.poll_mailbox(mailbox.pk)
    sweeps.poll_mailbox(mailbox.pk)

    send.refresh_from_db()
    assert "second copy" in send.alarm
    assert actions(pending).count("approvals.send.second_copy") == 1
