"""The truth for tests: what arrived at a sending route, and what was accepted, each a line on disk."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any


class Journal:
    """A file of JSON lines, numbered from 1. `append` returns when the line is on disk, if `is_synced`."""

    def __init__(self, path: Path, *, is_synced: bool) -> None:
        self.path = path
        self._is_synced = is_synced
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        content = path.read_bytes()
        whole = content.rpartition(b"\n")[0] + b"\n" if b"\n" in content else b""
        # A machine that went down while writing leaves a piece of a line; nothing was said about it to anybody.
        if len(whole) < len(content):
            os.ftruncate(self._file, len(whole))
        self._entries = [json.loads(line) for line in whole.splitlines()]

    def append(self, entry: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            numbered = {"n": len(self._entries) + 1, **entry}
            line = json.dumps(numbered, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            os.write(self._file, line)
            if self._is_synced:
                os.fsync(self._file)
            self._entries.append(numbered)
        return numbered

    def entries(self, *, after: int = 0) -> list[dict[str, Any]]:
        with self._lock:
            return self._entries[after:]

    def clear(self) -> None:
        with self._lock:
            os.ftruncate(self._file, 0)
            self._entries = []
