"""How fast this process may ask. The provider counts seconds: for the application, and for each mailbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# nylas-v3 section 1.6
APPLICATION_REQUESTS_PER_SECOND = 50.0
GRANT_REQUESTS_PER_SECOND = 200.0


class Pace:
    """Buckets of permissions that fill evenly and hold one second's worth: one for each mailbox, one for the rest."""

    def __init__(
        self,
        *,
        per_application: float = APPLICATION_REQUESTS_PER_SECOND,
        per_grant: float = GRANT_REQUESTS_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_application = per_application
        self._per_grant = per_grant
        self._clock = clock
        self._sleep = sleep
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def wait(self, grant: str = "") -> None:
        """Take one permission of a mailbox, or of the application when none is named, sleeping until it is there."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(grant)
            if bucket is None:
                bucket = _Bucket(self._per_grant if grant else self._per_application, now)
                self._buckets[grant] = bucket
            pause = bucket.take(now)
        if pause > 0:
            self._sleep(pause)


class _Bucket:
    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._permissions = per_second
        self._filled_at = now

    def take(self, now: float) -> float:
        gained = (now - self._filled_at) * self._per_second
        self._permissions = min(self._per_second, self._permissions + gained) - 1.0
        self._filled_at = now
        return -self._permissions / self._per_second
