"""What runs by the clock, and that nothing approved ever disappears (I10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F, Q

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import decisions, dispatch, intake, operations, sweeps
from approvals.models import Decision, Draft, Send
from approvals.transitions import drafts
from audit.clock import database_now
from audit.models import Entry
from policies import locks
from tests.approvals.conftest import age, approve, seen, sent


def lost() -> list[Decision]:
    """The approvals that neither count for a send nor have an end."""
    approvals = Decision.objects.filter(kind="approve")
    has_end = Q(voided_at__isnull=False)
    has_send = Q(draft__send__decision=F("pk"), draft__state="approved") & ~Q(draft__send__state="stopped")
    return list(approvals.exclude(has_end).exclude(has_send))


def test_every_approval_has_a_send_or_an_end(
    agent_writes: Callable[..., Draft],
    alice: User,
    mailbox: Mailbox,
    customer_writes: Callable[..., Any],
    sandbox: Any,
) -> None:
    queued = approve(agent_writes(), alice)
    accepted = sent(agent_writes(), alice)
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    unknown = sent(agent_writes(), alice)
    sandbox.post(
        "faults",
        route="send_message",
        action="reply",
        options={"status": 400, "body": {"request_id": "1", "error": {"type": "invalid", "message": "No"}}},
    )
    failed = sent(agent_writes(), alice)
    moved = agent_writes()
    stopped = approve(moved, alice)
    customer_writes(thread_id=moved.thread_id)
    dispatch.dispatch(stopped.pk)
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=15)
    undone = agent_writes()
    approve(undone, alice)
    drafts.undo(undone.pk, person=alice)

    states = {s.pk: s.state for s in Send.objects.all()}
    assert [states[s.pk] for s in (queued, accepted, unknown, failed, stopped)] == [
        "queued",
        "accepted",
        "unknown",
        "failed",
        "stopped",
    ]
    assert lost() == []
    assert Decision.objects.filter(kind="approve").count() == Send.objects.count() == 6


@pytest.mark.row("004-39")
def test_sweep_expires_what_is_open_and_over_and_nothing_else(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    over, asked, approved, fresh = (agent_writes() for _ in range(4))
    decisions.request_changes(asked, person=alice, seen=seen(asked), note="Shorter.", form_id=None)
    approve(approved, alice)
    for draft in (over, asked, approved):
        age(draft, expires_at=timedelta(hours=73))

    assert sweeps.expired_drafts() == 2

    states = []
    for draft in (over, asked, approved, fresh):
        draft.refresh_from_db()
        states.append(draft.state)
    assert states == ["expired", "expired", "approved", "pending"]
    assert asked.decisions.get().void_reason == "ran_out"


def test_expired_draft_is_deleted_upstream_and_kept_here(pending: Draft, alice: User, sandbox: Any) -> None:
    age(pending, expires_at=timedelta(hours=73))
    sweeps.expired_drafts()

    assert sweeps.rejected_drafts() == 1

    assert sandbox.get("state")["drafts"] == []
    assert pending.revisions.get().body
    assert sweeps.rejected_drafts() == 0


def test_rejected_draft_is_deleted_again_when_the_provider_was_silent(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    decisions.reject(pending, person=alice, seen=seen(pending), reason="No.", form_id=None)
    sandbox.post("faults", route="delete_draft", action="reply", options={"status": 503})

    assert sweeps.rejected_drafts() == 0
    assert sweeps.rejected_drafts() == 1


def test_draft_that_could_not_be_deleted_after_the_send_is_deleted_by_the_sweep(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="delete_draft", action="reply", options={"status": 503})
    send = sent(pending, alice)
    assert (send.state, send.draft_deleted_at) == ("accepted", None)
    age(send, accepted_at=timedelta(minutes=1))

    sweeps.unfinished_sends()

    send.refresh_from_db()
    assert send.draft_deleted_at is not None
    assert send.looked_after_at is not None
    assert sandbox.get("state")["drafts"] == []


def test_leftover_draft_of_a_sent_mail_never_comes_back_to_the_queue(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.post("faults", route="delete_draft", times=0, action="reply", options={"status": 503})
    sent(pending, alice)

    result = intake.poll(mailbox, configured_client())

    assert (result.arrived, result.revised, Draft.objects.count()) == (0, 0, 1)


def test_dispatched_send_of_a_dead_worker_becomes_unknown(pending: Draft, alice: User) -> None:
    send = sent(pending, alice)
    send.attempts.update(state="dispatched")
    Send.objects.filter(pk=send.pk).update(state="dispatched", evidence=None)

    assert sweeps.abandoned_sends() == 1

    send.refresh_from_db()
    assert (send.state, send.ambiguous) == ("unknown", True)
    assert send.attempts.get().reply_class == "ambiguous"


def test_h34_dispatched_send_of_a_worker_that_holds_its_lock_stays_as_it_is(
    transactional_db: None, pending: Draft, alice: User
) -> None:
    send = sent(pending, alice)
    send.attempts.update(state="dispatched")
    Send.objects.filter(pk=send.pk).update(state="dispatched", evidence=None)

    with locks.hold(dispatch.lock_name(send.pk)) as lock:
        assert lock is not None
        assert sweeps.abandoned_sends() == 0

    send.refresh_from_db()
    assert send.state == "dispatched"


def test_poll_seen_twice_changes_nothing(pending: Draft, mailbox: Mailbox) -> None:
    client = configured_client()
    intake.poll(mailbox, client)
    entries = Entry.objects.count()

    result = intake.poll(mailbox, client)

    assert (result.arrived, result.revised, result.withdrawn, result.stale) == (0, 0, 0, 0)
    assert Entry.objects.count() == entries


def test_draft_that_is_seen_by_two_polls_at_once_arrives_once(pending: Draft, mailbox: Mailbox) -> None:
    client = configured_client()
    snapshot = client.get_draft(mailbox.grant_id, pending.provider_draft_id)

    assert intake.observe(mailbox, snapshot, client) is None

    assert Draft.objects.count() == 1


def test_draft_whose_attachment_cannot_be_read_is_incomplete_until_it_can(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    fault = sandbox.post(
        "faults",
        route="download_attachment",
        times=0,
        action="reply",
        options={"status": 404, "body": {"request_id": "1", "error": {"type": "not_found", "message": "No"}}},
    )
    part = {"filename": "a.txt", "content_type": "text/plain", "content": "eA=="}
    draft = agent_writes(attachments=[part])
    assert not draft.is_complete
    sandbox.control("DELETE", f"faults/{fault['fault']['id']}")

    intake.poll(mailbox, configured_client())

    draft.refresh_from_db()
    assert draft.is_complete
    assert sent(draft, alice).state == "accepted"


def test_customer_who_wrote_between_the_draft_and_its_arrival_makes_it_stale(
    mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    question = customer_writes(body="Where is it?", date=1_790_000_000)
    sandbox.post(
        "agent/drafts",
        grant=mailbox.grant_id,
        to=[{"email": "casey@example.net"}],
        body="On Monday.",
        reply_to_message_id=question["message_id"],
    )
    customer_writes(thread_id=question["thread_id"], body="Found it.", date=4_000_000_000)

    intake.poll(mailbox, configured_client())

    draft = Draft.objects.get()
    assert (draft.state, draft.stale_reason) == ("stale", "new_inbound")


def test_draft_without_a_thread_is_reviewed_and_sent_too(mailbox: Mailbox, alice: User, sandbox: Any) -> None:
    sandbox.post(
        "agent/drafts", grant=mailbox.grant_id, to=[{"email": "new@example.net"}], subject="Hello", body="Hi"
    )
    intake.poll(mailbox, configured_client())

    send = sent(Draft.objects.get(), alice)

    assert send.state == "accepted"
    assert sandbox.sends()[0]["is_plaintext"]


@pytest.mark.parametrize("state", ["rejected", "expired", "withdrawn", "superseded"])
def test_ended_draft_is_not_revised_by_the_agent(
    pending: Draft, mailbox: Mailbox, sandbox: Any, state: str
) -> None:
    Draft.objects.filter(pk=pending.pk).update(state=state)
    path = f"agent/drafts/{pending.provider_draft_id}"
    sandbox.control("PUT", path, grant=mailbox.grant_id, body="<p>Other.</p>")

    intake.poll(mailbox, configured_client())

    pending.refresh_from_db()
    assert (pending.state, pending.current_revision.number) == (state, 1)


def test_poll_that_is_running_keeps_a_second_one_away(transactional_db: None, mailbox: Mailbox) -> None:
    with locks.hold(f"poll:{mailbox.pk}"):
        assert sweeps.poll_mailbox(mailbox.pk) is None


def test_draft_that_cannot_be_read_does_not_keep_the_others_away(
    mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    broken, good = (customer_writes(subject=subject, body="Where is it?") for subject in ("A", "B"))
    for question in (broken, good):
        sandbox.post(
            "agent/drafts",
            grant=mailbox.grant_id,
            to=[{"email": "casey@example.net"}],
            body="On Monday.",
            reply_to_message_id=question["message_id"],
        )
    fault = {"route": "get_thread", "contains": broken["thread_id"], "times": 0}
    rule = sandbox.post("faults", **fault, action="reply", options={"status": 500})["fault"]

    result = intake.poll(mailbox, configured_client())

    mailbox.refresh_from_db()
    assert (result.arrived, len(result.troubles)) == (1, 1)
    assert Draft.objects.get().thread_id == good["thread_id"]
    assert mailbox.trouble
    sandbox.control("DELETE", f"faults/{rule['id']}")
    assert intake.poll(mailbox, configured_client()).arrived == 1
    mailbox.refresh_from_db()
    assert mailbox.trouble == ""


def test_poll_gives_up_when_nothing_can_be_read(
    mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    for number in range(4):
        question = customer_writes(subject=str(number), body="Where is it?")
        sandbox.post(
            "agent/drafts",
            grant=mailbox.grant_id,
            to=[{"email": "casey@example.net"}],
            body="On Monday.",
            reply_to_message_id=question["message_id"],
        )
    sandbox.post("faults", route="get_thread", times=0, action="reply", options={"status": 500})

    assert sweeps.poll_mailbox(mailbox.pk) is None

    mailbox.refresh_from_db()
    assert mailbox.trouble
    assert not Draft.objects.exists()


def test_i10_held_overdue_stuck_and_unknown_sends_are_counted(
    agent_writes: Callable[..., Draft], alice: User, olga: User, mailbox: Mailbox, charlie: User
) -> None:
    held, overdue, stuck, unknown, _fresh = (approve(agent_writes(), alice) for _ in range(5))
    Send.objects.filter(pk=held.pk).update(held="blocked_grant", held_at=F("queued_at"))
    age(overdue, next_attempt_at=timedelta(hours=1))
    Send.objects.filter(pk=stuck.pk).update(state="dispatched")
    age(stuck, state_changed_at=timedelta(hours=1))
    Send.objects.filter(pk=unknown.pk).update(state="unknown", ambiguous=True)

    counted = operations.numbers(olga, database_now())

    assert (counted.held, counted.overdue, counted.beyond_fence, counted.unknown) == (1, 1, 1, 1)
    nothing = operations.numbers(charlie, database_now())
    assert (nothing.held, nothing.overdue, nothing.beyond_fence, nothing.unknown) == (0, 0, 0, 0)
