"""What a draft says and what it answers, up to the last look: H40, H43 to H50."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from agentmail.models import Mailbox, Message, Transport
from approvals import decisions, dispatch, intake, sweeps
from approvals.models import Draft, FollowUp
from approvals.transitions import sends as transitions
from approvals.transitions.drafts import DecisionRefused, GateRefused
from tests.approvals.conftest import Notifications, actions, approve, retry, seen, sent

FILE = {"filename": "terms.txt", "content_type": "text/plain", "content": base64.b64encode(b"old").decode()}


def agent_changes(sandbox: Any, draft: Draft, **fields: Any) -> None:
    sandbox.control("PUT", f"agent/drafts/{draft.provider_draft_id}", grant=draft.grant_id, **fields)


CHANGES: dict[str, dict[str, Any]] = {
    "to": {"to": [{"email": "somebody.else@example.net"}]},
    "to_name": {"to": [{"email": "casey@example.net", "name": "The Boss"}]},
    "cc": {"cc": [{"email": "eve@example.net"}]},
    "bcc": {"bcc": [{"email": "eve@example.net"}]},
    "reply_to": {"reply_to": [{"email": "eve@example.net"}]},
    "from": {"from": [{"email": "chief@harbour.example"}]},
    "subject": {"subject": "Re: Where is my order"},
    "body": {"body": "<p>It left on Monday and arrives on Thursday!</p>"},
    "attachment_added": {"attachments": [FILE]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_h40_h43_any_one_field_changed_after_approval_stops_the_send(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, name: str
) -> None:
    sandbox.control("PATCH", "switches", enforce_from=False)
    draft = agent_writes(to=[{"email": "casey@example.net", "name": "Casey"}])
    send = approve(draft, alice)
    agent_changes(sandbox, draft, **CHANGES[name])

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    draft.refresh_from_db()
    assert (send.state, send.decision.void_reason) == ("stopped", "changed")
    assert (draft.state, draft.current_revision.number) == ("pending", 2)
    assert sandbox.get("arrivals")["arrivals"] == []


@pytest.mark.parametrize("name", CHANGES)
def test_h43_poll_that_sees_a_changed_field_voids_the_approval(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, mailbox: Mailbox, name: str
) -> None:
    sandbox.control("PATCH", "switches", enforce_from=False)
    draft = agent_writes(to=[{"email": "casey@example.net", "name": "Casey"}])
    send = approve(draft, alice)
    agent_changes(sandbox, draft, **CHANGES[name])

    assert intake.poll(mailbox, configured_client()).revised == 1

    send.refresh_from_db()
    assert (send.state, send.decision.void_reason) == ("stopped", "changed")
    assert dispatch.dispatch(send.pk) == "nothing"


def test_h44_attachment_replaced_under_the_same_name_stops_the_send(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    draft = agent_writes(attachments=[FILE])
    send = approve(draft, alice)
    (part,) = draft.current_revision.attachments
    sandbox.control("PUT", f"attachments/{part['id']}", content=base64.b64encode(b"new").decode())

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    assert (send.state, send.decision.void_reason) == ("stopped", "changed")
    assert sandbox.sends() == []


def test_attachment_leaves_with_the_bytes_that_were_frozen_at_review(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    draft = agent_writes(attachments=[FILE])

    sent(draft, alice)

    (line,) = sandbox.sends()
    (part,) = line["attachments"]
    assert part["sha256"] == draft.current_revision.attachments[0]["sha256"]
    assert part["filename"] == "terms.txt"


def test_draft_changed_between_the_last_look_and_the_post_leaves_as_approved(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    sandbox.post(
        "faults",
        route="send_message",
        action="edit_draft",
        options={"draft_id": pending.provider_draft_id, "patch": {"body": "Pay to another account"}},
    )

    dispatch.dispatch(send.pk)

    (line,) = sandbox.sends()
    assert line["body"] == "<p>It left on Monday and arrives on Thursday.</p>"


@pytest.mark.row("003-34")
def test_new_message_between_approval_and_dispatch_makes_the_draft_stale(
    pending: Draft, alice: User, sandbox: Any, customer_writes: Callable[..., Any]
) -> None:
    send = approve(pending, alice)
    news = customer_writes(thread_id=pending.thread_id, body="Never mind.")

    assert dispatch.dispatch(send.pk) == "refused"

    pending.refresh_from_db()
    send.refresh_from_db()
    assert (pending.state, pending.stale_reason) == ("stale", "new_inbound")
    assert pending.stale_message_ids == [news["message_id"]]
    assert (send.state, send.decision.void_reason) == ("stopped", "stale")
    assert sandbox.sends() == []


def test_message_that_made_a_draft_stale_can_be_read_here(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    send = approve(pending, alice)
    news = customer_writes(thread_id=pending.thread_id, body="Never mind, I found it.")

    dispatch.dispatch(send.pk)

    message = Message.objects.get(provider_id=news["message_id"])
    assert message.is_complete
    assert "Never mind, I found it." in message.body_text


def test_h45_message_that_crosses_the_send_opens_a_follow_up(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post(
        "faults",
        route="send_message",
        action="insert_message",
        options={"thread_id": pending.thread_id, "message": {"body": "Never mind!"}},
    )

    send = sent(pending, alice)

    assert send.state == "accepted"
    crossing = Message.objects.get(provider_id=send.crossed_message_id)
    assert "Never mind!" in crossing.body_text
    assert FollowUp.objects.get(send=send).kind == "crossed"


def test_h46_answer_from_a_mail_client_meanwhile_makes_the_draft_stale(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    sandbox.post(
        "mail-client",
        grant=pending.grant_id,
        thread_id=pending.thread_id,
        to=pending.current_revision.to,
        subject="Re: Where is my order?",
        body="By hand.",
    )

    assert dispatch.dispatch(send.pk) == "refused"

    pending.refresh_from_db()
    assert (pending.state, pending.stale_reason) == ("stale", "answered")
    assert [line["by"] for line in sandbox.sends()] == ["mail_client"]


def test_deleted_message_makes_the_draft_stale(
    agent_writes: Callable[..., Draft], customer_writes: Callable[..., Any], mailbox: Mailbox, sandbox: Any
) -> None:
    question = customer_writes(body="First.")
    more = customer_writes(thread_id=question["thread_id"], body="Second.")
    draft = agent_writes(reply_to_message_id=more["message_id"])
    sandbox.control("DELETE", f"messages/{question['message_id']}")

    decisions.open_draft(draft)

    draft.refresh_from_db()
    assert (draft.state, draft.stale_reason) == ("stale", "message_gone")


def test_poll_sees_a_deletion_that_no_notification_told_of(
    agent_writes: Callable[..., Draft], customer_writes: Callable[..., Any], mailbox: Mailbox, sandbox: Any
) -> None:
    question = customer_writes(body="First.")
    more = customer_writes(thread_id=question["thread_id"], body="Second.")
    draft = agent_writes(reply_to_message_id=more["message_id"])
    intake.poll(mailbox, configured_client())
    sandbox.control("DELETE", f"messages/{question['message_id']}")

    assert intake.poll(mailbox, configured_client()).stale == 1

    draft.refresh_from_db()
    assert (draft.state, draft.stale_reason) == ("stale", "message_gone")


def test_mail_in_another_thread_does_not_make_a_draft_stale(
    pending: Draft, alice: User, customer_writes: Callable[..., Any], mailbox: Mailbox
) -> None:
    customer_writes(subject="Something else", body="Hello.")

    assert intake.poll(mailbox, configured_client()).stale == 0
    assert sent(pending, alice).state == "accepted"


def test_reading_or_moving_a_message_does_not_make_a_draft_stale(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    answer = sandbox.session.put(
        f"{sandbox.url}/v3/grants/{pending.grant_id}/messages/{pending.parent_message_id}",
        json={"unread": False, "starred": True},
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
        timeout=10,
    )
    assert answer.ok

    assert sent(pending, alice).state == "accepted"


def test_poll_marks_waiting_and_approved_drafts_of_a_moved_thread_stale(
    agent_writes: Callable[..., Draft], alice: User, customer_writes: Callable[..., Any], mailbox: Mailbox
) -> None:
    waiting, approved = agent_writes(), agent_writes()
    approve(approved, alice)
    for draft in (waiting, approved):
        customer_writes(thread_id=draft.thread_id, body="News.")

    assert intake.poll(mailbox, configured_client()).stale == 2

    for draft in (waiting, approved):
        draft.refresh_from_db()
        assert draft.state == "stale"


@pytest.mark.row("K18", "001-03")
def test_h47_of_two_approved_drafts_in_one_thread_the_second_becomes_stale(
    pending: Draft, agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    second = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>Another answer.</p>")
    assert second.thread_id == pending.thread_id
    sends = [approve(pending, alice), approve(second, alice)]

    for send in sends:
        retry(send)

    second.refresh_from_db()
    assert [send.state for send in sends] == ["accepted", "stopped"]
    assert (second.state, second.stale_reason) == ("stale", "answered")
    assert len(sandbox.sends()) == 1


@pytest.mark.parametrize("transport", Transport.values)
def test_i19_second_approval_does_not_leave_though_the_copy_of_the_first_is_not_seen_yet(
    pending: Draft, agent_writes: Callable[..., Draft], alice: User, sandbox: Any, transport: str
) -> None:
    Mailbox.objects.filter(pk=pending.mailbox_id).update(transport=transport)
    second = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>Another answer.</p>")
    third = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>A third one.</p>")
    sandbox.post("faults", route="send", action="hide_sent_copy", times=0)
    sends = [approve(pending, alice), approve(second, alice)]

    for send in sends:
        retry(send)

    assert [send.state for send in sends] == ["accepted", "stopped"]
    assert len(sandbox.sends()) == 1
    for draft in (second, third):
        draft.refresh_from_db()
        assert (draft.state, draft.stale_reason) == ("stale", "answered")
        assert draft.stale_message_ids == [sends[0].provider_message_id]
        assert actions(draft)[-1] == "approvals.draft.stale"


def test_i19_send_that_is_taken_as_sent_makes_the_others_of_its_thread_stale(
    pending: Draft, agent_writes: Callable[..., Draft], alice: User, olga: User, sandbox: Any
) -> None:
    second = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>Another answer.</p>")
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    first = sent(pending, alice)
    waiting = approve(second, alice)

    transitions.close(first.pk, person=olga, as_sent=True, reason="They have it.")

    assert retry(waiting) == "nothing"
    second.refresh_from_db()
    assert (second.state, second.stale_reason) == ("stale", "answered")
    assert sandbox.sends() == []


def test_send_that_is_taken_as_not_sent_lets_the_others_of_its_thread_go_on(
    pending: Draft, agent_writes: Callable[..., Draft], alice: User, olga: User, sandbox: Any
) -> None:
    second = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>Another answer.</p>")
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    first = sent(pending, alice)
    waiting = approve(second, alice)

    transitions.close(first.pk, person=olga, as_sent=False, reason="Nobody has it.")

    assert retry(waiting) == "posted"


@pytest.mark.row("004-32", "K18")
def test_h48_unknown_send_keeps_the_others_of_its_thread_waiting(
    pending: Draft, agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    second = agent_writes(reply_to_message_id=pending.parent_message_id, body="<p>Another answer.</p>")
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    first = sent(pending, alice)
    waiting = approve(second, alice)

    assert retry(waiting) == "refused"

    assert first.state == "unknown"
    assert waiting.state == "queued"
    assert "unknown send in the same thread" in waiting.waiting_for
    assert sandbox.sends() == []


def test_message_that_is_announced_before_it_can_be_read_makes_the_draft_stale(
    pending: Draft, customer_writes: Callable[..., Any], sandbox: Any, notifications: Notifications
) -> None:
    notifications.deliver_new()
    customer_writes(thread_id=pending.thread_id, body="One more thing.")
    error = {"request_id": "r", "error": {"type": "not_found_error", "message": "not yet"}}
    sandbox.post("faults", route="get_message", action="reply", options={"status": 404, "body": error})

    notifications.deliver_new("message.created")

    pending.refresh_from_db()
    assert (pending.state, pending.stale_reason) == ("stale", "new_inbound")


@pytest.mark.row("001-28")
def test_h49_truncated_message_is_fetched_and_makes_the_draft_stale(
    pending: Draft, customer_writes: Callable[..., Any], notifications: Notifications, sandbox: Any
) -> None:
    sandbox.post("webhooks/pause")
    news = customer_writes(thread_id=pending.thread_id, body="Long story. ", body_bytes=1_500_000)

    notifications.deliver(truncated(pending, news))

    pending.refresh_from_db()
    assert pending.state == "stale"
    assert Message.objects.get(provider_id=news["message_id"]).is_complete


@pytest.mark.row("003-33")
def test_h49_nothing_of_a_thread_is_decided_while_a_message_is_not_fetched(
    pending: Draft,
    alice: User,
    customer_writes: Callable[..., Any],
    notifications: Notifications,
    sandbox: Any,
) -> None:
    news = customer_writes(thread_id=pending.thread_id, body="Long story. ", body_bytes=1_500_000)
    sandbox.post(
        "faults",
        route="get_message",
        contains=news["message_id"],
        times=2,
        action="reply",
        options={"status": 503},
    )
    event = notifications.deliver(truncated(pending, news))
    assert event.state == "failing"

    with pytest.raises(DecisionRefused):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    for refused in (
        lambda: decisions.reject(pending, person=alice, seen=seen(pending), reason="No.", form_id=None),
        lambda: decisions.request_changes(pending, person=alice, seen=seen(pending), note="x", form_id=None),
    ):
        with pytest.raises(DecisionRefused):
            refused()

    assert not pending.decisions.exists()
    intake.poll(pending.mailbox, configured_client())
    pending.refresh_from_db()
    assert pending.state == "stale"
    decisions.reject(pending, person=alice, seen=seen(pending), reason="Settled.", form_id=None)


def truncated(draft: Draft, news: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"truncated-{news['message_id']}",
        "type": "message.created.truncated",
        "time": news["date"],
        "data": {
            "grant_id": draft.grant_id,
            "object": {
                "id": news["message_id"],
                "grant_id": draft.grant_id,
                "thread_id": draft.thread_id,
                "object": "message",
            },
        },
    }


@pytest.mark.parametrize("megabytes", [2.9, 3.1])
def test_h50_large_attachment_arrives_whole(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, megabytes: float
) -> None:
    data = bytes(range(256)) * int(megabytes * 1_000_000 / 256)
    big = {**FILE, "filename": "plan.bin", "content": base64.b64encode(data).decode()}
    draft = agent_writes(attachments=[big])

    assert sent(draft, alice).state == "accepted"

    (line,) = sandbox.sends()
    assert line["attachments"][0]["size"] == len(data)
    assert line["attachments"][0]["sha256"] == draft.current_revision.attachments[0]["sha256"]


def test_h50_draft_above_the_limit_is_marked_at_arrival_and_cannot_be_approved(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    data = base64.b64encode(b"x" * 25_100_000).decode()
    draft = agent_writes(attachments=[{**FILE, "content": data}])

    assert not draft.is_complete
    assert "Too large to send" in draft.incomplete_reason
    with pytest.raises(GateRefused, match="Too large"):
        decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)
    decisions.reject(draft, person=alice, seen=seen(draft), reason="Too large.", form_id=None)


def test_silent_provider_at_the_last_look_delays_and_sends_nothing(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    fault = sandbox.post("faults", route="get_thread", times=0, action="reply", options={"status": 503})

    assert dispatch.dispatch(send.pk) == "deferred"

    send.refresh_from_db()
    assert (send.state, send.attempts.count()) == ("queued", 0)
    assert "did not answer" in send.waiting_for
    sandbox.control("DELETE", f"faults/{fault['fault']['id']}")
    assert retry(send) == "posted"


def test_look_that_is_too_old_at_the_claim_is_taken_again(
    pending: Draft, alice: User, sandbox: Any, settings: Any
) -> None:
    send = approve(pending, alice)
    settings.APPROVAL_FRESHNESS_SECONDS = 0.05
    sandbox.post("faults", route="get_thread", times=1, action="delay", options={"ms": 200})

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    assert (send.state, send.attempts.count()) == ("queued", 0)
    settings.APPROVAL_FRESHNESS_SECONDS = 30
    assert retry(send) == "posted"


def test_open_page_says_when_the_thread_could_not_be_read(pending: Draft, sandbox: Any) -> None:
    sandbox.post("faults", route="get_draft", action="reply", options={"status": 500})

    look, trouble = decisions.open_draft(pending)

    assert look is None
    assert "did not answer" in trouble
    pending.refresh_from_db()
    assert pending.state == "pending"


def test_poll_that_fails_in_the_middle_keeps_what_it_read_and_goes_on_later(
    pending: Draft, mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    news = customer_writes(subject="New", body="Hello")
    fault = sandbox.post("faults", route="list_drafts", times=0, action="reply", options={"status": 500})

    with pytest.raises(ProviderError):
        intake.poll(mailbox, configured_client())
    sandbox.control("DELETE", f"faults/{fault['fault']['id']}")

    assert Message.objects.filter(provider_id=news["message_id"]).exists()
    assert sweeps.poll_mailbox(mailbox.pk) is not None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("route", ["list_messages", "get_draft", "get_thread", "get_message", "send_message"])
def test_h45_message_that_arrives_at_any_step_stops_the_send_or_is_flagged(
    pending: Draft, alice: User, sandbox: Any, route: str, when: str
) -> None:
    send = approve(pending, alice)
    options = {"thread_id": pending.thread_id, "message": {"body": "Never mind!"}}
    sandbox.post("faults", route=route, when=when, action="insert_message", options=options)

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    pending.refresh_from_db()
    if sandbox.sends():
        assert send.state == "accepted"
        assert FollowUp.objects.get(send=send).kind == "crossed"
    else:
        assert (send.state, pending.state) == ("stopped", "stale")
    is_seen_in_time = route in ("list_messages", "get_draft") or (route, when) == ("get_thread", "before")
    assert bool(sandbox.sends()) != is_seen_in_time


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("route", ["list_messages", "get_draft", "get_thread", "get_message", "send_message"])
def test_h42_draft_that_changes_at_any_step_leaves_as_approved_or_not_at_all(
    pending: Draft, alice: User, sandbox: Any, route: str, when: str
) -> None:
    send = approve(pending, alice)
    options = {"draft_id": pending.provider_draft_id, "patch": {"body": "<p>Pay elsewhere.</p>"}}
    sandbox.post("faults", route=route, when=when, action="edit_draft", options=options)

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    for line in sandbox.sends():
        assert line["body"] == "<p>It left on Monday and arrives on Thursday.</p>"
    assert (send.state, len(sandbox.sends())) in (("accepted", 1), ("stopped", 0))
