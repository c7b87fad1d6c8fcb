"""Stopping and resuming sending, with the names of what was under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from agentmail.addresses import AddressError, parse_address
from agentmail.models import Mailbox
from approvals import mailboxes, people, policy_scopes, switch_scopes, wake
from approvals.models import Send
from approvals.states import SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import Actor
from policies import scopes, switch
from policies.models import Workspace


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
    is_news: bool = True
    in_flight: list[Send] = field(default_factory=list)


def stop(scope: str, *, person: User, reason: str) -> Acknowledgement:
    """Stop sending in a scope as a person who may; see `stop_as`. Raises SwitchRefused."""
    if not may_stop(person, scope):
        raise SwitchRefused(_("You may not stop sending here."))
    return stop_as(people.actor_for(person), scope, reason=reason)


def stop_as(
    actor: Actor, scope: str, *, reason: str, within: Callable[[], None] | None = None
) -> Acknowledgement:
    """Engage the switch, hold what is queued, and wait a bounded time for the POSTs under way.

    Engaging twice is harmless. `within` runs in the transaction of the flip, when it changes anything. Whatever is
    released later, held sends leave only when a person resumes them.
    """
    _check_scope(scope)

    def hold() -> None:
        # Asked for in that transaction: until the row of the switch is locked, approvals come and go.
        for found in switch_scopes.sends_in(scope):
            sends.hold_queued(found, "blocked_kill_switch")
        if within is not None:
            within()

    flip = switch.engage(
        scope, actor=actor, reason=reason, wait_seconds=settings.SWITCH_DRAIN_SECONDS, within=hold
    )
    found = switch_scopes.sends_in(scope)
    return Acknowledgement(
        scope=scope,
        at=flip.changed_at or database_now(),
        waited_seconds=flip.waited_seconds,
        is_drained=flip.drained,
        held=_counted(found, held="blocked_kill_switch"),
        is_news=flip.has_changed,
        in_flight=[
            send
            for one in found
            for send in Send.objects.filter(state=SendState.DISPATCHED, **one).select_related(
                "draft", "mailbox"
            )
        ],
    )


def release(scope: str, *, person: User, reason: str) -> int:
    """Open the switch of a scope again; how many sends stay held until they are resumed by hand.

    Raises SwitchRefused without the right, or while the stop file exists.
    """
    if not may_release(person, scope):
        raise SwitchRefused(_("Only an operator or an admin can resume sending."))
    return release_as(people.actor_for(person), scope, reason=reason)


def release_as(actor: Actor, scope: str, *, reason: str) -> int:
    """As `release`, for the command line, where the operating system decided who may."""
    _check_scope(scope)
    try:
        switch.release(scope, actor=actor, reason=reason)
    except switch.SwitchError as error:
        raise SwitchRefused(str(error)) from error
    return _counted(switch_scopes.sends_in(scope)) - _counted(switch_scopes.sends_in(scope), held="")


def resume_held(send_ids: list[int], *, person: User) -> int:
    """Let held sends ask their gates again, each on its own; how many do. Raises SendRefused."""
    resumed = 0
    for send_id in send_ids:
        if sends.resume(send_id, person=person):
            wake.sender(send_id)
            resumed += 1
    return resumed


def may_stop(person: people.Person, scope: str) -> bool:
    """Whether a person may stop this: a mailbox of theirs, a workspace that is all theirs, and everything that is
    no mailbox's with a role on any, because a stop of less must not be harder than one of all.
    """
    kind, _colon, name = scope.partition(":")
    if kind == "mailbox":
        return people.may(person, people.Right.STOP, int(name))
    if kind == "workspace":
        members = scopes.mailboxes_of(int(name))
        return people.may_everywhere(person, people.Right.STOP) or (
            bool(members) and all(people.may(person, people.Right.STOP, one) for one in members)
        )
    return people.may(person, people.Right.STOP)


def may_release(person: people.Person, scope: str) -> bool:
    kind, _colon, name = scope.partition(":")
    if kind == "mailbox":
        return people.may(person, people.Right.RESUME, int(name))
    return people.may_everywhere(person, people.Right.RESUME)


class NoSuchScope(SwitchRefused):
    """What was typed names nothing that can be stopped; the message says why."""


def named(kind: str, text: str, *, person: people.Person | None = None) -> str:
    """The scope of a `kind` (workspace, mailbox, agent, domain) that a text names; "" and "global" are all sending.

    A mailbox is named by address or grant, a workspace by name; with a person, only their mailboxes are. Raises
    NoSuchScope.
    """
    text = text.strip()
    if kind in ("", "global"):
        return switch.GLOBAL
    if not text:
        raise NoSuchScope(_("Say which one."))
    if kind == "mailbox":
        try:
            mailbox = mailboxes.named(text)
        except mailboxes.MailboxRefused as error:
            raise NoSuchScope(str(error)) from error
        if person is not None and not people.may(person, people.Right.SEE, mailbox.pk):
            raise NoSuchScope(_("No mailbox is called %(name)s.") % {"name": text})
        return mailbox.scope
    if kind == "workspace":
        workspace = Workspace.objects.filter(name__iexact=text).first()
        if workspace is None:
            raise NoSuchScope(_("No workspace is called %(name)s.") % {"name": text})
        return scopes.workspace_scope(workspace.pk)
    if kind == "agent":
        scope = switch.agent_scope(text)
        if not switch.is_scope(scope):
            raise NoSuchScope(
                _(
                    "The id of an agent is 1 to 128 of the letters a to z, digits, dots, hyphens and underscores."
                )
            )
        return scope
    try:
        domain = parse_address(f"x@{text.removeprefix('@')}").rpartition("@")[2]
    except AddressError as error:
        raise NoSuchScope(_("%(domain)s is no domain: %(why)s") % {"domain": text, "why": error}) from error
    return switch.domain_scope(domain)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A scope that is stopped, as a person sees it."""

    scope: str
    words: str
    reading: switch.Reading
    may_release: bool


def stopped(person: people.Person | None = None) -> list[Stopped]:
    """What is stopped now, latest first; with a person, without the mailboxes they do not see."""
    all_mailboxes = [scopes.mailbox_scope(pk) for pk in Mailbox.objects.values_list("pk", flat=True)]
    missing = switch.without_row(all_mailboxes)
    readings = [*switch.engaged(), *(switch.read([scope]) for scope in missing)]
    words = policy_scopes.words_of(reading.scope for reading in readings)
    return [
        Stopped(
            reading.scope,
            words[reading.scope],
            reading,
            may_release=person is not None and may_release(person, reading.scope),
        )
        for reading in readings
        if person is None or may_see(person, reading.scope)
    ]


def may_see(person: people.Person, scope: str) -> bool:
    """Whether a person may know that a scope is stopped: everybody here does, but for mailboxes they do not see."""
    kind, _colon, name = scope.partition(":")
    return people.may(person, people.Right.SEE, int(name) if kind == "mailbox" else None)


def _check_scope(scope: str) -> None:
    kind, _colon, name = scope.partition(":")
    if not switch.is_scope(scope):
        raise SwitchRefused(_("%(scope)s is not a scope of the kill switch.") % {"scope": scope})
    if kind == "mailbox" and not Mailbox.objects.filter(pk=int(name)).exists():
        raise SwitchRefused(_("There is no such mailbox."))
    if kind == "workspace" and not Workspace.objects.filter(pk=int(name)).exists():
        raise SwitchRefused(_("There is no such workspace."))


def _counted(found: list[dict[str, Any]], **more: Any) -> int:
    return sum(Send.objects.filter(state=SendState.QUEUED, **one, **more).count() for one in found)
