from celery import shared_task
from kombu import Connection

from audit.context import request_id
from config.celery import app, forget_request_id, take_request_id_over

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
