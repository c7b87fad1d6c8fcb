"""A monitored mailbox tells people of every send, until it is known that they were told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F

from agentmail.models import Mailbox
from approvals import dispatch, notifications, sweeps
from approvals.models import Draft, ModeChange, Notification, Send
from approvals.transitions.notifications import send_test
from audit.models import Entry
from audit.record import SYSTEM
from policies import channels, mailbox_settings
from policies.models import Change, Channel
from tests.agentmail.loopback import Line, Server
from tests.approvals.conftest import sent


class Listener:
    """A receiver of webhooks on loopback that answers with a status of the test's choice."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.server = Server([self._answer])

    def _answer(self, line: Line) -> None:
        if line.read_request() is not None:
            line.answer(self.status, {"ok": True}, **self.headers)

    @property
    def url(self) -> str:
        return f"{self.server.uri}/hook"


@pytest.fixture
def listener(settings: Any) -> Iterator[Listener]:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    listener = Listener()
    with listener.server:
        yield listener


def monitored(mailbox: Mailbox, **channel: Any) -> Channel:
    fields = {"kind": "email", "target": "team@harbour.example"} | channel
    made = channels.write(mailbox.pk, version=0, actor=SYSTEM, **fields)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="monitored")
    mailbox.refresh_from_db()
    return made


def leave(draft: Draft) -> Send:
    send = Send.objects.get(draft=draft)
    dispatch.dispatch(send.pk)
    send.refresh_from_db()
    assert send.state == "accepted"
    return send


def try_again(row: Notification) -> bool:
    Notification.objects.filter(pk=row.pk, next_try_at__isnull=False).update(next_try_at=F("made_at"))
    delivered = notifications.deliver(row.pk)
    row.refresh_from_db()
    return delivered


@pytest.mark.row("004-06")
def test_each_send_is_told_once_by_email(routine_writes: Callable[..., Draft], mailbox: Mailbox) -> None:
    monitored(mailbox)
    draft = routine_writes()
    send = leave(draft)

    [due] = notifications.due()
    assert notifications.deliver(due)
    assert not notifications.deliver(due)

    [told] = mail.outbox
    assert told.to == ["team@harbour.example"]
    assert draft.subject in told.body
    assert str(draft.public_id) in told.body
    assert Notification.objects.get(send=send).delivered_at is not None
    assert notifications.due() == []


@pytest.mark.row("004-06")
def test_what_a_person_approved_in_a_monitored_mailbox_is_told_too(
    pending: Draft, mailbox: Mailbox, alice: User
) -> None:
    monitored(mailbox)
    send = sent(pending, alice)

    assert Notification.objects.get(send=send).payload["data"]["decided_by"] == "Alice"


@pytest.mark.parametrize("mode", ["gated_all", "gated_send", "autonomous"])
def test_the_other_modes_tell_nobody(pending: Draft, mailbox: Mailbox, alice: User, mode: str) -> None:
    monitored(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    pending.refresh_from_db()
    sent(pending, alice)

    assert not Notification.objects.exists()


@pytest.mark.row("004-22", "K27")
def test_a_webhook_is_signed_in_both_forms_and_names_its_type(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, listener: Listener
) -> None:
    channel = monitored(
        mailbox, kind="webhook", target=listener.url, signature_header="X-MultiMail-Signature"
    )
    draft = routine_writes()
    leave(draft)

    assert notifications.deliver(notifications.due()[0])

    [request] = listener.server.requests
    secret = channels.secret_of(channel)
    assert request.headers["x-multimail-signature"] == (
        hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    )
    signed = (
        f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    )
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert request.headers["webhook-signature"] == (
        "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    )
    told = json.loads(request.body)
    assert told["type"] == "email.sent"
    assert told["data"]["subject"] == draft.subject
    assert told["data"]["decided_by"] == "Oversight mode monitored"


def test_the_secret_of_a_webhook_is_nowhere_in_the_database(mailbox: Mailbox) -> None:
    channel = channels.write(
        mailbox.pk, version=0, actor=SYSTEM, kind="webhook", target="https://hooks.example.com/x"
    )
    secret = channels.secret_of(channel)

    stored = json.dumps(
        [list(Change.objects.values()), list(Entry.objects.values()), vars(channel)], default=str
    )
    assert secret not in stored
    assert "hooks.example.com" in stored
    assert "hooks.example.com/x" not in json.dumps(list(Entry.objects.values()), default=str)
    assert channel.salt not in json.dumps(
        [list(Change.objects.values()), list(Entry.objects.values())], default=str
    )
    renewed = channels.renew_secret(channel, version=channel.version, actor=SYSTEM)
    assert channels.secret_of(renewed) != secret


class RefusingMailServer(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        refused = {address: (550, b"no such user") for one in email_messages for address in one.to}
        raise smtplib.SMTPRecipientsRefused(refused)


def test_a_refused_mail_is_logged_without_the_address(
    mailbox: Mailbox, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.{RefusingMailServer.__name__}"
    monitored(mailbox)
    row = send_test(mailbox)

    assert not try_again(row)

    assert row.trouble == "No answer: SMTPRecipientsRefused"
    assert f"notification {row.pk} could not be handed over" in caplog.text
    assert "team@harbour.example" not in caplog.text


@pytest.mark.row("004-06")
@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_failed_try_is_made_again_later_and_the_fifth_is_the_last(
    mailbox: Mailbox, listener: Listener, status: int
) -> None:
    monitored(mailbox, kind="webhook", target=listener.url)
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, dead_channel_falls_back=False)
    row = send_test(mailbox)
    listener.status = status
    listener.headers = {"Location": listener.url}

    for tries in range(1, 6):
        assert not try_again(row)
        assert row.tries == tries
        assert (row.next_try_at is None) == (tries == 5)

    assert row.given_up_at is not None
    assert str(status) in row.trouble
    assert len(listener.server.requests) == 5
    assert Entry.objects.filter(action="approvals.notification.given_up").count() == 1


def test_a_receiver_that_comes_back_is_told_of_what_it_missed(mailbox: Mailbox, listener: Listener) -> None:
    channel = monitored(mailbox, kind="webhook", target=listener.url)
    row = send_test(mailbox)
    listener.status = 500
    assert not try_again(row)
    listener.status = 204

    assert try_again(row)

    channel.refresh_from_db()
    assert (row.trouble, channel.failures) == ("", 0)


@pytest.mark.row("K9")
def test_a_dead_channel_takes_the_mailbox_back_and_its_undecided_mail_too(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, listener: Listener
) -> None:
    monitored(mailbox, kind="webhook", target=listener.url)
    listener.status = 500
    waiting = routine_writes()
    row = send_test(mailbox)

    for _ in range(5):
        try_again(row)

    mailbox.refresh_from_db()
    waiting.refresh_from_db()
    change = ModeChange.objects.get()
    assert mailbox.mode == "gated_send"
    assert (change.before, change.after, change.person) == ("monitored", "gated_send", None)
    assert "5 times in a row" in change.reason
    assert (waiting.state, waiting.send.state) == ("pending", "stopped")
    assert Entry.objects.get(action="approvals.mode.changed").actor_kind == "system"


@pytest.mark.row("K9")
def test_the_fall_back_can_be_switched_off(mailbox: Mailbox, listener: Listener) -> None:
    monitored(mailbox, kind="webhook", target=listener.url)
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, dead_channel_falls_back=False)
    listener.status = 500
    row = send_test(mailbox)

    for _ in range(5):
        try_again(row)

    mailbox.refresh_from_db()
    assert mailbox.mode == "monitored"


def test_a_channel_that_was_removed_ends_what_waits_for_it(mailbox: Mailbox) -> None:
    channel = monitored(mailbox)
    row = send_test(mailbox)
    channels.remove(channel, version=channel.version, actor=SYSTEM)

    assert not try_again(row)

    assert row.given_up_at is not None


@pytest.mark.row("004-06")
def test_mail_that_may_have_left_is_told_as_such(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, sandbox: Any
) -> None:
    monitored(mailbox)
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = Send.objects.get(draft=routine_writes())
    dispatch.dispatch(send.pk)

    assert sweeps.due_notifications() == 1

    assert Notification.objects.get().type == "email.unknown"
    assert mail.outbox[0].subject == f"May have left {mailbox.address}"
