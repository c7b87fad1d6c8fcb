"""What a stop holds stays held when the stop ends, whatever was under way meanwhile: H54, H56."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import dispatch, sweeps, switchboard
from approvals.models import Draft, Send
from approvals.transitions import sends
from approvals.transitions.sends import SendRefused
from audit.models import Entry
from tests.approvals.conftest import actions, approve, retry, sent
from tests.campaign import processes


@pytest.fixture
def unknown(pending: Draft, alice: User, sandbox: Any) -> Send:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)
    assert send.state == "unknown"
    return send


@pytest.fixture
def stop_and_go(mailbox: Mailbox, olga: User) -> Callable[[], None]:
    def flip() -> None:
        switchboard.stop(mailbox.scope, person=olga, reason="Something is wrong.")
        switchboard.release(mailbox.scope, person=olga, reason="Fine again.")

    return flip


def test_stop_ends_a_resend_that_was_authorised_before_it(
    unknown: Send, olga: User, sandbox: Any, stop_and_go: Callable[[], None]
) -> None:
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    stop_and_go()

    assert dispatch.dispatch(unknown.pk) == "nothing"
    unknown.refresh_from_db()
    assert (unknown.state, unknown.resend_at, unknown.resend_by) == ("unknown", None, None)
    assert "stopped" in unknown.waiting_for
    assert actions(unknown.draft).count("approvals.send.refused") == 1
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_stop_file_ends_a_resend_that_was_authorised_before_it(
    unknown: Send, olga: User, settings: Any, tmp_path: Path
) -> None:
    sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    settings.KILL_SWITCH_FILE.write_text("by hand")

    sweeps.hold_while_stopped()
    settings.KILL_SWITCH_FILE.unlink()

    assert dispatch.dispatch(unknown.pk) == "nothing"


def test_what_a_stop_file_holds_is_on_record(
    pending: Draft, alice: User, settings: Any, tmp_path: Path
) -> None:
    approve(pending, alice)
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    settings.KILL_SWITCH_FILE.write_text("by hand")

    assert [sweeps.hold_while_stopped() for _ in range(2)] == [1, 0]

    entry = Entry.objects.get(action="approvals.send.held")
    assert (entry.outcome, entry.data) == ("blocked_kill_switch", {"count": 1})
    assert "stop file" in entry.reason


def test_no_resend_is_authorised_while_sending_is_stopped(
    unknown: Send, mailbox: Mailbox, olga: User
) -> None:
    switchboard.stop(mailbox.scope, person=olga, reason="Something is wrong.")

    with pytest.raises(SendRefused, match="stopped"):
        sends.authorise_resend(unknown.pk, person=olga, reason="They wait for it.")

    unknown.refresh_from_db()
    assert unknown.resend_at is None


def test_held_mail_cannot_be_resumed_while_its_mailbox_is_stopped(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)
    switchboard.stop(mailbox.scope, person=olga, reason="Something is wrong.")

    assert switchboard.resume_held([send.pk], person=olga) == 0

    switchboard.release(mailbox.scope, person=olga, reason="Fine again.")
    assert retry(send) == "nothing"
    assert send.held == "blocked_kill_switch"


def test_stop_that_the_desk_makes_itself_holds_what_waits(
    agent_writes: Callable[..., Draft], alice: User, olga: User, mailbox: Mailbox, sandbox: Any
) -> None:
    waiting = approve(agent_writes(), alice)
    mismatch = {"request_id": "1", "error": {"type": "api.invalid_idempotent_request", "message": "Other"}}
    sandbox.post("faults", route="send_message", action="reply", options={"status": 409, "body": mismatch})
    assert sent(agent_writes(), alice).state == "unknown"

    switchboard.release(mailbox.scope, person=olga, reason="Looked into it.")

    assert retry(waiting) == "nothing"
    assert waiting.held == "blocked_kill_switch"


@pytest.mark.django_db(transaction=True)
def test_mail_that_the_provider_sends_back_during_a_stop_is_held_too(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox, sandbox: Any, settings: Any
) -> None:
    settings.SWITCH_DRAIN_SECONDS = 0.2
    sandbox.post("faults", route="send_message", action="reply", options={"status": 429, "body": {}})
    send = approve(pending, alice)
    child = processes.start(lambda: bool(dispatch.dispatch(send.pk)) and 0, failpoint="C8:1:stop")
    child.wait_until_stopped()

    switchboard.stop(mailbox.scope, person=alice, reason="Something is wrong.")
    child.go_on()
    assert child.wait() == 0
    switchboard.release(mailbox.scope, person=olga, reason="Fine again.")

    assert retry(send) == "nothing"
    assert (send.state, send.held) == ("queued", "blocked_kill_switch")
    assert len(sandbox.get("arrivals")["arrivals"]) == 1
