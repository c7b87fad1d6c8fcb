import pytest

from .conftest import Desk

BLOCK = {
    "name": "No free mail",
    "trigger": "outbound",
    "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "Blocked.example"}]},
    "actions": [{"type": "block"}],
}


def add_rule(desk: Desk, rule: dict, *, attached: bool = True) -> str:
    rule_id = desk.call("POST", "/v3/rules", json=rule).json()["data"]["id"]
    if attached:
        attach(desk, rule_ids=[rule_id])
    return rule_id


def attach(desk: Desk, **fields: object) -> None:
    workspace_id = desk.call("GET", f"/v3/grants/{desk.grant_id}").json()["data"]["workspace_id"]
    reply = desk.call("PATCH", f"/v3/workspaces/{workspace_id}", json=fields)
    assert reply.ok, reply.text


def evaluations(desk: Desk) -> list[dict]:
    return desk.mail("GET", "rule-evaluations").json()["data"]


def test_outbound_block_sends_nothing_and_is_recorded(desk: Desk) -> None:
    rule_id = add_rule(desk, BLOCK)

    reply = desk.send(bcc=[{"email": "someone@blocked.example"}])

    assert (reply.status_code, reply.json()["error"]["type"]) == (403, "forbidden_access")
    assert desk.log() == []
    assert desk.mail("GET", "messages").json()["data"] == []
    [evaluation] = evaluations(desk)
    assert evaluation["message_id"] is None
    assert evaluation["applied_actions"] == {"blocked": True}
    assert evaluation["matched_rule_ids"] == [rule_id]
    assert evaluation["evaluation_stage"] == "outbound_send"
    assert "blocked.example" in evaluation["evaluation_input"]["recipient_domains"]


def test_blocked_draft_stays(desk: Desk) -> None:
    add_rule(desk, BLOCK)
    draft = desk.draft(to=[{"email": "someone@blocked.example"}])

    assert desk.mail("POST", f"drafts/{draft['id']}").status_code == 403

    assert desk.mail("GET", f"drafts/{draft['id']}").status_code == 200


def test_rule_of_no_workspace_acts_only_with_the_switch(desk: Desk) -> None:
    add_rule(desk, BLOCK, attached=False)

    first = desk.send(to=[{"email": "someone@blocked.example"}]).status_code
    desk.switch(outbound_rule_scope="application")
    second = desk.send(to=[{"email": "someone@blocked.example"}]).status_code

    assert (first, second) == (200, 403)


def test_broken_rule_engine_fails_closed_and_may_be_retried(desk: Desk) -> None:
    desk.switch(rule_engine_broken=True)
    broken = desk.send()
    desk.switch(rule_engine_broken=False)

    assert broken.status_code == 503
    assert evaluations(desk)[0]["applied_actions"] == {"blocked_by_evaluation_error": True}
    assert desk.send().status_code == 200


def test_lists_decide_and_compose_is_told_from_reply(desk: Desk) -> None:
    made = desk.call("POST", "/v3/lists", json={"name": "Free mail", "type": "domain"}).json()["data"]
    desk.call("POST", f"/v3/lists/{made['id']}/items", json={"items": ["Blocked.example "]})
    in_list = {"field": "recipient.domain", "operator": "in_list", "value": [made["id"]]}
    compose = {"field": "outbound.type", "operator": "is", "value": "compose"}
    add_rule(desk, {**BLOCK, "match": {"operator": "all", "conditions": [in_list, compose]}})
    parent = desk.customer()

    composed = desk.send(to=[{"email": "a@blocked.example"}])
    replied = desk.send(to=[{"email": "a@blocked.example"}], reply_to_message_id=parent["message_id"])

    assert (composed.status_code, replied.status_code) == (403, 200)


def test_outbound_marks_touch_the_sent_copy_only(desk: Desk) -> None:
    add_rule(desk, {**BLOCK, "actions": [{"type": "mark_as_starred"}]})

    message = desk.send(to=[{"email": "a@blocked.example"}]).json()["data"]

    assert message["starred"] is True
    assert evaluations(desk)[0]["message_id"] == message["id"]


def test_inbound_block_lets_no_message_in(desk: Desk) -> None:
    condition = {"field": "from.domain", "operator": "is", "value": "spam.example"}
    add_rule(desk, {**BLOCK, "trigger": "inbound", "match": {"conditions": [condition]}})

    reply = desk.sandbox.session.post(
        f"{desk.sandbox.url}/_sandbox/customer", json={"from": {"email": "x@spam.example"}}, timeout=10
    )

    assert reply.status_code == 403
    assert desk.mail("GET", "messages").json()["data"] == []
    assert evaluations(desk)[0]["evaluation_stage"] == "smtp_rcpt"


def test_daily_quota_of_the_policy_is_kept(desk: Desk) -> None:
    limits = {"limit_count_daily_email_sent": 2}
    policy = desk.call("POST", "/v3/policies", json={"name": "Small", "limits": limits}).json()["data"]
    attach(desk, policy_id=policy["id"])

    statuses = [desk.send().status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert len(desk.log()) == 2


def test_empty_rules_list_is_nested_with_null(desk: Desk) -> None:
    assert desk.call("GET", "/v3/rules").json()["data"]["items"] is None
    desk.switch(rules_list="flat")
    assert desk.call("GET", "/v3/rules").json()["data"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"priority": 1001},
        {"actions": [{"type": "block"}, {"type": "archive"}]},
        {"match": {"conditions": []}},
        {"match": {"conditions": [{"field": "subject", "operator": "is", "value": "x"}]}},
        {
            "match": {
                "conditions": [{"field": "recipient.domain", "operator": "in_list", "value": ["unknown"]}]
            }
        },
        {"trigger": "inbound"},
    ],
)
def test_malformed_rule_is_refused(desk: Desk, change: dict) -> None:
    assert desk.call("POST", "/v3/rules", json={**BLOCK, **change}).status_code == 400


def test_last_page_may_carry_a_cursor_to_an_empty_page(desk: Desk) -> None:
    desk.call("POST", "/v3/policies", json={"name": "One"})
    desk.switch(last_page_cursor="present")

    first = desk.call("GET", "/v3/policies").json()
    second = desk.call("GET", f"/v3/policies?page_token={first['next_cursor']}").json()

    assert (len(first["data"]), second["data"]) == (1, [])
    assert "next_cursor" not in second
