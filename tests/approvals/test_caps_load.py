"""Thirty-two workers on five hundred approvals of one mailbox: exactly the cap leaves. The provider is the judge."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest
from django.db import connections

from approvals import dispatch
from approvals.models import Send
from approvals.states import SendState
from audit.record import SYSTEM
from policies import caps, mailbox_settings
from policies.models import Reservation
from tests.campaign.desk import SETTINGS, Desk
from tests.campaign.worker import EXPECTED

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(600)]

WORKERS = 32
APPROVALS = 500
CAP = 50


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


def hand_over(sends: queue.SimpleQueue[int], errors: list[BaseException]) -> None:
    try:
        while True:
            send_id = sends.get_nowait()
            try:
                dispatch.dispatch(send_id)
            except EXPECTED:
                sends.put(send_id)  # a busy database: the sweep tries it again
    except queue.Empty:
        return
    except BaseException as error:  # noqa: BLE001 - a thread's end: whatever it is, the test must see it
        errors.append(error)
    finally:
        connections.close_all()


@pytest.mark.row("000-06", "K7")
def test_32_workers_send_exactly_the_cap_of_500_approvals(desk: Desk) -> None:
    mailbox = desk.mailbox(capped=True)
    # The day too, so that the test may run across a full hour.
    policy = caps.add_policy(actor=SYSTEM, name="Fifty", hour_cap=CAP, day_cap=CAP)
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, policy=policy)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(APPROVALS):
        waiting.put(desk.approved(mailbox).pk)
    errors: list[BaseException] = []

    workers = [
        threading.Thread(target=hand_over, args=(waiting, errors), daemon=True) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)

    assert errors == []
    assert len(desk.sandbox.sends()) == CAP
    assert Send.objects.filter(state=SendState.ACCEPTED).count() == CAP
    assert Reservation.objects.filter(refunded_at__isnull=True).count() == CAP
    left = Send.objects.filter(state=SendState.QUEUED, held="")
    assert left.count() == APPROVALS - CAP
    assert set(left.values_list("waiting_for", flat=True).distinct()) == {left[0].waiting_for}
    assert f"{CAP} of {CAP}" in left[0].waiting_for
