"""How much may leave an hour and a day, and the reservations that count it.

A send counts once, in the window in which it was last handed over. It is reserved inside the transaction that claims
it, under the lock of its mailbox, so that two workers never pass together; only a send of which no byte left is
refunded. The clock is that of the database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from audit.clock import database_now
from audit.record import Actor
from policies import changes, mailbox_settings
from policies.cap_usage import (
    ORGANISATION_ID,
    Answer,
    Effective,
    ask_each,
    effective_each,
    organisation_cap,
)
from policies.models import (
    CapLock,
    MailboxSettings,
    OrganisationCap,
    Policy,
    Reservation,
)

ORGANISATION = "organisation"


class CapReached(Exception):
    """A limit allows no further send; `answer` says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("a cap is reached")
        self.answer = answer


def effective(mailbox_id: int, *, now: datetime) -> Effective:
    """The policy of a mailbox: its own, that of its workspace, or the default; without any the shipped numbers."""
    return effective_each({mailbox_id: mailbox_settings.of(mailbox_id)}, now=now)[mailbox_id]


def ask(
    mailbox_id: int, *, now: datetime, send_key: str = "", settings: MailboxSettings | None = None
) -> Answer:
    """Say whether every limit allows one more send of the mailbox, without reserving it.

    A reservation that `send_key` has already counts for that send itself, not against it. `settings` are those of the
    mailbox where the caller has read them.
    """
    known = settings if settings is not None else mailbox_settings.of(mailbox_id)
    return ask_each({mailbox_id: known}, now=now, send_key=send_key)[mailbox_id]


def lock(mailbox_id: int) -> None:
    """Keep everybody else from reserving for the mailbox until the end of the transaction."""
    if not connection.features.has_select_for_update:
        return  # the transactions of SQLite are immediate: this one is alone already
    names = [f"mailbox:{mailbox_id}"]
    whole = organisation_cap()
    if whole.hour_cap is not None or whole.day_cap is not None:
        names.append(ORGANISATION)
    for name in names:
        CapLock.objects.get_or_create(name=name)
        CapLock.objects.select_for_update().get(name=name)


def reserve(mailbox_id: int, send_key: str, *, keep: bool = False) -> None:
    """Count a send, in the transaction that claims it; a second call for the same send counts it once.

    With `keep` a reservation that the send has stays where it is, as that of a mail which may have left must. Raises
    CapReached, and has counted nothing then.
    """
    lock(mailbox_id)
    found = Reservation.objects.filter(send_key=send_key).first()
    if keep and found is not None and found.refunded_at is None:
        return
    now = database_now()
    answer = ask(mailbox_id, now=now, send_key=send_key)
    if answer.full is not None:
        raise CapReached(answer)
    _count(mailbox_id, send_key, now)


def count(mailbox_id: int, send_key: str) -> None:
    """Count a mail that turned out to have left, whatever the limits say, unless it counts already."""
    if not Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).exists():
        _count(mailbox_id, send_key, database_now())


def is_reserved(send_key: str) -> bool:
    return Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).exists()


def refund(send_key: str) -> None:
    """Let a send count no more, of which it is certain that nothing left."""
    Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).update(refunded_at=database_now())


def set_organisation_cap(
    *, version: int, actor: Actor, hour_cap: int | None, day_cap: int | None, reason: str = ""
) -> OrganisationCap:
    """Set or lift the cap over all mailboxes; `version` is 0 for one that was never set.

    Raises ValidationError for a number outside its limits, and `changes.Conflict`.
    """
    fields = {"hour_cap": hour_cap, "day_cap": day_cap}
    OrganisationCap(**fields).clean_fields()
    current = organisation_cap()
    if current.pk is not None:
        return changes.change(
            OrganisationCap, current.pk, version=version, actor=actor, reason=reason, **fields
        )
    if version != 0:
        raise changes.Conflict(None, {})
    return changes.create(OrganisationCap, actor=actor, reason=reason, id=ORGANISATION_ID, **fields)


def add_policy(*, actor: Actor, reason: str = "", **fields: Any) -> Policy:
    """Add a policy. Raises ValidationError, which names each field that is outside its limits."""
    Policy(**fields).full_clean()
    return changes.create(Policy, actor=actor, reason=reason, **fields)


def change_policy(pk: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> Policy:
    """Change a policy whose `version` the editor saw. Raises ValidationError or `changes.Conflict`."""
    row = Policy.objects.filter(pk=pk).first()
    if row is None:
        raise changes.Conflict(None, {})
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    return changes.change(Policy, pk, version=version, actor=actor, reason=reason, **fields)


def make_default(pk: int, *, version: int, actor: Actor, reason: str = "") -> Policy:
    """Let a policy hold where nothing nearer is attached, in place of the one that did. Raises Conflict."""
    with transaction.atomic():
        before = Policy.objects.filter(is_default=True).exclude(pk=pk).first()
        if before is not None:
            changes.change(
                Policy, before.pk, version=before.version, actor=actor, reason=reason, is_default=False
            )
        return changes.change(Policy, pk, version=version, actor=actor, reason=reason, is_default=True)


def start_ramp(mailbox_id: int, *, actor: Actor, reason: str = "") -> MailboxSettings:
    """Begin the first day of a mailbox that starts to send live, or without a person: fewer sends an hour."""
    settings = mailbox_settings.of(mailbox_id)
    return mailbox_settings.write(
        mailbox_id, version=settings.version, actor=actor, reason=reason, live_since=database_now()
    )


def _count(mailbox_id: int, send_key: str, now: datetime) -> None:
    Reservation.objects.update_or_create(
        send_key=send_key, defaults={"mailbox_id": mailbox_id, "reserved_at": now, "refunded_at": None}
    )
