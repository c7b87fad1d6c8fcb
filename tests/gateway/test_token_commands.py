"""The commands that make and revoke tokens."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from agentmail.models import Mailbox
from audit.models import Entry
from gateway import tokens
from gateway.models import Token
from tests.gateway.conftest import token_of

pytestmark = pytest.mark.django_db


def create(*words: str) -> str:
    out = io.StringIO()
    call_command("create_token", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def revoke(beginning: str) -> str:
    out = io.StringIO()
    call_command("revoke_token", beginning, stdout=out)
    return out.getvalue()


def test_create_token_prints_a_secret_that_works(ada: User, mailbox: Mailbox) -> None:
    secret = create("Order agent", "--owner", "ada", "--mailbox", mailbox.address, "--days", "30")

    made = tokens.find(secret)
    assert made is not None
    assert (made.kind, made.name, made.scopes) == ("agent", "Order agent", ["read", "send"])
    assert list(made.mailboxes.all()) == [mailbox]


def test_create_token_makes_a_token_that_decides_for_a_named_person(alice: User, mailbox: Mailbox) -> None:
    secret = create("Review script", "--kind", "operator", "--owner", "alice", "--scope", "decide")

    made = tokens.find(secret)
    assert made is not None
    assert (made.owner, made.scopes) == (alice, ["decide"])


@pytest.mark.row("004-16")
def test_create_token_makes_a_token_for_tests(ada: User, mailbox: Mailbox) -> None:
    secret = create("Trial", "--owner", "ada", "--mailbox", mailbox.address, "--test")

    assert secret.startswith("cs_agent_test_")
    assert Token.objects.get().is_test


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--owner", "nobody"], "--owner"),
        (["--owner", "ada"], "mailboxes"),
        (["--owner", "ada", "--mailbox", "nowhere@harbour.example"], "--mailbox"),
        (["--owner", "ada", "--scope", "decide"], "scopes"),
        (["--owner", "ada", "--mailbox", "support@harbour.example", "--days", "0"], "days"),
    ],
)
def test_create_token_says_what_is_wrong(ada: User, mailbox: Mailbox, words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        create("Order agent", *words)

    assert not Token.objects.exists()


def test_revoke_token_ends_a_token_by_its_beginning(ada: User, mailbox: Mailbox) -> None:
    made = token_of(ada, mailbox)

    said = revoke(f"{made.token.beginning}…")

    assert said == "Revoked agent Support agent.\n"
    assert tokens.find(made.secret) is None
    assert Entry.objects.get(action="gateway.token.revoked").actor_kind == "operator_command"


def test_revoke_token_refuses_what_it_does_not_find(ada: User, mailbox: Mailbox) -> None:
    with pytest.raises(CommandError, match="No tokens"):
        revoke("cs_agent_nothing")


def test_revoke_token_says_when_a_token_was_revoked_before(ada: User, mailbox: Mailbox) -> None:
    made = token_of(ada, mailbox)
    revoke(made.token.beginning)

    with pytest.raises(CommandError, match="before"):
        revoke(made.token.beginning)
