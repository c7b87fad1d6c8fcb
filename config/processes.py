"""Run several programs as one: they start together, stop together, and none outlives its starter."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0


def die_with_parent(sent: int = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when its parent ends. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(sent))


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]


class Supervisor:
    """Start programs in sessions of their own, watch them, stop them all."""

    def __init__(self, directory: Path, environment: Mapping[str, str], log_directory: Path) -> None:
        self.directory = directory
        self.environment = environment
        self.log_directory = log_directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, program: Program) -> None:
        """Start one program; what it prints goes to its own log file."""
        self.log_directory.mkdir(parents=True, exist_ok=True)
        with self.log_path(program.name).open("ab") as log:
            self.running[program.name] = subprocess.Popen(
                program.command,
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Nothing but one system call runs between fork and exec, and no thread is running yet.
                preexec_fn=die_with_parent,
            )

    def log_path(self, name: str) -> Path:
        return self.log_directory / f"{name}.log"

    def first_dead(self) -> str | None:
        """The name of a program that ended by itself, or None while all run."""
        for name, process in self.running.items():
            if process.poll() is not None:
                return name
        return None

    def stop(self) -> None:
        """End every program and whatever it started: politely first, by force after `STOP_SECONDS`."""
        for process in self.running.values():
            if process.poll() is None:
                _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self.running.values():
            # Also after a clean end: a child of the program may have stayed behind in its session.
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self.running.clear()

    def kill(self) -> None:
        """End everything at once, for somebody who asks a second time."""
        for process in self.running.values():
            _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
