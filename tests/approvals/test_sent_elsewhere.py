"""What leaves a mailbox without a decision: an alarm once, the draft with its words closed, and no false alarm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.db.models import F

from agentmail import mirror
from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import copies, decisions, dispatch, intake
from approvals.models import Draft, FollowUp, Send, SentMessage
from approvals.transitions import sent_messages
from approvals.transitions.drafts import DecisionRefused
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM, record
from tests.approvals.conftest import Notifications, actions, age, approve, seen, sent

Write = Callable[..., dict[str, Any]]


@pytest.fixture
def write(sandbox: Any, mailbox: Mailbox) -> Write:
    """Write a mail in a mail program that is connected to the mailbox."""

    def written(**fields: Any) -> dict[str, Any]:
        fields = {
            "to": [{"email": "customer@example.net"}],
            "subject": "A word",
            "body": "From my phone.",
        } | fields
        answer: dict[str, Any] = sandbox.post("mail-client", grant=mailbox.grant_id, **fields)
        return answer

    return written


def poll(mailbox: Mailbox) -> None:
    result = intake.poll(mailbox, configured_client())
    assert result.troubles == []


def elsewhere() -> list[SentMessage]:
    return list(SentMessage.objects.filter(send__isnull=True))


@pytest.mark.row("003-15")
def test_mail_that_no_decision_allowed_raises_an_alarm_once(mailbox: Mailbox, write: Write) -> None:
    written = write()

    poll(mailbox)
    poll(mailbox)

    (item,) = elsewhere()
    assert (item.message.provider_id, item.draft) == (written["message_id"], None)
    entry = Entry.objects.get(action="approvals.message.sent_elsewhere")
    assert entry.recipients == ["customer@example.net"]
    assert entry.provider_id == written["message_id"]


def test_mail_is_noticed_by_its_notification_too(
    mailbox: Mailbox, write: Write, notifications: Notifications
) -> None:
    write()

    notifications.deliver_new("message.created")

    assert len(elsewhere()) == 1


def test_what_this_desk_sent_raises_none(
    pending: Draft, alice: User, mailbox: Mailbox, notifications: Notifications
) -> None:
    send = sent(pending, alice)

    notifications.deliver_new("message.created", "message.updated")
    poll(mailbox)

    assert elsewhere() == []
    assert SentMessage.objects.get().send == send


def test_mail_from_before_the_mailbox_was_connected_raises_none(mailbox: Mailbox, write: Write) -> None:
    write()
    Mailbox.objects.filter(pk=mailbox.pk).update(connected_at=mailbox.connected_at + timedelta(hours=1))
    mailbox.refresh_from_db()

    poll(mailbox)

    assert not SentMessage.objects.exists()


def test_mail_like_one_under_way_waits_until_that_is_settled(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox, write: Write
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)
    assert send.state == "unknown"
    write(subject=pending.subject)
    poll(mailbox)
    assert elsewhere() == []
    Send.objects.filter(pk=send.pk).update(state="closed_not_sent")

    poll(mailbox)

    assert len(elsewhere()) == 1


def test_a_second_copy_counts_as_allowed_by_its_send_and_has_its_own_alarm(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    fault = sandbox.post("faults", route="delete_draft", times=0, action="reply", options={"status": 503})
    send = sent(pending, alice)
    sandbox.control("DELETE", f"faults/{fault['fault']['id']}")
    sandbox.post(f"agent/drafts/{pending.provider_draft_id}/send", grant=pending.grant_id)

    poll(mailbox)

    send.refresh_from_db()
    assert "second copy" in send.alarm
    assert elsewhere() == []


def sent_past_the_desk(draft: Draft, sandbox: Any) -> None:
    sandbox.post(f"agent/drafts/{draft.provider_draft_id}/send", grant=draft.grant_id)


@pytest.mark.row("003-15")
def test_a_draft_that_was_sent_past_the_desk_is_closed_as_sent_elsewhere(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    sent_past_the_desk(pending, sandbox)

    poll(mailbox)

    pending.refresh_from_db()
    assert pending.state == "sent_elsewhere"
    assert elsewhere()[0].draft == pending
    with pytest.raises(DecisionRefused):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    assert not Send.objects.exists()


def test_a_draft_that_was_announced_as_gone_before_its_mail_is_closed_as_sent_elsewhere(
    pending: Draft, sandbox: Any, mailbox: Mailbox, notifications: Notifications
) -> None:
    sent_past_the_desk(pending, sandbox)
    intake.observe_by_id(mailbox, pending.provider_draft_id, configured_client())
    pending.refresh_from_db()
    assert pending.state == "withdrawn"

    notifications.deliver_new("message.created")

    pending.refresh_from_db()
    assert pending.state == "sent_elsewhere"
    assert actions(pending)[-2:] == ["approvals.draft.sent_elsewhere", "approvals.message.sent_elsewhere"]


def test_an_approved_draft_that_was_sent_past_the_desk_is_not_sent_again(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)
    sent_past_the_desk(pending, sandbox)

    poll(mailbox)

    assert dispatch.dispatch(send.pk) != "accepted"
    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "sent_elsewhere")
    assert send.decision.void_reason == "sent_elsewhere"
    assert len(sandbox.sends()) == 1


def test_a_draft_that_was_reworded_and_sent_in_a_mail_program_is_closed_with_its_conversation(
    pending: Draft, sandbox: Any, mailbox: Mailbox, write: Write
) -> None:
    write(
        thread_id=pending.thread_id,
        to=pending.current_revision.to,
        subject=pending.subject,
        body="Reworded at the last moment.",
    )
    sandbox.control("DELETE", f"agent/drafts/{pending.provider_draft_id}", grant=mailbox.grant_id)

    poll(mailbox)

    pending.refresh_from_db()
    assert pending.state == "sent_elsewhere"


def test_a_person_s_own_answer_leaves_the_draft_open_and_stale(
    pending: Draft, mailbox: Mailbox, write: Write
) -> None:
    write(
        thread_id=pending.thread_id, to=pending.current_revision.to, subject=pending.subject, body="I did it."
    )

    poll(mailbox)

    pending.refresh_from_db()
    assert (pending.state, pending.stale_reason) == ("stale", "answered")
    assert elsewhere()[0].draft is None


def test_a_rejected_draft_that_is_sent_all_the_same_stays_rejected_and_is_named(
    pending: Draft, alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    decisions.reject(pending, person=alice, seen=seen(pending), reason="Wrong price.", form_id=None)
    sent_past_the_desk(pending, sandbox)

    poll(mailbox)

    pending.refresh_from_db()
    assert pending.state == "rejected"
    assert elsewhere()[0].draft == pending


def test_acknowledging_twice_keeps_the_first_note(mailbox: Mailbox, write: Write, olga: User) -> None:
    write()
    poll(mailbox)
    (item,) = elsewhere()

    sent_messages.acknowledge([item.pk], person=olga, note="Ben answered from his phone.")
    again = sent_messages.acknowledge([item.pk], person=olga, note="Nobody knows.")

    item.refresh_from_db()
    assert again == []
    assert item.acknowledge_note == "Ben answered from his phone."
    assert Entry.objects.filter(action="approvals.message.acknowledged").count() == 1


def test_who_may_not_resolve_may_not_acknowledge(mailbox: Mailbox, write: Write, alice: User) -> None:
    write()
    poll(mailbox)
    (item,) = elsewhere()

    with pytest.raises(sent_messages.AcknowledgementRefused):
        sent_messages.acknowledge([item.pk], person=alice, note="I know him.")

    item.refresh_from_db()
    assert item.acknowledged_at is None


def test_a_message_that_cannot_be_read_keeps_no_other_from_its_alarm(
    mailbox: Mailbox, write: Write, sandbox: Any
) -> None:
    readable, unreadable = write()["message_id"], write(subject="Another")["message_id"]
    # As a process leaves it that died between storing and noting.
    mirror.sync_messages(mailbox, configured_client())
    fault = {"action": "reply", "times": 0, "options": {"status": 503}}
    sandbox.post("faults", route="get_message", contains=unreadable, **fault)

    result = intake.poll(mailbox, configured_client())

    assert result.troubles
    assert [item.message.provider_id for item in elsewhere()] == [readable]


def test_a_copy_that_gets_another_id_long_after_its_send_raises_no_alarm(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    send = sent(pending, alice)
    poll(mailbox)
    # The provider moves it to another folder: another id, and no metadata of ours.
    long_ago = timedelta(days=90)
    copy = Message.objects.get(provider_id=send.provider_message_id)
    sandbox.control("PATCH", f"messages/{copy.provider_id}", metadata_from=9_999_999_999)
    age(send, state_changed_at=long_ago, accepted_at=long_ago)
    Mailbox.objects.filter(pk=mailbox.pk).update(connected_at=F("connected_at") - 2 * long_ago)
    SentMessage.objects.all().delete()
    Message.objects.filter(pk=copy.pk).update(
        date=(copy.date or 0) - int(long_ago.total_seconds()), metadata={}
    )
    Send.objects.filter(pk=send.pk).update(provider_message_id="before-it-moved")
    copy.refresh_from_db()

    copies.note(copy, configured_client(), source="event")

    assert elsewhere() == []
    assert SentMessage.objects.get().send == send


def test_among_many_drafts_of_one_subject_the_right_one_is_closed(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, sandbox: Any
) -> None:
    first, *others = (agent_writes(subject="Your order", body=f"<p>Parcel {n}.</p>") for n in range(22))
    sent_past_the_desk(first, sandbox)

    poll(mailbox)

    first.refresh_from_db()
    assert first.state == "sent_elsewhere"
    assert {Draft.objects.get(pk=draft.pk).state for draft in others} == {"pending"}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_that_note_one_message_and_see_different_drafts_do_not_wait_for_each_other(
    pending: Draft, mailbox: Mailbox, write: Write
) -> None:
    write(subject=pending.subject)
    mirror.sync_messages(mailbox, configured_client())
    message = Message.objects.get(is_outbound=True)

    with transaction.atomic():
        # The first one saw no draft: its row is there, its entry in the record not yet.
        SentMessage.objects.create(message=message, mailbox=mailbox, noted_at=database_now())
        other = threading.Thread(target=noted_with_draft, args=(message, pending))
        other.start()
        await_a_waiting_transaction()
        record("approvals.message.sent_elsewhere", actor=SYSTEM, mailbox_id=mailbox.pk)
    other.join(30)

    pending.refresh_from_db()
    assert pending.state == "sent_elsewhere"
    assert SentMessage.objects.count() == 1


def noted_with_draft(message: Message, draft: Draft) -> None:
    try:
        sent_messages.sent_elsewhere(message, draft.pk)
    finally:
        connections.close_all()


def await_a_waiting_transaction() -> None:
    for _try in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_a_mail_that_the_mailbox_gets_a_copy_of_itself_raises_no_alarm(
    agent_writes: Callable[..., Draft],
    alice: User,
    mailbox: Mailbox,
    notifications: Notifications,
    sandbox: Any,
) -> None:
    poll(mailbox)
    send = sent(agent_writes(cc=[{"email": mailbox.address}]), alice)

    notifications.deliver_new("message.created", "message.updated")
    poll(mailbox)

    send.refresh_from_db()
    assert (
        len([line for line in sandbox.get("state")["messages"] if line["subject"] == send.draft.subject]) == 2
    )
    assert (send.alarm, elsewhere()) == ("", [])
    assert not FollowUp.objects.exists()


def test_mail_of_a_stranger_in_the_name_of_the_mailbox_arrived_and_raises_no_alarm(
    mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    forged = customer_writes(**{"from": {"email": mailbox.address}}, subject="It is me", body="Really.")

    poll(mailbox)

    assert not Message.objects.get(provider_id=forged["message_id"]).is_outbound
    assert elsewhere() == []
