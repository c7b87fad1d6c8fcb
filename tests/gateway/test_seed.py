"""The requests of the document this product was made from, unchanged but for addresses and tokens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import Draft
from tests.gateway.conftest import Program, mail, taken_in, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl on PATH"),
]

CREATE = """
curl -sS -X POST $BASE/mailboxes \\
  -H "Authorization: Bearer $OPERATOR" \\
  -H 'Content-Type: application/json' \\
  -d '{
    "address": "sales@harbour.example",
    "display_name": "Acme Audit Agent",
    "oversight_mode": "read_only"
  }'
"""
SEND = """
curl -sS -X POST $BASE/emails/send \\
  -H "Authorization: Bearer $AGENT" \\
  -d '{"from": "sales@harbour.example", "to": "buyer@example.net", "subject": "test"}'
"""
REVIEW = """
import os, requests
HEADERS = {"Authorization": "Bearer " + os.environ["OPERATOR"]}
BASE = os.environ["BASE"]

pending = requests.get(f"{BASE}/mailboxes/support@harbour.example/pending", headers=HEADERS).json()
for item in pending["messages"]:
    print(f"To: {item['to']}")
    print(f"Subject: {item['subject']}")
    print(f"Preview: {item['body_preview']}")
    decision = "n"
    requests.post(
        f"{BASE}/emails/{item['id']}/decide",
        headers=HEADERS,
        json={
            "action": "approve" if decision == "y" else "reject",
            "reason": None if decision == "y" else "Off-topic for support queue",
        },
    )
"""
UPGRADE = """
import os, requests
response = requests.patch(
    os.environ["BASE"] + "/mailboxes/support@harbour.example",
    headers={"Authorization": "Bearer " + os.environ["OPERATOR"]},
    json={
        "oversight_mode": "autonomous",
        "change_reason": "30-day audit: 0 complaint rate, 97% CSAT on agent-handled tickets",
    },
)
data = response.json()
print(f"Mode updated to: {data['oversight_mode']}")
print(f"Effective at: {data['updated_at']}")
"""


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.row("004-15", "004-24")
def test_a_read_only_mailbox_is_made_and_refuses_a_send_in_the_seed_s_words(
    live_server: Any, ada: User, sandbox: Any, connected_settings: Any, mailbox: Mailbox
) -> None:
    sandbox.post("grants", email="sales@harbour.example", name="Sales")
    base = f"{live_server.url}/api/v1"
    operator = token_of(ada, kind="operator", name="Script").secret

    made = json.loads(run(["bash", "-ec", CREATE], BASE=base, OPERATOR=operator))
    agent = token_of(ada, Mailbox.objects.get(address="sales@harbour.example"), name="Audit agent").secret
    refused = run(["bash", "-ec", SEND], BASE=base, AGENT=agent)

    assert made["oversight_mode"] == "read_only"
    assert refused == '{"error": "action_blocked", "reason": "oversight_mode is read_only"}'


@pytest.mark.row("004-18", "004-19")
def test_the_seed_s_reviewing_script_rejects_what_waits(
    live_server: Any, agent: Program, alice: User, mailbox: Mailbox
) -> None:
    agent.post("/emails/send", mail())
    (draft,) = taken_in()
    operator = token_of(alice, mailbox, kind="operator", name="Review script").secret

    said = run([sys.executable, "-c", REVIEW], BASE=f"{live_server.url}/api/v1", OPERATOR=operator)

    assert "Subject: Your order" in said
    assert Draft.objects.get(pk=draft.pk).state == "rejected"
    assert draft.decisions.get().reason == "Off-topic for support queue"


@pytest.mark.row("004-20")
def test_the_seed_s_upgrade_is_one_call(live_server: Any, ada: User, mailbox: Mailbox) -> None:
    operator = token_of(ada, kind="operator", name="Script").secret

    said = run([sys.executable, "-c", UPGRADE], BASE=f"{live_server.url}/api/v1", OPERATOR=operator)

    assert "Mode updated to: autonomous" in said
    mailbox.refresh_from_db()
    assert mailbox.mode == "autonomous"
