"""What a page costs: bytes and requests in a real browser, time and statements at the server.

At 1,000 pending drafts and at many, of the queue and of a draft, cold (a browser that was never here) and warm.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pages import Desk, draft_path
from tests.availability import CHROMIUM, missing_for_browser

FEW = 1000
ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit moved over the wire: `size` in bytes with all headers."""

    requests: int
    size: int


def run(directory: Path, rows: int) -> None:
    desks = {
        FEW: Desk(directory / "few", FEW, 8973, pending=1),
        rows: Desk(directory / "many", rows, 8974, pending=1),
    }
    print(f"{'page':<10}{'pending':>10}{'ms':>8}{'statements':>12}{'cold':>24}{'warm':>24}")
    for pending, desk in desks.items():
        with desk.running():
            for name, path in {"queue": "/queue/", "draft": draft_path(desk)}.items():
                took = statistics.median(desk.get(path)[0] for _ in range(ROUNDS)) * 1000
                visits = _visits(desk, path)
                said = [f"{one.requests} req, {one.size:,} B" for one in visits] or ["no browser"] * 2
                line = f"{name:<10}{pending:>10,}{took:>8.1f}{_statements(desk, path):>12}"
                print(line + "".join(f"{one:>24}" for one in said))


def _statements(desk: Desk, path: str) -> int:
    command = [sys.executable, "-m", "benchmarks.statements", desk.session, path]
    return int(
        subprocess.run(command, env=desk.environment, check=True, capture_output=True, text=True).stdout
    )


def _visits(desk: Desk, path: str) -> list[Visit]:
    """A first and a second visit of one browser; none where there is no browser."""
    if missing_for_browser():
        return []
    with _page(desk) as page:
        return [_visit(page, f"http://127.0.0.1:{desk.port}{path}") for _ in range(2)]


@contextmanager
def _page(desk: Desk) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only make test-browser installs it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_cookies(
            [{"name": "countersign", "value": desk.session, "url": f"http://127.0.0.1:{desk.port}"}]
        )
        yield context.new_page()
        browser.close()


def _visit(page: Any, address: str) -> Visit:
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    asked: list[str] = []
    sizes: list[float] = []
    kept: set[str] = set()
    client.on("Network.requestWillBeSent", lambda event: asked.append(event["requestId"]))
    client.on("Network.requestServedFromCache", lambda event: kept.add(event["requestId"]))
    client.on(
        "Network.responseReceived",
        lambda event: kept.add(event["requestId"]) if event["response"].get("fromDiskCache") else None,
    )
    client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="networkidle")
    page.goto("about:blank")
    client.detach()
    return Visit(len(set(asked) - kept), round(sum(sizes)))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as place:
        run(Path(place), int(os.environ.get("ROWS", "100000")))
