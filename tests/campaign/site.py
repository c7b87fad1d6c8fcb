"""The desk's own site in a process, so that the sandbox's notifications arrive over HTTP, signed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application
from django.db import connections

from agentmail.client import NylasClient
from tests.campaign import processes
from tests.processes import Sandbox

TRIGGERS = [
    "message.created",
    "message.updated",
    "message.deleted",
    "message.delivered",
    "message.bounced",
    "message.complaint",
    "message.rejected",
    "message.bounce_detected",
    "message.send_failed",
    "grant.expired",
]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            # Each request has a thread of its own, and its connection would stay open behind it.
            connections.close_all()


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def running(sandbox: Sandbox, settings: Any, directory: Path) -> Iterator[str]:
    """Serve the site, with a webhook registered for it at the sandbox; gives the site's address."""
    secret_file = directory / "webhook-secret"
    secret_file.write_text("not known yet")
    settings.NYLAS_WEBHOOK_SECRET = ""
    settings.NYLAS_WEBHOOK_SECRET_FILE = str(secret_file)
    server = make_server("127.0.0.1", 0, get_wsgi_application(), _Server, _Handler)
    child = processes.start(server.serve_forever)
    server.socket.close()
    url = f"http://127.0.0.1:{server.server_port}"
    # The site's first answer takes a while, more than a worker of a test waits.
    client = NylasClient(sandbox.url, sandbox.api_key)
    try:
        webhook = client.create_webhook(f"{url}/webhooks/nylas", TRIGGERS)
        secret_file.write_text(webhook.secret)
        yield url
    finally:
        child.kill()
