from __future__ import annotations

import threading
import time

from .errors import ApiError


class Pace:
    """The provider's limit of sends per second, over all mailboxes, with a burst of one second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait_for(self, per_second: float, longest_seconds: float) -> float:
        """Reserve a place and return the seconds until its turn; raises 429 when the queue is full."""
        if per_second <= 0:
            return 0.0
        now = time.monotonic()
        with self._lock:
            turn = max(self._next, now)
            wait = max(0.0, turn - now - max(0.0, 1.0 - 1.0 / per_second))
            if wait > longest_seconds:
                raise ApiError(
                    429,
                    "nylas_rate_limit_exceeded",
                    "The send queue is full",
                    headers={"Retry-After": str(max(1, int(wait - longest_seconds) + 1))},
                )
            self._next = turn + 1.0 / per_second
        return wait

    def clear(self) -> None:
        with self._lock:
            self._next = 0.0
