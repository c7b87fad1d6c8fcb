"""HTTP on a socket: reading requests, misbehaving by rule, writing replies."""

from __future__ import annotations

import contextlib
import gzip
import logging
import select
import socket
import struct
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .errors import ApiError
from .exchange import Conduct, Handler, Reply, Request, new_request_id
from .faults import SEND_ROUTES, Fault
from .faulty import NOT_PROCESSED, after_request, before_request
from .routes import BLOCKING, ROUTES
from .sending import bring_forward_reports
from .webhooks import is_loopback
from .world import World

logger = logging.getLogger(__name__)

LARGEST_BODY = 40 * 1024 * 1024
SMALLEST_GZIP = 1024
TIMEOUT_SECONDS = 300.0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], world: World) -> None:
        self.world = world
        super().__init__(address, Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("connection ended", exc_info=True)


class Gone(Exception):
    """The client went away, or the connection was reset on purpose: nothing more is said on it."""


class Connection(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        try:
            self._answer()
        except (Gone, ConnectionError, TimeoutError):
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    @property
    def world(self) -> World:
        return self.server.world

    def _answer(self) -> None:
        path, _, query_string = self.path.partition("?")
        request = Request(
            self.command, path, query_string, {name.lower(): value for name, value in self.headers.items()}
        )
        request.generation = self.world.generation
        handler: Handler | None = None
        try:
            request.route, handler, request.parameters = ROUTES.find(self.command, path)
        except ApiError as refusal:
            missing = refusal
        self._note_arrival(request)
        self._read_body(request)
        if handler is None:
            self._write(Reply(missing.status, missing.body, missing.headers))
            return
        if path.startswith("/_sandbox/"):
            self._answer_control(request, handler)
            return
        with self.world.events.collected() as collected:
            try:
                reply, key = self._decide(request, handler, collected)
                if reply.accepted and self.world.switches["webhook_timing"] != "after":
                    self._deliver_first(reply, collected)
                if reply.conduct is not None and reply.conduct.kind == "silence":
                    # The world goes on while this client waits for its answer.
                    self._release(collected)
                self._deliver(request, reply, key)
            finally:
                self._release(collected)

    def _release(self, collected: list[dict[str, Any]]) -> None:
        events = collected[:]
        collected.clear()
        self.world.events.release(events)

    def _note_arrival(self, request: Request) -> None:
        if request.route in SEND_ROUTES:
            self.world.arrivals.append(
                {
                    "at": request.arrived_at,
                    "monotonic": request.arrived_monotonic,
                    "route": request.route,
                    "path": request.path,
                    "idempotency_key": request.headers.get("idempotency-key"),
                    "length": int(request.headers.get("content-length") or 0),
                }
            )

    def _read_body(self, request: Request) -> None:
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or "transfer-encoding" in request.headers:
            self.close_connection = True
            self._write(
                Reply(411, {"error": {"type": "invalid_request_error", "message": "length required"}})
            )
            raise Gone
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            self._write(
                Reply(413, {"error": {"type": "invalid_request_error", "message": "request too large"}})
            )
            raise Gone
        fault = self.world.faults.for_head(request) if not request.path.startswith("/_sandbox/") else None
        wanted = int(length)
        if fault is not None:
            self._reset_while_reading(fault, wanted)
        if wanted:
            request.body = self.rfile.read(wanted)
            if len(request.body) < wanted:
                raise Gone

    def _reset_while_reading(self, fault: Fault, length: int) -> None:
        wanted = fault.options["after_bytes"]
        wanted = length if wanted == "all" else length // 2 if wanted == "half" else int(wanted)
        if wanted:
            self.rfile.read(min(wanted, length))
        self._reset()

    def _answer_control(self, request: Request, handler: Handler) -> None:
        # A page in somebody's browser can reach this port as well; programs send no Origin.
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        is_local = is_loopback(self.client_address[0]) and is_loopback(host)
        if not is_local or "origin" in request.headers:
            self._write(Reply(403, {"error": {"type": "forbidden", "message": "loopback programs only"}}))
            return
        self._write(self._run(request, handler))

    def _run(self, request: Request, handler: Handler) -> Reply:
        try:
            if request.route in BLOCKING:
                return handler(self.world, request)
            with self.world.store.change():
                if request.generation != self.world.generation:
                    # It came before the last reset: nothing of it may enter the world after it.
                    raise Gone
                return handler(self.world, request)
        except ApiError as refusal:
            return Reply(refusal.status, refusal.body, refusal.headers)
        except Gone:
            raise
        except Exception:
            # The edge of the process: a defect of the sandbox must look like a broken provider, not hang.
            logger.exception("route %s failed", request.route)
            return Reply(
                500, {"error": {"type": "api.internal_error", "message": "the sandbox has a defect"}}
            )

    def _decide(
        self, request: Request, handler: Handler, collected: list[dict[str, Any]]
    ) -> tuple[Reply, tuple[str, str] | None]:
        """Return the reply and the idempotency key that waits for its outcome."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not given or (self.world.api_key and given != self.world.api_key):
            return Reply(
                401, {"error": {"type": "unauthorized", "message": "API key is missing or wrong"}}
            ), None
        key = self._claimed_key(request)
        if key is not None:
            try:
                stored = self.world.keys.begin(*key, request)
            except ApiError as refusal:
                return Reply(refusal.status, refusal.body), None
            if stored is not None:
                headers = {"Idempotent-Response": "true"}
                return Reply(stored.status, stored.body, headers, stored.content_type), None
        faults = self.world.faults.for_request(request)
        reply = before_request(self.world, request, faults)
        if reply is None:
            reply = self._run(request, handler)
            if any(fault.when == "after" and fault.action == "delay" for fault in faults):
                self._release(collected)
            reply = after_request(self.world, request, faults, reply)
        return reply, key

    def _claimed_key(self, request: Request) -> tuple[str, str] | None:
        key = request.headers.get("idempotency-key")
        is_honoured = request.route == "send_message" or (
            request.route == "send_draft" and self.world.switches["draft_send_honours_key"]
        )
        grant = self.world.find_grant(request.parameters["grant_id"]) if key and is_honoured else None
        return (grant["id"], key) if grant is not None and key and grant["grant_status"] == "valid" else None

    def _deliver_first(self, reply: Reply, collected: list[dict[str, Any]]) -> None:
        if self.world.switches["webhook_timing"] == "before_with_outcome" and isinstance(reply.body, dict):
            message_id = (reply.body.get("data") or {}).get("id")
            if message_id:
                bring_forward_reports(self.world, message_id)
        self._release(collected)
        self.world.events.wait_until_idle(self.world.switches["webhook_timeout_seconds"])

    def _deliver(self, request: Request, reply: Reply, key: tuple[str, str] | None) -> None:
        request_id = new_request_id()
        body = reply.encoded(request_id)
        is_silent = reply.conduct is not None and reply.conduct.kind == "silence"
        if key is not None and not is_silent:
            self._settle(key, reply, body)
        try:
            if reply.conduct is None:
                self._write(reply, body, request_id)
            else:
                self._misbehave(reply.conduct, reply, body, request_id)
        except (Gone, ConnectionError, TimeoutError):
            if key is not None and self.world.switches["forget_key_on_disconnect"]:
                self.world.keys.forget(*key)
            elif key is not None and is_silent:
                self._settle(key, reply, body)
            raise

    def _settle(self, key: tuple[str, str], reply: Reply, body: bytes) -> None:
        """Keep the outcome for the key, or free the key when there was none."""
        if reply.status == NOT_PROCESSED:
            self.world.keys.forget(*key)
        else:
            self.world.keys.finish(*key, status=reply.status, body=body, content_type=reply.content_type)

    def _misbehave(self, conduct: Conduct, reply: Reply, body: bytes, request_id: str) -> None:
        if conduct.kind == "silence":
            self._stay_silent()
        elif conduct.kind == "reset":
            self._reset()
        elif conduct.kind == "wrong_json":
            self._write(reply, body[: len(body) // 2] + b'"}}}', request_id)
        elif conduct.kind == "empty":
            self._write(reply, b"", request_id)
        else:
            head = self._head(reply, len(body), request_id)
            shown = len(body) // 2 if conduct.at_bytes is None else min(conduct.at_bytes, len(body) - 1)
            self.connection.sendall(head + body[:shown])
            raise Gone

    def _stay_silent(self) -> None:
        """Hold the connection without a word until the client leaves, a reset comes or the process ends."""
        generation = self.world.generation
        while self.world.generation == generation and not self.world.is_closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.1)
            if readable:
                try:
                    if not self.connection.recv(1, socket.MSG_PEEK):
                        break
                except ConnectionError:
                    break
                time.sleep(0.05)
        raise Gone

    def _reset(self) -> None:
        """Drop the connection with a TCP reset instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise Gone

    def _head(self, reply: Reply, length: int, request_id: str) -> bytes:
        try:
            phrase = HTTPStatus(reply.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [
            f"HTTP/1.1 {reply.status} {phrase}",
            f"Date: {self.date_time_string(int(self.world.clock.now()))}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {length}",
            f"x-request-id: {request_id}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
        ]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _write(self, reply: Reply, body: bytes | None = None, request_id: str = "") -> None:
        request_id = request_id or new_request_id()
        if body is None:
            body = reply.encoded(request_id)
        accepted = self.headers.get("Accept-Encoding", "") if self.headers else ""
        if "gzip" in accepted and len(body) > SMALLEST_GZIP and reply.content_type == "application/json":
            body = gzip.compress(body, 1, mtime=0)
            reply.headers = {**reply.headers, "Content-Encoding": "gzip"}
        self.connection.sendall(self._head(reply, len(body), request_id) + body)

    def finish(self) -> None:
        # After a reset the files are closed already.
        with contextlib.suppress(ValueError, OSError):
            super().finish()
