"""Requests that wait for a decision leave room for those that do not."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from gateway.mails import WAITS_AT_ONCE
from tests.gateway.conftest import Program, mail, taken_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_request_more_than_may_wait_is_answered_while_the_others_wait(agent: Program) -> None:
    told = agent.post("/emails/send", mail()).json()
    taken_in()
    one_is_answered = threading.Event()
    codes: list[str] = []

    def wait() -> None:
        try:
            answer = Program(agent.secret).get(f"/emails/{told['id']}/wait?code=pending_approval&seconds=8")
            codes.append(answer.json()["code"])
        finally:
            connections.close_all()
            one_is_answered.set()

    asking = [threading.Thread(target=wait) for _ in range(WAITS_AT_ONCE + 1)]
    for thread in asking:
        thread.start()
    one_is_answered.wait(60)
    agent.get(f"/emails/{told['id']}")
    still_waiting = sum(thread.is_alive() for thread in asking)
    for thread in asking:
        thread.join(60)

    assert still_waiting == WAITS_AT_ONCE
    assert codes == ["pending_approval"] * (WAITS_AT_ONCE + 1)
