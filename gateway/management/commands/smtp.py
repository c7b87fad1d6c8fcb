from __future__ import annotations

import asyncio
import signal
import ssl
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway import smtp


class Command(BaseCommand):
    help = (
        "Take in mail of agents over SMTP submission. It waits for review like any other; nothing is relayed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.SMTP_HOST, help="where to listen (SMTP_HOST)")
        parser.add_argument("--port", type=int, default=settings.SMTP_PORT, help="0 takes a free one")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        tls = self.tls()
        needs_tls = host not in settings.LOOPBACK_HOSTS and not settings.SMTP_PLAIN_AUTH
        if needs_tls and tls is None:
            raise CommandError(
                f"{host} can be reached from elsewhere, and tokens must not travel in clear text: set SMTP_CERT_FILE "
                "and SMTP_KEY_FILE, or SMTP_PLAIN_AUTH=true where the network is yours."
            )
        try:
            asyncio.run(self.serve(host, port, tls, needs_tls))
        except OSError as error:
            raise CommandError(f"{host}:{port} cannot be listened on: {error.strerror}") from error

    def tls(self) -> ssl.SSLContext | None:
        if not settings.SMTP_CERT_FILE:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(settings.SMTP_CERT_FILE, settings.SMTP_KEY_FILE)
        except OSError as error:
            raise CommandError(f"SMTP_CERT_FILE and SMTP_KEY_FILE cannot be used: {error}") from error
        return context

    async def serve(self, host: str, port: int, tls: ssl.SSLContext | None, needs_tls: bool) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await smtp.serve(
            host,
            port,
            name=urlsplit(settings.BASE_URL).hostname or "localhost",
            tls=tls,
            needs_tls=needs_tls,
            stop=stop,
            ready=self.ready,
        )

    def ready(self, host: str, port: int) -> None:
        self.stdout.write(f"SMTP {host}:{port}")
        self.stdout.flush()
