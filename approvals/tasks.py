"""Leaves: each takes ids or nothing, calls one domain function and ends. The rows are the queue; these nudge."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import close_old_connections, connections

from agentmail.models import Mailbox
from approvals import (
    batches,
    dispatch,
    jobs,
    notifications,
    outcomes,
    presence,
    provider_drift,
    release,
    stages,
    submissions,
    sweeps,
    tripwires,
    unsaved,
    wake,
)
from approvals.notices import cards, digests, expiring, keeping, mail, reader

logger = logging.getLogger(__name__)

_stop_listening: list[Any] = []


@shared_task
def dispatch_send(send_id: int) -> None:
    dispatch.dispatch(send_id)


@shared_task
def hand_over(submission_id: int) -> None:
    submissions.hand_over(submission_id)


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
        sweeps.lapsed_claims,
        presence.forget_old,
        sweeps.abandoned_sends,
        stages.advance_all,
        sweeps.untold_risks,
    )
    for send_id in sweeps.due_sends():
        dispatch_send.apply_async((send_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    for submission_id in submissions.due():
        hand_over.apply_async((submission_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    for event_id in sweeps.waiting_events():
        process_event.apply_async((event_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    for batch_id in batches.running():
        work_on_batch.apply_async((batch_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    for kind in jobs.open_kinds():
        work_on_jobs.apply_async((kind,), expires=settings.SWEEP_SECONDS * 2, retry=False)
    if notifications.due(1):
        deliver_notifications.apply_async(expires=settings.SWEEP_SECONDS * 2, retry=False)


@shared_task
def work_on_batch(batch_id: int) -> None:
    batches.work(batch_id)


@shared_task
def work_on_jobs(kind: str) -> None:
    jobs.work(kind)


@shared_task
def deliver_notifications() -> None:
    sweeps.due_notifications()


@shared_task
def sweep_notices() -> None:
    """Keep what people are to be told of, and wake a worker for what is to be delivered."""
    _each_by_itself(reader.read_on, expiring.warn, digests.make_due)
    if mail.is_due():
        mail_notices.apply_async(expires=settings.SWEEP_SECONDS * 2, retry=False)
    for channel_id in cards.due_channels():
        put_up_cards.apply_async((channel_id,), expires=settings.SWEEP_SECONDS * 2, retry=False)


@shared_task
def mail_notices() -> None:
    mail.deliver_due()


@shared_task
def put_up_cards(channel_id: int) -> None:
    cards.deliver_to(channel_id)


@shared_task
def forget_notices() -> None:
    keeping.forget_old()


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
        batches.forget_unread,
        jobs.forget_old,
        sweeps.unfinished_sends,
        sweeps.due_outcomes,
        sweeps.rejected_drafts,
        provider_drift.look_when_due,
        unsaved.forget_old,
    )


@worker_ready.connect
def listen_for_wake_ups(**_: Any) -> None:
    # A worker for webhooks alone sends nothing, and has no key to do it with.
    takes_sends = current_app.conf.task_default_queue in current_app.amqp.queues.consume_from
    if not settings.REDIS_URL and takes_sends:
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
