"""Mail that agents hand in, over real HTTP, against a bare view with one insert, in turn."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.pages import Desk

PORT, BARE_PORT = 8951, 8952


def run(directory: Path, count: int) -> None:
    """Hand in `count` mails at a desk on SQLite with 1,000 drafts."""
    desk = Desk(directory / "desk", 1000, PORT)
    manage = [sys.executable, "manage.py"]
    for command in (
        ["create_user", "owner", "--role", "admin"],
        ["create_token", "bench", "--owner", "owner", "--mailbox", "box0@desk.example"],
    ):
        done = subprocess.run(
            manage + command, env=desk.environment, check=True, capture_output=True, text=True, input=""
        )
    headers = {"Authorization": f"Bearer {done.stdout.strip()}", "Content-Type": "application/json"}
    bare = [sys.executable, "-m", "gunicorn", "benchmarks.bare:application", f"--bind=127.0.0.1:{BARE_PORT}"]
    bare += ["--workers=1", "--threads=4", "--no-control-socket", "--log-level=error"]
    with desk.running(), subprocess.Popen(bare, env=desk.environment) as process:
        try:
            _answers(BARE_PORT)
            ours, least = [], []
            for number in range(count):
                body = json.dumps(
                    {
                        "from": "box0@desk.example",
                        "to": f"person{number}@example.net",
                        "subject": f"Order {number}",
                        "body": "<p>It arrives on Thursday.</p>",
                    }
                )
                ours.append(_timed(PORT, "/api/v1/emails/send", body, headers))
                least.append(_timed(BARE_PORT, "/", body, headers))
        finally:
            process.terminate()
    median, bottom = statistics.median(ours), statistics.median(least)
    p95 = statistics.quantiles(ours, n=20)[-1]
    print(f"{'submissions, p95 in ms (goal: under 300)':<60}{p95 * 1000:>10.1f}")
    print(f"{'submissions, median to a bare view with one insert':<60}{median / bottom:>10.2f}")


def _answers(port: int) -> None:
    for _ in range(200):
        try:
            _timed(port, "/", "{}", {})
            return
        except OSError:
            time.sleep(0.05)


def _timed(port: int, path: str, body: str, headers: dict[str, str]) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    started = time.perf_counter()
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - started
    connection.close()
    if answer.status != 202:
        raise RuntimeError(f"{path} answered {answer.status}")
    return took
