"""The `requests` adapter that knows whether a byte of the request has left, and ends a call on time.

Opening the connection, the TLS handshake and a proxy's CONNECT are not the request. Whatever fails
after `Exchange.has_started` may have reached the provider.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from agentmail import failpoints

# A kept connection that the other side is about to close for idleness turns a send into an unknown,
# so an older one is opened anew. The reads just before a send keep it younger than this.
KEPT_CONNECTION_SECONDS = 10.0


@dataclass(slots=True)
class Exchange:
    """One request and its reply. `deadline` is on the monotonic clock."""

    deadline: float
    reply_seconds: float
    is_send: bool
    has_started: bool = False

    def start(self) -> None:
        if not self.has_started:
            self.has_started = True
            self.deadline = time.monotonic() + self.reply_seconds

    def remaining(self) -> float:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the time limit of the call is over")
        return remaining


_current: ContextVar[Exchange | None] = ContextVar("agentmail_exchange", default=None)


@contextmanager
def exchange(*, connect_seconds: float, reply_seconds: float, is_send: bool) -> Iterator[Exchange]:
    """Watch the one request made inside the block.

    From its first byte to the last of the reply it may take `reply_seconds`, however it trickles.
    """
    watched = Exchange(time.monotonic() + connect_seconds + reply_seconds, reply_seconds, is_send)
    token = _current.set(watched)
    try:
        yield watched
    finally:
        _current.reset(token)


class Adapter(HTTPAdapter):
    """Transport for exchanges: no retries of any kind, connections that keep to the deadline."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _TimedReads(io.RawIOBase):
    # The time limit of a socket starts anew with each byte received; a reply that trickles would never end.
    def __init__(self, sock: socket.socket, raw: io.RawIOBase, watched: Exchange) -> None:
        self._sock = sock
        self._raw = raw
        self._exchange = watched

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._exchange.remaining())
        return self._raw.readinto(buffer)

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        watched = _current.get()
        if watched is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_TimedReads(sock, raw, watched))


class _Watched:
    # Mixed into the connection classes; `super()` is urllib3's connection.
    is_tunnelling = False
    last_used_at = 0.0

    def send(self: Any, data: Any) -> None:
        if self.sock is None:
            self.connect()
        watched = _current.get()
        if watched is not None and not self.is_tunnelling:
            # Marked before writing: a write that fails may have handed some bytes to the network.
            watched.start()
            # urllib3 would give the whole upload only the time meant for connecting.
            self.sock.settimeout(watched.remaining())
        super().send(data)  # type: ignore[misc]
        self.last_used_at = time.monotonic()

    def _tunnel(self: Any) -> None:
        self.is_tunnelling = True
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self.is_tunnelling = False

    def getresponse(self: Any) -> Any:
        watched = _current.get()
        if watched is not None and watched.is_send:
            failpoints.reach("C7")
        return super().getresponse()  # type: ignore[misc]


class _Connection(_Watched, HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(_Watched, HTTPSConnection):
    response_class = _TimedResponse


class _FreshConnections:
    def _get_conn(self: Any, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(connection, "last_used_at", 0.0) > KEPT_CONNECTION_SECONDS:
            connection.close()
        return connection


class _Pool(_FreshConnections, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(_FreshConnections, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
