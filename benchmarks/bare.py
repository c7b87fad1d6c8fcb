"""The least that a view with one insert costs: one row, in one transaction, on the same database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402

from approvals.models import Heartbeat  # noqa: E402
from audit.clock import database_now  # noqa: E402


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    with transaction.atomic():
        Heartbeat.objects.create(kind="bench", name=str(uuid.uuid4()), at=database_now())
    start_response("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]
