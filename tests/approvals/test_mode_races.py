"""The mode is changed, and decides, while other processes are at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import autopilot, dispatch, oversight
from approvals.models import Decision, Draft, ModeChange, Role, Send
from tests.approvals.conftest import at_once, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_seen_by_many_at_once_is_decided_once(
    transactional_db: None, mailbox: Mailbox, routine_writes: Callable[..., Draft], sandbox: Any
) -> None:
    draft = routine_writes()
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    Draft.objects.filter(pk=draft.pk).update(mode="autonomous")

    made = at_once(*[lambda: autopilot.consider(draft.pk)] * 8)

    assert len([one for one in made if one is not None]) == 1
    send = Send.objects.get()
    at_once(*[lambda: dispatch.dispatch(send.pk)] * 4)
    assert Decision.objects.count() == 1
    assert len(sandbox.sends()) == 1


@pytest.mark.row("004-13")
def test_a_mode_tightened_while_mail_leaves_lets_none_stay_queued(
    transactional_db: None, mailbox: Mailbox, routine_writes: Callable[..., Draft], olga: User, sandbox: Any
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    drafts = [routine_writes() for _ in range(10)]
    sends = list(Send.objects.values_list("pk", flat=True))
    assert len(sends) == 10

    def tighten() -> ModeChange:
        return oversight.change_mode(mailbox.pk, to="gated_send", seen="autonomous", person=olga)

    at_once(tighten, *[lambda send_id=send_id: dispatch.dispatch(send_id) for send_id in sends])

    states = {draft.send.state for draft in Draft.objects.filter(pk__in=[draft.pk for draft in drafts])}
    assert states <= {"accepted", "stopped"}
    stopped = Draft.objects.filter(send__state="stopped")
    assert {draft.state for draft in stopped} <= {"pending"}
    assert len(sandbox.sends()) == 10 - stopped.count()


@pytest.mark.row("004-14")
def test_of_two_people_who_change_the_mode_at_once_one_is_told(
    transactional_db: None, mailbox: Mailbox, olga: User
) -> None:
    other = person("oskar", Role.OPERATOR, mailbox=mailbox)

    def change(to: str, by: User) -> ModeChange | None:
        try:
            return oversight.change_mode(mailbox.pk, to=to, seen="gated_send", person=by)
        except oversight.ModeMoved:
            return None

    made = at_once(lambda: change("read_only", olga), lambda: change("gated_all", other))

    assert made.count(None) == 1
    assert ModeChange.objects.count() == 1
