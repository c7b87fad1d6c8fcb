from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import decisions, dispatch
from approvals.content import content_of_revision
from approvals.models import Draft, Revision, Send
from approvals.transitions import sends
from tests.approvals.conftest import claim_of, seen


@pytest.fixture
def queued(pending: Draft, alice: User) -> Send:
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    return Send.objects.get(draft=pending)


def test_a_finished_send_cannot_be_claimed(queued: Send) -> None:
    assert dispatch.dispatch(queued.pk) == "posted"
    assert claim_of(queued, None) is None


def test_a_revision_that_was_changed_behind_its_approval_is_not_sent(queued: Send, sandbox: Any) -> None:
    revision = queued.decision.revision
    revision.body = "<p>Something else.</p>"
    digest = content_of_revision(revision).sha256
    Revision.objects.filter(pk=revision.pk).update(body=revision.body, content_sha256=digest)

    assert dispatch.dispatch(queued.pk) == "refused"
    assert sandbox.sends() == []


def test_a_refusal_after_an_ambiguous_attempt_stays_unknown(queued: Send, olga: User, sandbox: Any) -> None:
    # Not an answer: the provider would repeat it under the same key, and the refusal would never come.
    sandbox.post("faults", route="send", action="reset")
    assert dispatch.dispatch(queued.pk) == "posted"
    sandbox.post("faults", route="send", action="reply", options={"status": 400})
    sends.authorise_resend(queued.pk, person=olga, reason="They wait for it.")
    assert dispatch.dispatch(queued.pk) == "posted"

    queued.refresh_from_db()
    last = queued.attempts.order_by("number").last()
    assert last is not None
    assert last.status_code == 400
    assert (queued.state, queued.ambiguous) == ("unknown", True)


def test_a_stop_at_a_resend_of_an_ambiguous_send_stays_unknown(
    queued: Send, olga: User, sandbox: Any, settings: Any
) -> None:
    sandbox.post("faults", route="send", action="reset")
    dispatch.dispatch(queued.pk)
    sends.authorise_resend(queued.pk, person=olga, reason="They wait for it.")
    sandbox.post("faults", route="get_thread", action="delay", when="after", options={"ms": 30})
    settings.APPROVAL_FRESHNESS_SECONDS = 0.02
    dispatch.dispatch(queued.pk)

    queued.refresh_from_db()
    assert (queued.state, queued.ambiguous) == ("unknown", True)
    assert len(sandbox.get("arrivals")["arrivals"]) == 1


def test_a_draft_edited_under_way_leaves_as_it_was_approved(queued: Send, sandbox: Any) -> None:
    draft = queued.draft
    edit = {"draft_id": draft.provider_draft_id, "patch": {"body": "<p>Something else.</p>"}}
    sandbox.post("faults", route="send", action="edit_draft", options=edit)

    assert dispatch.dispatch(queued.pk) == "posted"
    (sent,) = sandbox.sends()
    assert sent["body"] == queued.decision.revision.body
