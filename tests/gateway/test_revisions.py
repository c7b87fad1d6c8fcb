"""A new wording for a mail that was handed in: while the mail waits, and never once it is on its way."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import dispatch, submissions
from approvals.models import Draft, Send, Submission, SubmissionState
from approvals.states import SendState
from policies import locks
from tests.approvals.conftest import approve
from tests.gateway.conftest import Program, mail, taken_in


@pytest.fixture
def told(agent: Program) -> dict[str, Any]:
    """A mail whose draft waits for a decision, as its agent was told of it."""
    answer: dict[str, Any] = agent.post("/emails/send", mail()).json()
    taken_in()
    return answer


@pytest.fixture
def draft(told: dict[str, Any]) -> Draft:
    return Draft.objects.get(public_id=told["id"])


def reworded(told: dict[str, Any]) -> dict[str, Any]:
    return mail(body="<p>Pay to another account.</p>", revises=told["id"])


def upstream(sandbox: Any) -> str:
    (found,) = sandbox.get("state")["drafts"]
    return str(found["body"])


def test_while_its_draft_is_being_sent_the_provider_gets_no_new_wording(
    agent: Program, alice: User, draft: Draft, told: dict[str, Any], sandbox: Any
) -> None:
    approve(draft, alice)
    agent.post("/emails/send", reworded(told))

    with locks.hold(dispatch.draft_lock_name(draft.pk)):
        assert taken_in() == []

    assert upstream(sandbox) == mail()["body"]
    assert Submission.objects.get(is_revision=True).state == SubmissionState.RECEIVED


def test_while_a_draft_gets_a_new_wording_it_is_not_sent(alice: User, draft: Draft, sandbox: Any) -> None:
    send = approve(draft, alice)

    with locks.hold(dispatch.draft_lock_name(draft.pk)):
        assert dispatch.dispatch(send.pk) == "nothing"

    assert sandbox.sends() == []
    assert dispatch.dispatch(send.pk) == "posted"


@pytest.mark.parametrize("transport", ["frozen_message", "provider_draft"])
def test_a_mail_that_left_gets_no_new_wording(
    agent: Program, alice: User, draft: Draft, told: dict[str, Any], mailbox: Mailbox, transport: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport=transport)
    dispatch.dispatch(approve(draft, alice).pk)

    answer = agent.post("/emails/send", reworded(told))
    changed = agent.call("PUT", f"/nylas/v3/grants/{mailbox.grant_id}/drafts/{told['id']}", {"body": "No."})

    assert (answer.status_code, answer.json()["field"]) == (400, "revises")
    assert (changed.status_code, changed.json()["error"]["type"]) == (409, "action_conflict")
    assert not Submission.objects.filter(is_revision=True).exists()


def test_a_wording_that_comes_too_late_ends_and_is_not_tried_for_ever(
    agent: Program, alice: User, draft: Draft, told: dict[str, Any], sandbox: Any
) -> None:
    send = approve(draft, alice)
    agent.post("/emails/send", reworded(told))
    dispatch.dispatch(send.pk)

    taken_in()

    late = Submission.objects.get(is_revision=True)
    assert (late.state, late.next_try_at) == (SubmissionState.REFUSED, None)
    assert Send.objects.get().state == SendState.ACCEPTED
    assert [line["body"] for line in sandbox.sends()] == [mail()["body"]]


def test_a_wording_for_a_draft_that_the_provider_lost_ends(
    agent: Program, draft: Draft, told: dict[str, Any], sandbox: Any
) -> None:
    agent.post("/emails/send", reworded(told))
    sandbox.control("DELETE", f"agent/drafts/{draft.provider_draft_id}", grant=draft.grant_id)

    taken_in()

    assert Submission.objects.get(is_revision=True).state == SubmissionState.REFUSED
    assert submissions.due() == []
