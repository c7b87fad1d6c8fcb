"""The whole product as `make demo` starts it, driven from outside: pages, sandbox provider, a signal to end it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.processes import ROOT, Sandbox

START_SECONDS = 120
STOP_SECONDS = 30
LAST_LINE = "Ctrl-C stops every process."

# Replies, looks and polls that take minutes at a real desk take seconds here.
QUICK = {
    "POLL_SECONDS": "1.5",
    "SWEEP_SECONDS": "1",
    "SEND_READ_SECONDS": "2",
    "SEND_FENCE_SECONDS": "10",
    "LOOKUP_SECONDS": "1,2,3,4,5,6",
}
# What programs and channels are told goes to servers of the tests.
NEAR = {"NOTIFICATIONS_TO_LOOPBACK": "true"}


class Demo:
    """A running demo: where it is, who can sign in, and the sandbox that plays the world around it."""

    def __init__(self, process: subprocess.Popen[str], said: list[str], var: Path) -> None:
        self.process = process
        self.var = var
        text = "".join(said)
        self.url = _found(r"Countersign runs at (\S+)/\n", text)
        self.passwords = dict(re.findall(r"^  (\w+) +(\S+)$", text, flags=re.MULTILINE))
        self.sandbox = Sandbox(
            _found(r"sandbox provider is at (http://127\.0\.0\.1:\d+)", text), var / "sandbox.sqlite3"
        )

    def interrupt(self) -> int:
        """Press Ctrl-C and give the exit code once everything has ended."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        """The ids of all processes, of the demo or left over from it, that work on its state directory."""
        mark = f"VAR_DIR={self.var}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes() and (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    @contextlib.contextmanager
    def without_worker(self) -> Iterator[None]:
        """The worker that sends and does jobs stands still until the block ends."""
        workers = [one for one in self.processes() if "--queues=celery" in _command_of(one)]
        assert workers
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)

    def customer(self, grant: str, *, subject: str = "", body: str, **fields: Any) -> dict[str, Any]:
        """A customer writes to a mailbox; gives `message_id` and `thread_id`."""
        if subject:
            fields["subject"] = subject
        return self.sandbox.post("customer", grant=grant, body=body, **fields)

    def reply(self, grant: str, question: dict[str, Any], *, to: str, subject: str, body: str) -> str:
        """The agent drafts an answer; gives the id of the draft at the provider."""
        fields = {"to": [{"email": to}], "subject": f"Re: {subject}", "body": body}
        made = self.sandbox.post(
            "agent/drafts", grant=grant, reply_to_message_id=question["message_id"], **fields
        )
        return made["draft"]["id"]

    def sent(self, subject: str) -> list[dict[str, Any]]:
        """What the provider took with this subject, from its own log."""
        return [send for send in self.sandbox.sends() if send["subject"] == subject]

    def requested(self, grant: str) -> int:
        """How many requests to send have reached the provider for a mailbox, whatever became of them."""
        return sum(grant in one["path"] for one in self.sandbox.get("arrivals")["arrivals"])

    def wait_for_request(self, grant: str, before: int) -> None:
        """Wait until there are more of them than `before`: one is under way."""
        deadline = time.monotonic() + START_SECONDS
        while self.requested(grant) <= before:
            if time.monotonic() > deadline:
                raise AssertionError(f"no request to send for {grant} reached the provider")
            time.sleep(0.02)


def _command_of(process_id: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(process_id) / "cmdline").read_text().split("\0")
    return []


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise AssertionError(f"the demo did not say {pattern!r}; it said:\n{text}")
    return match[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(var: Path, *, live: bool = False, **environment: str) -> Iterator[Demo]:
    """Run the demo on `var` until the block ends; its clocks are quick unless `environment` says otherwise."""
    command = [
        sys.executable,
        "manage.py",
        "demo",
        f"--port={free_port()}",
        f"--sandbox-port={free_port()}",
        "--with-parent",
    ]
    command += [] if live else ["--no-live"]
    variables = {**os.environ, **QUICK, **NEAR, **environment, "VAR_DIR": str(var), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            demo = Demo(process, _said_until_ready(process), var)
            yield demo
            demo.sandbox.session.close()
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _said_until_ready(process: subprocess.Popen[str]) -> list[str]:
    watchdog = threading.Timer(START_SECONDS, process.terminate)
    watchdog.start()
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.strip() == LAST_LINE:
                return said
    finally:
        watchdog.cancel()
    raise AssertionError(f"the demo ended before it was ready; it said:\n{''.join(said)}")


def is_reachable(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).status_code < 500
        except requests.ConnectionError:
            return False
