"""The settings of one mailbox, with the defaults of a mailbox nobody has set anything for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from audit.record import Actor
from policies import changes
from policies.models import MailboxSettings


def of(mailbox_id: int) -> MailboxSettings:
    """The settings in force; not saved, with version 0, while a mailbox has the defaults."""
    found = MailboxSettings.objects.filter(mailbox_id=mailbox_id).first()
    return found or MailboxSettings(mailbox_id=mailbox_id, version=0)


def of_many(mailbox_ids: Sequence[int]) -> dict[int, MailboxSettings]:
    """The settings in force of several mailboxes, by mailbox; as `of` for those that have the defaults."""
    found = {row.mailbox_id: row for row in MailboxSettings.objects.filter(mailbox_id__in=mailbox_ids)}
    return {pk: found.get(pk) or MailboxSettings(mailbox_id=pk, version=0) for pk in mailbox_ids}


def write(mailbox_id: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> MailboxSettings:
    """Change settings whose `version` the editor saw, 0 for the defaults. Raises `changes.Conflict`."""
    current = of(mailbox_id)
    if current.pk is not None:
        return changes.change(
            MailboxSettings, current.pk, version=version, actor=actor, reason=reason, **fields
        )
    if version != 0:
        raise changes.Conflict(current, {})
    try:
        with transaction.atomic():
            return changes.create(
                MailboxSettings, actor=actor, reason=reason, mailbox_id=mailbox_id, **fields
            )
    except IntegrityError as error:
        raise changes.Conflict(of(mailbox_id), {}) from error
