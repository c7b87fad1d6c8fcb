"""A raw HTTP server on loopback that does what no well-behaved server does."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Line:
    """One accepted connection, in the hands of a script."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self.connection = connection
        self.server = server
        self._buffer = b""

    def read_bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            received = self.connection.recv(65536)
            if not received:
                break
            self._buffer += received
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def read_request(self) -> Request | None:
        while b"\r\n\r\n" not in self._buffer:
            received = self.connection.recv(65536)
            if not received:
                return None
            self._buffer += received
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = self.read_bytes(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        self.server.requests.append(request)
        return request

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, status: int = 200, content: object = None, **headers: str) -> None:
        body = json.dumps(content).encode() if not isinstance(content, bytes) else content
        self.write(head(status, len(body), **headers) + body)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def stay_silent(self) -> None:
        self.server.released.wait(20)


def head(status: int, length: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {length}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


Script = Callable[[Line], None]


@dataclass
class Server:
    """Each new connection is given to the next script; the last one serves all that follow."""

    scripts: list[Script]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Server:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def uri(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._run, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            script(Line(connection, self))


def answering(*replies: tuple[int, object] | tuple[int, object, dict[str, str]]) -> Script:
    """Answer the requests of a connection one after another; the last reply serves the rest."""

    def script(line: Line) -> None:
        number = 0
        while line.read_request() is not None:
            status, content, *headers = replies[min(number, len(replies) - 1)]
            line.answer(status, content, **(headers[0] if headers else {}))
            number += 1

    return script
