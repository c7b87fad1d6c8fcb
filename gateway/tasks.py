"""Leaves that nudge: the record and the rows are the queue."""

from __future__ import annotations

import os
import socket

from celery import shared_task
from django.conf import settings

from approvals import release, sweeps
from gateway.webhooks import deliveries, reader


@shared_task
def sweep_webhooks() -> None:
    """Turn what was recorded into deliveries and wake a worker for each endpoint that is to be told something."""
    # Of the worker that takes the webhooks, which may be the one that sends.
    sweeps.beat("webhooks", f"{socket.gethostname()}:{os.getpid()}/webhooks", release=release.fingerprint())
    reader.read_on()
    for endpoint_id in deliveries.due_endpoints():
        deliver_webhooks.apply_async((endpoint_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)


@shared_task
def deliver_webhooks(endpoint_id: int) -> None:
    deliveries.deliver_to(endpoint_id)


@shared_task
def forget_webhooks() -> None:
    deliveries.forget_old()
