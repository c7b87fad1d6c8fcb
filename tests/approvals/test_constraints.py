"""What the database itself refuses, each constraint broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from agentmail.models import Mailbox, Message, ProviderEvent, Thread, WebhookRejection
from approvals.models import (
    AttachmentBlob,
    Decision,
    Draft,
    FollowUp,
    Membership,
    RecipientOutcome,
    Role,
    Send,
)
from approvals.states import DraftState, SendState
from approvals.transitions import moves
from approvals.transitions.moves import IllegalMove, LostRace
from audit.clock import database_now
from tests.approvals.conftest import approve, sent


def refused(work: Callable[[], Any], name: str = "") -> None:
    with pytest.raises(IntegrityError, match=name or None), transaction.atomic():
        work()


def copy(row: Any, **changes: Any) -> Callable[[], Any]:
    fields = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    return lambda: type(row).objects.create(**(fields | changes))


def change(row: Any, **changes: Any) -> Callable[[], Any]:
    return lambda: type(row).objects.filter(pk=row.pk).update(**changes)


@pytest.fixture
def send(pending: Draft, alice: User) -> Send:
    return sent(pending, alice)


def test_draft_of_the_provider_has_one_row(pending: Draft) -> None:
    refused(copy(pending, public_id="00000000-0000-4000-8000-000000000000", current_revision_id=None))


def test_draft_has_no_state_outside_the_table(pending: Draft) -> None:
    refused(change(pending, state="forgotten"), "draft_state_is_known")


def test_revision_number_is_given_once(pending: Draft) -> None:
    refused(copy(pending.current_revision))


def test_draft_has_one_live_decision(send: Send) -> None:
    refused(copy(send.decision, form_id=None))
    Decision.objects.filter(pk=send.decision_id).update(voided_at=database_now(), void_reason="undone")

    assert copy(send.decision, form_id=None)()


def test_form_decides_once(send: Send) -> None:
    form_id = "00000000-0000-4000-8000-000000000000"
    change(send.decision, form_id=form_id, voided_at=database_now(), void_reason="undone")()

    refused(copy(send.decision, form_id=form_id))


@pytest.mark.parametrize("changes", [{"void_reason": "undone"}, {"voided_at": True}])
def test_void_decision_has_a_time_and_a_reason(send: Send, changes: dict[str, Any]) -> None:
    if "voided_at" in changes:
        changes = {"voided_at": database_now()}

    refused(change(send.decision, **changes), "voided_decision_has_reason")


def test_draft_has_one_send(send: Send) -> None:
    refused(copy(send, token="X" * 26, thread_id=""))


def test_token_is_given_once(send: Send, agent_writes: Callable[..., Draft], alice: User) -> None:
    other = approve(agent_writes(), alice)

    refused(change(other, token=send.token))


def test_send_has_no_state_outside_the_table(send: Send) -> None:
    refused(change(send, state="perhaps"), "send_state_is_known")


def test_one_send_of_a_thread_is_in_flight(
    agent_writes: Callable[..., Draft], pending: Draft, alice: User
) -> None:
    first = approve(pending, alice)
    second = approve(agent_writes(reply_to_message_id=pending.parent_message_id), alice)
    assert first.thread_id == second.thread_id
    change(first, state="unknown")()

    for state in ("dispatched", "unknown"):
        refused(change(second, state=state))


@pytest.mark.parametrize("state", ["failed", "stopped", "queued"])
def test_ambiguity_sticks(send: Send, state: str) -> None:
    refused(change(send, state=state, ambiguous=True), "ambiguity_sticks")


def test_accepted_send_has_evidence(send: Send) -> None:
    refused(change(send, evidence=None), "accepted_has_evidence")


def test_attempt_number_is_given_once(send: Send) -> None:
    refused(copy(send.attempts.get()))


@pytest.mark.parametrize("state", ["dispatched", "unknown"])
def test_send_has_one_live_attempt(send: Send, state: str) -> None:
    attempt = send.attempts.get()
    change(attempt, state="dispatched")()

    refused(copy(attempt, number=2, state=state))


def test_attempt_has_no_state_outside_the_table(send: Send) -> None:
    refused(change(send.attempts.get(), state="perhaps"), "attempt_state_is_known")


def test_fact_of_one_event_is_kept_once(send: Send) -> None:
    fact = RecipientOutcome.objects.create(
        send=send, address="a@example.net", kind="delivered", source="event:1", recorded_at=database_now()
    )

    refused(copy(fact))


def test_send_has_one_open_follow_up(send: Send, alice: User) -> None:
    follow_up = FollowUp.objects.create(
        send=send, mailbox=send.mailbox, kind="failed", assigned_to=alice, opened_at=database_now()
    )

    refused(copy(follow_up, public_id="00000000-0000-4000-8000-000000000000"))


def test_role_is_given_once_for_a_mailbox_and_once_for_all(alice: User, mailbox: Mailbox) -> None:
    refused(lambda: Membership.objects.create(user=alice, role=Role.REVIEWER, mailbox=mailbox))
    Membership.objects.create(user=alice, role=Role.AUDITOR)
    refused(lambda: Membership.objects.create(user=alice, role=Role.AUDITOR))


def test_admin_is_for_all_mailboxes(alice: User, mailbox: Mailbox) -> None:
    refused(
        lambda: Membership.objects.create(user=alice, role=Role.ADMIN, mailbox=mailbox),
        "admin_is_for_all_mailboxes",
    )


@pytest.mark.parametrize("changes", [{"undo_seconds": 61}, {"expiry_hours": 0}, {"expiry_hours": 721}])
def test_mailbox_times_have_their_limits(mailbox: Mailbox, changes: dict[str, int]) -> None:
    refused(change(mailbox, **changes), "mailbox_")


def test_mailbox_message_thread_and_event_have_one_row_each(
    mailbox: Mailbox, send: Send, transactional_db: None
) -> None:
    event = ProviderEvent.objects.create(notification_id="n", type="t", body_sha256="0" * 64, payload={})
    rejection = WebhookRejection.objects.create(day=database_now().date(), reason="bad_signature")
    new = {"public_id": "00000000-0000-4000-8000-000000000000"}

    refused(copy(mailbox, **new))
    refused(copy(Message.objects.filter(mailbox=mailbox).first()))
    refused(copy(Thread.objects.filter(mailbox=mailbox).first()))
    refused(copy(event))
    refused(copy(rejection))


def test_attachment_bytes_are_kept_once(db: None) -> None:
    blob = AttachmentBlob.objects.create(sha256="0" * 64, size=1, content=b"x")

    refused(copy(blob))


def test_move_outside_the_table_is_refused(send: Send) -> None:
    with transaction.atomic(), pytest.raises(IllegalMove):
        moves.move_send(send, SendState.QUEUED, now=database_now())


def test_move_of_a_row_that_somebody_else_moved_is_refused(pending: Draft, alice: User) -> None:
    old = Draft.objects.get(pk=pending.pk)
    approve(pending, alice)

    with transaction.atomic(), pytest.raises(LostRace):
        moves.move_draft(old, DraftState.REJECTED, now=database_now())

    pending.refresh_from_db()
    assert pending.state == "approved"


def test_state_is_not_written_outside_a_transaction(transactional_db: None, pending: Draft) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        moves.move_draft(pending, DraftState.WITHDRAWN, now=database_now())


@pytest.mark.parametrize("name", ["decision", "draft", "mailbox"])
def test_what_a_send_rests_on_cannot_be_deleted(send: Send, name: str) -> None:
    with pytest.raises(ProtectedError):
        getattr(send, name).delete()
