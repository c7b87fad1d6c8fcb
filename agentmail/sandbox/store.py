"""What the sandbox remembers: records held in memory, written through to one SQLite file."""

from __future__ import annotations

import bisect
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS content (id TEXT PRIMARY KEY, data BLOB NOT NULL);
"""

SEARCHABLE_METADATA = ("key1", "key2", "key3", "key4", "key5")


class Store:
    """Records by kind and id. Every change happens inside `change()`, which commits when it ends."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # The log of accepted sends is fsynced apart; this file only has to survive the end of the process.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(SCHEMA)
        self._depth = 0
        self._forget_everything()
        self._load()

    def _forget_everything(self) -> None:
        self._kinds: dict[str, dict[str, Record]] = {}
        self._written: dict[tuple[str, str], str | None] = {}
        self._contents: list[tuple[str, bytes]] = []
        self._timelines: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
        self._threads: dict[str, set[tuple[str, str]]] = {}
        self._metadata: dict[tuple[str, str, str, str], dict[str, None]] = {}
        self._indexed: dict[tuple[str, str], tuple[str, int, int, str, tuple[tuple[str, str], ...]]] = {}
        self._sequence = 0

    def _load(self) -> None:
        for kind, id, data in self._connection.execute("SELECT kind, id, data FROM record ORDER BY position"):
            record = json.loads(data)
            self._kinds.setdefault(kind, {})[id] = record
            if kind in ("message", "draft"):
                self._index(kind, record)

    @contextmanager
    def change(self) -> Iterator[None]:
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._flush()

    def _flush(self) -> None:
        if not self._written and not self._contents:
            return
        written, self._written = self._written, {}
        contents, self._contents = self._contents, []
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO content (id, data) VALUES (?, ?)", contents)
        self._connection.executemany(
            "INSERT INTO record (kind, id, data) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET data = excluded.data",
            [(kind, id, data) for (kind, id), data in written.items() if data is not None],
        )
        self._connection.executemany(
            "DELETE FROM record WHERE kind = ? AND id = ?",
            [key for key, data in written.items() if data is None],
        )
        self._connection.execute("COMMIT")

    def clear(self) -> None:
        with self.lock:
            self._forget_everything()
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM record")
            self._connection.execute("DELETE FROM content")
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with self.lock:
            self._connection.close()

    def get(self, kind: str, id: str) -> Record | None:
        return self._kinds.get(kind, {}).get(id)

    def all(self, kind: str) -> list[Record]:
        """Return the records of a kind, oldest first."""
        with self.lock:
            return list(self._kinds.get(kind, {}).values())

    def count(self, kind: str) -> int:
        return len(self._kinds.get(kind, {}))

    def put(self, kind: str, record: Record) -> Record:
        id = record["id"]
        self._kinds.setdefault(kind, {})[id] = record
        self._written[kind, id] = json.dumps(record, ensure_ascii=False)
        if kind in ("message", "draft"):
            self._index(kind, record)
        return record

    def remove(self, kind: str, id: str) -> None:
        self._kinds.get(kind, {}).pop(id, None)
        self._written[kind, id] = None
        self._unindex(kind, id)

    def put_content(self, id: str, data: bytes) -> None:
        self._contents.append((id, data))

    def content(self, id: str) -> bytes | None:
        with self.lock:
            for pending_id, pending in reversed(self._contents):
                if pending_id == id:
                    return pending
            row = self._connection.execute("SELECT data FROM content WHERE id = ?", (id,)).fetchone()
        return None if row is None else bytes(row[0])

    def _unindex(self, kind: str, id: str) -> int | None:
        old = self._indexed.pop((kind, id), None)
        if old is None:
            return None
        grant_id, date, sequence, thread_id, pairs = old
        timeline = self._timelines[kind, grant_id]
        del timeline[bisect.bisect_left(timeline, (date, sequence, id))]
        if thread_id:
            self._threads[thread_id].discard((kind, id))
        for key, value in pairs:
            self._metadata[kind, grant_id, key, value].pop(id, None)
        return sequence

    def _index(self, kind: str, record: Record) -> None:
        id, grant_id = record["id"], record["grant_id"]
        sequence = self._unindex(kind, id)
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        date, thread_id = int(record["date"]), record.get("thread_id") or ""
        metadata = record.get("metadata") or {}
        pairs = tuple((key, str(metadata[key])) for key in SEARCHABLE_METADATA if key in metadata)
        bisect.insort(self._timelines.setdefault((kind, grant_id), []), (date, sequence, id))
        if thread_id:
            self._threads.setdefault(thread_id, set()).add((kind, id))
        for key, value in pairs:
            self._metadata.setdefault((kind, grant_id, key, value), {})[id] = None
        self._indexed[kind, id] = (grant_id, date, sequence, thread_id, pairs)

    def newest_first(
        self, kind: str, grant_id: str, *, before: tuple[int, int] | None = None
    ) -> Iterator[tuple[tuple[int, int], Record]]:
        """Yield (place, record) of the messages or drafts of a mailbox, below the place `before` if given."""
        timeline = self._timelines.get((kind, grant_id), [])
        end = len(timeline) if before is None else bisect.bisect_left(timeline, (*before, ""))
        records = self._kinds.get(kind, {})
        for date, sequence, id in timeline[end - 1 :: -1] if end else ():
            yield (date, sequence), records[id]

    def with_metadata(
        self, kind: str, grant_id: str, key: str, value: str
    ) -> list[tuple[tuple[int, int], Record]]:
        """Return (place, record) of the messages or drafts carrying this pair, newest first."""
        ids = self._metadata.get((kind, grant_id, key, value), {})
        found = [(self._indexed[kind, id][1:3], self._kinds[kind][id]) for id in ids]
        return sorted(found, key=lambda entry: entry[0], reverse=True)

    def in_thread(self, kind: str, thread_id: str) -> list[Record]:
        """Return the messages or drafts of a thread, oldest first."""
        ids = [id for its_kind, id in self._threads.get(thread_id, ()) if its_kind == kind]
        ids.sort(key=lambda id: self._indexed[kind, id][1:3])
        return [self._kinds[kind][id] for id in ids]
