"""A request for changes reaches the agent once, at every door, and what it hands in next is the next wording."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentmail.models import Mailbox, Message
from approvals import decisions, sweeps
from approvals.models import Draft
from gateway import smtp, tokens
from gateway.models import Token
from tests.approvals.conftest import seen
from tests.gateway.conftest import Program, mail, taken_in, token_of
from tests.gateway.smtp_client import BUYER, SUPPORT, written
from tests.gateway.test_webhooks import Listener, listener, made, pass_on  # noqa: F401 - fixture

NOTE = "Name the day."


@pytest.fixture
def question(customer_writes: Callable[..., Any], mailbox: Mailbox) -> Message:
    told = customer_writes(**{"from": {"email": BUYER}}, subject="Where is it?")
    sweeps.poll_mailbox(mailbox.pk)
    return Message.objects.get(provider_id=told["message_id"])


def answer(question: Message, **fields: Any) -> dict[str, Any]:
    return {"from": SUPPORT, "message_id": question.provider_id, "body": "<p>Soon.</p>"} | fields


def asked(draft: Draft, by: User) -> Draft:
    decisions.request_changes(draft, person=by, seen=seen(draft), note=NOTE, form_id=None)
    draft.refresh_from_db()
    return draft


@pytest.fixture
def returned(agent: Program, question: Message, alice: User) -> Draft:
    """An answer of the agent for which a person asked for changes."""
    agent.post("/emails/reply", answer(question))
    (draft,) = taken_in()
    return asked(draft, alice)


def tool(agent: Program, name: str, **arguments: Any) -> dict[str, Any]:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
    headers = {"Authorization": f"Bearer {agent.secret}", "MCP-Protocol-Version": "2025-11-25"}
    reply = Client().post("/mcp", json.dumps(body), content_type="application/json", headers=headers)
    told: dict[str, Any] = reply.json()["result"]["structuredContent"]
    return told


def waits_again(draft: Draft) -> tuple[str, int, int]:
    draft.refresh_from_db()
    return draft.state, draft.current_revision.number, Draft.objects.count()


@pytest.mark.row("004-23")
def test_a_webhook_of_the_agent_is_told_the_note_once(
    listener: Listener,  # noqa: F811
    agent: Program,
    question: Message,
    alice: User,
) -> None:
    made(listener, agent=Token.objects.get(name="Support agent"))
    told = agent.post("/emails/reply", answer(question)).json()
    (draft,) = taken_in()
    asked(draft, alice)

    for _ in range(3):
        pass_on()

    [received] = listener.received
    assert received.event["type"] == "email.changes_requested"
    assert (received.event["data"]["id"], received.event["data"]["reason"]) == (told["id"], NOTE)


def test_the_interface_tells_the_note_and_takes_the_next_wording(agent: Program, returned: Draft) -> None:
    told = agent.get(f"/emails/{returned.public_id}").json()

    agent.post("/emails/send", mail(body="<p>On Thursday.</p>", revises=str(returned.public_id)))
    taken_in()

    assert (told["status"], told["code"], told["reason"]) == ("pending", "changes_requested", NOTE)
    assert waits_again(returned) == ("pending", 2, 1)


def test_the_tools_tell_the_note_and_take_the_next_wording(agent: Program, returned: Draft) -> None:
    listed = tool(agent, "list_pending")["messages"]
    told = tool(agent, "get_status", id=str(returned.public_id))

    tool(agent, "send_email", **mail(body="<p>On Thursday.</p>", revises=str(returned.public_id)))
    taken_in()

    assert [(one["id"], one["state"]) for one in listed] == [(str(returned.public_id), "changes_requested")]
    assert (told["code"], told["reason"]) == ("changes_requested", NOTE)
    assert waits_again(returned) == ("pending", 2, 1)


def test_the_provider_s_interface_tells_the_note_and_takes_the_next_wording(
    agent: Program, returned: Draft, mailbox: Mailbox
) -> None:
    path = f"/nylas/v3/grants/{mailbox.grant_id}/drafts/{returned.public_id}"
    told = agent.get(path).json()["data"]

    agent.call("PUT", path, {"body": "<p>On Thursday.</p>"})
    taken_in()

    assert (told["metadata"]["code"], told["metadata"]["reason"]) == ("changes_requested", NOTE)
    assert waits_again(returned) == ("pending", 2, 1)


def test_an_agent_that_changes_its_draft_at_the_provider_gives_the_next_wording(
    agent: Program, returned: Draft, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.control(
        "PUT", f"agent/drafts/{returned.provider_draft_id}", grant=mailbox.grant_id, body="<p>On Friday.</p>"
    )

    sweeps.poll_mailbox(mailbox.pk)

    assert waits_again(returned) == ("pending", 2, 1)
    assert agent.get(f"/emails/{returned.public_id}").json()["code"] == "pending_approval"


def test_another_answer_to_the_same_message_takes_the_place_of_the_first(
    agent: Program, returned: Draft, question: Message
) -> None:
    told = agent.post("/emails/reply", answer(question, body="<p>On Thursday.</p>")).json()
    (newer,) = taken_in()

    returned.refresh_from_db()
    assert (returned.state, str(newer.public_id), newer.linked_from) == ("superseded", told["id"], returned)
    assert agent.get(f"/emails/{returned.public_id}").json()["code"] == "superseded"


def test_an_agent_on_smtp_answers_the_request_in_the_same_thread(
    agent: Program, returned: Draft, question: Message
) -> None:
    raw = bytes(written(text="On Thursday.", In_Reply_To=question.message_id)).replace(b"\n", b"\r\n")

    smtp.hand_in(smtp.SignedIn(SUPPORT, agent.secret), [BUYER], raw)
    (newer,) = taken_in()

    returned.refresh_from_db()
    assert (returned.state, newer.linked_from) == ("superseded", returned)


def test_another_agent_s_answer_leaves_the_request_open(
    returned: Draft, question: Message, ada: User, mailbox: Mailbox
) -> None:
    other = Program(token_of(ada, mailbox, name="Another").secret)
    other.post("/emails/reply", answer(question, body="<p>On Friday.</p>"))

    (newer,) = taken_in()

    returned.refresh_from_db()
    assert (returned.state, newer.linked_from) == ("changes_requested", None)


def test_what_was_asked_of_an_agent_is_told_no_other(
    listener: Listener,  # noqa: F811
    returned: Draft,
    ada: User,
    mailbox: Mailbox,
) -> None:
    other = token_of(ada, mailbox, name="Another")
    made(listener, agent=other.token)
    pass_on()

    assert listener.received == []
    assert Program(other.secret).get(f"/emails/{returned.public_id}").status_code == 404
    assert tokens.find(other.secret) is not None
