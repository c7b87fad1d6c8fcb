from queue import Empty
from typing import Any

import pytest
from celery import shared_task
from kombu import Connection

from approvals.tasks import deliver_notifications, dispatch_send, hand_over, mail_notices, put_up_cards
from audit.context import request_id
from config.celery import app, forget_request_id, take_request_id_over
from gateway.tasks import deliver_webhooks

seen: list[str] = []


@shared_task(name="tests.note_request_id")
def note_request_id() -> None:
    seen.append(request_id.get())


def test_a_message_carries_the_id_of_the_request_that_sent_it() -> None:
    request_id.set("request-of-mara")
    note_request_id.apply_async(queue="of-this-test")
    request_id.set("")
    with app.connection_for_read() as connection, connection.SimpleQueue("of-this-test") as queue:
        assert isinstance(connection, Connection)
        message = queue.get(timeout=5)
        message.ack()
    assert message.headers["request_id"] == "request-of-mara"


def test_a_task_without_a_request_gets_an_id_of_its_own() -> None:
    seen.clear()
    note_request_id.apply()
    assert len(seen[0]) == 16
    assert request_id.get() == ""


def test_a_task_takes_over_the_id_of_its_message() -> None:
    note_request_id.push_request(request_id="request-of-mara")
    take_request_id_over(note_request_id, "0" * 32)
    taken = request_id.get()
    note_request_id.pop_request()
    forget_request_id()
    assert taken == "request-of-mara"


@pytest.mark.parametrize(
    ("task", "given", "queue"),
    [
        (deliver_webhooks, (0,), "webhooks"),
        (deliver_notifications, (), "webhooks"),
        (mail_notices, (), "webhooks"),
        (put_up_cards, (0,), "webhooks"),
        (hand_over, (0,), "celery"),
        (dispatch_send, (0,), "celery"),
    ],
)
def test_what_waits_for_other_people_s_addresses_has_a_queue_of_its_own(
    task: Any, given: tuple[int, ...], queue: str
) -> None:
    app.control.purge()
    task.apply_async(given, retry=False)

    with app.connection_for_read() as connection:
        found = {name: waiting(connection, name) for name in ("celery", "webhooks")}

    assert found == {"celery": 0, "webhooks": 0} | {queue: 1}


def waiting(connection: Connection, queue: str) -> int:
    count = 0
    with connection.SimpleQueue(queue) as simple:
        while True:
            try:
                simple.get(block=False).ack()
            except Empty:
                return count
            count += 1
