from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from agentmail.models import Message
from agentmail.signals import event_stored
from approvals import inbound, people, presence
from approvals.transitions import claims
from audit.record import SYSTEM, record

logger = logging.getLogger(__name__)


@receiver(event_stored)
def nudge_event(event_id: int, **_: Any) -> None:
    try:
        current_app.send_task("approvals.tasks.process_event", (event_id,), retry=False)
    except (OperationalError, OSError):
        logger.warning("the broker took no message for event %s; the sweep will find it", event_id)


@receiver(post_save, sender=Message)
def hold_message(instance: Message, created: bool, **_: Any) -> None:
    if created:
        inbound.hold_if_gated(instance)


@receiver(user_logged_in)
def record_sign_in(user: User, **_: Any) -> None:
    with transaction.atomic():
        record("approvals.sign_in.succeeded", actor=people.actor_for(user))


@receiver(user_logged_out)
def let_go(user: User | None, **_: Any) -> None:
    if user is None:
        return
    try:
        claims.release_all(user)
        presence.leave_all(user)
    except (DatabaseError, InterfaceError):
        # Nobody is kept signed in by a database that cannot be written; the sweep ends both in time.
        logger.warning("what person %s was doing could not be ended", user.pk)


@receiver(user_login_failed)
def record_failed_sign_in(credentials: dict[str, Any], **_: Any) -> None:
    # What was typed as a name may be a password; only the account it names is kept.
    known = User.objects.filter(username__iexact=str(credentials.get("username") or "")).first()
    with transaction.atomic():
        record("approvals.sign_in.failed", actor=SYSTEM, data={"person": known.pk if known else None})
