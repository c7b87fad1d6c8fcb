"""Telling the people of a mailbox what left it, on its channel: kept first, then delivered until it is known to be."""

from __future__ import annotations

import json
import logging
import smtplib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from approvals import outgoing, oversight
from approvals.models import Notification
from approvals.outgoing_mail import is_configured
from approvals.transitions.notifications import TEST, UNKNOWN
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import channels, locks, mailbox_settings, modes, webhooks
from policies.models import Channel, ChannelKind

logger = logging.getLogger(__name__)

# After the first, second … failed try; then the notification is given up.
RETRY_SECONDS = (10, 60, 300, 1800)
TRIES = len(RETRY_SECONDS) + 1
DUE_AT_ONCE = 200


def due(limit: int = DUE_AT_ONCE) -> list[int]:
    """The notifications that are to be tried now."""
    rows = Notification.objects.filter(next_try_at__lte=database_now()).order_by("next_try_at", "pk")
    return list(rows.values_list("pk", flat=True)[:limit])


def deliver(notification_id: int) -> bool:
    """Try once to deliver a notification that is due; whether it was delivered. Safe to call at any time.

    One that failed five times is given up. So many failed tries in a row on a channel take a monitored mailbox back
    to `gated_send`, unless its settings say otherwise.
    """
    with locks.hold(f"notification:{notification_id}") as lock:
        if lock is None:
            return False
        row = Notification.objects.select_related("mailbox").get(pk=notification_id)
        if row.next_try_at is None or row.next_try_at > database_now():
            return False
        channel = channels.of(row.mailbox_id)
        trouble = _try(row, channel) if channel is not None else _("The mailbox has no channel any more.")
        _write_down(row, channel, trouble)
    return not trouble


def _try(row: Notification, channel: Channel) -> str:
    """Why the channel could not be told, or nothing."""
    try:
        if channel.kind == ChannelKind.EMAIL:
            if not is_configured():
                return _("No mail server is set (EMAIL_HOST).")
            _mail(row, channel).send()
            return ""
        body = json.dumps(row.payload | {"id": str(row.public_id)}, ensure_ascii=False).encode()
        headers = webhooks.signature_headers(
            [channels.secret_of(channel)],
            header=channel.signature_header,
            message_id=str(row.public_id),
            body=body,
            at=int(database_now().timestamp()),
        )
        return outgoing.tell(channel.target, body, headers).trouble
    except smtplib.SMTPException as error:
        # The text of some of these names the address, so only the kind is written down.
        logger.warning("notification %s could not be handed over: %s", row.pk, type(error).__name__)
        return _("No answer: %(why)s") % {"why": type(error).__name__}
    except Exception as error:
        # A mail server fails in many ways; each of them means that nobody was told.
        logger.exception("notification %s could not be handed over", row.pk)
        return _("No answer: %(why)s") % {"why": type(error).__name__}


def _mail(row: Notification, channel: Channel) -> EmailMessage:
    data = row.payload["data"]
    if row.type == TEST:
        subject = _("A test from Countersign")
        lines = [
            _("This is a test. Notifications about %(mailbox)s arrive here.") % {"mailbox": data["mailbox"]}
        ]
    else:
        words = _("May have left %(mailbox)s") if row.type == UNKNOWN else _("Sent from %(mailbox)s")
        subject = words % {"mailbox": data["mailbox"]}
        path = reverse("approvals:draft", args=[data["draft"]])
        lines = [
            _("To: %(to)s") % {"to": ", ".join(data["to"])},
            _("Subject: %(subject)s") % {"subject": " ".join(data["subject"].split())},
            _("Decided by: %(name)s") % {"name": data["decided_by"]},
            _("At: %(at)s") % {"at": row.payload["created_at"]},
            f"{settings.BASE_URL}{path}",
        ]
    return EmailMessage(subject=subject, body="\n".join(lines) + "\n", to=[channel.target])


def _write_down(row: Notification, channel: Channel | None, trouble: str) -> None:
    tries = row.tries + 1
    failures = 0
    with transaction.atomic():
        now = database_now()
        fields: dict[str, Any] = {"tries": tries, "trouble": trouble[:300], "next_try_at": None}
        is_last = bool(trouble) and (channel is None or tries >= TRIES)
        if not trouble:
            fields["delivered_at"] = now
        elif is_last:
            fields["given_up_at"] = now
        else:
            fields["next_try_at"] = now + timedelta(seconds=RETRY_SECONDS[tries - 1])
        Notification.objects.filter(pk=row.pk).update(**fields)
        if channel is not None:
            failures = channels.note_try(channel.pk, succeeded=not trouble)
        if is_last:
            record(
                "approvals.notification.given_up",
                actor=SYSTEM,
                mailbox_id=row.mailbox_id,
                send_id=row.send_id,
                outcome=row.type,
                reason=trouble,
                data={"notification": str(row.public_id), "tries": tries},
            )
    if failures >= channels.DEAD_AFTER:
        _fall_back(row.mailbox_id, failures)


def _fall_back(mailbox_id: int, failures: int) -> None:
    if mailbox_settings.of(mailbox_id).dead_channel_falls_back:
        oversight.fall_back(
            mailbox_id,
            leaves={modes.MONITORED},
            reason=_("The notification channel failed %(count)d times in a row, so nobody could be told.")
            % {"count": failures},
        )
        oversight.return_undecided(mailbox_id)
