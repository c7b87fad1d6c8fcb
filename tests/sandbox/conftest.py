import hashlib
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.processes import ROOT, START_SECONDS, Sandbox


class Desk:
    """A mailbox of the sandbox, used as a client of the provider would."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        # Reports come at once, so that no test waits for the pace of a demonstration.
        quick = {"delivery_seconds": 0.02, "bounce_seconds": 0.02, "complaint_seconds": 0.06}
        mailbox = {"email": "support@lindenhof.example", "name": "Support"}
        grants = sandbox.post("reset", grants=[mailbox], switches=quick)["grants"]
        self.grant_id = grants[0]["id"]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.sandbox.api_key}", **options.pop("headers", {})}
        if "json" in options:
            options["data"] = json.dumps(options.pop("json")).encode()
            headers.setdefault("Content-Type", "application/json")
        options.setdefault("timeout", START_SECONDS)
        url = f"{self.sandbox.url}{path}"
        return self.sandbox.session.request(method, url, headers=headers, **options)

    def mail(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.call(method, f"/v3/grants/{self.grant_id}/{path}", **options)

    def send(self, *, key: str = "", timeout: float = START_SECONDS, **fields: Any) -> requests.Response:
        fields = {"to": [{"email": "casey@example.net"}], "subject": "Hello", "body": "Text", **fields}
        headers = {"Idempotency-Key": key} if key else {}
        return self.mail("POST", "messages/send", json=fields, headers=headers, timeout=timeout)

    def draft(self, **fields: Any) -> dict[str, Any]:
        fields = {"to": [{"email": "casey@example.net"}], "subject": "Hello", "body": "Text", **fields}
        return self.mail("POST", "drafts", json=fields).json()["data"]

    def customer(self, **fields: Any) -> dict[str, Any]:
        return self.sandbox.post("customer", **fields)

    def fault(self, **rule: Any) -> dict[str, Any]:
        return self.sandbox.post("faults", **rule)["fault"]

    def log(self) -> list[dict[str, Any]]:
        return self.sandbox.get("log")["sends"]

    def switch(self, **switches: Any) -> None:
        self.sandbox.control("PATCH", "switches", **switches)

    def wait(self) -> None:
        self.sandbox.get("idle?timeout=20")

    def events(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.sandbox.get("events")["events"] if event["type"] == type]


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox)


class Receiver:
    """A webhook destination that answers as told and keeps what came, in order."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.echo: Callable[[str], str] = lambda challenge: challenge
        self.secret = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                return

            def do_GET(self) -> None:
                challenge = parse_qs(urlsplit(self.path).query).get("challenge", [""])[0]
                self.answer(200, receiver.echo(challenge).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append((headers, body))
                self.answer(receiver.statuses.pop(0) if receiver.statuses else 200, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]

    def is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        wanted = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(headers["x-nylas-signature"], wanted)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


ALL_TRIGGERS = [
    "message.created",
    "message.updated",
    "message.deleted",
    "message.send_success",
    "message.send_failed",
    "message.bounce_detected",
    "message.delivered",
    "message.bounced",
    "message.complaint",
    "message.rejected",
    "grant.created",
    "grant.updated",
    "grant.deleted",
    "grant.expired",
]


@pytest.fixture
def subscribed(desk: Desk, receiver: Receiver) -> Receiver:
    """A receiver that gets every notification of the desk's sandbox."""
    answer = desk.call(
        "POST", "/v3/webhooks", json={"trigger_types": ALL_TRIGGERS, "webhook_url": receiver.url}
    )
    receiver.secret = answer.json()["data"]["webhook_secret"]
    return receiver


class Program:
    """A sandbox process of the test's own, to start, stop and start again."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *options: str) -> str:
        command = [sys.executable, "-m", "agentmail.sandbox", "--port=0", f"--store={self.store}", *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1]
        return self.url

    def stop(self) -> int:
        assert self.process is not None and self.process.stdout is not None
        self.process.terminate()
        code = self.process.wait(START_SECONDS)
        self.process.stdout.close()
        self.process = None
        return code

    def control(self, method: str, path: str, **fields: Any) -> Any:
        answer = requests.request(method, f"{self.url}/_sandbox/{path}", json=fields, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}{path}", headers={"Authorization": "Bearer any"}, timeout=10).json()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path / "store.sqlite3")
    yield program
    if program.process is not None:
        program.stop()
