"""What operators' programs do under /api/v1/: policies, rules, lists, the kill switch and the record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import Membership, Role
from audit.models import Entry
from audit.record import SYSTEM
from policies import lists, switch
from policies.models import Policy, Rule
from tests.approvals.conftest import person, sent
from tests.gateway.conftest import Program, mail, taken_in, token_of

POLICY = {
    "name": "Agents",
    "limits": {
        "limit_count_daily_email_sent": 200,
        "limit_inbox_retention_period": 90,
        "limit_spam_retention_period": 14,
    },
    "spam_detection": {"spam_sensitivity": 1.0},
}
RULE = {
    "name": "No mail to rivals",
    "trigger": "outbound",
    "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "rival.example"}]},
    "actions": [{"type": "block"}],
}


@pytest.mark.row("001-11")
def test_the_seed_s_policy_is_made_and_read_back_equal(admin: Program) -> None:
    made = admin.post("/policies", POLICY)

    assert made.status_code == 201
    (found,) = [one for one in admin.get("/policies").json()["data"] if one["name"] == "Agents"]
    assert {name: found[name] for name in POLICY} == POLICY


@pytest.mark.row("001-12")
@pytest.mark.parametrize("spam", [90, 91])
def test_spam_is_kept_shorter_than_the_inbox(admin: Program, spam: int) -> None:
    limits = POLICY["limits"] | {"limit_spam_retention_period": spam}  # type: ignore[operator]

    answer = admin.post("/policies", POLICY | {"limits": limits})

    assert answer.status_code == 400
    assert answer.json()["field"] == "limits.limit_spam_retention_period"
    assert not Policy.objects.filter(name="Agents").exists()


@pytest.mark.row("001-18")
def test_the_seed_s_rule_blocks_the_domain_it_names(
    admin: Program, agent: Program, reviewer: Program
) -> None:
    made = admin.post("/rules", RULE)
    told = agent.post("/emails/send", mail(to="a@rival.example")).json()
    taken_in()

    refused = reviewer.post(f"/emails/{told['id']}/decide", {"action": "approve"})

    assert made.status_code == 201
    assert refused.status_code == 409
    assert "No mail to rivals" in refused.json()["reason"]


def test_a_faulty_rule_names_its_place_and_is_not_kept(admin: Program) -> None:
    answer = admin.post("/rules", RULE | {"actions": [{"type": "explode"}]})

    assert answer.status_code == 400
    assert answer.json()["field"] == "actions[0].type"
    assert not Rule.objects.filter(name="No mail to rivals").exists()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"name": ' + b"[" * 60_000 + b"]" * 60_000 + b"}"])
def test_a_rule_that_is_no_json_is_refused(admin: Program, body: bytes) -> None:
    answer = admin.post("/rules", body)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_rule_that_somebody_changed_meanwhile_is_a_conflict(admin: Program) -> None:
    rule = admin.post("/rules", RULE).json()
    admin.patch(f"/rules/{rule['id']}", {"enabled": False, "version": rule["version"]})

    answer = admin.patch(f"/rules/{rule['id']}", {"enabled": True, "version": rule["version"]})

    assert answer.status_code == 409


@pytest.mark.row("001-08")
@pytest.mark.parametrize(
    ("items", "status"),
    [(1000, 200), (1001, 400)],
)
def test_a_list_takes_1000_values_at_once(admin: Program, items: int, status: int) -> None:
    row = lists.create({"name": "Rivals", "type": "domain"}, actor=SYSTEM)

    answer = admin.post(f"/lists/{row.pk}/items", {"items": [f"d{n}.example" for n in range(items)]})

    assert answer.status_code == status


@pytest.mark.row("000-31")
def test_the_switch_stops_and_opens_by_program(admin: Program) -> None:
    stopped = admin.call("PUT", "/killswitch", {"engaged": True, "reason": "Wrong prices."})
    shown = admin.get("/killswitch").json()["stopped"]
    opened = admin.call("PUT", "/killswitch", {"engaged": False, "reason": "Mended."})

    assert (stopped.status_code, stopped.json()["engaged"]) == (200, True)
    assert [(one["scope"], one["reason"]) for one in shown] == [("global", "Wrong prices.")]
    assert opened.status_code == 200
    assert switch.read([switch.GLOBAL]).is_open


@pytest.mark.parametrize(
    "scope", ["mailbox:abc", "mailbox:99999999999999999999", "moon", "domain:", "mailbox:7\x00"]
)
def test_what_is_no_scope_stops_nothing(admin: Program, scope: str) -> None:
    answer = admin.call("PUT", "/killswitch", {"engaged": True, "scope": scope, "reason": "x"})

    assert answer.status_code in (403, 400)
    assert admin.get("/killswitch").json()["stopped"] == []


@pytest.mark.row("004-41")
def test_the_export_of_the_record_has_every_entry(admin: Program, agent: Program) -> None:
    agent.post("/emails/send", mail())

    lines = b"".join(admin.get("/audit").streaming_content).splitlines()

    assert len(lines) == Entry.objects.count()
    assert json.loads(lines[-1])["action"] == "approvals.submission.received"


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("2026-01-01T00:00:00%2B23:59", 200),
        ("2026-01-01T00:00:00", 200),
        ("0001-01-01T00:00:00%2B01:00", 400),
        ("yesterday", 400),
    ],
)
def test_the_record_is_exported_from_a_time_in_any_zone(admin: Program, since: str, status: int) -> None:
    answer = admin.get(f"/audit?since={since}")

    assert answer.status_code == status
    assert status == 400 or len(list(answer.streaming_content)) == Entry.objects.count()


def told(answer: Any) -> Any:
    assert answer.status_code == 200
    return json.loads(b"".join(answer.streaming_content))


@pytest.mark.row("004-47")
def test_the_oversight_report_names_every_mail_that_left_with_who_decided(
    admin: Program, agent: Program, alice: User, mailbox: Mailbox
) -> None:
    agent.post("/emails/send", mail())
    (draft,) = taken_in()
    send = sent(draft, alice)
    day = send.accepted_at.date().isoformat()

    found = told(admin.get(f"/audit/report?from={day}&to={day}&mailbox={mailbox.address}"))

    assert (found["from"], found["to"], found["mailboxes"]) == (day, day, [mailbox.address])
    (listed,) = found["mails"]
    assert (listed["subject"], listed["decided_by"]) == ("Your order", {"kind": "person", "name": "Alice"})
    assert found["outbound"]["total"] == 1


def test_a_token_for_some_mailboxes_gets_a_report_about_those(ada: User, mailbox: Mailbox) -> None:
    Mailbox.objects.create(grant_id="other", address="other@harbour.example")
    narrow = Program(token_of(ada, mailbox, kind="operator", name="Narrow").secret)

    assert told(narrow.get("/audit/report"))["mailboxes"] == [mailbox.address]
    assert narrow.get("/audit/report?mailbox=other@harbour.example").status_code == 404


def test_a_report_needs_the_right_to_audit_and_the_scope(reviewer: Program, ada: User) -> None:
    other_scope = Program(token_of(ada, kind="operator", name="Mail", scopes=["read", "manage"]).secret)

    assert [one.get("/audit/report").status_code for one in (reviewer, other_scope)] == [403, 403]
    assert Entry.objects.filter(action="gateway.attempt.refused").count() == 2


def test_a_report_covers_the_mailboxes_that_its_owner_audits(mailbox: Mailbox) -> None:
    other = Mailbox.objects.create(grant_id="other", address="other@harbour.example")
    both = person("gus", Role.AUDITOR, mailbox=mailbox)
    Membership.objects.create(user=both, role=Role.REVIEWER, mailbox=other)
    program = Program(token_of(both, kind="operator", name="Auditor").secret)

    assert told(program.get("/audit/report"))["mailboxes"] == [mailbox.address]
    assert program.get(f"/audit/report?mailbox={other.address}").status_code == 403


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("from=2024-01-01&to=2025-01-01", "from", "366 days at most"),
        ("from=2025-02-01&to=2025-01-01", "from", "not after to"),
        ("to=9999-12-31", "to", "at the latest"),
        ("from=yesterday", "from", "date"),
    ],
)
def test_a_report_for_a_period_that_cannot_be_names_the_field(
    admin: Program, query: str, field: str, said: str
) -> None:
    answer = admin.get(f"/audit/report?{query}")

    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (
        400,
        "invalid_request",
        field,
    )
    assert said in answer.json()["reason"]


@pytest.mark.row("000-07", "000-10")
def test_the_caps_of_a_mailbox_are_told_to_operators_and_not_to_agents(
    admin: Program, agent: Program, mailbox: Mailbox
) -> None:
    told = admin.get(f"/mailboxes/{mailbox.address}/limits").json()

    assert (told["hour_cap"], told["day_cap"]) == (50, 200)
    assert agent.get(f"/mailboxes/{mailbox.address}/limits").status_code == 403


@pytest.mark.row("000-40")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/policies", None),
        ("POST", "/policies", POLICY),
        ("GET", "/rules", None),
        ("POST", "/rules", RULE),
        ("PATCH", "/rules/1", {"enabled": False, "version": 1}),
        ("DELETE", "/rules/1?version=1", None),
        ("GET", "/lists", None),
        ("POST", "/lists/1/items", {"items": ["a.example"]}),
        ("DELETE", "/lists/1/items", {"items": ["a.example"]}),
        ("GET", "/killswitch", None),
        ("PUT", "/killswitch", {"engaged": True, "reason": "x"}),
        ("GET", "/audit", None),
        ("GET", "/audit/report", None),
    ],
)
def test_an_agent_s_token_reaches_no_policy(agent: Program, method: str, path: str, body: Any) -> None:
    answer = agent.call(method, path, body)

    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


@pytest.mark.parametrize("path", ["/policies", "/rules"])
def test_a_token_for_one_mailbox_changes_nothing_that_holds_for_all(
    ada: User, mailbox: Mailbox, path: str
) -> None:
    narrow = Program(token_of(ada, mailbox, kind="operator", name="Narrow").secret)

    answer = narrow.post(path, POLICY if path == "/policies" else RULE)

    assert answer.status_code == 403
