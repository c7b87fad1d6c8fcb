"""Pages at many rows against the same pages at few, in turn, over real HTTP."""

from __future__ import annotations

import http.client
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 60
FEW = 1000


class Desk:
    """One site over one filled database."""

    def __init__(self, directory: Path, rows: int, port: int, *, pending: float = 0.1) -> None:
        self.port = port
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
            },
            "VAR_DIR": str(directory),
            "NYLAS_API_URI": "",
            "LOG_LEVEL": "ERROR",
            "STATIC_MANIFEST": "true",
        }
        directory.mkdir(parents=True)
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
        subprocess.run(collect, env=self.environment, check=True)
        filled = subprocess.run(
            [sys.executable, "-m", "benchmarks.fill", f"--rows={rows}", f"--pending={pending}"],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        self.session = filled.stdout.split()[-1]

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", f"--bind=127.0.0.1:{self.port}"]
        command += ["--workers=1", "--threads=4", "--no-control-socket", "--log-level=error"]
        with subprocess.Popen(command, env=self.environment) as process:
            try:
                for _ in range(200):
                    try:
                        self.get("/healthz")
                        break
                    except OSError:
                        time.sleep(0.05)
                yield
            finally:
                process.terminate()

    def get(self, path: str) -> tuple[float, bytes]:
        """Fetch a page as the signed-in reviewer; seconds and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Cookie": f"countersign={self.session}", "Accept-Encoding": "gzip"}
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return took, body


def run(directory: Path, rows: int) -> None:
    few, many = Desk(directory / "few", FEW, 8971), Desk(directory / "many", rows, 8972)
    with few.running(), many.running():
        middle = _middle(many), _middle(few)
        pages = {
            "queue, first page": ("/queue/", "/queue/"),
            "queue, next page": middle,
            "queue, one mailbox": ("/queue/", "/queue/"),
            "search, an address": ("/queue/?q=person42", "/queue/?q=person42"),
            "draft page": (draft_path(many), draft_path(few)),
        }
        print(
            f"{'page':<22}{'ms at ' + format(rows, ','):>16}{'ms at 1,000':>14}{'ratio':>8}{'to an empty view':>18}"
        )
        for name, (path_many, path_few) in pages.items():
            times: dict[str, list[float]] = {"many": [], "few": [], "empty": []}
            for _ in range(ROUNDS):
                times["many"].append(many.get(path_many)[0])
                times["few"].append(few.get(path_few)[0])
                times["empty"].append(many.get("/healthz")[0])
            a, b, empty = (statistics.median(times[key]) for key in ("many", "few", "empty"))
            print(f"{name:<22}{a * 1000:>16.1f}{b * 1000:>14.1f}{a / b:>8.2f}{a / empty:>18.1f}")


def _middle(desk: Desk) -> str:
    page = _plain(desk.get("/queue/")[1])
    found = re.search(r'href="(/queue/\?[^"]*after=[^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else "/queue/"


def draft_path(desk: Desk) -> str:
    found = re.search(r'href="(/drafts/[0-9a-f-]+/)', _plain(desk.get("/queue/")[1]))
    if found is None:
        raise RuntimeError("the queue shows no draft")
    return found[1]


def _plain(body: bytes) -> str:
    import gzip  # noqa: PLC0415 - only pages that came compressed need it

    return (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
