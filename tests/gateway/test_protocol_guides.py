"""The five-minute guides for agents over MCP and SMTP, executed as they are written."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import sweeps
from approvals.models import Submission
from tests.gateway import guides
from tests.gateway.conftest import taken_in


@pytest.mark.row("004-45", "004-44")
def test_the_guide_for_mcp_reads_a_message_and_answers_it(
    process_environment: dict[str, str],
    live_server: Any,
    ada: User,
    mailbox: Mailbox,
    customer_writes: Callable[..., Any],
    tmp_path: Path,
) -> None:
    told = customer_writes(subject="Where is it?")
    sweeps.poll_mailbox(mailbox.pk)

    printed = guides.run(
        "agents-mcp.md", tmp_path, process_environment, {"https://desk.example.com": live_server.url}
    )

    (draft,) = taken_in()
    assert "Subject: Where is it?" in printed
    assert f"pending {draft.public_id}" in printed
    assert draft.current_revision.parent_message_id == told["message_id"]


@pytest.mark.row("003-20")
def test_the_guide_for_smtp_hands_in_a_mail_and_asks_after_it(
    process_environment: dict[str, str], live_server: Any, ada: User, mailbox: Mailbox, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    printed = guides.run(
        "agents-smtp.md",
        tmp_path,
        process_environment | {"SMTP_PORT": port},
        {"https://desk.example.com": live_server.url, "2587": port},
    )

    assert f'"id": "{Submission.objects.get().public_id}"' in printed
    assert '"status": "pending"' in printed
