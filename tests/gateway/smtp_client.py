"""A client of SMTP submission that shows each reply, and the real process that answers it."""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import pytest

from tests.processes import ROOT, START_SECONDS, test_database_url

SUPPORT = "support@harbour.example"
BUYER = "buyer@example.net"


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[int]:
    """Run `manage.py smtp` on a free port; the port."""
    variables = {**os.environ, "DATABASE_URL": test_database_url(), "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "manage.py", "smtp", "--port=0", *options]
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("SMTP "):
                pytest.fail(f"the process did not start; it said {line!r}")
            yield int(line.rpartition(":")[2])
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def written(*, to: str = BUYER, text: str = "It arrives on Thursday.", **headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": SUPPORT, "To": to, "Subject": "Your order", **headers}.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


@contextmanager
def connected(port: int, secret: str, *, user: str = SUPPORT, tls: Any = None) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        if tls is not None:
            client.starttls(context=tls)
        client.login(user, secret)
        yield client


def submitted(
    client: smtplib.SMTP, message: EmailMessage | bytes, *recipients: str, sender: str = SUPPORT
) -> tuple[int, str]:
    """The first reply that is a refusal, or the reply to the mail."""
    raw = message if isinstance(message, bytes) else bytes(message).replace(b"\n", b"\r\n")
    replies: Sequence[tuple[int, bytes]] = [client.mail(sender, [f"SIZE={len(raw)}"])]
    replies = [*replies, *(client.rcpt(address) for address in recipients or (BUYER,))]
    refusal = next((reply for reply in replies if reply[0] >= 400), None)
    code, text = refusal or client.data(raw)
    client.rset()
    return code, text.decode()


def trusting(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context
