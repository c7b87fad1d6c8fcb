import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from policies import locks
from tests.policies.conftest import Holder

pytestmark = pytest.mark.django_db(transaction=True)

# Long enough for a slow machine; nothing waits for it unless it fails.
LIMIT_SECONDS = 30


def eventually(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.01)
    return False


def ask_thread(question: Callable[[], Any]) -> Any:
    def asked() -> Any:
        try:
            return question()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asked).result(LIMIT_SECONDS)


def can_take(name: str) -> bool:
    with locks.hold(name) as lock:
        return lock is not None


def test_a_free_lock_is_taken_and_given_back() -> None:
    with locks.hold("send:1") as lock:
        assert lock is not None
        assert lock.is_alive()
        assert locks.is_held("send:1")

    assert not locks.is_held("send:1")
    assert can_take("send:1")


def test_a_lock_is_given_back_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), locks.hold("send:1"):
        raise ZeroDivisionError

    assert can_take("send:1")


def test_locks_of_other_names_are_free() -> None:
    with locks.hold("send:1"):
        assert can_take("send:2")
        assert not locks.is_held("send:2")


def test_the_same_thread_does_not_get_a_lock_twice() -> None:
    with locks.hold("send:1"):
        assert not can_take("send:1")
        assert locks.is_held("send:1")


def test_another_thread_does_not_get_a_held_lock() -> None:
    with locks.hold("send:1"):
        assert not ask_thread(lambda: can_take("send:1"))
        assert ask_thread(lambda: locks.is_held("send:1"))

    assert ask_thread(lambda: can_take("send:1"))


def test_a_thread_that_ends_leaves_no_lock_behind() -> None:
    assert ask_thread(lambda: can_take("send:1"))
    assert can_take("send:1")


def test_a_lock_held_twice_over_in_turn_stays_one_lock() -> None:
    for _ in range(3):
        with locks.hold("send:1") as lock:
            assert lock is not None
            assert not ask_thread(lambda: can_take("send:1"))


def test_another_process_does_not_get_a_held_lock(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    assert other.ask("hold", "send:1") == "True"

    assert not can_take("send:1")
    assert locks.is_held("send:1")
    assert other.ask("alive") == "True"
    other.ask("release")
    assert can_take("send:1")


def test_a_killed_process_frees_its_lock(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("hold", "send:1")

    other.kill()

    assert eventually(lambda: can_take("send:1"))


def test_a_stopped_process_keeps_its_lock(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("hold", "send:1")

    os.kill(other.process.pid, signal.SIGSTOP)

    assert not can_take("send:1")
    os.kill(other.process.pid, signal.SIGCONT)
    assert other.ask("alive") == "True"


def test_a_forked_child_does_not_keep_a_dead_parents_lock(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("hold", "send:1")
    child = int(other.ask("child"))

    other.kill()

    try:
        assert eventually(lambda: can_take("send:1"))
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_that_ends_leaves_its_parents_lock_alone(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("hold", "send:1")

    os.kill(int(other.ask("child")), signal.SIGTERM)

    assert other.ask("alive") == "True"
    assert not can_take("send:1")


@pytest.mark.slow
def test_of_many_that_want_a_lock_one_at_a_time_has_it() -> None:
    inside: list[int] = []
    crowds: list[int] = []
    turns: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            with locks.hold("send:1") as lock:
                if lock is None:
                    continue
                inside.append(number)
                crowds.append(len(inside))
                time.sleep(0.0005)
                inside.remove(number)
                turns.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)

    assert turns
    assert set(crowds) == {1}


@pytest.mark.postgresql
def test_a_lock_whose_session_was_ended_is_not_alive() -> None:
    with locks.hold("send:1") as lock:
        assert lock is not None
        with connection.cursor() as cursor:
            # Of this database only: other tests hold locks of the same names in theirs.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        assert eventually(lambda: not lock.is_alive())

    assert can_take("send:1")


@pytest.mark.postgresql
def test_a_session_ended_while_idle_is_opened_again() -> None:
    assert can_take("send:1")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert can_take("send:1")


@pytest.mark.postgresql
def test_a_server_that_cannot_be_reached_is_an_error(settings: Any) -> None:
    port = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = "1"
    try:
        with pytest.raises(locks.LocksUnavailable):
            ask_thread(lambda: can_take("send:1"))
    finally:
        connection.settings_dict["PORT"] = port


@pytest.mark.sqlite
def test_a_lock_whose_file_was_removed_is_not_alive() -> None:
    with locks.hold("send:1") as lock:
        assert lock is not None
        for file in Path(settings.LOCKS_DIR).iterdir():
            file.unlink()
        assert not lock.is_alive()


@pytest.mark.sqlite
def test_a_lock_leaves_no_file_behind() -> None:
    with locks.hold("send:1"):
        assert list(Path(settings.LOCKS_DIR).glob("hold-*"))

    assert not list(Path(settings.LOCKS_DIR).glob("hold-*"))


@pytest.mark.sqlite
def test_a_directory_of_locks_that_cannot_be_made_is_an_error(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.LOCKS_DIR = tmp_path / "file" / "locks"

    with pytest.raises(locks.LocksUnavailable), locks.hold("send:1"):
        pass


def test_a_fence_with_nobody_inside_is_drained_at_once() -> None:
    assert locks.fence_drain("global", 0)


def test_a_fence_with_somebody_inside_is_not_drained(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("share", "global", "mailbox:1")

    assert not locks.fence_drain("global", 0.05)
    assert not locks.fence_drain("mailbox:1", 0.05)
    assert locks.fence_drain("mailbox:2", 0.05)
    other.ask("release")
    assert locks.fence_drain("global", 0.05)


def test_draining_waits_for_those_inside_in_the_own_thread_too() -> None:
    with locks.fence_shared(["global"]):
        assert not locks.fence_drain("global", 0.05)


def test_many_share_a_fence() -> None:
    def share() -> bool:
        with locks.fence_shared(["global", "mailbox:1"]):
            return True

    with locks.fence_shared(["global", "mailbox:1"]):
        assert ask_thread(share)


def test_a_killed_process_is_not_inside_any_more(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("share", "global")
    assert not locks.fence_drain("global", 0)

    other.kill()

    assert locks.fence_drain("global", LIMIT_SECONDS)


def test_draining_ends_as_soon_as_the_last_one_leaves(start_holder: Callable[[], Holder]) -> None:
    inside, drainer = start_holder(), start_holder()
    inside.ask("share", "global")
    drainer.send("drain", "global", LIMIT_SECONDS)

    inside.ask("release")

    assert drainer.answer() == "True"


@pytest.mark.slow
def test_a_stream_of_newcomers_does_not_keep_a_fence_from_being_drained() -> None:
    is_over = threading.Event()
    passes: list[int] = []

    def stream(number: int) -> None:
        while not is_over.is_set():
            with locks.fence_shared(["global"]):
                time.sleep(0.02)
                passes.append(number)

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        assert eventually(lambda: len(passes) > 6)
        assert all(locks.fence_drain("global", LIMIT_SECONDS) for _ in range(5))
        count = len(passes)
        assert eventually(lambda: len(passes) > count)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(LIMIT_SECONDS)


@pytest.mark.slow
def test_nobody_is_inside_while_a_fence_is_being_drained(start_holder: Callable[[], Holder]) -> None:
    """Whoever enters after the switch is engaged sees it, so nothing begins after the drain."""
    is_engaged = threading.Event()
    is_drained = threading.Event()
    late: list[int] = []
    rounds: list[int] = []

    def send(number: int) -> None:
        while not is_drained.is_set():
            with locks.fence_shared(["global"]):
                if is_engaged.is_set():
                    continue
                time.sleep(0.003)
                if is_drained.is_set():
                    late.append(number)
                rounds.append(number)

    for _ in range(10):
        is_engaged.clear()
        is_drained.clear()
        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        is_engaged.set()
        assert locks.fence_drain("global", LIMIT_SECONDS)
        is_drained.set()
        for thread in threads:
            thread.join(LIMIT_SECONDS)

    assert rounds
    assert late == []


@pytest.mark.postgresql
def test_locks_live_on_a_session_of_their_own() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
        with locks.hold("send:1"):
            cursor.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
            assert {pid for (pid,) in cursor.fetchall()} - {ours}
