"""Stopping and resuming sending, with the names of what was under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import people, wake
from approvals.models import Send
from approvals.states import SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import Actor
from policies import switch


class SwitchRefused(Exception):
    """The switch was not touched; the message says why."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """After this was given no new POST begins in the scope. `in_flight` are the sends whose end was not seen
    within the wait; `held` counts what waits behind the switch."""

    scope: str
    at: datetime
    waited_seconds: float
    is_drained: bool
    held: int
    in_flight: list[Send] = field(default_factory=list)


def stopped_mailboxes() -> list[tuple[Mailbox, switch.Reading]]:
    """The mailboxes whose own switch is engaged, with what it says, by address."""
    readings = [(mailbox, switch.read([mailbox.scope])) for mailbox in Mailbox.objects.all()]
    return [(mailbox, reading) for mailbox, reading in readings if not reading.is_open]


def stop(scope: str, *, person: User, reason: str) -> Acknowledgement:
    """Stop sending in a scope as a person who may; see `stop_as`. Raises SwitchRefused."""
    if not people.may(person, people.Right.STOP, _mailbox_of(scope)):
        raise SwitchRefused(_("You may not stop sending here."))
    return stop_as(people.actor_for(person), scope, reason=reason)


def stop_as(actor: Actor, scope: str, *, reason: str) -> Acknowledgement:
    """Engage the switch, hold what is queued, and wait a bounded time for the POSTs under way.

    Engaging twice is harmless. Whatever is released later, held sends leave only when a person resumes them.
    """
    scoped = _sends_of(scope)

    def hold() -> None:
        sends.hold_queued(scoped, "blocked_kill_switch")

    flip = switch.engage(
        scope, actor=actor, reason=reason, wait_seconds=settings.SWITCH_DRAIN_SECONDS, within=hold
    )
    in_flight = Send.objects.filter(state=SendState.DISPATCHED, **scoped).select_related("draft", "mailbox")
    return Acknowledgement(
        scope=scope,
        at=flip.changed_at or database_now(),
        waited_seconds=flip.waited_seconds,
        is_drained=flip.drained,
        held=Send.objects.filter(state=SendState.QUEUED, held="blocked_kill_switch", **scoped).count(),
        in_flight=list(in_flight),
    )


def release(scope: str, *, person: User, reason: str) -> int:
    """Open the switch of a scope again; how many sends stay held until they are resumed by hand.

    Raises SwitchRefused without the right, or while the stop file exists.
    """
    mailbox_id = _mailbox_of(scope)
    allowed = (
        people.may_everywhere(person, people.Right.RESUME)
        if mailbox_id is None
        else people.may(person, people.Right.RESUME, mailbox_id)
    )
    if not allowed:
        raise SwitchRefused(_("Only an operator or an admin can resume sending."))
    return release_as(people.actor_for(person), scope, reason=reason)


def release_as(actor: Actor, scope: str, *, reason: str) -> int:
    """As `release`, for the command line, where the operating system decided who may."""
    try:
        switch.release(scope, actor=actor, reason=reason)
    except switch.SwitchError as error:
        raise SwitchRefused(str(error)) from error
    return Send.objects.filter(state=SendState.QUEUED, **_sends_of(scope)).exclude(held="").count()


def resume_held(send_ids: list[int], *, person: User) -> int:
    """Let held sends ask their gates again, each on its own; how many do. Raises SendRefused."""
    resumed = 0
    for send_id in send_ids:
        if sends.resume(send_id, person=person):
            wake.sender(send_id)
            resumed += 1
    return resumed


def _mailbox_of(scope: str) -> int | None:
    return None if scope == switch.GLOBAL else int(scope.removeprefix("mailbox:"))


def _sends_of(scope: str) -> dict[str, int]:
    mailbox_id = _mailbox_of(scope)
    if mailbox_id is None:
        return {}
    if not Mailbox.objects.filter(pk=mailbox_id).exists():
        raise SwitchRefused(_("There is no such mailbox."))
    return {"mailbox_id": mailbox_id}
