"""What can happen to a follow-up. The opening runs inside the transaction of what caused it."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from approvals import people
from approvals.models import Draft, FollowUp, FollowUpNote, FollowUpState, Send
from approvals.transitions.moves import close_follow_up
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record

# From the mildest to the gravest: an open follow-up is named after the gravest thing that came back.
GRAVITY = (
    "soft_bounce",
    "no_report",
    "failed",
    "send_failed",
    "hard_bounce",
    "rejected",
    "complaint",
    "crossed",
    "content_differs",
    "second_copy",
    "contradicted",
)


class FollowUpRefused(Exception):
    """The follow-up cannot be changed in this way; the message says why."""


def lock_open(send: Send) -> None:
    """Lock the open follow-up of a send, if there is one, for what is recorded before it is changed.

    A person who closes it holds it and then waits for the turn to record; whoever has that turn must not wait for it.
    """
    rows = FollowUp.objects.select_for_update(no_key=True).filter(send=send, state=FollowUpState.OPEN)
    rows.values_list("pk", flat=True).first()


def open_for(send: Send, kind: str, *, now: datetime) -> FollowUp:
    """Open the follow-up of a send for the person who approved it, or add to the one that is open.

    One that the mode approved is assigned to nobody, and so is everybody's who may follow up on the mailbox.
    """
    existing = FollowUp.objects.filter(send=send, state=FollowUpState.OPEN).first()
    if existing is not None:
        if GRAVITY.index(kind) > GRAVITY.index(existing.kind):
            FollowUp.objects.filter(pk=existing.pk).update(kind=kind)
            existing.kind = kind
        return existing
    follow_up = FollowUp.objects.create(
        send=send,
        mailbox_id=send.mailbox_id,
        kind=kind,
        state=FollowUpState.OPEN,
        assigned_to_id=send.decision.person_id,
        opened_at=now,
    )
    _record("approvals.follow_up.opened", follow_up, SYSTEM, outcome=kind)
    return follow_up


def check_open(follow_up_id: int, *, person: User) -> None:
    """Refuse what `correct` would refuse, before anything is written at the provider. Raises FollowUpRefused."""
    with transaction.atomic():
        _open_for_person(follow_up_id, person)


def escalate(follow_up_id: int, *, person: User, to: User, note: str) -> FollowUp:
    """Hand an open follow-up to another person of the mailbox, with a note they will read."""
    with transaction.atomic():
        follow_up = _open_for_person(follow_up_id, person)
        if not people.is_still_allowed(to.pk, people.Right.FOLLOW_UP, follow_up.mailbox_id):
            raise FollowUpRefused(_("%(name)s has no rights on this mailbox.") % {"name": people.name_of(to)})
        FollowUp.objects.filter(pk=follow_up.pk, state=FollowUpState.OPEN).update(assigned_to=to)
        follow_up.assigned_to = to
        FollowUpNote.objects.create(follow_up=follow_up, person=person, text=note, made_at=database_now())
        _record(
            "approvals.follow_up.escalated",
            follow_up,
            people.actor_for(person),
            reason=note,
            to=people.name_of(to),
        )
        return follow_up


def close(follow_up_id: int, *, person: User, reason: str) -> FollowUp:
    """Close an open follow-up with a reason."""
    with transaction.atomic():
        follow_up = _open_for_person(follow_up_id, person)
        close_follow_up(follow_up, closed_at=database_now(), closed_by=person, close_reason=reason)
        _record("approvals.follow_up.closed", follow_up, people.actor_for(person), reason=reason)
        return follow_up


def correct(follow_up_id: int, *, person: User, correction: Draft) -> FollowUp:
    """Close an open follow-up because a corrected draft now goes through review."""
    with transaction.atomic():
        follow_up = _open_for_person(follow_up_id, person)
        close_follow_up(
            follow_up,
            closed_at=database_now(),
            closed_by=person,
            close_reason=_("Corrected in a new draft."),
            correction=correction,
        )
        _record(
            "approvals.follow_up.corrected",
            follow_up,
            people.actor_for(person),
            correction=str(correction.public_id),
        )
        return follow_up


def delivered_afterwards(send: Send, *, now: datetime) -> None:
    """Close a soft bounce's follow-up once every recipient it was about has the mail."""
    follow_up = FollowUp.objects.filter(send=send, state=FollowUpState.OPEN, kind="soft_bounce").first()
    if follow_up is not None:
        close_follow_up(follow_up, closed_at=now, close_reason=_("Delivered at a later try."))
        _record("approvals.follow_up.closed", follow_up, SYSTEM, outcome="delivered")


def _open_for_person(follow_up_id: int, person: User) -> FollowUp:
    follow_up = (
        FollowUp.objects.select_for_update(of=("self",))
        .select_related("send__draft", "send__decision")
        .get(pk=follow_up_id)
    )
    if not people.is_still_allowed(person.pk, people.Right.FOLLOW_UP, follow_up.mailbox_id):
        raise FollowUpRefused(_("You have no rights on this mailbox."))
    if follow_up.state != FollowUpState.OPEN:
        closed_by = people.name_of(follow_up.closed_by) if follow_up.closed_by else _("the desk itself")
        raise FollowUpRefused(_("This was already closed by %(name)s.") % {"name": closed_by})
    return follow_up


def _record(
    action: str, follow_up: FollowUp, actor: Actor, *, outcome: str = "", reason: str = "", **data: str
) -> None:
    record(
        action,
        actor=actor,
        mailbox_id=follow_up.mailbox_id,
        draft_id=follow_up.send.draft_id,
        send_id=follow_up.send_id,
        thread_id=follow_up.send.thread_id,
        outcome=outcome or follow_up.kind,
        reason=reason,
        data={"follow_up": str(follow_up.public_id)} | data,
    )
