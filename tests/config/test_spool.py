import json
import multiprocessing
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Consumer, Queue

import config.celery  # noqa: F401 - registers the transport under its name

MESSAGES = 200


def open_spool(folder: Path) -> Connection:
    return Connection("spool://", transport_options={"data_folder": str(folder), "polling_interval": 0.01})


def put(folder: Path, *numbers: int) -> None:
    with open_spool(folder) as connection, connection.SimpleQueue("celery") as queue:
        for number in numbers:
            queue.put({"number": number}, serializer="json")


def take_all(folder: str, taken_file: str) -> None:
    taken = []
    with open_spool(Path(folder)) as connection, connection.SimpleQueue("celery") as queue:
        while True:
            try:
                message = queue.get(timeout=2)
            except Empty:
                break
            message.ack()
            taken.append(message.payload["number"])
    Path(taken_file).write_text(json.dumps(taken))


def test_messages_come_out_in_the_order_they_went_in(tmp_path: Path) -> None:
    put(tmp_path, 1, 2, 3)
    take_all(str(tmp_path), str(tmp_path / "taken"))
    assert json.loads((tmp_path / "taken").read_text()) == [1, 2, 3]


def test_a_message_waits_for_a_worker_that_starts_later(tmp_path: Path) -> None:
    put(tmp_path, 7)
    with open_spool(tmp_path) as connection, connection.SimpleQueue("celery") as queue:
        message = queue.get(timeout=2)
        message.ack()
    assert message.payload == {"number": 7}


def test_a_message_that_was_not_acknowledged_comes_back_when_its_taker_closes(tmp_path: Path) -> None:
    put(tmp_path, 7)
    connection = open_spool(tmp_path)
    with Consumer(connection, [Queue("celery")], callbacks=[lambda body, message: None]):
        connection.drain_events(timeout=2)
    connection.release()
    take_all(str(tmp_path), str(tmp_path / "taken"))
    assert json.loads((tmp_path / "taken").read_text()) == [7]


def test_an_unfinished_message_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "celery").mkdir()
    (tmp_path / "celery" / "0001-half.new").write_text('{"bo')
    with (
        open_spool(tmp_path) as connection,
        connection.SimpleQueue("celery") as queue,
        pytest.raises(Empty),
    ):
        queue.get(timeout=0.2)


def test_two_takers_and_a_writer_handle_every_message_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    outputs = [tmp_path / "first", tmp_path / "second"]
    takers = [spawn.Process(target=take_all, args=(str(tmp_path), str(output))) for output in outputs]
    for taker in takers:
        taker.start()
    put(tmp_path, *range(MESSAGES))
    for taker in takers:
        taker.join(60)
    taken = [number for output in outputs for number in json.loads(output.read_text())]
    assert sorted(taken) == list(range(MESSAGES))
