"""Connecting a mailbox under /api/v1/, with the fields of the seed."""

from __future__ import annotations

from typing import Any

import pytest

from agentmail.models import Mailbox
from approvals.models import ModeChange
from gateway.webhooks.models import WebhookEndpoint
from policies import channels
from tests.gateway.conftest import Program

HOOK = "http://127.0.0.1:9/webhooks/email-approvals"


@pytest.fixture
def grant(sandbox: Any, mailbox: Mailbox, settings: Any) -> str:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    return str(sandbox.post("grants", email="sales@harbour.example", name="Sales")["grant"]["id"])


def wanted(**fields: Any) -> dict[str, Any]:
    return {
        "address": "sales@harbour.example",
        "display_name": "Acme Support Agent",
        "oversight_mode": "gated_send",
        "approval_webhook": HOOK,
    } | fields


@pytest.mark.row("004-15", "K27")
@pytest.mark.parametrize("mode", ["read_only", "gated_all", "gated_send", "monitored", "autonomous"])
def test_the_seed_s_request_connects_a_mailbox_in_each_mode(admin: Program, grant: str, mode: str) -> None:
    made = admin.post("/mailboxes", wanted(oversight_mode=mode))

    told = made.json()
    assert (made.status_code, told["oversight_mode"]) == (201, mode)
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.url, [one.address for one in endpoint.mailboxes.all()]) == (HOOK, [told["address"]])
    assert told["webhook_secret"].startswith("whsec_")
    found = Mailbox.objects.get(grant_id=grant)
    assert (found.mode, channels.of(found.pk) is not None) == (mode, mode == "monitored")


@pytest.mark.row("004-34")
def test_without_a_mode_it_begins_gated_send(admin: Program, grant: str) -> None:
    made = admin.post("/mailboxes", {"address": "Sales@Harbour.example"})

    assert made.json()["oversight_mode"] == "gated_send"
    assert made.json()["webhook_secret"] is None
    assert not ModeChange.objects.exists()


@pytest.mark.row("004-01", "004-39")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"oversight_mode": "wild"}, "oversight_mode"),
        ({"expiry_hours": 0}, "expiry_hours"),
        ({"expiry_hours": 721}, "expiry_hours"),
        ({"address": "nobody@harbour.example"}, "address"),
        ({"approval_webhook": "ftp://ops.example/x"}, "approval_webhook"),
        ({"oversight_mode": "monitored", "approval_webhook": None}, "approval_webhook"),
    ],
)
def test_what_cannot_be_connected_is_named_and_nothing_is_kept(
    admin: Program, grant: str, fields: dict[str, Any], named: str
) -> None:
    answer = admin.post("/mailboxes", wanted(**fields))

    assert (answer.status_code, answer.json()["field"]) == (400, named)
    assert not Mailbox.objects.filter(grant_id=grant).exists()
    assert not WebhookEndpoint.objects.exists()


def test_a_mailbox_that_is_connected_already_is_a_conflict(admin: Program, grant: str) -> None:
    admin.post("/mailboxes", wanted())

    answer = admin.post("/mailboxes", wanted(oversight_mode="autonomous"))

    assert answer.status_code == 409
    assert Mailbox.objects.get(grant_id=grant).mode == "gated_send"


def test_nobody_but_an_admin_s_token_connects(agent: Program, reviewer: Program, grant: str) -> None:
    assert [one.post("/mailboxes", wanted()).status_code for one in (agent, reviewer)] == [403, 403]


@pytest.mark.row("004-39")
def test_the_time_until_mail_expires_is_changed_within_its_limits(
    admin: Program, reviewer: Program, mailbox: Mailbox
) -> None:
    path = f"/mailboxes/{mailbox.address}"

    changed = admin.patch(path, {"expiry_hours": 1})
    refused = [admin.patch(path, {"expiry_hours": hours}).status_code for hours in (0, 721)]

    assert (changed.status_code, changed.json()["expiry_hours"]) == (200, 1)
    assert refused == [400, 400]
    assert reviewer.patch(path, {"expiry_hours": 2}).status_code == 403


def test_a_change_that_is_refused_in_part_changes_nothing(admin: Program, mailbox: Mailbox) -> None:
    answer = admin.patch(
        f"/mailboxes/{mailbox.address}",
        {"expiry_hours": 1, "oversight_mode": "autonomous", "change_reason": ""},
    )

    assert (answer.status_code, answer.json()["field"]) == (400, "change_reason")
    mailbox.refresh_from_db()
    assert (mailbox.expiry_hours, mailbox.mode) == (72, "gated_send")


def test_a_mode_is_not_changed_when_another_was_seen(admin: Program, mailbox: Mailbox) -> None:
    path, step = f"/mailboxes/{mailbox.address}", {"oversight_mode": "autonomous", "change_reason": "Calm."}

    stale = admin.patch(path, step | {"seen_mode": "read_only"})
    seen = admin.patch(path, step | {"seen_mode": "gated_send"})

    assert (stale.status_code, stale.json()["error"]) == (409, "conflict")
    assert (seen.status_code, mailbox.mode_changes.get().before) == (200, "gated_send")


def test_without_a_provider_nothing_is_connected_and_that_is_said(
    admin: Program, grant: str, settings: Any
) -> None:
    settings.NYLAS_API_URI = ""

    answer = admin.post("/mailboxes", wanted())

    assert (answer.status_code, answer.json()["error"]) == (502, "provider_silent")
