"""Changing a mailbox's oversight mode. It holds from the next action on; what waits keeps its place."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import evidence, people
from approvals.models import ModeChange, Send
from approvals.states import SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies import caps, channels, mailbox_settings, modes


class OversightRefused(Exception):
    """The mode was not changed. `field` names what was wrong: to, reason or unnotified_reason."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class NotAllowed(OversightRefused):
    """The person has no right to this step."""


class ModeMoved(OversightRefused):
    """Somebody changed the mode after the person's page was made."""


def right_for(before: str, after: str) -> people.Right:
    """The right that a step on the ladder needs."""
    return people.Right.LOOSEN if modes.is_looser(after, before) else people.Right.TIGHTEN


def needs_channel(mailbox_id: int, mode: str) -> bool:
    """Whether the mode tells people of each send while the mailbox has no working channel to tell them on."""
    return mode == modes.MONITORED and not channels.is_alive(channels.of(mailbox_id))


def change_mode(
    mailbox_id: int, *, to: str, seen: str, person: User, reason: str = "", unnotified_reason: str = ""
) -> ModeChange:
    """Change the mode that a person saw as `seen`. Loosening needs a reason, and an admin.

    `unnotified_reason` is why an admin wants a monitored mailbox of which nobody is told. When the new mode needs a
    person, queued sends that nobody decided go back to pending. Raises OversightRefused.
    """
    _check_mode(to)
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        if mailbox.mode != seen:
            raise ModeMoved(
                "to",
                _("The mode is %(mode)s by now; look at what would change from there.")
                % {"mode": mailbox.mode},
            )
        right = right_for(mailbox.mode, to)
        if not people.is_still_allowed(person.pk, right, mailbox.pk):
            raise NotAllowed("to", _("Only admins loosen a mode; operators and admins tighten it."))
        if right is people.Right.LOOSEN and not reason.strip():
            raise OversightRefused("reason", _("Say why; a looser mode is kept with its reason."))
        may_override = people.is_still_allowed(person.pk, people.Right.LOOSEN, mailbox.pk)
        _check_channel(mailbox, to, unnotified_reason if may_override else "")
        change = _write(
            mailbox,
            to,
            actor=people.actor_for(person),
            person=person,
            reason=reason.strip(),
            unnotified_reason=unnotified_reason.strip(),
        )
    return_undecided(mailbox_id)
    return change


def set_mode(mailbox_id: int, *, to: str, actor: Actor, reason: str) -> ModeChange | None:
    """Set the mode from outside the pages, as an operator's command does; None when it is set already.

    Raises OversightRefused for an unknown mode, and for `monitored` without a channel.
    """
    _check_mode(to)
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        if mailbox.mode == to:
            return None
        _check_channel(mailbox, to, "")
        change = _write(mailbox, to, actor=actor, reason=reason)
        # In a transaction of its own: drafts are locked before anything is recorded, never after.
        transaction.on_commit(lambda: return_undecided(mailbox_id))
    return change


def fall_back(mailbox_id: int, *, leaves: Collection[str], reason: str) -> ModeChange | None:
    """Take a mailbox whose mode is one of `leaves` back to gated_send, on the desk's own account; else None.

    Whoever calls it calls `return_undecided` once that is committed.
    """
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        if mailbox.mode not in leaves:
            return None
        return _write(mailbox, modes.GATED_SEND, actor=SYSTEM, reason=reason)


def return_undecided(mailbox_id: int) -> int:
    """Return the queued sends that no person decided to pending, if the mode needs a person by now; how many.

    One that is missed here is stopped by the mode gate when it is claimed.
    """
    mode = Mailbox.objects.values_list("mode", flat=True).get(pk=mailbox_id)
    if not modes.needs_person(mode):
        return 0
    queued = Send.objects.filter(mailbox_id=mailbox_id, state=SendState.QUEUED, decision__person__isnull=True)
    return sum(sends.return_undecided(send_id) for send_id in list(queued.values_list("pk", flat=True)))


def _check_mode(mode: str) -> None:
    if mode not in modes.LADDER:
        raise OversightRefused(
            "to",
            _("The mode must be one of %(modes)s; %(mode)s is not.")
            % {"modes": ", ".join(modes.LADDER), "mode": mode},
        )


def _check_channel(mailbox: Mailbox, to: str, unnotified_reason: str) -> None:
    if needs_channel(mailbox.pk, to) and not unnotified_reason.strip():
        raise OversightRefused(
            "unnotified_reason",
            _(
                "A monitored mailbox tells people of every send, and this one has no notification channel that works. "
                "Give it one on its page of the oversight mode first; an admin may instead say there why nobody "
                "needs to be told."
            ),
        )


def _write(
    mailbox: Mailbox,
    to: str,
    *,
    actor: Actor,
    reason: str,
    person: User | None = None,
    unnotified_reason: str = "",
) -> ModeChange:
    before = mailbox.mode
    if before == to:
        raise ModeMoved("to", _("The mode is %(mode)s already.") % {"mode": to})
    found = evidence.of(mailbox).to_json()
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=to)
    mailbox.mode = to
    if needs_channel(mailbox.pk, to):
        mailbox_settings.write(
            mailbox.pk,
            version=mailbox_settings.of(mailbox.pk).version,
            actor=actor,
            reason=unnotified_reason,
            unnotified_reason=unnotified_reason,
        )
    if modes.needs_person(before) and not modes.needs_person(to):
        caps.start_ramp(mailbox.pk, actor=actor, reason=reason)
    change = ModeChange.objects.create(
        mailbox=mailbox,
        before=before,
        after=to,
        at=database_now(),
        person=person,
        person_name=actor.name[:256],
        reason=reason,
        evidence=found,
    )
    record(
        "approvals.mode.changed",
        actor=actor,
        mailbox_id=mailbox.pk,
        outcome=f"{before} to {to}",
        reason=reason,
        data={"before": before, "after": to, "evidence": found, "unnotified_reason": unnotified_reason},
    )
    return change
