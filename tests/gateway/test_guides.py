"""The guides for agents, executed as they are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import Draft
from tests.gateway.conftest import taken_in, token_of

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "agents.md"
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl on PATH"),
]


def blocks() -> list[str]:
    return re.findall(r"```sh run\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_curl_lines_of_the_guide_take_a_mail_into_the_queue_and_back(
    live_server: Any, ada: User, mailbox: Mailbox, connected_settings: Any
) -> None:
    environment = {
        "API": f"{live_server.url}/api/v1",
        "TOKEN": token_of(ada, mailbox).secret,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    hand_in, *rest = blocks()

    told = json.loads(shell(hand_in, environment))
    (draft,) = taken_in()
    answers = shell("\n".join(rest), environment)

    assert told["status"] == "pending"
    assert str(draft.public_id) == told["id"]
    assert answers.count(told["id"]) >= 3
    draft.refresh_from_db()
    assert draft.state == "withdrawn"
    assert Draft.objects.count() == 1


def shell(lines: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
