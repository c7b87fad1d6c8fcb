"""The dry run of a mailbox: who begins it, who ends it, and what follows. See `approvals.gates.dry_run`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from approvals import people
from approvals.people import Right
from audit.clock import database_now
from policies import mailbox_settings
from policies.models import Delivery, MailboxSettings


class RehearsalRefused(Exception):
    """Nothing was changed; the message says why."""


def begin(mailbox_id: int, *, version: int, person: User, reason: str = "") -> MailboxSettings:
    """Let a mailbox rehearse from now on: its mail is judged and never sent. Its evidence begins anew.

    `version` is that of the settings the person saw. Raises RehearsalRefused or `policies.changes.Conflict`.
    """
    now = database_now()
    fields = {"delivery": Delivery.DRY_RUN, "dry_run_since": now}
    return _write(mailbox_id, version, person, reason, fields)


def leave(mailbox_id: int, *, version: int, person: User, reason: str) -> MailboxSettings:
    """Let a mailbox send live, under the ramp of its first day. What would have been sent is never sent.

    Raises RehearsalRefused, also without a reason, or `policies.changes.Conflict`.
    """
    if not reason.strip():
        raise RehearsalRefused(_("Say in a sentence why the mailbox may send live."))
    fields = {"delivery": Delivery.LIVE, "live_since": database_now()}
    return _write(mailbox_id, version, person, reason, fields)


def _write(
    mailbox_id: int, version: int, person: User, reason: str, fields: dict[str, Any]
) -> MailboxSettings:
    if not people.is_still_allowed(person.pk, Right.EDIT_POLICIES, mailbox_id):
        raise RehearsalRefused(_("Only an admin begins or ends a dry run."))
    return mailbox_settings.write(
        mailbox_id, version=version, actor=people.actor_for(person), reason=reason, **fields
    )
