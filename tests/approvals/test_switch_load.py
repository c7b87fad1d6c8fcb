"""The kill switch thrown while four workers send as fast as they can. The provider's log of arrivals is the judge."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from agentmail.models import Mailbox
from approvals import dispatch, switchboard
from approvals.models import Send
from approvals.states import SendState
from approvals.transitions import sends
from audit.record import SYSTEM
from policies import switch
from tests.campaign import processes
from tests.campaign.desk import SETTINGS, Desk
from tests.campaign.processes import Child
from tests.processes import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(900)]

WORKERS = 4
QUEUED = 200
ROUNDS = 3
# How many leave before each stop, and how many are resumed after it.
BEFORE_A_STOP = 15
RESUMED = 60
ROUNDS_OF_RACES = 8
# Long enough for a worker that would still send to be seen doing it.
WATCH_SECONDS = 0.5


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


@pytest.fixture
def crew(desk: Desk) -> Iterator[Callable[[], None]]:
    running: list[Child] = []

    def start() -> None:
        running.extend(desk.start_worker(number) for number in range(WORKERS))

    yield start
    for child in running:
        child.kill()


def queue(desk: Desk, count: int) -> Mailbox:
    mailbox = desk.mailbox()
    for _ in range(count):
        desk.approved(mailbox)
    return mailbox


def arrivals(desk: Desk) -> list[dict[str, Any]]:
    return desk.sandbox.get("arrivals")["arrivals"]


def wait_for_arrivals(desk: Desk, count: int) -> None:
    deadline = time.monotonic() + processes.LIMIT_SECONDS
    while len(arrivals(desk)) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def stop_in_another_process(settings: Any) -> float:
    def stop() -> None:
        given = switchboard.stop_as(SYSTEM, switch.GLOBAL, reason="Test")
        acknowledged.write_text(str(time.monotonic()) if given.is_drained else "not drained")

    acknowledged = Path(settings.VAR_DIR) / "acknowledged"
    assert processes.start(stop).wait() == 0
    return float(acknowledged.read_text())


def stop_by_command(environment: dict[str, str]) -> float:
    command = [sys.executable, "manage.py", "killswitch", "engage", "--reason=Test"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "still under way" not in said.stdout
    return time.monotonic()


def release_and_resume(desk: Desk) -> float:
    at = time.monotonic()
    switchboard.release(switch.GLOBAL, person=desk.olga, reason="Go on")
    held = Send.objects.filter(state=SendState.QUEUED).exclude(held="").values_list("pk", flat=True)
    switchboard.resume_held(list(held[:RESUMED]), person=desk.olga)
    return at


@pytest.mark.parametrize("delay_milliseconds", [0, 50])
@pytest.mark.row("000-33")
def test_no_post_arrives_after_a_stop_was_acknowledged(
    delay_milliseconds: int,
    desk: Desk,
    crew: Callable[[], None],
    settings: Any,
    process_environment: dict[str, str],
) -> None:
    environment = process_environment | {"SWITCH_DRAIN_SECONDS": "10"}
    if delay_milliseconds:
        options = {"ms": delay_milliseconds}
        desk.sandbox.post("faults", route="send", times=0, action="delay", options=options)
    queue(desk, QUEUED)
    stopped: list[tuple[float, float]] = []

    crew()
    for number in range(ROUNDS):
        wait_for_arrivals(desk, len(arrivals(desk)) + BEFORE_A_STOP)
        acknowledged = stop_by_command(environment) if number == 0 else stop_in_another_process(settings)
        time.sleep(WATCH_SECONDS)
        stopped.append((acknowledged, release_and_resume(desk)))

    posts = [entry["monotonic"] for entry in arrivals(desk)]
    late = [post for post in posts for acknowledged, released in stopped if acknowledged < post < released]
    assert late == []
    assert ROUNDS * BEFORE_A_STOP <= len(posts) < QUEUED
    desk.come_to_rest()
    assert desk.compare().wrong() == {}


def test_a_stop_file_lets_out_no_more_than_was_under_way(
    desk: Desk, crew: Callable[[], None], settings: Any, tmp_path: Path
) -> None:
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    desk.sandbox.post("faults", route="send", times=0, action="delay", options={"ms": 50})
    queue(desk, QUEUED // 4)

    crew()
    wait_for_arrivals(desk, QUEUED // 16)
    settings.KILL_SWITCH_FILE.write_text("wrong prices\n")
    made = time.monotonic()
    time.sleep(WATCH_SECONDS)
    settled = len(arrivals(desk))
    time.sleep(WATCH_SECONDS)

    # Each worker may have looked at the switch just before the file was there, and no worker looks twice.
    assert sum(entry["monotonic"] > made for entry in arrivals(desk)) <= WORKERS
    assert len(arrivals(desk)) == settled < QUEUED // 4


def test_nothing_leaves_after_a_release_until_a_person_resumes_it(
    desk: Desk, crew: Callable[[], None]
) -> None:
    queue(desk, 8)
    switchboard.stop(switch.GLOBAL, person=desk.alice, reason="Test")
    crew()
    switchboard.release(switch.GLOBAL, person=desk.olga, reason="Go on")
    time.sleep(WATCH_SECONDS)

    assert arrivals(desk) == []
    assert Send.objects.filter(state=SendState.QUEUED, held="blocked_kill_switch").count() == 8


def test_eight_workers_on_one_send_make_one_post(desk: Desk) -> None:
    mailbox = desk.mailbox()
    for number in range(ROUNDS_OF_RACES):
        send = desk.approved(mailbox)
        running = [desk.start_dispatch(send) for _ in range(8)]
        assert [child.wait() for child in running] == [0] * 8
        assert len(arrivals(desk)) == number + 1


def test_a_frozen_worker_keeps_its_send_and_finishes_it(desk: Desk) -> None:
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C6:1:stop")
    child.wait_until_stopped()

    desk.work_once()
    send.refresh_from_db()
    assert send.state == SendState.DISPATCHED
    with pytest.raises(sends.SendRefused):
        sends.authorise_resend(send.pk, person=desk.olga, reason="It hangs")
    child.go_on()

    assert child.wait() == 0
    send.refresh_from_db()
    assert send.state == SendState.ACCEPTED
    assert len(desk.sandbox.sends()) == 1


def test_a_worker_frozen_past_the_freshness_of_its_look_looks_again(desk: Desk, settings: Any) -> None:
    settings.APPROVAL_FRESHNESS_SECONDS = 0.5
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C5:1:stop")
    child.wait_until_stopped()
    time.sleep(settings.APPROVAL_FRESHNESS_SECONDS)
    child.go_on()

    assert child.wait() == 0
    send.refresh_from_db()
    assert send.state == SendState.QUEUED
    assert arrivals(desk) == []


@pytest.mark.postgresql
def test_a_worker_that_lost_its_lock_before_the_post_does_not_post(desk: Desk) -> None:
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C5:1:stop")
    child.wait_until_stopped()
    cut_lock_sessions()
    child.go_on()
    child.wait()

    assert arrivals(desk) == []
    desk.come_to_rest()
    assert desk.compare().wrong() == {}
    assert len(arrivals(desk)) <= 1


@pytest.mark.postgresql
def test_a_lock_lost_at_the_last_moment_costs_no_second_mail(desk: Desk) -> None:
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C6:1:stop")
    child.wait_until_stopped()
    cut_lock_sessions()
    desk.work_once()
    send.refresh_from_db()
    assert send.state == SendState.UNKNOWN
    child.go_on()
    child.wait()
    desk.come_to_rest()

    send.refresh_from_db()
    assert send.state == SendState.ACCEPTED
    assert len(desk.sandbox.sends()) == 1


def cut_lock_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert cursor.fetchone()[0] > 0


def test_a_stop_between_claim_and_post_is_seen_by_the_worker(desk: Desk) -> None:
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C5:1:stop")
    child.wait_until_stopped()
    given = switchboard.stop(switch.GLOBAL, person=desk.alice, reason="Test")
    child.go_on()

    assert child.wait() == 0
    assert given.is_drained
    assert arrivals(desk) == []
    send.refresh_from_db()
    assert (send.state, send.held) == (SendState.QUEUED, "blocked_kill_switch")


def test_a_stop_names_the_send_whose_post_is_under_way(desk: Desk, settings: Any) -> None:
    settings.SWITCH_DRAIN_SECONDS = 0.3
    send = desk.approved(desk.mailbox())
    child = desk.start_dispatch(send, failpoint="C6:1:stop")
    child.wait_until_stopped()
    given = switchboard.stop(switch.GLOBAL, person=desk.alice, reason="Test")
    child.go_on()

    assert child.wait() == 0
    assert not given.is_drained
    assert [under_way.pk for under_way in given.in_flight] == [send.pk]


def test_a_stop_file_holds_what_is_due(desk: Desk, settings: Any, tmp_path: Path) -> None:
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    send = desk.approved(desk.mailbox())
    settings.KILL_SWITCH_FILE.write_text("wrong prices\n")

    assert dispatch.dispatch(send.pk) == "refused"
    send.refresh_from_db()
    assert send.held == "blocked_kill_switch"
    assert arrivals(desk) == []
