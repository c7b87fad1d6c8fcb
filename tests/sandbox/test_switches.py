"""What the provider's documentation leaves open: each switch makes the sandbox behave in the other way, too."""

from typing import Any

import pytest

from .conftest import Desk, Receiver
from .test_rules import BLOCK, add_rule, evaluations


def send_draft(desk: Desk, draft: dict[str, Any], key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return desk.mail("POST", f"drafts/{draft['id']}", headers=headers)


def test_message_may_keep_the_id_of_its_draft_and_stays_in_its_thread(desk: Desk) -> None:
    desk.switch(draft_send_id="same")
    question = desk.customer()
    draft = desk.draft(reply_to_message_id=question["message_id"])

    sent = send_draft(desk, draft).json()["data"]

    thread = desk.mail("GET", f"threads/{question['thread_id']}").json()["data"]
    assert sent["id"] == draft["id"]
    assert thread["message_ids"] == [question["message_id"], sent["id"]]
    assert desk.mail("GET", f"drafts/{draft['id']}").status_code == 404


def test_sent_draft_may_be_answered_in_the_shape_of_a_draft(desk: Desk) -> None:
    desk.switch(draft_send_reply="draft")

    assert send_draft(desk, desk.draft()).json()["data"]["object"] == "draft"


def test_send_of_a_draft_may_honour_the_key(desk: Desk) -> None:
    desk.switch(draft_send_honours_key=True)
    draft = desk.draft()

    first, second = send_draft(desk, draft, "k"), send_draft(desk, draft, "k")

    assert second.json() == first.json()
    assert second.headers["Idempotent-Response"] == "true"


def test_metadata_of_a_draft_may_be_lost_when_it_is_sent(desk: Desk) -> None:
    desk.switch(draft_metadata_carried=False)

    sent = send_draft(desk, desk.draft(metadata={"key1": "token"})).json()["data"]

    assert "metadata" not in desk.mail("GET", f"messages/{sent['id']}").json()["data"]


def test_draft_shows_what_it_answers_only_when_switched(desk: Desk) -> None:
    question = desk.customer()
    draft = desk.draft(reply_to_message_id=question["message_id"])
    assert "reply_to_message_id" not in draft

    desk.switch(draft_shows_reply_to=True)

    shown = desk.mail("GET", f"drafts/{draft['id']}").json()["data"]
    assert shown["reply_to_message_id"] == question["message_id"]


@pytest.mark.parametrize("body", [{}, {"error": {"type": "blocked", "message": "no"}}])
def test_block_may_be_told_in_other_words(desk: Desk, body: dict[str, Any]) -> None:
    desk.switch(blocked_reply={"status": 403, "body": body})
    add_rule(desk, BLOCK)

    reply = desk.send(to=[{"email": "someone@blocked.example"}])

    assert reply.status_code == 403
    assert reply.json().get("error") == body.get("error")


def test_evaluation_of_a_blocked_send_may_lack_its_message_id(desk: Desk) -> None:
    desk.switch(blocked_evaluation_message_id="absent")
    add_rule(desk, BLOCK)
    desk.send(to=[{"email": "someone@blocked.example"}])

    [evaluation] = evaluations(desk)

    assert "message_id" not in evaluation


def test_paused_sending_refuses_and_sends_nothing(desk: Desk) -> None:
    desk.switch(sending_paused=True)

    reply = desk.send()

    assert (reply.status_code, reply.json()["error"]["type"]) == (403, "forbidden_access")
    assert desk.log() == []


def test_daily_quota_of_the_policy_is_kept(desk: Desk) -> None:
    limits = {"limit_count_daily_email_sent": 1}
    policy = desk.call("POST", "/v3/policies", json={"name": "Few", "limits": limits}).json()["data"]
    workspace = desk.call("GET", f"/v3/grants/{desk.grant_id}").json()["data"]["workspace_id"]
    desk.call("PATCH", f"/v3/workspaces/{workspace}", json={"policy_id": policy["id"]})

    replies = [desk.send() for _ in range(2)]

    assert [reply.status_code for reply in replies] == [200, 429]
    assert replies[1].json()["error"]["type"] == "rate_limit_error"
    assert len(desk.log()) == 1


@pytest.mark.parametrize("form", ["uuid", "name"])
def test_folder_ids_are_uuids_or_names(desk: Desk, form: str) -> None:
    desk.switch(folder_ids=form)
    grant = desk.sandbox.post("grants", email=f"{form}@lindenhof.example")["grant"]

    folders = desk.call("GET", f"/v3/grants/{grant['id']}/folders").json()["data"]

    [sent] = [folder for folder in folders if folder["attributes"] == ["\\Sent"]]
    assert ("sent" in sent["id"].lower()) == (form == "name")


@pytest.mark.parametrize(("over_limit", "status"), [("clamp", 200), ("refuse", 400)])
def test_page_limit_above_the_maximum(desk: Desk, over_limit: str, status: int) -> None:
    desk.switch(over_limit=over_limit)

    assert desk.mail("GET", "messages?limit=201").status_code == status


@pytest.mark.parametrize(("is_refused", "status"), [(True, 400), (False, 200)])
def test_content_type_with_a_charset(desk: Desk, is_refused: bool, status: int) -> None:
    desk.switch(refuse_charset=is_refused)
    headers = {"Content-Type": "application/json; charset=utf-8"}

    reply = desk.mail(
        "POST", "messages/send", data=b'{"to": [{"email": "casey@example.net"}]}', headers=headers
    )

    assert reply.status_code == status


@pytest.mark.parametrize(("is_allowed", "status", "left"), [(False, 400, 1), (True, 200, 0)])
def test_deleting_for_good(desk: Desk, is_allowed: bool, status: int, left: int) -> None:
    desk.switch(hard_delete=is_allowed)
    message = desk.customer()

    reply = desk.mail("DELETE", f"messages/{message['message_id']}?hard_delete=true")

    assert reply.status_code == status
    assert len(desk.mail("GET", "messages").json()["data"]) == left


def test_mailbox_of_a_domain_that_is_not_registered_is_refused(desk: Desk) -> None:
    desk.switch(registered_domains=["lindenhof.example"])

    def connect(email: str) -> int:
        fields = {"provider": "nylas", "settings": {"email": email}}
        return desk.call("POST", "/v3/connect/custom", json=fields).status_code

    assert (connect("a@lindenhof.example"), connect("a@elsewhere.example")) == (201, 404)


def test_every_sent_copy_and_its_metadata_may_come_late(desk: Desk) -> None:
    desk.switch(sent_copy_seconds=3600, metadata_seconds=7200)
    message = desk.send(metadata={"key1": "token"}).json()["data"]

    def found(filters: str) -> int:
        return len(desk.mail("GET", f"messages{filters}").json()["data"])

    assert found("") == 0
    desk.sandbox.post("clock", advance_seconds=3700)
    assert (found(""), found("?metadata_pair=key1:token")) == (1, 0)
    desk.sandbox.post("clock", advance_seconds=3700)
    assert found("?metadata_pair=key1:token") == 1
    assert message["id"] == desk.log()[0]["message_id"]


def test_direct_send_may_be_reported_as_a_success(desk: Desk) -> None:
    desk.switch(send_success_for_direct_sends=True)

    desk.send()

    desk.wait()
    assert len(desk.events("message.send_success")) == 1


def test_notification_above_the_limit_comes_without_its_body(desk: Desk, subscribed: Receiver) -> None:
    desk.switch(truncate_above_bytes=2000)

    desk.customer(body_bytes=3000)

    desk.wait()
    [event] = subscribed.events()
    assert event["type"] == "message.created.truncated"
    assert "body" not in event["data"]["object"]
