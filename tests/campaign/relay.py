"""A way to the provider that is gone when it is time to send: every read passes, then the port is closed."""

from __future__ import annotations

import http.client
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

from tests.campaign import processes
from tests.campaign.processes import Child

# The answered message is the last thing that is read before a send.
LAST_READ = re.compile(r"/v3/grants/[^/]+/messages/[^/?]+")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Relay

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        onwards = http.client.HTTPConnection(self.server.provider, timeout=30)
        names = ("Authorization", "Content-Type", "Idempotency-Key")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        onwards.request(self.command, self.path, self.rfile.read(length) or None, headers)
        answer = onwards.getresponse()
        body = answer.read()
        onwards.close()
        if self.command == "GET" and LAST_READ.fullmatch(self.path):
            self.server.last_reads -= 1
        if not self.server.last_reads:
            self.server.socket.close()
            self.server.is_over = self.close_connection = True
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        return


class _Relay(HTTPServer):
    is_over = False
    provider = ""
    last_reads = 1


def start(provider_url: str, *, last_reads: int) -> tuple[str, Child]:
    """Start a relay in a process of its own that closes after so many last reads; its address, and the process."""
    relay = _Relay(("127.0.0.1", 0), _Handler)
    relay.last_reads = last_reads
    relay.provider = urlsplit(provider_url).netloc
    port = relay.server_address[1]

    def serve() -> None:
        while not relay.is_over:
            relay.handle_request()

    child = processes.start(serve)
    relay.socket.close()
    return f"http://127.0.0.1:{port}", child
