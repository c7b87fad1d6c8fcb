"""A worker that prepared one approval while another took its place: only what is approved now may leave."""

from __future__ import annotations

from typing import Any

import pytest

from agentmail.models import Mailbox, Transport
from approvals import decisions, dispatch
from approvals.models import Draft, Send
from approvals.transitions import drafts
from tests.campaign.desk import SETTINGS, Desk, seen

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "<p>It arrives on Thursday.</p>"
NEW = "<p>It arrives on Friday.</p>"


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


def reapproved(desk: Desk, draft: Draft) -> Send:
    """Take the approval back, change the wording and approve that."""
    Send.objects.filter(draft=draft).update(held="blocked_grant")
    drafts.undo(draft.pk, person=desk.alice)
    decisions.edit(draft, person=desk.alice, seen=seen(draft), changes={"body": NEW})
    return desk.approve(Draft.objects.get(pk=draft.pk))


@pytest.mark.parametrize("transport", Transport.values)
def test_worker_overtaken_by_another_approval_never_sends_the_older_wording(
    transport: str, desk: Desk, sandbox: Any
) -> None:
    draft = desk.draft(desk.mailbox(transport), body=OLD)
    send = desk.approve(draft)
    child = desk.start_dispatch(send, failpoint="C4:1:stop")
    child.wait_until_stopped()

    reapproved(desk, draft)
    child.go_on()
    assert child.wait() == 0

    assert sandbox.sends() == []
    assert dispatch.dispatch(send.pk) == "posted"
    (line,) = sandbox.sends()
    assert line["body"] == NEW
    assert desk.compare().wrong() == {}


def test_persons_older_wording_that_was_put_upstream_is_replaced_by_the_approved_one(
    desk: Desk, sandbox: Any
) -> None:
    draft = desk.draft(desk.mailbox(Transport.PROVIDER_DRAFT), body="<p>By the agent.</p>")
    decisions.edit(draft, person=desk.alice, seen=seen(draft), changes={"body": OLD})
    send = desk.approve(draft)
    child = desk.start_dispatch(send, failpoint="C4:1:stop")
    child.wait_until_stopped()

    reapproved(desk, draft)
    child.go_on()
    assert child.wait() == 0

    assert sandbox.sends() == []
    assert dispatch.dispatch(send.pk) == "posted"
    (line,) = sandbox.sends()
    assert line["body"] == NEW
    assert desk.compare().wrong() == {}


def test_mailbox_that_changed_its_transport_under_way_sends_with_our_token(desk: Desk, sandbox: Any) -> None:
    mailbox = desk.mailbox(Transport.FROZEN_MESSAGE)
    send = desk.approved(mailbox)
    child = desk.start_dispatch(send, failpoint="C4:1:stop")
    child.wait_until_stopped()

    Mailbox.objects.filter(pk=mailbox.pk).update(transport=Transport.PROVIDER_DRAFT)
    child.go_on()
    assert child.wait() == 0

    assert sandbox.sends() == []
    assert dispatch.dispatch(send.pk) == "posted"
    (line,) = sandbox.sends()
    assert (line["kind"], line["metadata"]) == ("draft", {"key1": send.token})


def test_agents_wording_that_is_back_after_a_change_does_not_leave_for_the_approved_one(
    desk: Desk, sandbox: Any
) -> None:
    draft = desk.draft(desk.mailbox(Transport.PROVIDER_DRAFT), body="<p>By the agent.</p>")
    decisions.edit(draft, person=desk.alice, seen=seen(draft), changes={"body": NEW})
    send = desk.approve(draft)
    sandbox.control(
        "PUT", f"agent/drafts/{draft.provider_draft_id}", grant=draft.grant_id, body="<p>Pay me.</p>"
    )
    sandbox.post(
        "faults",
        route="get_draft",
        nth=2,
        action="edit_draft",
        when="after",
        options={"patch": {"body": "<p>By the agent.</p>"}},
    )

    assert dispatch.dispatch(send.pk) == "nothing"
    assert dispatch.dispatch(send.pk) == "posted"

    assert [line["body"] for line in sandbox.sends()] == [NEW]
