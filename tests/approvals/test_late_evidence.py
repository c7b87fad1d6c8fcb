"""Evidence about a send that comes while somebody is about to send it again, or after they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import dispatch
from approvals.models import Draft, FollowUp, Send
from approvals.transitions import sends
from tests.approvals.conftest import Notifications, report, sent
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
