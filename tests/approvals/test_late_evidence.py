"""Evidence about a send that comes while somebody is about to send it again, or after they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail import replies
from agentmail.client import configured_client
from approvals import dispatch, freshness
from approvals.models import Draft, FollowUp, Send
from approvals.transitions import sends
from tests.approvals.conftest import Notifications, approve, claim_of, report, sent
from tests.campaign import processes
from tests.campaign.processes import Child

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forgotten(pending: Draft, alice: User, olga: User, sandbox: Any) -> Send:
    """A mail that left and cannot be seen, about to be sent again after the provider forgot its key."""
    sandbox.post("faults", route="send_message", action="hide_sent_copy")
    sandbox.post("faults", route="send_message", action="reset", when="after")
    send = sent(pending, alice)
    assert (send.state, len(sandbox.sends())) == ("unknown", 1)
    sandbox.post("clock", advance_seconds=3700)
    sends.authorise_resend(send.pk, person=olga, reason="They wait for it.")
    return send


@pytest.fixture
def delivery_of_first_copy(forgotten: Send, sandbox: Any, notifications: Notifications) -> Callable[[], None]:
    def tell() -> None:
        envelope = report("delivered", forgotten, ["casey@example.net"], notification_id="n-1")
        envelope["data"]["object"]["message"]["id"] = sandbox.sends()[0]["message_id"]
        notifications.deliver(envelope)

    return tell


def resend_stopped_at(point: str, send: Send) -> Child:
    child = processes.start(lambda: bool(dispatch.dispatch(send.pk)) and 0, failpoint=f"{point}:1:stop")
    child.wait_until_stopped()
    return child


def test_resend_is_not_posted_once_the_first_copy_is_known(
    forgotten: Send, sandbox: Any, delivery_of_first_copy: Callable[[], None]
) -> None:
    child = resend_stopped_at("C5", forgotten)

    delivery_of_first_copy()
    child.go_on()
    assert child.wait() == 0

    forgotten.refresh_from_db()
    assert forgotten.state == "accepted"
    assert len(sandbox.sends()) == 1


def test_first_copy_that_becomes_known_while_the_resend_is_under_way_raises_an_alarm(
    forgotten: Send, sandbox: Any, delivery_of_first_copy: Callable[[], None]
) -> None:
    child = resend_stopped_at("C8", forgotten)

    delivery_of_first_copy()
    child.go_on()
    assert child.wait() == 0

    forgotten.refresh_from_db()
    assert (forgotten.state, len(sandbox.sends())) == ("accepted", 2)
    assert "second copy" in forgotten.alarm
    assert FollowUp.objects.get(send=forgotten).kind == "second_copy"


def test_report_about_the_first_copy_after_the_second_was_accepted_raises_an_alarm(
    forgotten: Send, sandbox: Any, delivery_of_first_copy: Callable[[], None]
) -> None:
    assert dispatch.dispatch(forgotten.pk) == "posted"

    delivery_of_first_copy()

    forgotten.refresh_from_db()
    assert (forgotten.state, len(sandbox.sends())) == ("accepted", 2)
    assert "second copy" in forgotten.alarm
    assert forgotten.outcomes.get().kind == "delivered"


def test_late_reply_of_a_worker_that_was_given_up_names_the_message_to_ask_for(
    pending: Draft, alice: User
) -> None:
    send = approve(pending, alice)
    draft = Draft.objects.select_related("mailbox").get(pk=pending.pk)
    claim = claim_of(send, freshness.look(draft, configured_client(), verify_attachments=True))
    assert isinstance(claim, sends.Claim)
    assert sends.abandon(send.pk)
    body = b'{"request_id": "r", "data": {"id": "queued-1", "object": "message"}}'

    sends.record_reply(claim.attempt.pk, replies.classify(status_code=202, headers={}, body=body))

    send.refresh_from_db()
    assert (send.state, send.provider_message_id) == ("unknown", "queued-1")
