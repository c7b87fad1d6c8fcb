"""The worker as it runs in production: `celery -A config worker`, killed in the middle and started again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app

from approvals.models import Send
from approvals.states import SendState
from config.processes import die_with_parent
from tests.campaign.desk import SETTINGS, Desk
from tests.processes import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(600)]

KILLED = -9
LIMIT_SECONDS = 250
COMMAND = [sys.executable, "-m", "celery", "--app=config", "worker", "--without-gossip", "--without-mingle"]

StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


@pytest.fixture
def start_worker(desk: Desk, process_environment: dict[str, str], tmp_path: Path) -> Iterator[StartWorker]:
    current_app.control.purge()
    started: list[subprocess.Popen[bytes]] = []
    environment = process_environment | {
        "NYLAS_API_URI": desk.sandbox.url,
        "NYLAS_API_KEY": desk.sandbox.api_key,
        "SENDS_PER_SECOND": "0",
        "LOOKUP_SECONDS": "1,2,3",
        "WORKER_THREADS": "2",
    }

    def start(**variables: str) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        with log:
            started.append(
                subprocess.Popen(
                    COMMAND,
                    cwd=ROOT,
                    env=environment | variables,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=die_with_parent,
                )
            )
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


def nudge_until(done: Callable[[], bool], *tasks: str) -> None:
    """Send the messages that the clock of a running desk sends, until something is so."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        for task in tasks:
            current_app.send_task(f"approvals.tasks.{task}", retry=False, expires=5)
        time.sleep(1)


def test_a_killed_worker_leaves_its_send_to_the_next_one(desk: Desk, start_worker: StartWorker) -> None:
    mailbox = desk.mailbox()
    approved = [desk.approved(mailbox) for _ in range(5)]
    first = start_worker(FAILPOINT="C8:3")
    nudge_until(lambda: first.poll() is not None, "sweep")
    assert first.returncode == KILLED

    start_worker()
    accepted = Send.objects.filter(state=SendState.ACCEPTED, looked_after_at__isnull=False)
    nudge_until(lambda: accepted.count() == len(approved), "sweep", "reconcile_unknown", "housekeeping")

    assert desk.compare().wrong() == {}
    assert len(desk.sandbox.sends()) == len(approved)
