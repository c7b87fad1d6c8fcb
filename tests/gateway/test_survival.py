"""What was acknowledged is kept, whatever ends right after the answer."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import Draft
from tests.gateway.conftest import mail, taken_in, token_of
from tests.processes import site

pytestmark = pytest.mark.slow


def test_a_mail_that_was_acknowledged_survives_the_kill_of_every_web_process(
    process_environment: dict[str, str], ada: User, mailbox: Mailbox, sandbox: Any
) -> None:
    secret = token_of(ada, mailbox).secret
    with site(process_environment) as (address, process), requests.Session() as session:
        session.trust_env = False
        answer = session.post(
            f"{address}/api/v1/emails/send",
            json=mail(),
            headers={"Authorization": f"Bearer {secret}"},
            timeout=30,
        )
        os.killpg(process.pid, signal.SIGKILL)

    assert answer.status_code == 202
    (draft,) = taken_in()
    assert str(draft.public_id) == answer.json()["id"]
    assert Draft.objects.count() == 1
