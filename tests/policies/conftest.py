import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.record import Actor

ROOT = Path(__file__).resolve().parent.parent.parent
OPERATOR = Actor("person", "1", "Olga Operator")


class Holder:
    """Another process that takes and gives back locks on command."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "tests/policies/holder.py"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, *words: object) -> None:
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        return self.process.stdout.readline().strip()

    def ask(self, *words: object) -> str:
        self.send(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start_holder(process_environment: dict[str, str]) -> Iterator[Callable[[], Holder]]:
    started: list[Holder] = []

    def start() -> Holder:
        started.append(Holder(process_environment))
        return started[-1]

    yield start
    for holder in started:
        holder.kill()
        holder.process.stdin.close()
        holder.process.stdout.close()


@pytest.fixture
def stop_file(settings: Any, tmp_path: Path) -> Path:
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    return tmp_path / "STOP"
