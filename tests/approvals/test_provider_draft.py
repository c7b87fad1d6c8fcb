"""The transport that lets the provider send its draft: H41, H42 and what is prepared for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import decisions, dispatch, intake, lookup
from approvals.content import send_token
from approvals.models import Draft, FollowUp, Send
from approvals.transitions import sends
from tests.approvals.conftest import actions, approve, retry, seen, sent
from tests.campaign import processes


@pytest.fixture
def mailbox(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport="provider_draft")
    mailbox.refresh_from_db()
    return mailbox


def upstream(sandbox: Any) -> dict[str, Any]:
    (draft,) = sandbox.get("state")["drafts"]
    return draft


def test_draft_itself_is_sent_with_our_token_and_the_agents_metadata(
    agent_writes: Any, alice: User, sandbox: Any
) -> None:
    draft = agent_writes(metadata={"case": "48213", "key3": "agent"})

    send = sent(draft, alice)

    (line,) = sandbox.sends()
    assert (line["kind"], line["draft_id"]) == ("draft", draft.provider_draft_id)
    assert line["metadata"] == {"case": "48213", "key3": "agent", "key1": send.token}
    assert send.state == "accepted"


def test_token_is_written_upstream_before_the_post(pending: Draft, alice: User, sandbox: Any) -> None:
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 504})

    send = sent(pending, alice)

    assert upstream(sandbox)["metadata"]["key1"] == send.token


def test_writing_the_token_does_not_make_the_draft_look_changed(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 429, "body": {}})
    send = sent(pending, alice)

    assert intake.poll(mailbox, configured_client()).revised == 0

    assert retry(send) == "posted"
    assert send.state == "accepted"


def test_a_persons_wording_is_put_upstream_and_sent(pending: Draft, alice: User, sandbox: Any) -> None:
    changes = {"body": "<p>It arrives on Friday.</p>", "subject": "Re: Order 48213"}
    decisions.edit(pending, person=alice, seen=seen(pending), changes=changes)

    send = sent(pending, alice)

    (line,) = sandbox.sends()
    assert (line["kind"], line["body"], line["subject"]) == ("draft", changes["body"], changes["subject"])
    assert (send.state, send.alarm) == ("accepted", "")


def test_approved_wording_that_a_poll_finds_upstream_is_no_change_of_the_agents(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    # As a worker leaves it that dies after it wrote the approved wording upstream.
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"body": "<p>By Alice.</p>"})
    send = approve(pending, alice)
    path = f"agent/drafts/{pending.provider_draft_id}"
    sandbox.control("PUT", path, grant=pending.grant_id, body="<p>By Alice.</p>")

    assert intake.poll(mailbox, configured_client()).revised == 0

    assert retry(send) == "posted"
    assert [line["body"] for line in sandbox.sends()] == ["<p>By Alice.</p>"]


def test_agents_edit_before_the_dispatch_is_not_overwritten(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"body": "<p>By Alice.</p>"})
    send = approve(pending, alice)
    path = f"agent/drafts/{pending.provider_draft_id}"
    sandbox.control("PUT", path, grant=pending.grant_id, body="<p>By agent.</p>")

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, send.decision.void_reason) == ("stopped", "changed")
    assert upstream(sandbox)["body"] == "<p>By agent.</p>"
    assert pending.current_revision.body == "<p>By agent.</p>"
    assert sandbox.sends() == []


def test_h42_edit_inside_the_last_round_trip_is_found_afterwards_and_raises_an_alarm(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post(
        "faults",
        route="send_draft",
        action="edit_draft",
        options={"patch": {"body": "<p>Pay to another account.</p>"}},
    )

    send = sent(pending, alice)

    (line,) = sandbox.sends()
    assert line["body"] == "<p>Pay to another account.</p>"
    assert send.state == "accepted"
    assert "differs from the approved" in send.alarm
    follow_up = FollowUp.objects.get(send=send)
    assert (follow_up.kind, follow_up.assigned_to) == ("content_differs", alice)
    assert "approvals.send.content_differs" in actions(pending)
    assert "another account" in Message.objects.get(provider_id=line["message_id"]).body_text


def test_added_recipient_inside_the_last_round_trip_raises_an_alarm(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    patch = {"cc": [{"email": "eve@example.net"}]}
    sandbox.post("faults", route="send_draft", action="edit_draft", options={"patch": patch})

    send = sent(pending, alice)

    assert "differs from the approved" in send.alarm


def test_draft_that_vanished_before_the_first_attempt_is_withdrawn(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    sandbox.control("DELETE", f"agent/drafts/{pending.provider_draft_id}", grant=pending.grant_id)

    assert dispatch.dispatch(send.pk) == "refused"

    pending.refresh_from_db()
    assert pending.state == "withdrawn"


def test_draft_that_is_gone_at_a_later_attempt_is_unknown_and_then_found(
    pending: Draft, alice: User, olga: User, sandbox: Any
) -> None:
    # Not before the second attempt does the provider say 404: the first may have sent it.
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 429, "body": {}})
    sandbox.post("faults", route="send_draft", nth=2, action="reply", options={"status": 404, "body": {}})
    send = sent(pending, alice)

    retry(send)

    assert (send.state, send.attempts.count()) == ("unknown", 2)
    assert not lookup.look_up(send.pk)
    sends.close(send.pk, person=olga, as_sent=False, reason="It is still in the drafts folder.")


def test_draft_that_somebody_sent_in_the_last_moment_is_found_and_not_called_withdrawn(
    pending: Draft, alice: User, sandbox: Any, transactional_db: None
) -> None:
    send = approve(pending, alice)
    child = processes.start(lambda: bool(dispatch.dispatch(send.pk)) and 0, failpoint="C6:1:stop")
    child.wait_until_stopped()
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)

    child.go_on()
    assert child.wait() == 0

    send.refresh_from_db()
    assert (send.state, send.evidence["source"], send.alarm) == ("accepted", "metadata", "")
    assert len(sandbox.sends()) == 1


def test_draft_that_is_gone_is_not_called_withdrawn_while_nobody_can_be_asked(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    error = {"request_id": "r", "error": {"type": "not_found_error", "message": "gone"}}
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 404, "body": error})
    sandbox.post("faults", route="list_messages", nth=2, action="reply", options={"status": 503})

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    assert (send.state, send.ambiguous) == ("unknown", True)


def test_lost_answer_is_found_by_the_token_that_the_draft_carried(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_draft", action="reset", when="after")
    send = sent(pending, alice)
    assert send.state == "unknown"

    assert lookup.look_up(send.pk)

    send.refresh_from_db()
    assert (send.state, send.evidence["source"], len(sandbox.sends())) == ("accepted", "metadata", 1)


def test_draft_id_that_changes_with_the_write_is_followed(pending: Draft, alice: User, sandbox: Any) -> None:
    sandbox.control("PATCH", "switches", draft_id_after_put="changed")

    send = sent(pending, alice)

    (line,) = sandbox.sends()
    assert (send.state, line["draft_id"]) == ("accepted", pending.provider_draft_id)
    assert Draft.objects.count() == 1


def test_poll_after_a_changed_draft_id_does_not_see_a_second_draft(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.control("PATCH", "switches", draft_id_after_put="changed")
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 429, "body": {}})
    sent(pending, alice)

    intake.poll(mailbox, configured_client())

    assert Draft.objects.count() == 1


@pytest.mark.row("003-15", "K28")
def test_h41_agent_that_sends_the_draft_itself_is_seen_as_sent(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    sandbox.post("faults", route="send_draft", action="reply", options={"status": 429, "body": {}})
    send = sent(pending, alice)
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)

    retry(send)

    assert send.state == "accepted"
    assert [line["by"] for line in sandbox.sends()] == ["agent"]


def test_reconciling_after_a_restore_asks_for_the_token_that_the_mail_left_with(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.control("PATCH", "switches", draft_id_after_put="changed")
    send = sent(pending, alice)
    assert send.token != send_token(pending.grant_id, pending.provider_draft_id)
    send.attempts.all().delete()
    # As the database was before the claim, and after the draft had got its new id.
    Send.objects.filter(pk=send.pk).update(**{"state": "queued", "evidence": None, "provider_message_id": ""})

    assert lookup.after_restore() == (1, 1)

    send.refresh_from_db()
    assert send.state == "accepted"
