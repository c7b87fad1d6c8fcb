"""Notifications: made once, signed, delivered to every subscribed destination, spoiled by rule."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import hmac
import http.client
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .clock import Clock
from .faults import Faults
from .store import Store
from .switches import Switches

logger = logging.getLogger(__name__)

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504, 507})
ATTEMPTS = 3
COURIERS = 6
FORGERS_SECRET = "not-the-secret-of-any-destination"  # noqa: S105
KEPT_EVENTS = 20_000


@dataclass(slots=True)
class Delivery:
    event: dict[str, Any]
    webhook_id: str
    grant_id: str = ""
    attempt: int = 1
    secret: str = ""
    is_forged: bool = False
    is_retried: bool = True


def sign(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def call(
    url: str, method: str, *, headers: dict[str, str], body: bytes | None, timeout: float
) -> tuple[int, bytes, str]:
    """Make one HTTP call without redirects and return status, body and Retry-After.

    Raises OSError or HTTPException when there is no answer.
    """
    parts = urlsplit(url)
    factory = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = factory(parts.hostname or "", parts.port, timeout=timeout)
    try:
        target = parts.path or "/"
        connection.request(
            method, f"{target}?{parts.query}" if parts.query else target, body=body, headers=headers
        )
        reply = connection.getresponse()
        return reply.status, reply.read(1_000_000), reply.getheader("Retry-After") or ""
    finally:
        connection.close()


class Events:
    def __init__(
        self, store: Store, clock: Clock, switches: Switches, faults: Faults, application_id: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._switches = switches
        self._faults = faults
        self._application_id = application_id
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int, Delivery]] = []
        self._held: list[Delivery] = []
        self._count = 0
        self._under_way = 0
        self._generation = 0
        self._is_paused = False
        self._is_closed = False
        self._local = threading.local()
        self.emitted: list[dict[str, Any]] = []
        self.attempts: list[dict[str, Any]] = []

    def start(self) -> None:
        for number in range(COURIERS):
            threading.Thread(target=self._carry, name=f"courier-{number}", daemon=True).start()

    def close(self) -> None:
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()

    def clear(self) -> None:
        with self._wake:
            self._heap = []
            self._held = []
            self._is_paused = False
            self._generation += 1
            self.emitted = []
            self.attempts = []
            self._wake.notify_all()

    @contextmanager
    def collected(self) -> Iterator[list[dict[str, Any]]]:
        """Hold back what this thread emits; the caller passes it to `release` when its reply is out."""
        outer = getattr(self._local, "collected", None)
        self._local.collected = []
        try:
            yield self._local.collected
        finally:
            self._local.collected = outer

    def emit(
        self,
        type: str,
        object: dict[str, Any],
        *,
        grant_id: str = "",
        source: str = "/nylas/send",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Announce something. Inside `collected` it waits there, otherwise it is queued at once.

        `details` stand beside the object in the data of the notification.
        """
        event = {
            "specversion": "1.0",
            "type": type,
            "source": source,
            "id": str(uuid.uuid4()),
            "time": self._clock.seconds(),
            "data": {
                "application_id": self._application_id,
                **({"grant_id": grant_id} if grant_id else {}),
                **(details or {}),
                "object": object,
            },
        }
        collected = getattr(self._local, "collected", None)
        if collected is None:
            self._queue(event, grant_id)
        else:
            collected.append({"event": event, "grant_id": grant_id})

    def release(self, collected: list[dict[str, Any]]) -> None:
        for entry in collected:
            self._queue(entry["event"], entry["grant_id"])

    def _queue(self, event: dict[str, Any], grant_id: str) -> None:
        event = self._cut_to_size(event)
        type = event["type"].removesuffix(".truncated")
        with self._wake:
            self.emitted.append(event)
            del self.emitted[:-KEPT_EVENTS]
        destinations = [
            webhook
            for webhook in self._store.all("webhook")
            if webhook["status"] in {"active", "failing"} and type in webhook["trigger_types"]
        ]
        if not destinations:
            return
        delay, copies, is_dropped, is_forged, is_replaced = 0.0, 1, False, False, False
        for fault in self._faults.for_event(type, grant_id, json.dumps(event)):
            options = fault.options
            if fault.action == "drop":
                is_dropped = True
            elif fault.action == "duplicate":
                copies = max(copies, int(options.get("copies", 2)))
            elif fault.action == "delay":
                delay += float(options.get("ms", 1000)) / 1000
            elif fault.action == "shuffle":
                delay += self._faults.chance() * float(options.get("window_ms", 1000)) / 1000
            else:
                is_forged, is_replaced = True, bool(options.get("replace", False))
        for webhook in destinations:
            if is_forged:
                # Another id, as a forger would choose: the same one could only ever look like a duplicate.
                forged = {**event, "id": str(uuid.uuid4())}
                self._push(
                    Delivery(
                        forged,
                        webhook["id"],
                        grant_id,
                        secret=FORGERS_SECRET,
                        is_forged=True,
                        is_retried=False,
                    ),
                    delay,
                )
            if not is_dropped and not is_replaced:
                for _ in range(copies):
                    self._push(Delivery(event, webhook["id"], grant_id), delay)

    def _cut_to_size(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] not in {"message.created", "message.updated"}:
            return event
        if len(json.dumps(event, ensure_ascii=False).encode()) <= self._switches["truncate_above_bytes"]:
            return event
        without_body = {name: value for name, value in event["data"]["object"].items() if name != "body"}
        return {
            **event,
            "type": event["type"] + ".truncated",
            "data": {**event["data"], "object": without_body},
        }

    def _push(self, delivery: Delivery, seconds: float) -> None:
        with self._wake:
            if self._is_paused:
                self._held.append(delivery)
                return
            self._count += 1
            heapq.heappush(self._heap, (time.monotonic() + seconds, self._count, delivery))
            self._wake.notify()

    def pause(self) -> None:
        """Hold deliveries back, those already queued included, until `resume`."""
        with self._wake:
            self._is_paused = True
            self._held.extend(delivery for _, _, delivery in sorted(self._heap, key=lambda entry: entry[:2]))
            self._heap = []
            self._wake.notify_all()

    def resume(self, *, drop: bool = False, order: str = "kept") -> int:
        """Release what was held, in its order, reversed or shuffled, or drop it. Returns how many."""
        with self._wake:
            self._is_paused = False
            held, self._held = self._held, []
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            held.sort(key=lambda delivery: self._faults.chance())
        if not drop:
            for place, delivery in enumerate(held):
                # A little apart, so that several couriers keep the order asked for.
                self._push(delivery, 0.005 * place)
        return len(held)

    def pending(self) -> int:
        with self._wake:
            return len(self._heap) + self._under_way

    def send_by_hand(self, event: dict[str, Any], *, copies: int, is_forged: bool, is_kept: bool) -> None:
        if is_kept:
            with self._wake:
                self.emitted.append(event)
        for webhook in self._store.all("webhook"):
            secret = FORGERS_SECRET if is_forged else ""
            for _ in range(copies):
                self._push(
                    Delivery(
                        event, webhook["id"], secret=secret, is_forged=is_forged, is_retried=not is_forged
                    ),
                    0.0,
                )

    def wait_until_idle(self, timeout: float) -> bool:
        limit = time.monotonic() + timeout
        with self._wake:
            while self._heap or self._under_way:
                remaining = limit - time.monotonic()
                if remaining <= 0:
                    return False
                self._wake.wait(min(remaining, 0.05))
        return True

    def _carry(self) -> None:
        while True:
            with self._wake:
                while not self._is_closed:
                    wait = self._heap[0][0] - time.monotonic() if self._heap else 60.0
                    if wait <= 0:
                        break
                    self._wake.wait(wait)
                if self._is_closed:
                    return
                _, _, delivery = heapq.heappop(self._heap)
                self._under_way += 1
                generation = self._generation
            try:
                again = self._attempt(delivery)
                if again is not None and generation == self._generation:
                    delivery.attempt += 1
                    self._push(delivery, again)
            except Exception:
                # The edge of a thread: a courier must outlive any one delivery.
                logger.exception("delivery of event %s failed", delivery.event["id"])
            finally:
                with self._wake:
                    self._under_way -= 1
                    self._wake.notify_all()

    def _attempt(self, delivery: Delivery) -> float | None:
        """Try once; return the seconds to the next attempt, None when there is none."""
        webhook = self._store.get("webhook", delivery.webhook_id)
        if webhook is None or webhook["status"] not in {"active", "failing"}:
            return None
        body = json.dumps(
            {**delivery.event, "webhook_delivery_attempt": delivery.attempt}, ensure_ascii=False
        ).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "sandbox-notifications/1.0"}
        if webhook.get("compressed_delivery"):
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers["X-Nylas-Signature"] = sign(delivery.secret or webhook["webhook_secret"], body)
        retry_after = ""
        try:
            status, _, retry_after = call(
                webhook["webhook_url"],
                "POST",
                headers=headers,
                body=body,
                timeout=self._switches["webhook_timeout_seconds"],
            )
        except TimeoutError:
            status = 504
        except (OSError, http.client.HTTPException):
            status = 503
        with self._wake:
            self.attempts.append(
                {
                    "event_id": delivery.event["id"],
                    "type": delivery.event["type"],
                    "webhook_id": delivery.webhook_id,
                    "attempt": delivery.attempt,
                    "status": status,
                    "forged": delivery.is_forged,
                }
            )
            del self.attempts[:-KEPT_EVENTS]
        if status not in RETRIED_STATUSES or not delivery.is_retried or delivery.attempt >= ATTEMPTS:
            return None
        if status == 429 and retry_after.isdigit():
            return float(retry_after)
        backoff = self._switches["webhook_backoff_seconds"] or [0.0]
        return float(backoff[min(delivery.attempt - 1, len(backoff) - 1)])
