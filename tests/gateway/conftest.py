"""Programs with tokens at a desk whose mailbox is at the real sandbox provider."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentmail.models import Mailbox
from approvals import submissions
from approvals.models import Draft, Role
from audit.record import SYSTEM
from gateway import tokens
from gateway.models import SCOPES_OF, TokenKind
from tests.approvals.conftest import (  # noqa: F401 - fixtures
    agent_writes,
    alice,
    bruno,
    customer_writes,
    mailbox,
    olga,
    person,
    routine_writes,
)

API = "/api/v1"


@dataclass
class Program:
    """A program that speaks HTTP with a token. `taken` are the answers it got."""

    secret: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else ""
        return self.client.generic(
            method,
            path if path.startswith("/nylas") else f"{API}{path}",
            data,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}", **headers},
        )

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)


def token_of(owner: User, *mailboxes: Mailbox, kind: str = "agent", **fields: Any) -> tokens.Made:
    options = {"scopes": sorted(SCOPES_OF[TokenKind(kind)]), "name": "Support agent"} | fields
    return tokens.make(kind=kind, owner=owner, actor=SYSTEM, mailboxes=mailboxes, **options)


@pytest.fixture
def ada(mailbox: Mailbox) -> User:  # noqa: F811
    return person("ada", Role.ADMIN)


@pytest.fixture
def agent(ada: User, mailbox: Mailbox) -> Program:  # noqa: F811
    return Program(token_of(ada, mailbox).secret)


@pytest.fixture
def reviewer(alice: User, mailbox: Mailbox) -> Program:  # noqa: F811
    """An operator's token of somebody who reviews the mailbox."""
    return Program(token_of(alice, mailbox, kind="operator", name="Review script").secret)


@pytest.fixture
def admin(ada: User) -> Program:
    return Program(token_of(ada, kind="operator", name="Admin script").secret)


def mail(**fields: Any) -> dict[str, Any]:
    return {
        "from": "support@harbour.example",
        "to": "buyer@example.net",
        "subject": "Your order",
        "body": "<p>It arrives on Thursday.</p>",
    } | fields


def taken_in() -> list[Draft]:
    """Let the worker hand over what waits; the drafts that came of it."""
    return [found for found in map(submissions.hand_over, submissions.due()) if found is not None]
