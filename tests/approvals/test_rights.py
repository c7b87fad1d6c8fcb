"""Whoever has no right can do nothing, wherever it is asked (I15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User

from agentmail.models import Mailbox
from approvals import decisions, people, queries, switchboard
from approvals.models import Decision, Draft, Membership, Role, Send
from approvals.people import ROLE_RIGHTS, Right
from approvals.transitions import drafts, sends
from approvals.transitions.drafts import DecisionRefused, NotAllowed
from approvals.transitions.sends import SendRefused
from policies import switch
from tests.approvals.conftest import approve, person, seen

ACTS: dict[str, Callable[[Draft, User], Any]] = {
    "approve": lambda d, p: decisions.approve(d, person=p, seen=seen(d), form_id=None),
    "reject": lambda d, p: decisions.reject(d, person=p, seen=seen(d), reason="x", form_id=None),
    "request_changes": lambda d, p: decisions.request_changes(
        d, person=p, seen=seen(d), note="x", form_id=None
    ),
    "edit": lambda d, p: decisions.edit(d, person=p, seen=seen(d), changes={"subject": "x"}),
}


@pytest.fixture
def stranger(mailbox: Mailbox) -> User:
    """Has every role on another mailbox."""
    other = Mailbox.objects.create(grant_id="other-grant", address="other@harbour.example")
    return person("stranger", Role.REVIEWER, Role.OPERATOR, Role.AUDITOR, mailbox=other)


@pytest.fixture
def auditor(mailbox: Mailbox) -> User:
    return person("auditor", Role.AUDITOR, mailbox=mailbox)


@pytest.fixture
def admin(mailbox: Mailbox) -> User:
    return person("admin", Role.ADMIN)


@pytest.fixture
def former(alice: User) -> User:
    """Was a reviewer and has no account any more."""
    User.objects.filter(pk=alice.pk).update(is_active=False)
    return User.objects.get(pk=alice.pk)


@pytest.fixture
def superuser(mailbox: Mailbox) -> User:
    return User.objects.create_superuser("root", password="a long enough password")


OUTSIDERS = ["charlie", "stranger", "former", "superuser"]
NOT_DECIDERS = [*OUTSIDERS, "olga", "auditor", "admin"]


@pytest.mark.parametrize("who", NOT_DECIDERS)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.row("D6", "003-20")
def test_only_a_reviewer_of_the_mailbox_decides(pending: Draft, request: Any, act: str, who: str) -> None:
    outsider = request.getfixturevalue(who)

    with pytest.raises(NotAllowed):
        ACTS[act](pending, outsider)

    pending.refresh_from_db()
    assert (pending.state, pending.current_revision.number) == ("pending", 1)
    assert not Decision.objects.exists()


@pytest.mark.parametrize("who", NOT_DECIDERS)
def test_only_a_reviewer_returns_a_stale_draft_to_pending(
    pending: Draft, request: Any, who: str, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id)
    decisions.open_draft(pending)
    pending.refresh_from_db()

    with pytest.raises(NotAllowed):
        decisions.look_again(pending, person=request.getfixturevalue(who))

    pending.refresh_from_db()
    assert pending.state == "stale"


@pytest.mark.parametrize("who", ["charlie", "stranger", "superuser", "auditor"])
def test_outsider_cannot_undo_or_resume(
    pending: Draft, alice: User, mailbox: Mailbox, request: Any, who: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=60)
    send = approve(pending, alice)
    Send.objects.filter(pk=send.pk).update(held="blocked_grant", held_at=send.queued_at)
    outsider = request.getfixturevalue(who)

    with pytest.raises(DecisionRefused):
        drafts.undo(pending.pk, person=outsider)
    with pytest.raises(SendRefused):
        sends.resume(send.pk, person=outsider)
    with pytest.raises(SendRefused):
        switchboard.resume_held([send.pk], person=outsider)

    send.refresh_from_db()
    assert (send.state, send.held) == ("queued", "blocked_grant")


@pytest.mark.parametrize("who", OUTSIDERS)
def test_outsider_cannot_touch_the_switch_of_the_mailbox(mailbox: Mailbox, request: Any, who: str) -> None:
    outsider = request.getfixturevalue(who)

    with pytest.raises(switchboard.SwitchRefused):
        switchboard.stop(mailbox.scope, person=outsider, reason="x")
    with pytest.raises(switchboard.SwitchRefused):
        switchboard.release(mailbox.scope, person=outsider, reason="x")

    assert switch.read([mailbox.scope]).is_open


@pytest.mark.parametrize("who", ["alice", "auditor"])
@pytest.mark.row("000-31", "K23")
def test_anybody_of_the_mailbox_may_stop_and_only_an_operator_may_go_on(
    mailbox: Mailbox, request: Any, who: str, olga: User
) -> None:
    switchboard.stop(mailbox.scope, person=request.getfixturevalue(who), reason="Something is wrong.")

    with pytest.raises(switchboard.SwitchRefused):
        switchboard.release(mailbox.scope, person=request.getfixturevalue(who), reason="x")

    assert not switch.read([mailbox.scope]).is_open
    switchboard.release(mailbox.scope, person=olga, reason="Fine.")
    assert switch.read([mailbox.scope]).is_open


def test_operator_of_one_mailbox_cannot_go_on_for_all(mailbox: Mailbox, olga: User, admin: User) -> None:
    switchboard.stop(switch.GLOBAL, person=olga, reason="Something is wrong.")

    with pytest.raises(switchboard.SwitchRefused):
        switchboard.release(switch.GLOBAL, person=olga, reason="x")

    switchboard.release(switch.GLOBAL, person=admin, reason="Fine.")
    assert switch.read([switch.GLOBAL]).is_open


@pytest.mark.parametrize("who", OUTSIDERS)
def test_outsider_sees_no_draft(pending: Draft, request: Any, who: str) -> None:
    outsider = request.getfixturevalue(who)

    assert not queries.visible_drafts(outsider).exists()
    assert queries.draft_for(outsider, pending.public_id) is None
    assert not queries.visible_mailboxes(outsider).filter(pk=pending.mailbox_id).exists()


def test_somebody_who_is_not_signed_in_has_no_right(pending: Draft) -> None:
    nobody = AnonymousUser()

    assert not any(people.may(nobody, right, pending.mailbox_id) for right in Right)
    assert not queries.visible_drafts(nobody).exists()


@pytest.mark.parametrize("role", Role)
def test_role_gives_its_rights_on_its_mailbox_and_no_other(mailbox: Mailbox, role: Role) -> None:
    other = Mailbox.objects.create(grant_id="other-grant", address="other@harbour.example")
    user = person("somebody", role, mailbox=mailbox)

    assert {right for right in Right if people.may(user, right, mailbox.pk)} == ROLE_RIGHTS[role]
    elsewhere = {right for right in Right if people.may(user, right, other.pk)}
    assert elsewhere == (ROLE_RIGHTS[role] if role == Role.ADMIN else set())


def test_right_is_asked_of_the_database_and_not_of_the_request(pending: Draft, alice: User) -> None:
    assert people.may(alice, Right.DECIDE, pending.mailbox_id)
    Membership.objects.filter(user=alice).delete()

    with pytest.raises(NotAllowed):
        drafts.reject(pending.pk, person=alice, seen=seen(pending), reason="x", form_id=None)
