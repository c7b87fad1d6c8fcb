"""The process that posts to other people's addresses, beside the one that sends, both as in production."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User

from approvals.models import Draft, Risk, Send
from approvals.notices import channels
from approvals.notices.kinds import ON_CHANNELS
from audit.record import SYSTEM
from config.processes import die_with_parent
from gateway.webhooks import endpoints
from tests.approvals.conftest import approve
from tests.approvals.mail_server import MailServer
from tests.processes import ROOT

LIMIT_SECONDS = 120
QUEUES = {"celery", "webhooks"}


def worker_of(name: str) -> list[str]:
    """The command line of a process of the Procfile, with the programs of this environment."""
    line = next(one for one in (ROOT / "Procfile").read_text().splitlines() if one.startswith(f"{name}: "))
    words = shlex.split(line.partition(":")[2])
    place = words.index("celery")
    return [*words[:place], sys.executable, "-m", *words[place:]]


def queues_of(text: str) -> list[str]:
    words = text.replace(",", " ").replace("=", " ").split()
    return [words[place + 1] for place, word in enumerate(words) if word == "--queues"]


@pytest.mark.parametrize("file", ["Procfile", "compose.yaml"])
def test_each_queue_has_a_process_of_its_own(file: str) -> None:
    assert {queue.name for queue in settings.CELERY_TASK_QUEUES} == QUEUES
    assert sorted(queues_of((ROOT / file).read_text())) == sorted(QUEUES)


class SlowReceiver:
    """A receiver that takes a request and does not answer until it is let go."""

    def __enter__(self) -> SlowReceiver:
        self.was_asked, self.may_answer = Event(), Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.was_asked.set()
                receiver.may_answer.wait(LIMIT_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Being silent is the effect."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def start(
    process_environment: dict[str, str], connected_settings: Any, tmp_path: Path
) -> Iterator[Callable[[str], Any]]:
    current_app.control.purge()
    started: list[subprocess.Popen[bytes]] = []
    environment = process_environment | {
        "NYLAS_API_URI": connected_settings.NYLAS_API_URI,
        "NYLAS_API_KEY": connected_settings.NYLAS_API_KEY,
        "NOTIFICATIONS_TO_LOOPBACK": "true",
        "SENDS_PER_SECOND": "0",
        "WORKER_THREADS": "1",
    }

    def run(name: str, **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                worker_of(name),
                cwd=ROOT,
                env=environment | more,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def nudged_until(done: Callable[[], bool], task: str) -> bool:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done() and time.monotonic() < deadline:
        current_app.send_task(task, retry=False, expires=5)
        time.sleep(0.5)
    return done()


def is_accepted(send: Send) -> bool:
    return Send.objects.filter(pk=send.pk, state="accepted").exists()


@pytest.mark.slow
def test_a_receiver_that_does_not_answer_delays_no_send(
    start: Callable[[str], Any],
    agent_writes: Callable[..., Draft],
    alice: Any,
    settings: Any,
) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    with SlowReceiver() as receiver:
        endpoints.make(actor=SYSTEM, name="Slow", url=receiver.url, types=["email.approved"], mailboxes=[])
        send = approve(agent_writes(), by=alice)
        webhooks = start("webhooks")
        told = nudged_until(receiver.was_asked.is_set, "gateway.tasks.sweep_webhooks")
        waited = is_accepted(send)
        worker = start("worker")

        left = nudged_until(lambda: is_accepted(send), "approvals.tasks.sweep")

        assert (told, waited, left) == (True, False, True)
        assert not receiver.may_answer.is_set()
        if not os.environ.get("REDIS_URL"):
            woken = {path.stem for path in (Path(settings.VAR_DIR) / "wake").glob("*.sock")}
            assert (str(worker.pid) in woken, str(webhooks.pid) in woken) == (True, False)


@pytest.mark.slow
def test_a_slack_that_does_not_answer_delays_no_mail_and_no_send(
    start: Callable[..., Any],
    agent_writes: Callable[..., Draft],
    alice: User,
    settings: Any,
) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    User.objects.filter(pk=alice.pk).update(email="alice@people.example")
    with SlowReceiver() as slack, MailServer() as server:
        channels.make(
            actor=SYSTEM, name="Desk", kind="slack_webhook", mailbox=None, kinds=ON_CHANNELS, secret=slack.url
        )
        draft = agent_writes()
        Draft.objects.filter(pk=draft.pk).update(risk=Risk.HIGH)
        mailing = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port), "WORKER_THREADS": "2"}
        start("webhooks", **mailing)
        told = nudged_until(slack.was_asked.is_set, "approvals.tasks.sweep_notices")
        mailed = nudged_until(server.arrived.is_set, "approvals.tasks.sweep_notices")
        draft.refresh_from_db()
        send = approve(draft, by=alice)
        start("worker")

        left = nudged_until(lambda: is_accepted(send), "approvals.tasks.sweep")

        assert (told, mailed, left) == (True, True, True)
        assert not slack.may_answer.is_set()
        assert [one["To"] for one in server.taken] == ["alice@people.example"]
