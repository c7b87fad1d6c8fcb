import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from config.management.commands.demo import FOREIGN, any_free_port, kept_logins

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 90


class Demo:
    def __init__(self, process: subprocess.Popen[str], url: str, said: str) -> None:
        self.process = process
        self.url = url
        self.passwords = dict(re.findall(r"^  (\w+) +(\S+)$", said, re.MULTILINE))

    def children(self) -> dict[str, int]:
        """The process ids of what the demo runs, by the word that names each in its command line."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid:
                words = ("sandbox", "config.wsgi", "--queues=celery", "--queues=webhooks", "beat")
                names = [word for word in words if word in command]
                found[names[0]] = int(folder.name)
        return found


def environment(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in FOREIGN}
    return {**kept, "VAR_DIR": str(state)}


@contextmanager
def running_demo(state: Path) -> Iterator[Demo]:
    command = [sys.executable, "manage.py", "demo", f"--port={any_free_port()}", "--no-live"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C stops" in line:
                    break
            address = re.search(r"runs at (\S+)/", said)
            assert address, said
            yield Demo(process, address[1], said)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(LIMIT_SECONDS)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def signed_in(demo: Demo) -> Iterator[tuple[requests.Session, requests.Response]]:
    """The reviewer's browser, and the page that the sign-in led to."""
    with requests.Session() as browser:
        browser.trust_env = False
        page = browser.get(f"{demo.url}/accounts/login/", timeout=10)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        fields = {
            "login": "reviewer",
            "password": demo.passwords["reviewer"],
            "csrfmiddlewaretoken": token,
        }
        yield browser, browser.post(f"{demo.url}/accounts/login/", data=fields, timeout=10)


def wait_until_ready(url: str) -> dict[str, Any]:
    deadline = time.monotonic() + LIMIT_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while True:
            answer = session.get(f"{url}/readyz", timeout=10).json()
            if answer["ready"] or time.monotonic() > deadline:
                return answer
            time.sleep(0.2)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.mark.slow
def test_the_demo_lets_the_reviewer_in_and_ends_with_ctrl_c(state: Path) -> None:
    with running_demo(state) as demo:
        with signed_in(demo) as (_browser, page):
            pass
        readiness = wait_until_ready(demo.url)
        children = demo.children()
        demo.process.send_signal(signal.SIGINT)
        code = demo.process.wait(LIMIT_SECONDS)
    assert page.url == f"{demo.url}/queue/"
    assert page.status_code == 200
    assert readiness["ready"], readiness
    assert set(children) == {"sandbox", "config.wsgi", "--queues=celery", "--queues=webhooks", "beat"}
    assert code == 0
    assert [name for name, pid in children.items() if not is_gone(pid)] == []


@pytest.mark.slow
def test_a_fresh_demo_soon_has_a_message_that_only_a_person_may_answer(state: Path) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    with running_demo(state) as demo, signed_in(demo) as (browser, _page):
        listed = ""
        while "Order 47960, my second letter" not in listed and time.monotonic() < deadline:
            time.sleep(0.2)
            listed = browser.get(f"{demo.url}/needs-a-person/", timeout=10).text
    assert "Order 47960, my second letter" in listed
    assert "Legal threats and positions" in listed


@pytest.mark.slow
def test_a_second_run_keeps_the_logins_and_a_dead_process_ends_all(state: Path) -> None:
    kept = (state / "demo-logins").read_text() if (state / "demo-logins").exists() else None
    with running_demo(state) as demo:
        children = demo.children()
        os.kill(children["--queues=celery"], signal.SIGKILL)
        rest = demo.process.stdout.read()
        code = demo.process.wait(LIMIT_SECONDS)
    assert kept in (None, (state / "demo-logins").read_text())
    assert code == 1
    assert "The worker process ended by itself" in rest
    assert [name for name, pid in children.items() if not is_gone(pid)] == []


@pytest.mark.slow
def test_a_dead_process_is_named_though_its_log_is_gone(state: Path) -> None:
    with running_demo(state) as demo:
        (state / "logs" / "worker.log").unlink()
        os.kill(demo.children()["--queues=celery"], signal.SIGKILL)
        rest = demo.process.stdout.read()
        code = demo.process.wait(LIMIT_SECONDS)
    assert code == 1
    assert "The worker process ended by itself" in rest
    assert "Traceback" not in rest


def test_a_role_that_an_earlier_demo_lacked_changes_no_other_login(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    first = kept_logins()
    (tmp_path / "demo-logins").write_text(f"reviewer {first['reviewer']}\n")

    later = kept_logins()

    assert later["reviewer"] == first["reviewer"]
    assert later.keys() == first.keys()
    assert kept_logins() == later


def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "manage.py", "demo", f"--port={port}"],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
    assert ended.returncode == 1
    assert f"Port {port} is used" in ended.stderr
    assert "make demo PORT=" in ended.stderr


def test_the_demo_does_not_touch_a_desk_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "countersign.sqlite3").write_text("a desk")
    ended = subprocess.run(
        [sys.executable, "manage.py", "demo", "--reset"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode == 1
    assert "did not make" in ended.stderr
    assert (tmp_path / "countersign.sqlite3").read_text() == "a desk"
