import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.processes import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
# A program with a child of its own, in the same session, that does not care for SIGTERM.
STUBBORN_FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""  # noqa: E501 - one program
STARTER = """
import sys, time
from pathlib import Path
from config.processes import Program, Supervisor
supervisor = Supervisor(Path("."), {}, Path(sys.argv[1]))
supervisor.start(Program("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"]))
print(supervisor.running["sleeper"].pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(ROOT, os.environ, tmp_path / "logs")
    yield supervisor
    supervisor.kill()
    supervisor.stop()


def test_a_program_that_ends_by_itself_is_named(supervisor: Supervisor) -> None:
    supervisor.start(Program("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"]))
    supervisor.start(Program("short", [sys.executable, "-c", "print('goodbye')"]))
    supervisor.running["short"].wait(10)
    assert supervisor.first_dead() == "short"
    assert supervisor.log_path("short").read_text() == "goodbye\n"


def test_stopping_leaves_no_process_even_of_stubborn_ones(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.processes.STOP_SECONDS", 0.5)
    child_file = tmp_path / "child"
    supervisor.start(Program("family", [sys.executable, "-c", STUBBORN_FAMILY, str(child_file)]))
    while not (child_file.exists() and child_file.read_text()):
        time.sleep(0.02)
    parent = supervisor.running["family"].pid
    supervisor.stop()
    assert wait_until_gone(parent)
    assert wait_until_gone(int(child_file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent")
def test_programs_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with starter:
        child = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
    assert wait_until_gone(child)
