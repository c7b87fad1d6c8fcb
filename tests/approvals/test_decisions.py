"""What a person decides: H5, H6, H7, H11 and the undo hold."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import decisions, dispatch, intake, sweeps
from approvals.models import Decision, Draft, Membership, Send
from approvals.transitions import drafts
from approvals.transitions.drafts import (
    AlreadyDecided,
    DecisionRefused,
    DraftChanged,
    DraftExpired,
    GateRefused,
    NotOpen,
    ThreadMoved,
)
from tests.approvals.conftest import actions, age, approve, seen, sent


def test_approval_binds_the_revision_and_the_thread_that_were_seen(pending: Draft, alice: User) -> None:
    send = approve(pending, alice)

    assert pending.state == "approved"
    assert send.state == "queued"
    assert send.decision.revision == pending.current_revision
    assert send.decision.content_sha256 == pending.current_revision.content_sha256
    assert send.decision.thread_fingerprint == pending.thread_fingerprint
    assert actions(pending)[-2:] == ["approvals.send.queued", "approvals.draft.approved"]


@pytest.mark.row("003-35", "K4")
def test_second_approval_changes_nothing_and_names_the_first_decider(
    pending: Draft, alice: User, bruno: User
) -> None:
    approve(pending, alice)

    with pytest.raises(AlreadyDecided) as refusal:
        decisions.approve(pending, person=bruno, seen=seen(pending), form_id=None)

    assert refusal.value.decision.person == alice
    assert "Alice" in str(refusal.value)
    assert decisions.is_repeat(refusal.value.decision, "approve")
    assert Decision.objects.count() == 1


def test_opposite_decision_is_refused(pending: Draft, alice: User, bruno: User) -> None:
    approve(pending, alice)

    with pytest.raises(AlreadyDecided) as refusal:
        decisions.reject(pending, person=bruno, seen=seen(pending), reason="No.", form_id=None)

    assert not decisions.is_repeat(refusal.value.decision, "reject")
    assert Decision.objects.get().kind == "approve"


def test_approval_is_refused_when_the_page_shows_an_older_revision(
    pending: Draft, alice: User, bruno: User
) -> None:
    old_page = seen(pending)
    decisions.edit(pending, person=bruno, seen=seen(pending), changes={"subject": "Re: Your order"})

    with pytest.raises(DraftChanged):
        decisions.approve(pending, person=alice, seen=old_page, form_id=None)

    assert not Send.objects.exists()


def test_approval_is_refused_when_the_digest_differs_under_the_same_number(
    pending: Draft, alice: User
) -> None:
    with pytest.raises(DraftChanged):
        decisions.approve(
            pending, person=alice, seen=replace(seen(pending), content_sha256="0" * 64), form_id=None
        )

    assert not Decision.objects.exists()


def test_h5_agent_edit_between_page_and_click_is_refused_and_shown(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    page = seen(pending)
    sandbox.control(
        "PUT", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id, body="<p>No idea.</p>"
    )

    with pytest.raises(DraftChanged):
        decisions.approve(pending, person=alice, seen=page, form_id=None)

    pending.refresh_from_db()
    assert pending.state == "pending"
    assert pending.current_revision.number == 2
    assert pending.current_revision.body == "<p>No idea.</p>"
    assert not Send.objects.exists()


@pytest.mark.row("D2")
def test_h6_new_message_between_page_and_click_makes_the_draft_stale(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    page = seen(pending)
    news = customer_writes(thread_id=pending.thread_id, body="Never mind, it came.")

    with pytest.raises(ThreadMoved):
        decisions.approve(pending, person=alice, seen=page, form_id=None)

    pending.refresh_from_db()
    assert pending.state == "stale"
    assert pending.stale_message_ids == [news["message_id"]]
    assert not Send.objects.exists()


def test_page_of_before_a_second_look_cannot_approve(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    page = seen(pending)
    customer_writes(thread_id=pending.thread_id, body="One more thing.")
    decisions.open_draft(pending)
    pending.refresh_from_db()
    decisions.look_again(pending, person=alice)
    pending.refresh_from_db()

    with pytest.raises(ThreadMoved):
        decisions.approve(pending, person=alice, seen=page, form_id=None)


def test_stale_draft_looked_at_again_needs_a_fresh_approval_and_then_leaves(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id, body="One more thing.")
    decisions.open_draft(pending)
    pending.refresh_from_db()

    decisions.look_again(pending, person=alice)

    pending.refresh_from_db()
    assert pending.state == "pending"
    assert "approvals.draft.returned_to_pending" in actions(pending)
    assert not Decision.objects.exists()
    assert sent(pending, alice).state == "accepted"


def test_h7_right_revoked_between_approval_and_dispatch_stops_the_send(
    pending: Draft, alice: User, bruno: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    Membership.objects.filter(user=alice).delete()

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "pending")
    assert send.decision.void_reason == "blocked"
    assert sandbox.sends() == []
    assert sent(pending, bruno).state == "accepted"


def test_account_disabled_between_approval_and_dispatch_stops_the_send(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    assert send.state == "stopped"
    assert sandbox.sends() == []


def test_h11_edited_draft_leaves_as_edited_and_the_original_is_kept(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    original = pending.current_revision
    changes = {"body": "<p>It left on Tuesday and arrives on Friday.</p>", "subject": "Re: Order 48213"}

    decisions.edit(pending, person=alice, seen=seen(pending), changes=changes)
    sent(pending, alice)

    (line,) = sandbox.sends()
    original.refresh_from_db()
    revision = pending.current_revision
    assert (line["body"], line["subject"]) == (changes["body"], changes["subject"])
    assert original.body == "<p>It left on Monday and arrives on Thursday.</p>"
    assert (revision.number, revision.author, revision.author_kind) == (2, alice, "person")
    assert ["-", "Monday"] in revision.difference["body"]
    assert ["+", "Tuesday"] in revision.difference["body"]
    assert set(revision.difference) == {"body", "subject"}


def test_edited_recipients_are_the_ones_written_to(pending: Draft, alice: User, sandbox: Any) -> None:
    changes = {"bcc": (Address("archive@harbour.example", "Archive"),), "to": (Address("new@example.net"),)}
    decisions.edit(pending, person=alice, seen=seen(pending), changes=changes)

    sent(pending, alice)

    (line,) = sandbox.sends()
    assert [entry["email"] for entry in line["to"]] == ["new@example.net"]
    assert [entry["email"] for entry in line["bcc"]] == ["archive@harbour.example"]


def test_edit_that_changes_nothing_makes_no_revision(pending: Draft, alice: User) -> None:
    revision = decisions.edit(
        pending, person=alice, seen=seen(pending), changes={"subject": pending.current_revision.subject}
    )

    assert revision.number == 1
    assert pending.revisions.count() == 1


def test_an_agent_edit_after_a_persons_edit_never_replaces_it_silently(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"body": "<p>By Alice.</p>"})
    page = seen(pending)
    sandbox.control(
        "PUT", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id, body="<p>By agent.</p>"
    )

    with pytest.raises(DraftChanged):
        decisions.approve(pending, person=alice, seen=page, form_id=None)

    assert list(pending.revisions.order_by("number").values_list("body", flat=True)) == [
        "<p>It left on Monday and arrives on Thursday.</p>",
        "<p>By Alice.</p>",
        "<p>By agent.</p>",
    ]


def test_draft_without_any_recipient_cannot_be_approved(pending: Draft, alice: User) -> None:
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"to": ()})

    with pytest.raises(GateRefused, match="nobody in To"):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert not Send.objects.exists()


@pytest.mark.row("001-26")
def test_draft_in_the_name_of_another_sender_cannot_be_approved(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    sandbox.control("PATCH", "switches", enforce_from=False)
    draft = agent_writes(**{"from": [{"email": "chief@harbour.example"}]})

    with pytest.raises(GateRefused, match="sender"):
        decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)


@pytest.mark.row("003-13", "004-09")
def test_rejection_ends_the_draft_keeps_its_content_and_deletes_it_upstream(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    decisions.reject(pending, person=alice, seen=seen(pending), reason="We know better.", form_id=None)
    sweeps.rejected_drafts()

    pending.refresh_from_db()
    assert pending.state == "rejected"
    assert pending.discarded_at is not None
    assert sandbox.get("state")["drafts"] == []
    assert pending.current_revision.body == "<p>It left on Monday and arrives on Thursday.</p>"
    assert pending.decisions.get().reason == "We know better."
    assert not Send.objects.exists()


def test_rejected_draft_that_the_provider_keeps_never_comes_back(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    decisions.reject(pending, person=alice, seen=seen(pending), reason="No.", form_id=None)

    intake.poll(mailbox, configured_client())

    pending.refresh_from_db()
    assert pending.state == "rejected"
    assert Draft.objects.count() == 1


def test_stale_draft_can_be_rejected(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id)
    decisions.open_draft(pending)
    pending.refresh_from_db()

    decisions.reject(pending, person=alice, seen=seen(pending), reason="Too late.", form_id=None)

    pending.refresh_from_db()
    assert pending.state == "rejected"


def test_stale_draft_cannot_be_approved(
    pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id)
    decisions.open_draft(pending)
    pending.refresh_from_db()

    with pytest.raises(NotOpen):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


def test_revised_draft_after_a_request_for_changes_waits_again(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    decisions.request_changes(pending, person=alice, seen=seen(pending), note="Name the day.", form_id=None)
    sandbox.control(
        "PUT", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id, body="<p>On Friday.</p>"
    )

    intake.poll(mailbox, configured_client())

    pending.refresh_from_db()
    decision = pending.decisions.get()
    assert pending.state == "pending"
    assert (decision.kind, decision.void_reason, decision.reason) == (
        "request_changes",
        "answered",
        "Name the day.",
    )
    assert sent(pending, alice).state == "accepted"


def test_new_draft_after_a_request_for_changes_supersedes_and_links_the_old_one(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    decisions.request_changes(pending, person=alice, seen=seen(pending), note="Name the day.", form_id=None)
    sandbox.post(
        "agent/drafts",
        grant=mailbox.grant_id,
        to=pending.current_revision.to,
        subject="Re: Where is my order?",
        body="<p>On Friday.</p>",
        reply_to_message_id=pending.parent_message_id,
    )

    intake.poll(mailbox, configured_client())

    pending.refresh_from_db()
    newer = Draft.objects.get(state="pending")
    assert pending.state == "superseded"
    assert newer.linked_from == pending
    assert pending.decisions.get().void_reason == "answered"


def test_changes_requested_draft_cannot_be_approved(pending: Draft, alice: User) -> None:
    decisions.request_changes(pending, person=alice, seen=seen(pending), note="Shorter.", form_id=None)
    pending.refresh_from_db()

    with pytest.raises(DecisionRefused):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert not Send.objects.exists()


def test_draft_deleted_by_the_agent_is_withdrawn(pending: Draft, sandbox: Any, mailbox: Mailbox) -> None:
    sandbox.control("DELETE", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id)

    assert intake.poll(mailbox, configured_client()).withdrawn == 1

    pending.refresh_from_db()
    assert pending.state == "withdrawn"


def test_draft_deleted_after_approval_is_withdrawn_and_never_sent(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)
    sandbox.control("DELETE", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id)

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state, send.decision.void_reason) == ("stopped", "withdrawn", "withdrawn")
    assert sandbox.sends() == []


@pytest.mark.row("K21", "004-39")
def test_expired_draft_cannot_be_decided(pending: Draft, alice: User) -> None:
    age(pending, expires_at=timedelta(hours=73))

    for act in (
        lambda: decisions.approve(pending, person=alice, seen=seen(pending), form_id=None),
        lambda: decisions.reject(pending, person=alice, seen=seen(pending), reason="No.", form_id=None),
        lambda: decisions.edit(pending, person=alice, seen=seen(pending), changes={"subject": "x"}),
    ):
        with pytest.raises(DraftExpired):
            act()


def test_nothing_can_be_decided_while_the_provider_is_silent(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="get_thread", times=0, action="reply", options={"status": 503})

    with pytest.raises(decisions.ProviderSilent):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert not Decision.objects.exists()


# The undo hold


def held_back(mailbox: Mailbox, seconds: int = 15) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=seconds)


@pytest.mark.row("003-09", "003-11", "K20", "004-17")
def test_nothing_leaves_before_the_undo_hold_is_over(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    held_back(mailbox)

    send = approve(pending, alice)

    assert dispatch.dispatch(send.pk) == "nothing"
    assert sweeps.due_sends() == []
    assert sandbox.get("arrivals")["arrivals"] == []
    age(send, not_before=timedelta(seconds=16), next_attempt_at=timedelta(seconds=16))
    assert sweeps.due_sends() == [send.pk]
    assert dispatch.dispatch(send.pk) == "posted"


@pytest.mark.row("K20")
def test_undone_approval_waits_again_and_sends_nothing(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    held_back(mailbox)
    send = approve(pending, alice)

    drafts.undo(pending.pk, person=alice)

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (pending.state, send.state, send.decision.void_reason) == ("pending", "stopped", "undone")
    age(send, not_before=timedelta(seconds=16), next_attempt_at=timedelta(seconds=16))
    assert dispatch.dispatch(send.pk) == "nothing"
    assert sandbox.sends() == []


def test_approval_after_an_undo_reuses_the_same_send(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    held_back(mailbox)
    first = approve(pending, alice)
    drafts.undo(pending.pk, person=alice)
    held_back(mailbox, 0)

    second = sent(pending, alice)

    assert (second.pk, second.token, second.state) == (first.pk, first.token, "accepted")
    assert pending.decisions.count() == 2


def test_form_of_an_undone_approval_cannot_be_submitted_again(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    held_back(mailbox)
    page, form_id = seen(pending), uuid.uuid4()
    decisions.approve(pending, person=alice, seen=page, form_id=form_id)
    drafts.undo(pending.pk, person=alice)
    pending.refresh_from_db()

    with pytest.raises(DecisionRefused):
        decisions.approve(pending, person=alice, seen=page, form_id=form_id)

    assert pending.decisions.count() == 1


def test_undo_after_the_hold_is_refused(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    held_back(mailbox)
    send = approve(pending, alice)
    age(send, not_before=timedelta(seconds=16), next_attempt_at=timedelta(seconds=16))

    with pytest.raises(DecisionRefused, match="undo time is over"):
        drafts.undo(pending.pk, person=alice)

    send.refresh_from_db()
    assert send.state == "queued"


def test_mail_that_came_back_and_is_held_can_be_taken_back(pending: Draft, alice: User, sandbox: Any) -> None:
    error = {"request_id": "1", "error": {"type": "unauthorized", "message": "No"}}
    sandbox.post("faults", route="send_message", action="reply", options={"status": 401, "body": error})
    send = sent(pending, alice)
    assert (send.state, send.held) == ("queued", "blocked_grant")

    drafts.undo(pending.pk, person=alice)

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (pending.state, send.state, sandbox.sends()) == ("pending", "stopped", [])


def test_undo_of_a_sent_mail_is_refused(pending: Draft, alice: User) -> None:
    send = sent(pending, alice)

    with pytest.raises(DecisionRefused):
        drafts.undo(pending.pk, person=alice)

    send.refresh_from_db()
    assert send.state == "accepted"


def test_operator_can_undo_somebody_elses_approval(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox
) -> None:
    held_back(mailbox)
    approve(pending, alice)

    drafts.undo(pending.pk, person=olga)

    pending.refresh_from_db()
    assert pending.state == "pending"


def test_other_reviewer_cannot_undo(pending: Draft, alice: User, bruno: User, mailbox: Mailbox) -> None:
    held_back(mailbox)
    send = approve(pending, alice)

    with pytest.raises(DecisionRefused):
        drafts.undo(pending.pk, person=bruno)

    send.refresh_from_db()
    assert send.state == "queued"


def test_every_gate_is_asked_again_at_the_end_of_the_hold(
    pending: Draft, alice: User, mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    held_back(mailbox)
    send = approve(pending, alice)
    customer_writes(thread_id=pending.thread_id, body="Wait, please.")
    age(send, not_before=timedelta(seconds=16), next_attempt_at=timedelta(seconds=16))

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "stale")
    assert sandbox.sends() == []


# An approval has its time


def test_approval_that_ran_out_waits_again_and_a_new_one_reuses_the_send(
    pending: Draft, alice: User, bruno: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    age(send.decision, valid_until=timedelta(hours=1))

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state, send.decision.void_reason) == ("stopped", "pending", "ran_out")
    again = sent(pending, bruno)
    assert (again.pk, again.state, again.decision.person) == (send.pk, "accepted", bruno)
    assert len(sandbox.sends()) == 1


def test_sweep_voids_an_approval_that_ran_out_while_its_send_was_held(pending: Draft, alice: User) -> None:
    send = approve(pending, alice)
    Send.objects.filter(pk=send.pk).update(held="blocked_kill_switch", held_at=send.queued_at)
    age(send.decision, valid_until=timedelta(hours=1))

    assert sweeps.run_out_approvals() == 1

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, send.held, pending.state) == ("stopped", "", "pending")
