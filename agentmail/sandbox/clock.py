from __future__ import annotations

import threading
import time


class Clock:
    """The provider's own clock, in seconds since the epoch; it can be set apart from the machine's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = 0.0

    @property
    def offset(self) -> float:
        return self._offset

    def now(self) -> float:
        return time.time() + self._offset

    def seconds(self) -> int:
        return int(self.now())

    def set_offset(self, offset: float) -> float:
        """Move the clock to `offset` seconds from the machine's and return by how much it moved."""
        with self._lock:
            moved = offset - self._offset
            self._offset = offset
        return moved
