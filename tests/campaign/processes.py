"""Children of the test process: real processes that run the product's code and can really be killed.

They are forked, so that a process costs milliseconds instead of the start of Django.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.db import connection, connections

from config.processes import die_with_parent

PAUSE_SECONDS = 0.005
LIMIT_SECONDS = 60.0


class Child:
    """A process of ours by its id. `ended` is its exit code, or minus the signal that killed it."""

    def __init__(self, process_id: int) -> None:
        self.process_id = process_id
        self.ended: int | None = None
        self.is_stopped = False

    def poll(self) -> int | None:
        if self.ended is None:
            found, status = os.waitpid(self.process_id, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if found and os.WIFSTOPPED(status):
                self.is_stopped = True
            elif found and os.WIFCONTINUED(status):
                self.is_stopped = False
            elif found:
                self.ended = os.waitstatus_to_exitcode(status)
        return self.ended

    def wait(self, seconds: float = LIMIT_SECONDS) -> int:
        """Wait for the end and return it as `ended`; a process that does not end is killed, which is an error."""
        if not self._until(lambda: self.poll() is not None, seconds):
            self.kill()
            raise TimeoutError(f"process {self.process_id} did not end in {seconds} s")
        assert self.ended is not None
        return self.ended

    def wait_until_stopped(self, seconds: float = LIMIT_SECONDS) -> None:
        self._until(lambda: self.poll() is not None or self.is_stopped, seconds)
        if not self.is_stopped or self.ended is not None:
            raise AssertionError(f"process {self.process_id} did not stop, it ended with {self.ended}")

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def freeze(self, seconds: float) -> None:
        """Stop the process for a while; one that is gone is left alone. May be called by another process."""
        with suppress(ProcessLookupError):
            os.kill(self.process_id, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(self.process_id, signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        while self.poll() is None:
            time.sleep(PAUSE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.process_id, number)

    def _until(self, question: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not question():
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        return True


def _check_closed() -> None:
    """Fail if a thread of this process has the SQLite file open: a child that inherits that corrupts the file.

    See https://www.sqlite.org/howtocorrupt.html, "carrying an open database connection across a fork".
    """
    if connection.vendor != "sqlite":
        return
    if _is_open(str(connection.settings_dict["NAME"])):
        # A closed connection stays open while its last cursor waits for the collector, as in an old traceback.
        gc.collect()
    if _is_open(str(connection.settings_dict["NAME"])):
        raise AssertionError("a thread has the database file open; close its connection first")


def _is_open(name: str) -> bool:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()).startswith(name):
                return True
    return False


def start(action: Callable[[], int | None], *, failpoint: str = "") -> Child:
    """Run the action in a process of its own, armed with a failpoint; its result is the exit code."""
    # A connection that two processes share breaks for both.
    connections.close_all()
    _check_closed()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # The only other threads are those of the test runner, and they wait for input.
        warnings.simplefilter("ignore", DeprecationWarning)
        process_id = os.fork()
    if process_id:
        return Child(process_id)
    code = 120
    try:
        die_with_parent()
        os.environ.pop("FAILPOINT", None)
        if failpoint:
            os.environ["FAILPOINT"] = failpoint
        code = action() or 0
    except BaseException:  # noqa: BLE001 - the edge of the process: nothing may return into the test runner
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
