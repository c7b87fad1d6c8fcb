"""Leaves: each takes ids or nothing, calls one domain function and ends. The rows are the queue; these nudge."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import close_old_connections, connections

from agentmail.models import Mailbox
from approvals import (
    dispatch,
    notifications,
    outcomes,
    provider_drift,
    release,
    stages,
    sweeps,
    tripwires,
    wake,
)

logger = logging.getLogger(__name__)

_stop_listening: list[Any] = []


@shared_task
def dispatch_send(send_id: int) -> None:
    dispatch.dispatch(send_id)


@shared_task
def process_event(event_id: int) -> None:
    outcomes.process(event_id)


@shared_task
def sweep() -> None:
    sweeps.beat("worker", f"{socket.gethostname()}:{os.getpid()}", release=release.fingerprint())
    _each_by_itself(
        sweeps.hold_while_stopped,
        sweeps.run_out_approvals,
        sweeps.expired_drafts,
        sweeps.abandoned_sends,
        stages.advance_all,
    )
    for send_id in sweeps.due_sends():
        dispatch_send.apply_async((send_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    for event_id in sweeps.waiting_events():
        process_event.apply_async((event_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    if notifications.due(1):
        deliver_notifications.apply_async(expires=settings.SWEEP_SECONDS * 2, retry=False)


@shared_task
def deliver_notifications() -> None:
    sweeps.due_notifications()


@shared_task
def poll_mailboxes() -> None:
    for mailbox_id in Mailbox.objects.filter(is_enabled=True).values_list("pk", flat=True):
        poll_mailbox.apply_async((mailbox_id,), expires=settings.POLL_SECONDS, retry=False)


@shared_task
def poll_mailbox(mailbox_id: int) -> None:
    sweeps.poll_mailbox(mailbox_id)


@shared_task
def reconcile_unknown() -> None:
    sweeps.unknown_sends()


@shared_task
def housekeeping() -> None:
    _each_by_itself(
        tripwires.check_all,
        sweeps.unfinished_sends,
        sweeps.due_outcomes,
        sweeps.rejected_drafts,
        provider_drift.look_when_due,
    )


@worker_ready.connect
def listen_for_wake_ups(**_: Any) -> None:
    if not settings.REDIS_URL:
        _stop_listening.append(wake.listen(_dispatch_here))


@worker_shutting_down.connect
def stop_listening(**_: Any) -> None:
    while _stop_listening:
        _stop_listening.pop()()


def _each_by_itself(*steps: Callable[[], object]) -> None:
    for step in steps:
        try:
            step()
        except Exception:
            # What fails every time must not end everything that comes after it.
            logger.exception("the sweep %s failed; the next one tries it again", step.__name__)


def _dispatch_here(send_id: int) -> None:
    close_old_connections()
    try:
        dispatch.dispatch(send_id)
    except Exception:
        logger.exception("send %s could not be tried; the sweep tries it again", send_id)
    finally:
        connections.close_all()
