"""Waking a sender after a commit. The queued row is the record; a lost wake-up costs a sweep's delay.

In production the broker wakes a worker within milliseconds. The embedded broker is a spool that is polled, so
there the workers of the same machine are woken over local sockets too.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from agentmail.failpoints import reach

logger = logging.getLogger(__name__)

_DATAGRAM_BYTES = 1024


def sender(send_id: int, *, in_seconds: float = 0) -> None:
    """Tell a sender that a send is due in some seconds. Never fails: the sweep finds what this misses."""
    reach("C2")
    try:
        if not settings.REDIS_URL:
            _knock(send_id, in_seconds)
    except OSError:
        logger.warning("nobody on this machine was woken for send %s; the sweep will find it", send_id)
    try:
        current_app.send_task(
            "approvals.tasks.dispatch_send", (send_id,), countdown=in_seconds or None, retry=False
        )
    except (OperationalError, OSError):
        logger.warning("the broker took no message for send %s; the sweep will find it", send_id)


def submission(submission_id: int) -> None:
    """Tell a worker that a mail was handed in. Never fails: the sweep finds what this misses."""
    try:
        current_app.send_task("approvals.tasks.hand_over", (submission_id,), retry=False)
    except (OperationalError, OSError):
        logger.warning("the broker took no message for submission %s; the sweep will find it", submission_id)


def batch(batch_id: int) -> None:
    """Tell a worker that a batch was decided. Never fails: the sweep finds what this misses."""
    try:
        current_app.send_task("approvals.tasks.work_on_batch", (batch_id,), retry=False)
    except (OperationalError, OSError):
        logger.warning("the broker took no message for batch %s; the sweep will find it", batch_id)


def batch_on_commit(batch_id: int) -> None:
    """As `batch`, once the transaction is committed."""
    transaction.on_commit(lambda: batch(batch_id))


def jobs_on_commit(kind: str) -> None:
    """Tell a worker that a job waits, once the transaction is committed. Never fails, as above."""
    transaction.on_commit(lambda: _jobs(kind))


def _jobs(kind: str) -> None:
    try:
        current_app.send_task("approvals.tasks.work_on_jobs", (kind,), retry=False)
    except (OperationalError, OSError):
        logger.warning("the broker took no message for a job; the sweep will find it")


def sender_on_commit(send_id: int, *, in_seconds: float = 0) -> None:
    """As `sender`, once the transaction is committed."""
    transaction.on_commit(lambda: sender(send_id, in_seconds=in_seconds))


def listen(dispatch: Callable[[int], object]) -> Callable[[], None]:
    """Run `dispatch` in threads of this process whenever a send of this machine falls due; gives a stop function."""
    directory = _directory()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        inbox.bind(str(path))
    except OSError as error:
        # A path over the system's limit of some 100 characters: the broker and the sweep wake this process alone.
        logger.warning("no local wake-ups: %s", error.strerror or error)
        inbox.close()
        return lambda: None
    inbox.settimeout(1.0)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                letter = json.loads(inbox.recv(_DATAGRAM_BYTES))
                timer = threading.Timer(float(letter["in_seconds"]), dispatch, args=(int(letter["send_id"]),))
                timer.daemon = True
                timer.start()
            except TimeoutError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                if not stopped.is_set():
                    logger.warning("a local wake-up could not be read")

    thread = threading.Thread(target=serve, name="countersign-wake", daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        path.unlink(missing_ok=True)
        inbox.close()

    return stop


def _knock(send_id: int, in_seconds: float) -> None:
    letter = json.dumps({"send_id": send_id, "in_seconds": in_seconds}).encode()
    for path in sorted(_directory().glob("*.sock")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outbox:
            outbox.setblocking(False)
            try:
                outbox.sendto(letter, str(path))
                return
            except ConnectionRefusedError:
                # Its process is gone; nobody else would clear the name away.
                path.unlink(missing_ok=True)
            except OSError:
                continue


def _directory() -> Path:
    return Path(settings.VAR_DIR) / "wake"
