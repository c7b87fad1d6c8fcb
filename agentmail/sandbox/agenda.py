"""Things that happen later: delivery reports, replies of customers, scheduled sends."""

from __future__ import annotations

import heapq
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

from .clock import Clock
from .store import Record, Store

logger = logging.getLogger(__name__)

# A move of the provider's clock must not hurry or hold up reports; a scheduled send goes by that clock.
BY_CLOCK = frozenset({"scheduled_send"})
# What a test waits for when it waits for quiet.
REPORTING = frozenset({"outcome", "queued_send"})


class Agenda:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int, str]] = []
        self._count = 0
        self._running = 0
        self._is_closed = False
        self.handlers: dict[str, Callable[[Record], None]] = {}
        for record in store.all("work"):
            self._push(record)

    def start(self) -> None:
        threading.Thread(target=self._run, name="agenda", daemon=True).start()

    def close(self) -> None:
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()

    def _push(self, record: Record) -> None:
        with self._wake:
            self._count += 1
            heapq.heappush(self._heap, (record["due"], self._count, record["id"]))
            self._wake.notify_all()

    def add(self, kind: str, *, seconds: float = 0.0, due: float | None = None, **details: Any) -> Record:
        """Put a piece of work on the agenda, `seconds` from now or at `due` by the provider's clock."""
        record = {
            "id": str(uuid.uuid4()),
            "kind": kind,
            "due": self._clock.now() + seconds if due is None else due,
            **details,
        }
        with self._store.change():
            self._store.put("work", record)
        self._push(record)
        return record

    def cancel(self, id: str) -> None:
        with self._store.change():
            self._store.remove("work", id)

    def shift(self, seconds: float) -> None:
        """Follow a move of the provider's clock."""
        with self._store.change():
            for record in self._store.all("work"):
                if record["kind"] not in BY_CLOCK:
                    record["due"] += seconds
                    self._store.put("work", record)
        self.rebuild()

    def rebuild(self) -> None:
        with self._wake:
            self._heap = []
        for record in self._store.all("work"):
            self._push(record)
        with self._wake:
            self._wake.notify_all()

    def unfinished_reports(self) -> int:
        with self._wake:
            running = self._running
        return running + sum(1 for record in self._store.all("work") if record["kind"] in REPORTING)

    def _next(self) -> Record | None:
        with self._wake:
            while not self._is_closed:
                if not self._heap:
                    self._wake.wait()
                    continue
                wait = self._heap[0][0] - self._clock.now()
                if wait > 0:
                    self._wake.wait(min(wait, 60.0))
                    continue
                _, _, id = heapq.heappop(self._heap)
                record = self._store.get("work", id)
                if record is not None and record["due"] <= self._clock.now():
                    self._running += 1
                    return record
        return None

    def _run(self) -> None:
        while (record := self._next()) is not None:
            try:
                self.run(record)
            except Exception:
                # The edge of a thread: one piece of work that fails must not end all the others.
                logger.exception("work %s of kind %s failed", record["id"], record["kind"])
            finally:
                with self._wake:
                    self._running -= 1

    def run(self, record: Record) -> None:
        """Do a piece of work now, unless somebody did it or it was cancelled."""
        with self._store.change():
            if self._store.get("work", record["id"]) is None:
                return
            self._store.remove("work", record["id"])
            self.handlers[record["kind"]](record)
