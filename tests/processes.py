"""Real processes for tests: the sandbox provider, and the environment in which others share our state."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30


class Sandbox:
    """The running sandbox provider: its address for clients, its control interface for tests."""

    api_key = "sandbox-key"

    def __init__(self, url: str, store: Path) -> None:
        self.url = url
        self.store = store
        self.session = requests.Session()
        self.session.trust_env = False

    def control(self, method: str, path: str, **fields: Any) -> Any:
        """Call /_sandbox/<path> with the fields as JSON and return the answer's JSON; fail on an error."""
        answer = self.session.request(
            method, f"{self.url}/_sandbox/{path}", json=fields or None, timeout=START_SECONDS
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        return self.control("GET", path)

    def post(self, path: str, **fields: Any) -> Any:
        return self.control("POST", path, **fields)

    def sends(self) -> list[dict[str, Any]]:
        """What the provider accepted, from the log it wrote before it answered: the truth of every test."""
        return self.get("log")["sends"]

    def reset(self, **fields: Any) -> None:
        self.post("reset", **fields)


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    store = tmp_path_factory.mktemp("sandbox") / "provider.sqlite3"
    command = [
        sys.executable,
        "manage.py",
        "sandbox",
        "--port=0",
        f"--store={store}",
        f"--api-key={Sandbox.api_key}",
        "--scenario=empty",
        "--print-port",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("SANDBOX "):
                pytest.fail(f"the sandbox did not start; it said {line!r}")
            sandbox = Sandbox(line.split()[1], store)
            yield sandbox
            sandbox.session.close()
        finally:
            process.terminate()
            process.wait(START_SECONDS)


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def nylas_client(sandbox: Sandbox) -> Any:
    from agentmail.client import NylasClient  # noqa: PLC0415 - tests that need no client must not need it

    return NylasClient(sandbox.url, sandbox.api_key)


@pytest.fixture
def connected_settings(sandbox: Sandbox, settings: Any) -> Any:
    """The settings, with the sandbox as the provider."""
    settings.NYLAS_API_URI = sandbox.url
    settings.NYLAS_API_KEY = sandbox.api_key
    return settings


def test_database_url() -> str:
    """The address of the test database that this process uses, for other processes to share."""
    of_connection = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{of_connection['NAME']}"
    user = quote(of_connection["USER"], safe="")
    password = f":{quote(of_connection['PASSWORD'], safe='')}" if of_connection["PASSWORD"] else ""
    port = f":{of_connection['PORT']}" if of_connection["PORT"] else ""
    return f"postgres://{user}{password}@{of_connection['HOST']}{port}/{of_connection['NAME']}"


test_database_url.__test__ = False


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment of a product process that shares this test's database, locks and state directory.

    The provider is not set: add NYLAS_API_URI and NYLAS_API_KEY of the sandbox where it is needed.
    """
    return {**os.environ, "DATABASE_URL": test_database_url(), "PYTHONUNBUFFERED": "1"}


@contextmanager
def site(environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The desk served by its own processes and threads as in production: its address, and the group's first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", f"--bind=127.0.0.1:{port}", "--workers=2"]
    options = ["--threads=8", "--log-level=warning", "--no-control-socket"]
    with subprocess.Popen([*command, *options], cwd=ROOT, env=environment, start_new_session=True) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 2 * START_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < until and process.poll() is None:
            try:
                session.get(f"{address}/healthz", timeout=START_SECONDS)
                return
            except requests.ConnectionError:
                time.sleep(0.1)
    pytest.fail("the desk did not start")
