"""The embedded broker: kombu's directory of message files, made safe for several processes.

kombu's own transport writes a message in place, so that a reader can find half of it, which ends the worker
(celery/kombu issue 1551). Here a message appears by rename once it is complete and on disk, and is taken by
rename into the taker's hands.
"""

import contextlib
import os
import re
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

QUEUE_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]+")


class Channel(filesystem.Channel):
    # Fan-out needs the exchange table, which kombu writes in place; nothing of ours broadcasts.
    supports_fanout = False

    @property
    def folder(self) -> Path:
        return Path(self.transport_options["data_folder"])

    def _queue_folder(self, queue: str) -> Path:
        # The name becomes a directory of ours and must not lead out of it.
        if not QUEUE_NAME.fullmatch(queue):
            raise ChannelError(f"Invalid queue name: {queue!r}")
        return self.folder / queue

    def _messages(self, queue: str) -> list[Path]:
        try:
            return sorted(self._queue_folder(queue).glob("*.msg"))
        except FileNotFoundError:
            return []

    # The stubs of the two classes above contradict each other here and at `get_table`.
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = self._queue_folder(queue)
        # Names sort by wall clock, so that messages of an earlier boot stay first.
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        unfinished = folder / f"{name}.new"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(str_to_bytes(dumps(payload)))
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(folder / f"{name}.msg")
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise ChannelError(f"Cannot add a message to {folder}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for message in self._messages(queue):
            taken = message.with_suffix(f".taken-{os.getpid()}")
            try:
                message.rename(taken)
                content = taken.read_bytes()
                taken.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ChannelError(f"Cannot take a message from {message.parent}") from error
            return loads(bytes_to_str(content))
        raise Empty

    def _purge(self, queue: str) -> int:
        count = 0
        for message in self._messages(queue):
            with contextlib.suppress(FileNotFoundError):
                message.unlink()
                count += 1
        return count

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return True

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        """Nothing to keep: every exchange of ours is direct and named like its queue."""

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:  # type: ignore[override]
        return [filesystem.exchange_queue_t(exchange, "", exchange)]


class Transport(filesystem.Transport):
    Channel = Channel
    implements = filesystem.Transport.implements.extend(exchange_type=frozenset(["direct", "topic"]))
    # Each connection its own state: two kombu clients in one process share nothing but the directory.
    driver_type = "spool"
    driver_name = "spool"
