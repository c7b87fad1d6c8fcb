from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import RuleEvaluation
from approvals import decisions, dispatch, spine
from approvals.models import Draft
from audit.models import Entry
from tests.approvals.conftest import seen


def block_domain(sandbox: Any, domain: str) -> str:
    """An outbound rule at the provider, attached to the workspace of the mailbox."""
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    rule = sandbox.session.post(
        f"{sandbox.url}/v3/rules",
        headers=headers,
        json={
            "name": "No mail there",
            "trigger": "outbound",
            "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": domain}]},
            "actions": [{"type": "block"}],
        },
        timeout=10,
    ).json()["data"]
    (workspace,) = sandbox.session.get(f"{sandbox.url}/v3/workspaces", headers=headers, timeout=10).json()[
        "data"
    ]
    sandbox.session.patch(
        f"{sandbox.url}/v3/workspaces/{workspace['workspace_id']}",
        headers=headers,
        json={"rule_ids": [rule["id"]]},
        timeout=10,
    ).raise_for_status()
    return str(rule["id"])


@pytest.mark.row("001-16")
def test_a_refusal_by_a_rule_names_the_rule(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, transactional_db: None
) -> None:
    rule_id = block_domain(sandbox, "blocked.example")
    draft = agent_writes(to=[{"email": "press@blocked.example"}])
    decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)

    dispatch.dispatch(draft.send.pk)

    draft.send.refresh_from_db()
    attempt = draft.send.attempts.get()
    assert (draft.send.state, attempt.reply_class) == ("failed", "blocked")
    assert attempt.rule_evaluation.matched_rule_ids == [rule_id]
    assert Entry.objects.get(action="approvals.send.explained").rule_ids == [rule_id]


def test_evaluations_are_stored_once(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any, transactional_db: None
) -> None:
    block_domain(sandbox, "blocked.example")
    for _ in range(2):
        draft = agent_writes(to=[{"email": "press@blocked.example"}])
        decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)
        dispatch.dispatch(draft.send.pk)

    assert RuleEvaluation.objects.filter(stage="outbound_send").count() == 2


def test_a_refusal_shows_the_words_of_the_provider(
    pending: Draft, alice: User, sandbox: Any, transactional_db: None
) -> None:
    error = {"request_id": "r", "error": {"type": "invalid_request_error", "message": "subject: too long"}}
    sandbox.post("faults", route="send", action="reply", options={"status": 400, "body": error})
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    dispatch.dispatch(pending.send.pk)

    pending.send.refresh_from_db()
    assert (pending.send.state, "subject: too long" in pending.send.stop_reason) == ("failed", True)


def test_a_grant_that_cannot_be_searched_by_token_still_sends(
    pending: Draft, alice: User, sandbox: Any, transactional_db: None
) -> None:
    error = {"request_id": "r", "error": {"type": "invalid_request_error", "message": "unsupported filter"}}
    sandbox.post(
        "faults",
        route="list_messages",
        contains="metadata_pair",
        times=0,
        action="reply",
        options={"status": 400, "body": error},
    )
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert dispatch.dispatch(pending.send.pk) == "posted"


@pytest.mark.row("001-31")
def test_the_audit_shows_the_evaluation_beside_the_refusal_it_explains(
    agent_writes: Callable[..., Draft], alice: User, olga: User, sandbox: Any, transactional_db: None
) -> None:
    block_domain(sandbox, "blocked.example")
    draft = agent_writes(to=[{"email": "press@blocked.example"}])
    decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)
    dispatch.dispatch(draft.send.pk)

    lines = spine.spine_page(olga, spine.SpineFilter()).lines

    (beside,) = [line for line in lines if line.evaluation and line.evaluation.stage == "outbound_send"]
    assert beside.entry.action == "approvals.send.explained"
