"""Who is to look at a draft: given to somebody, marked as escalated, or out of one person's sight for a while.

None of it decides anything or keeps anybody from deciding, and the decision ends all of it.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals import people, risk, together
from approvals.models import Draft, Snooze
from approvals.states import DECIDABLE_STATES, DraftState
from approvals.transitions.drafts import DecisionRefused, NotAllowed, NotOpen, check_right
from approvals.transitions.moves import lock_draft
from audit.clock import database_now
from audit.record import record


class NotAssignable(DecisionRefused):
    """The person it was to be given to may not decide about it."""


class SnoozeRefused(DecisionRefused):
    """The draft cannot be out of sight for so long; the message names the latest time."""


def assign(draft_id: int, *, person: User, to: User | None) -> Draft:
    """Give a draft that waits to somebody who may decide about it, or to nobody; it is in their sight again.

    Raises NotAllowed, NotOpen or NotAssignable.
    """
    with transaction.atomic():
        draft = _waiting(draft_id, person)
        if draft.assigned_to_id == (to.pk if to is not None else None):
            return draft
        before = draft.assigned_to
        _give(draft, to)
        _record(
            "approvals.draft.assigned",
            draft,
            person,
            to=people.name_of(to) if to is not None else "",
            taken_from=_taken_from(before, to),
        )
        return draft


def escalate(draft_id: int, *, person: User, to: User | None, reason: str) -> Draft:
    """Ask for help with a draft that waits: of one person, or of the admins and operators who may decide about it.

    It is with them from then on, and no longer assigned to anybody else. It counts as of high risk, so it stands higher
    in the queue, and is in everybody's sight. Raises NotAllowed, NotOpen or NotAssignable.
    """
    with transaction.atomic():
        draft = _waiting(draft_id, person)
        if to is None and not together.seniors_of(draft).exists():
            raise NotAssignable(
                _("No admin or operator may decide about this mailbox; choose a person instead.")
            )
        before = draft.assigned_to
        _give(draft, to)
        Snooze.objects.filter(draft=draft).delete()
        _mark(draft, at=database_now(), by=person, reason=reason)
        _record(
            "approvals.draft.escalated",
            draft,
            person,
            reason=reason,
            to=people.name_of(to) if to is not None else "admins and operators",
            taken_from=_taken_from(before, to),
        )
        return draft


def end_escalation(draft_id: int, *, person: User) -> bool:
    """Take the mark of an escalation away; whether there was one. Who it is given to stays."""
    with transaction.atomic():
        draft = _waiting(draft_id, person)
        if draft.escalated_at is None:
            return False
        _mark(draft, at=None, by=None, reason="")
        _record("approvals.draft.escalation_ended", draft, person)
        return True


def snooze(draft_id: int, *, person: User, until: datetime) -> Snooze:
    """Keep a draft out of one person's queue until a time; the others see it as before.

    It comes back before that when the draft gets another wording, turns stale, or is given to them or escalated.
    Raises NotAllowed, NotOpen or SnoozeRefused.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not people.is_still_allowed(person.pk, people.Right.SEE, draft.mailbox_id):
            raise NotAllowed(_("You have no rights on this mailbox."))
        if draft.state != DraftState.PENDING or draft.current_revision is None:
            raise NotOpen(draft.state)
        now, latest = database_now(), together.latest_snooze(draft)
        if latest <= now:
            raise SnoozeRefused(_("Three quarters of its time are over, so it stays in sight."))
        if not now < until <= latest:
            raise SnoozeRefused(
                _("It can be snoozed until %(time)s at the latest, three quarters of its time.")
                % {"time": f"{timezone.localtime(latest):%Y-%m-%d %H:%M}"}
            )
        fields = {"revision": draft.current_revision, "made_at": now, "until": until}
        made = Snooze.objects.update_or_create(draft=draft, person=person, defaults=fields)[0]
        _record("approvals.draft.snoozed", draft, person, until=until.isoformat(timespec="seconds"))
        return made


def unsnooze(draft_id: int, *, person: User) -> bool:
    """Put a draft back into a person's own queue; whether it was out of it."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not Snooze.objects.filter(draft=draft, person=person).delete()[0]:
            return False
        _record("approvals.draft.unsnoozed", draft, person)
        return True


def _waiting(draft_id: int, person: User) -> Draft:
    draft = lock_draft(draft_id)
    check_right(person, draft)
    if draft.state not in DECIDABLE_STATES:
        raise NotOpen(draft.state)
    return draft


def _give(draft: Draft, to: User | None) -> None:
    if to is not None:
        if not people.is_still_allowed(to.pk, people.Right.DECIDE, draft.mailbox_id):
            raise NotAssignable(
                _("%(name)s may not decide drafts of this mailbox.") % {"name": people.name_of(to)}
            )
        Snooze.objects.filter(draft=draft, person=to).delete()
    Draft.objects.filter(pk=draft.pk).update(assigned_to=to)
    draft.assigned_to = to


def _taken_from(before: User | None, to: User | None) -> str:
    return people.name_of(before) if before is not None and before != to else ""


def _mark(draft: Draft, *, at: datetime | None, by: User | None, reason: str) -> None:
    Draft.objects.filter(pk=draft.pk).update(escalated_at=at, escalated_by=by, escalation_reason=reason)
    draft.escalated_at, draft.escalated_by, draft.escalation_reason = at, by, reason
    risk.keep(draft)


def _record(action: str, draft: Draft, person: User, *, reason: str = "", **data: str) -> None:
    record(
        action,
        actor=people.actor_for(person),
        mailbox_id=draft.mailbox_id,
        draft_id=draft.pk,
        thread_id=draft.thread_id,
        reason=reason,
        data=data,
    )
