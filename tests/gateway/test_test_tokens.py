"""Test tokens: taken at every door while the provider is on this machine, and at none otherwise."""

from __future__ import annotations

import json
import smtplib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentmail.models import Mailbox
from approvals.models import Submission
from audit.models import Entry
from gateway import smtp
from gateway.models import Token
from tests.gateway.conftest import Program, mail, token_of
from tests.gateway.smtp_client import BUYER, SUPPORT, connected, serving, submitted, written

SENTENCE = "this is a test token; it works only while the provider is a sandbox on this machine"
ELSEWHERE = ["https://api.us.nylas.com", "https://127.0.0.1.example.net", "http://10.0.0.7:8800", ""]
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
def agent(ada: User, mailbox: Mailbox) -> Program:
    return Program(token_of(ada, mailbox, is_test=True).secret)


@pytest.fixture
def operator(ada: User) -> Program:
    return Program(token_of(ada, kind="operator", name="Script", is_test=True).secret)


def refusals() -> list[str]:
    rows = Entry.objects.filter(action="gateway.attempt.refused", reason=SENTENCE).order_by("pk")
    return [entry.data["attempt"] for entry in rows]


def called_over_mcp(secret: str) -> Any:
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().post("/mcp", json.dumps(PING), content_type="application/json", headers=headers)


@pytest.mark.row("004-16")
def test_the_secret_says_what_it_is_for(
    agent: Program, operator: Program, ada: User, mailbox: Mailbox
) -> None:
    assert agent.secret.startswith("cs_agent_test_")
    assert operator.secret.startswith("cs_operator_test_")
    assert not token_of(ada, mailbox).secret.startswith("cs_agent_test_")
    assert all(
        agent.secret.startswith(one.beginning) for one in Token.objects.filter(kind="agent", is_test=True)
    )


def test_with_a_sandbox_it_works_at_every_http_door(
    agent: Program, operator: Program, mailbox: Mailbox
) -> None:
    handed_in = agent.post("/emails/send", mail())
    read = agent.get(f"/nylas/v3/grants/{mailbox.grant_id}/drafts")
    told = operator.get(f"/mailboxes/{mailbox.address}/pending")
    pinged = called_over_mcp(agent.secret)

    assert [one.status_code for one in (handed_in, read, told, pinged)] == [202, 200, 200, 200]
    assert refusals() == []


@pytest.mark.row("004-16")
@pytest.mark.parametrize("provider", ELSEWHERE)
def test_the_interface_refuses_it_while_the_provider_is_elsewhere(
    agent: Program, connected_settings: Any, provider: str
) -> None:
    connected_settings.NYLAS_API_URI = provider

    answer = agent.post("/emails/send", mail())

    assert (answer.status_code, answer.json()) == (403, {"error": "forbidden", "reason": SENTENCE})
    assert not Submission.objects.exists()
    assert refusals() == ["POST /api/v1/emails/send"]


@pytest.mark.row("004-16")
def test_the_interface_refuses_an_operator_s_too(operator: Program, connected_settings: Any) -> None:
    connected_settings.NYLAS_API_URI = ELSEWHERE[0]

    assert operator.call("GET", "/audit").status_code == 403
    assert Entry.objects.get(action="gateway.attempt.refused").actor_kind == "person"


@pytest.mark.row("004-16")
def test_the_provider_s_interface_refuses_it(
    agent: Program, connected_settings: Any, mailbox: Mailbox
) -> None:
    connected_settings.NYLAS_API_URI = ELSEWHERE[0]

    answer = agent.get(f"/nylas/v3/grants/{mailbox.grant_id}/messages")

    assert answer.status_code == 403
    assert answer.json()["error"] == {"type": "insufficient_scopes", "message": SENTENCE}
    assert refusals() == [f"GET /nylas/v3/grants/{mailbox.grant_id}/messages"]


@pytest.mark.row("004-16")
def test_the_tools_refuse_it(agent: Program, connected_settings: Any) -> None:
    connected_settings.NYLAS_API_URI = ELSEWHERE[0]

    answer = called_over_mcp(agent.secret)

    assert answer.status_code == 403
    assert SENTENCE in answer.content.decode()
    assert refusals() == ["POST /mcp"]


@pytest.mark.row("004-16")
def test_smtp_refuses_it_at_the_sign_in(transactional_db: None, agent: Program) -> None:
    with (
        serving(NYLAS_API_URI=ELSEWHERE[0], NYLAS_API_KEY="key") as port,
        pytest.raises(smtplib.SMTPAuthenticationError) as refusal,
        connected(port, agent.secret),
    ):
        pass

    assert (refusal.value.smtp_code, refusal.value.smtp_error.decode()) == (535, f"5.7.8 {SENTENCE}")
    assert set(refusals()) == {"smtp AUTH"}


@pytest.mark.row("004-16")
def test_smtp_takes_no_mail_after_the_provider_changed(agent: Program, connected_settings: Any) -> None:
    connected_settings.NYLAS_API_URI = ELSEWHERE[0]
    raw = bytes(written()).replace(b"\n", b"\r\n")

    reply = smtp.hand_in(smtp.SignedIn(SUPPORT, agent.secret), [BUYER], raw)

    assert (reply, refusals()) == (f"550 5.7.1 {SENTENCE}", ["smtp DATA"])
    assert not Submission.objects.exists()


def test_smtp_takes_it_with_a_sandbox(
    transactional_db: None, agent: Program, connected_settings: Any
) -> None:
    provider = {"NYLAS_API_URI": connected_settings.NYLAS_API_URI, "NYLAS_API_KEY": "key"}

    with serving(**provider) as port, connected(port, agent.secret) as client:
        code, _told = submitted(client, written())

    assert code == 250


def test_a_secret_that_only_looks_like_one_for_tests_is_no_token(
    agent: Program, ada: User, mailbox: Mailbox
) -> None:
    live = token_of(ada, mailbox, name="Live").secret
    forged = live.replace("cs_agent_", "cs_agent_test_")
    unmarked = agent.secret.replace("_test_", "_")

    assert [Program(one).post("/emails/send", mail()).status_code for one in (forged, unmarked)] == [401, 401]


def test_other_tokens_work_whatever_the_provider(
    connected_settings: Any, ada: User, mailbox: Mailbox
) -> None:
    live = Program(token_of(ada, mailbox).secret)
    connected_settings.NYLAS_API_URI = ELSEWHERE[0]

    assert live.post("/emails/send", mail()).status_code == 202
