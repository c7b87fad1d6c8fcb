import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from audit import chain
from audit.models import Entry
from policies import locks, switch
from policies.models import Switch
from tests.policies.conftest import OPERATOR, Holder

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT_SECONDS = 30


def engage(scope: str = switch.GLOBAL, **changes: Any) -> switch.Flip:
    return switch.engage(
        scope, **{"actor": OPERATOR, "reason": "wrong prices", "wait_seconds": 1.0} | changes
    )


def release(scope: str = switch.GLOBAL, **changes: Any) -> switch.Flip:
    return switch.release(scope, **{"actor": OPERATOR, "reason": "prices corrected"} | changes)


def actions() -> list[str]:
    return list(Entry.objects.order_by("sequence").values_list("action", flat=True))


def in_own_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return run


def test_a_new_desk_may_send() -> None:
    assert switch.read([switch.GLOBAL]).is_open


def test_an_engaged_switch_says_who_when_and_why() -> None:
    flip = engage()

    reading = switch.read([switch.GLOBAL])
    assert not reading.is_open
    assert (reading.scope, reading.by, reading.reason) == ("global", "Olga Operator", "wrong prices")
    assert reading.since == flip.changed_at
    assert reading.sentence == "All sending was stopped by Olga Operator. Reason: wrong prices"


def test_a_released_switch_is_open() -> None:
    engage()

    flip = release()

    assert (flip.is_engaged, flip.has_changed) == (False, True)
    assert switch.read([switch.GLOBAL]).is_open


def test_a_flip_is_recorded_with_its_row() -> None:
    flip = engage()

    entry = Entry.objects.get(action="policies.switch.engaged")
    row = Switch.objects.get(scope="global")
    assert (
        (entry.at, entry.sequence)
        == (row.changed_at, row.changed_sequence)
        == (flip.changed_at, row.changed_sequence)
    )
    assert (entry.actor_id, entry.reason, entry.data) == ("1", "wrong prices", {"scope": "global"})


def test_engaging_records_the_wait_for_sends_under_way() -> None:
    engage()

    entry = Entry.objects.get(action="policies.switch.waited")
    assert entry.outcome == "drained"


def test_engaging_twice_changes_nothing() -> None:
    first = engage()

    second = engage(reason="another reason")

    assert (second.has_changed, second.is_engaged, second.drained) == (False, True, True)
    assert second.changed_at == first.changed_at
    assert switch.read([switch.GLOBAL]).reason == "wrong prices"
    assert actions() == ["policies.switch.engaged", "policies.switch.waited"]


def test_releasing_an_open_switch_changes_nothing() -> None:
    assert not release().has_changed
    assert actions() == []


def test_a_mailbox_is_stopped_alone() -> None:
    for scope in ("mailbox:1", "mailbox:2"):
        switch.ensure_scope(scope)

    engage("mailbox:1")

    assert not switch.read([switch.GLOBAL, "mailbox:1"]).is_open
    assert switch.read([switch.GLOBAL, "mailbox:2"]).is_open
    assert Entry.objects.get(action="policies.switch.engaged").mailbox_id == 1


def test_the_global_switch_stops_every_mailbox() -> None:
    switch.ensure_scope("mailbox:1")
    engage()

    assert switch.read([switch.GLOBAL, "mailbox:1"]).scope == "global"


def test_a_scope_without_a_row_is_stopped() -> None:
    reading = switch.read([switch.GLOBAL, "mailbox:1"])

    assert (reading.is_open, reading.scope) == (False, "mailbox:1")
    assert "no entry" in reading.sentence


def test_a_removed_global_row_stops_everything() -> None:
    Switch.objects.all().delete()

    assert not switch.read([switch.GLOBAL]).is_open


def test_releasing_a_scope_without_a_row_opens_it() -> None:
    Switch.objects.all().delete()

    assert release().has_changed
    assert switch.read([switch.GLOBAL]).is_open


def test_engaging_a_scope_without_a_row_stops_it() -> None:
    assert engage("mailbox:5").has_changed
    assert switch.read(["mailbox:5"]).by == "Olga Operator"


def test_asking_for_no_scope_is_answered_with_stopped() -> None:
    assert not switch.read([]).is_open


def test_making_sure_of_a_scope_leaves_an_engaged_one_engaged() -> None:
    engage("mailbox:1")

    switch.ensure_scope("mailbox:1")

    assert not switch.read(["mailbox:1"]).is_open


@pytest.mark.parametrize(
    "scope", ["", "Global", "mailbox:", "mailbox:0", "mailbox:x", "mailbox:1 ", "group:1"]
)
def test_an_unknown_scope_is_refused(scope: str) -> None:
    for flip in (engage, release):
        with pytest.raises(switch.SwitchError):
            flip(scope)
    with pytest.raises(switch.SwitchError):
        switch.ensure_scope(scope)
    assert not switch.read([scope]).is_open


def test_the_stop_file_stops_everything(stop_file: Path) -> None:
    stop_file.write_text("flood of wrong replies\nmore\n")

    reading = switch.read([switch.GLOBAL])

    assert (reading.is_open, reading.reason) == (False, "flood of wrong replies")
    assert str(stop_file) in reading.sentence
    assert reading.since is not None
    assert reading.since.timestamp() == pytest.approx(stop_file.stat().st_mtime)


def test_an_empty_stop_file_stops_everything(stop_file: Path) -> None:
    stop_file.touch()

    assert not switch.read([switch.GLOBAL]).is_open


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_anything_in_the_place_of_the_stop_file_stops_everything(
    stop_file: Path, make: Callable[[Path], Any]
) -> None:
    make(stop_file)

    assert not switch.read([switch.GLOBAL]).is_open


def test_a_stop_file_that_cannot_be_looked_for_stops_everything(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.KILL_SWITCH_FILE = tmp_path / "file" / "STOP"

    assert not switch.read([switch.GLOBAL]).is_open


def test_removing_the_stop_file_opens_again(stop_file: Path) -> None:
    stop_file.touch()
    stop_file.unlink()

    assert switch.read([switch.GLOBAL]).is_open


def test_the_switch_cannot_be_released_while_the_stop_file_is_there(stop_file: Path) -> None:
    engage()
    stop_file.touch()

    with pytest.raises(switch.SwitchError, match=str(stop_file)):
        release()
    assert Switch.objects.get(scope="global").is_engaged


def test_the_switch_can_be_engaged_while_the_stop_file_is_there(stop_file: Path) -> None:
    stop_file.touch()

    assert engage().has_changed


def rename_table(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.fixture
def broken_table() -> Any:
    rename_table("policies_switch", "policies_switch_away")
    yield
    rename_table("policies_switch_away", "policies_switch")


@pytest.mark.usefixtures("broken_table")
@pytest.mark.parametrize("lock", [False, True])
def test_a_switch_that_cannot_be_read_is_stopped(lock: bool) -> None:
    reading = switch.read([switch.GLOBAL], lock=lock)

    assert (reading.is_open, reading.sentence) == (
        False,
        "Sending is stopped: the kill switch cannot be read.",
    )


@pytest.mark.usefixtures("broken_table")
@pytest.mark.parametrize("lock", [False, True])
def test_a_transaction_in_which_the_switch_cannot_be_read_can_go_on(lock: bool) -> None:
    with transaction.atomic():
        assert not switch.read([switch.GLOBAL], lock=lock).is_open
        assert Entry.objects.count() == 0


def test_a_transaction_that_is_broken_already_reads_stopped() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)

        assert not switch.read([switch.GLOBAL], lock=True).is_open


@pytest.mark.postgresql
@pytest.mark.parametrize("lock", [False, True])
def test_a_locked_table_reads_stopped_in_time(lock: bool) -> None:
    is_locked, may_go = threading.Event(), threading.Event()

    def lock_table() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE policies_switch IN ACCESS EXCLUSIVE MODE")
            is_locked.set()
            may_go.wait(LIMIT_SECONDS)

    with ThreadPoolExecutor(1) as pool:
        locking = pool.submit(in_own_thread(lock_table))
        assert is_locked.wait(LIMIT_SECONDS)
        reading = switch.read([switch.GLOBAL], lock=lock)
        may_go.set()
        locking.result(LIMIT_SECONDS)

    assert not reading.is_open
    assert switch.read([switch.GLOBAL], lock=lock).is_open


def test_work_within_a_flip_is_kept_with_it() -> None:
    engage(within=lambda: Switch.objects.create(scope="mailbox:9"))

    assert Switch.objects.filter(scope="mailbox:9").exists()


def test_a_flip_whose_work_fails_did_not_happen() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engage(within=fail)
    assert switch.read([switch.GLOBAL]).is_open
    assert actions() == []


def test_work_within_is_left_out_when_nothing_is_flipped() -> None:
    engage()

    engage(within=lambda: pytest.fail("ran within a flip that changed nothing"))


def test_a_flip_inside_another_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        engage()


def test_engaging_waits_for_who_is_inside_the_fence(start_holder: Callable[[], Holder]) -> None:
    other = start_holder()
    other.ask("share", "global", "mailbox:1")

    flip = engage(wait_seconds=0.1)

    assert (flip.drained, flip.is_engaged) == (False, True)
    assert flip.waited_seconds >= 0.1
    assert Entry.objects.get(action="policies.switch.waited").outcome == "still_under_way"
    other.ask("release")
    assert engage(wait_seconds=LIMIT_SECONDS).drained


def test_the_stop_is_visible_to_others_before_the_wait_ends() -> None:
    with ThreadPoolExecutor(1) as pool:
        with locks.fence_shared(["global"]):
            engaging = pool.submit(in_own_thread(lambda: engage(wait_seconds=LIMIT_SECONDS)))
            while switch.read([switch.GLOBAL]).is_open:
                time.sleep(0.005)
            assert not engaging.done()
        assert engaging.result(LIMIT_SECONDS).drained


@pytest.mark.postgresql
def test_a_flip_waits_for_a_transaction_that_read_with_a_lock() -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert switch.read([switch.GLOBAL], lock=True).is_open
            engaging = pool.submit(in_own_thread(engage))
            time.sleep(0.1)
            assert not engaging.done()
        assert engaging.result(LIMIT_SECONDS).has_changed


@pytest.mark.slow
def test_claims_under_load_never_follow_an_acknowledged_stop() -> None:
    is_over, is_acknowledged = threading.Event(), threading.Event()
    claims: list[int] = []
    late: list[int] = []

    def claim() -> None:
        while not is_over.is_set():
            with transaction.atomic():
                reading = switch.read([switch.GLOBAL], lock=True)
                if reading.is_open and is_acknowledged.is_set():
                    late.append(1)
                claims.append(1)
            time.sleep(0.002)

    with ThreadPoolExecutor(4) as pool:
        claiming = [pool.submit(in_own_thread(claim)) for _ in range(4)]
        try:
            for _ in range(5):
                before = len(claims)
                while len(claims) < before + 8:
                    time.sleep(0.002)
                assert engage(wait_seconds=LIMIT_SECONDS).has_changed
                is_acknowledged.set()
                time.sleep(0.005)
                is_acknowledged.clear()
                release()
        finally:
            is_over.set()
        for future in claiming:
            future.result(LIMIT_SECONDS)

    assert late == []
    assert chain.verify().ok


def test_two_stops_at_once_are_one_flip() -> None:
    with ThreadPoolExecutor(4) as pool:
        flips = [pool.submit(in_own_thread(engage)) for _ in range(4)]
        changed = [flip.result(LIMIT_SECONDS).has_changed for flip in flips]

    assert sorted(changed) == [False, False, False, True]
    assert actions().count("policies.switch.engaged") == 1


@pytest.mark.postgresql
def test_a_stop_survives_a_deadlock() -> None:
    """The row a stop's work wants is held by a transaction that waits to append to the record."""
    switch.ensure_scope("mailbox:1")
    has_row = threading.Event()
    is_recorded = threading.Event()

    def opposite() -> None:
        try:
            with transaction.atomic():
                Switch.objects.select_for_update().get(scope="mailbox:1")
                has_row.set()
                is_recorded.wait(LIMIT_SECONDS)
                Switch.objects.select_for_update().get(scope="global")
        except DatabaseError:
            pass

    def within() -> None:
        is_recorded.set()
        Switch.objects.select_for_update().get(scope="mailbox:1")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(in_own_thread(opposite))
        assert has_row.wait(LIMIT_SECONDS)
        assert engage(within=within).has_changed
        other.result(LIMIT_SECONDS)

    assert not switch.read([switch.GLOBAL]).is_open
