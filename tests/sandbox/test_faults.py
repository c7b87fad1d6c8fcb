import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from .conftest import Desk

PAYLOAD = json.dumps({"to": [{"email": "casey@example.net"}], "body": "x" * 20_000}).encode()


def post(desk: Desk, key: str = "k", timeout: float = 20) -> requests.Response:
    return requests.post(
        f"{desk.sandbox.url}/v3/grants/{desk.grant_id}/messages/send",
        data=PAYLOAD,
        headers={
            "Authorization": f"Bearer {desk.sandbox.api_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
        timeout=timeout,
    )


@pytest.mark.parametrize("after_bytes", [0, 1, "half", "all"])
def test_reset_while_reading_accepts_nothing(desk: Desk, after_bytes: object) -> None:
    desk.fault(route="send_message", action="reset", options={"after_bytes": after_bytes})

    with pytest.raises(requests.ConnectionError):
        post(desk)

    assert desk.log() == []
    assert len(desk.sandbox.get("arrivals")["arrivals"]) == 1
    assert post(desk).status_code == 200


def test_reset_is_a_tcp_reset_and_no_orderly_end(desk: Desk) -> None:
    desk.fault(route="send_message", action="reset", when="after")
    parts = urlsplit(desk.sandbox.url)

    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        head = (
            f"POST /v3/grants/{desk.grant_id}/messages/send HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {desk.sandbox.api_key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(PAYLOAD)}\r\n\r\n"
        )
        connection.sendall(head.encode() + PAYLOAD)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    assert len(desk.log()) == 1


@pytest.mark.parametrize("action", ["reset", "truncate", "silence"])
def test_accepted_and_not_said_so_is_in_the_log_and_replays(desk: Desk, action: str) -> None:
    desk.fault(route="send_message", action=action, when="after")

    with pytest.raises(
        (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    ):
        post(desk, timeout=0.7)

    assert len(desk.log()) == 1
    again = post(desk)
    while again.status_code == 409:
        again = post(desk)
    assert again.headers["Idempotent-Response"] == "true"
    assert again.json()["data"]["id"] == desk.log()[0]["message_id"]


def test_silence_before_accepting_accepts_nothing(desk: Desk) -> None:
    desk.fault(route="send_message", action="silence")

    with pytest.raises(requests.Timeout):
        post(desk, timeout=0.3)

    assert desk.log() == []


def test_key_may_be_forgotten_when_the_client_leaves(desk: Desk) -> None:
    desk.switch(forget_key_on_disconnect=True)
    desk.fault(route="send_message", action="silence", when="after")
    with pytest.raises(requests.Timeout):
        post(desk, timeout=0.3)

    again = post(desk)
    while again.status_code == 409:
        again = post(desk)

    assert "Idempotent-Response" not in again.headers
    assert len(desk.log()) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 402, 307])
def test_status_after_accepting_hides_the_acceptance(desk: Desk, status: int) -> None:
    desk.fault(route="send_message", action="reply", when="after", options={"status": status})

    reply = post(desk)

    assert reply.status_code == status
    assert len(desk.log()) == 1


def test_wrong_json_is_a_success_that_cannot_be_read(desk: Desk) -> None:
    desk.fault(route="send_message", action="wrong_json")

    reply = post(desk)

    assert reply.status_code == 200
    with pytest.raises(ValueError, match="line 1"):
        reply.json()


@pytest.mark.parametrize(
    ("local", "error"),
    [("timeout-after-accept", requests.Timeout), ("reset-after-accept", requests.ConnectionError)],
)
def test_recipients_may_ask_for_trouble(desk: Desk, local: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        desk.send(to=[{"email": f"{local}@example.net"}], timeout=1)  # the time limit is the client's

    assert len(desk.log()) == 1


def test_error_after_accepting_by_recipient(desk: Desk) -> None:
    reply = desk.send(to=[{"email": "error-after-accept@example.net"}])

    assert reply.status_code == 502
    assert len(desk.log()) == 1


def test_sent_copy_may_come_late(desk: Desk) -> None:
    desk.fault(route="send_message", action="hide_sent_copy", options={"seconds": 60})
    message = desk.send(metadata={"key1": "t"}).json()["data"]

    def found() -> list:
        return desk.mail("GET", "messages?metadata_pair=key1:t").json()["data"]

    assert found() == []
    assert desk.mail("GET", f"messages/{message['id']}").status_code == 404
    assert desk.mail("GET", f"threads/{message['thread_id']}").status_code == 404
    desk.sandbox.post("clock", advance_seconds=61)
    assert [entry["id"] for entry in found()] == [message["id"]]


def test_metadata_may_come_late(desk: Desk) -> None:
    desk.fault(route="send_message", action="hide_metadata")
    message = desk.send(metadata={"key1": "t"}).json()["data"]

    shown = desk.mail("GET", f"messages/{message['id']}").json()["data"]

    assert "metadata" not in shown
    assert desk.mail("GET", "messages?metadata_pair=key1:t").json()["data"] == []


def test_draft_changes_between_the_second_read_and_the_send(desk: Desk) -> None:
    draft = desk.draft(body="Seen")
    desk.fault(
        route="get_draft",
        contains=draft["id"],
        nth=2,
        action="edit_draft",
        when="after",
        options={"patch": {"body": "Changed"}},
    )

    bodies = [desk.mail("GET", f"drafts/{draft['id']}").json()["data"]["body"] for _ in range(3)]

    assert bodies == ["Seen", "Seen", "Changed"]


def test_draft_changes_as_its_send_arrives(desk: Desk) -> None:
    draft = desk.draft(body="Seen")
    desk.fault(route="send_draft", action="edit_draft", options={"patch": {"body": "Changed"}})

    desk.mail("POST", f"drafts/{draft['id']}")

    assert desk.log()[0]["body"] == "Changed"


def test_message_arrives_as_the_send_does(desk: Desk) -> None:
    parent = desk.customer()
    desk.fault(route="send_message", action="insert_message", options={"message": {"body": "Wait"}})

    desk.send(reply_to_message_id=parent["message_id"])

    thread = desk.mail("GET", f"threads/{parent['thread_id']}").json()["data"]
    bodies = [desk.mail("GET", f"messages/{id}").json()["data"]["body"] for id in thread["message_ids"]]
    assert bodies[1:] == ["Wait", "Text"]


def test_message_arrives_between_two_reads_of_a_thread(desk: Desk) -> None:
    thread_id = desk.customer()["thread_id"]
    desk.fault(route="get_thread", action="insert_message", when="after")

    counts = [len(desk.mail("GET", f"threads/{thread_id}").json()["data"]["message_ids"]) for _ in range(2)]

    assert counts == [1, 2]


def test_grant_is_revoked_as_the_send_arrives(desk: Desk) -> None:
    desk.fault(route="send_message", action="revoke_grant")

    assert post(desk).status_code == 401
    assert desk.log() == []
    assert desk.mail("GET", "messages").status_code == 401
    assert len(desk.events("grant.expired")) == 1


def test_part_of_the_recipients_may_be_refused(desk: Desk) -> None:
    desk.fault(route="send_message", action="partial", options={"recipients": 1})

    reply = desk.send(to=[{"email": f"{name}@example.net"} for name in ("one", "two", "three")])
    desk.wait()

    assert reply.status_code == 402
    assert desk.log()[0]["taken_recipients"] == 1
    [event] = desk.events("message.delivered")
    assert event["data"]["object"]["delivered"]["recipients"] == ["one@example.net"]


def test_attachment_bytes_may_be_swapped(desk: Desk) -> None:
    draft = desk.draft(attachments=[{"filename": "a.txt", "content_type": "text/plain", "content": "YQ=="}])
    [attachment] = draft["attachments"]
    path = f"attachments/{attachment['id']}/download?message_id={draft['id']}"
    desk.fault(
        route="download_attachment", action="swap_attachment", when="after", options={"content": "Yg=="}
    )

    assert [desk.mail("GET", path).content for _ in range(2)] == [b"a", b"b"]


def test_rules_count_and_end(desk: Desk) -> None:
    desk.fault(route="get_grant", nth=2, times=2, action="reply", options={"status": 503})

    statuses = [desk.call("GET", f"/v3/grants/{desk.grant_id}").status_code for _ in range(5)]

    assert statuses == [200, 503, 503, 200, 200]


def test_delay_before_the_work(desk: Desk) -> None:
    desk.fault(route="list_drafts", action="delay", options={"ms": 120})
    started = time.monotonic()

    desk.mail("GET", "drafts")

    assert time.monotonic() - started >= 0.12


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "explode"},
        {"action": "reply", "when": "later"},
        {"event": "message.*", "action": "reset"},
        {"action": "delay", "surprise": 1},
        {"action": "delay", "nth": "2"},
        {"action": "delay", "times": -1},
        {"action": "delay", "route": 7},
    ],
)
def test_malformed_rule_is_refused_by_name(desk: Desk, rule: dict) -> None:
    reply = desk.sandbox.session.post(f"{desk.sandbox.url}/_sandbox/faults", json=rule, timeout=10)

    assert reply.status_code == 400
    assert desk.sandbox.get("faults")["faults"] == []


def test_unknown_switch_is_refused(desk: Desk) -> None:
    reply = desk.sandbox.session.patch(
        f"{desk.sandbox.url}/_sandbox/switches", json={"draft_send_id": "odd"}, timeout=10
    )

    assert reply.status_code == 400


def test_reset_forgets_rules_mail_and_logs(desk: Desk) -> None:
    desk.fault(route="send", action="delay")
    desk.switch(draft_events=True)
    desk.send()

    desk.sandbox.reset()

    state = desk.sandbox.get("state")
    assert (state["grants"], state["messages"], state["drafts"]) == ([], [], [])
    assert desk.log() == []
    assert desk.sandbox.get("faults")["faults"] == []
    assert desk.sandbox.get("switches")["switches"]["draft_events"] is False


def test_events_of_a_silent_send_go_out_while_it_is_silent(desk: Desk) -> None:
    desk.fault(route="send_message", action="silence", when="after")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, desk)
        while not desk.events("message.delivered"):
            time.sleep(0.02)

        assert len(desk.events("message.created")) == 1
        assert not waiting.done()
        desk.sandbox.reset()
        assert isinstance(waiting.exception(), requests.ConnectionError)


def test_request_under_way_does_not_outlive_a_reset(desk: Desk) -> None:
    desk.fault(route="send_message", action="delay", options={"ms": 400})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, desk)
        while not any(fault["fired"] for fault in desk.sandbox.get("faults")["faults"]):
            time.sleep(0.02)
        again = Desk(desk.sandbox)

        assert isinstance(waiting.exception(), requests.ConnectionError)
    assert again.log() == []
