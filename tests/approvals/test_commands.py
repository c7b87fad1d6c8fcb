from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agentmail.models import Mailbox


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("sync", {}),
        ("killswitch", {"action": "engage", "reason": "wrong prices"}),
        ("create_user", {"name": "maria", "role": "reviewer"}),
    ],
)
def test_a_mailbox_that_is_not_there_is_named(
    mailbox: Mailbox, command: str, options: dict[str, Any]
) -> None:
    wanted: Any = ["nobody@harbour.example"] if command == "create_user" else "nobody@harbour.example"
    positional = [options[name] for name in ("action", "name") if name in options]
    named = {name: value for name, value in options.items() if name not in ("action", "name")}

    with pytest.raises(CommandError, match=r"--mailbox: No mailbox is called nobody@harbour\.example"):
        call_command(command, *positional, mailbox=wanted, stdout=StringIO(), **named)


def test_a_mailbox_is_found_by_its_address_in_any_letter_case(
    mailbox: Mailbox, transactional_db: None
) -> None:
    said = StringIO()

    call_command("killswitch", "engage", mailbox=mailbox.address.upper(), reason="wrong prices", stdout=said)

    assert mailbox.scope in said.getvalue()


def test_the_status_of_the_switch_names_the_mailboxes_that_are_stopped(
    mailbox: Mailbox, transactional_db: None
) -> None:
    call_command("killswitch", "engage", mailbox=mailbox.address, reason="wrong prices", stdout=StringIO())
    said = StringIO()

    call_command("killswitch", "status", stdout=said)

    assert f"stopped, mailbox {mailbox.address}: " in said.getvalue()
    assert "wrong prices" in said.getvalue()
