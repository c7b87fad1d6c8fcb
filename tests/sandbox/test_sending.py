import base64
import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from .conftest import Desk


def test_sent_message_is_logged_with_all_it_said(desk: Desk) -> None:
    parent = desk.customer()
    content = b"numbers"
    reply = desk.send(
        key="k1",
        cc=[{"email": "cc@example.net", "name": "C"}],
        bcc=[{"email": "bcc@example.net"}],
        reply_to=[{"email": "answers@lindenhof.example"}],
        metadata={"key1": "token"},
        custom_headers=[{"name": "X-Approval-Ref", "value": "token"}],
        reply_to_message_id=parent["message_id"],
        is_plaintext=True,
        attachments=[
            {"filename": "n.csv", "content_type": "text/csv", "content": base64.b64encode(content).decode()}
        ],
    )

    [line] = desk.log()

    assert reply.status_code == 200
    assert (line["n"], line["kind"], line["by"], line["idempotency_key"], line["token"]) == (
        1,
        "message",
        "api",
        "k1",
        "token",
    )
    assert line["message_id"] == reply.json()["data"]["id"]
    assert [person["email"] for person in (*line["to"], *line["cc"], *line["bcc"])] == [
        "casey@example.net",
        "cc@example.net",
        "bcc@example.net",
    ]
    assert line["attachments"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert line["is_plaintext"] is True
    headers = {header["name"]: header["value"] for header in line["headers"]}
    assert headers["X-Approval-Ref"] == "token"
    assert headers["In-Reply-To"] == parent["internet_message_id"]


def test_the_log_is_a_file_beside_the_store(desk: Desk) -> None:
    desk.send()

    lines = desk.sandbox.store.with_name(desk.sandbox.store.name + ".sends.jsonl").read_text().splitlines()

    assert [json.loads(line)["message_id"] for line in lines] == [desk.log()[0]["message_id"]]


def test_arrivals_are_logged_even_when_refused(desk: Desk) -> None:
    desk.send(to=[])
    desk.send(key="k")

    arrivals = desk.sandbox.get("arrivals")["arrivals"]

    assert [entry["idempotency_key"] for entry in arrivals] == [None, "k"]
    assert len(desk.log()) == 1


def test_same_key_and_payload_replays_the_answer(desk: Desk) -> None:
    first, second = desk.send(key="k"), desk.send(key="k")

    assert first.content == second.content
    assert "Idempotent-Response" not in first.headers
    assert second.headers["Idempotent-Response"] == "true"
    assert len(desk.log()) == 1


def test_same_key_and_other_payload_is_a_conflict(desk: Desk) -> None:
    desk.send(key="k")

    reply = desk.send(key="k", body="Other")

    assert (reply.status_code, reply.json()["error"]["type"]) == (409, "api.invalid_idempotent_request")


def test_stored_error_replays_under_its_key_and_a_new_key_sends(desk: Desk) -> None:
    desk.fault(route="send_message", action="reply", options={"status": 429})

    statuses = [
        desk.send(key="k").status_code,
        desk.send(key="k").status_code,
        desk.send(key="k2").status_code,
    ]

    assert statuses == [429, 429, 200]
    assert [line["idempotency_key"] for line in desk.log()] == ["k2"]


def test_key_is_forgotten_after_an_hour_of_the_providers_clock(desk: Desk) -> None:
    desk.send(key="k")
    desk.sandbox.post("clock", advance_seconds=3599)
    assert desk.send(key="k").headers["Idempotent-Response"] == "true"

    desk.sandbox.post("clock", advance_seconds=2)
    desk.send(key="k")

    assert len(desk.log()) == 2


def test_key_in_use_is_a_conflict(desk: Desk) -> None:
    rule = desk.fault(route="send_message", action="silence")
    statuses = []

    def first() -> None:
        with pytest.raises(requests.ConnectionError):
            requests.post(
                f"{desk.sandbox.url}/v3/grants/{desk.grant_id}/messages/send",
                data=b"{}",
                headers={"Authorization": f"Bearer {desk.sandbox.api_key}", "Idempotency-Key": "k"},
                timeout=30,
            )

    thread = threading.Thread(target=first)
    thread.start()
    while not any(
        fault["fired"] for fault in desk.sandbox.get("faults")["faults"] if fault["id"] == rule["id"]
    ):
        time.sleep(0.02)
    reply = desk.mail("POST", "messages/send", data=b"{}", headers={"Idempotency-Key": "k"})
    statuses.append((reply.status_code, reply.json()["error"]["type"]))
    desk.sandbox.post("reset")
    thread.join()

    assert statuses == [(409, "api.concurrent_idempotent_request")]


def test_key_too_long_is_refused(desk: Desk) -> None:
    reply = desk.send(key="k" * 257)

    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "api.invalid_idempotency_key")


def test_fifty_parallel_requests_with_one_key_send_once(desk: Desk) -> None:
    def post(_: int) -> int:
        return requests.post(
            f"{desk.sandbox.url}/v3/grants/{desk.grant_id}/messages/send",
            data=b'{"to":[{"email":"casey@example.net"}],"body":"x"}',
            headers={
                "Authorization": f"Bearer {desk.sandbox.api_key}",
                "Idempotency-Key": "same",
                "Content-Type": "application/json",
            },
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = set(pool.map(post, range(50)))

    assert statuses <= {200, 409}
    assert len(desk.log()) == 1


def test_fifty_parallel_sends_are_fifty_lines_in_order(desk: Desk) -> None:
    def post(number: int) -> str:
        return requests.post(
            f"{desk.sandbox.url}/v3/grants/{desk.grant_id}/messages/send",
            data=json.dumps({"to": [{"email": "casey@example.net"}], "body": str(number)}).encode(),
            headers={"Authorization": f"Bearer {desk.sandbox.api_key}", "Content-Type": "application/json"},
            timeout=30,
        ).json()["data"]["id"]

    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(post, range(50)))

    log = desk.log()
    assert [line["n"] for line in log] == list(range(1, 51))
    assert {line["message_id"] for line in log} == ids
    assert {line["body"] for line in log} == {str(number) for number in range(50)}


def test_sent_draft_is_consumed_and_a_second_send_finds_nothing(desk: Desk) -> None:
    draft = desk.draft(metadata={"key1": "token"})

    first = desk.mail("POST", f"drafts/{draft['id']}", headers={"Idempotency-Key": "k"})
    second = desk.mail("POST", f"drafts/{draft['id']}", headers={"Idempotency-Key": "k"})

    assert (first.status_code, second.status_code) == (200, 404)
    assert first.json()["data"]["id"] != draft["id"]
    [line] = desk.log()
    assert (line["kind"], line["draft_id"], line["token"]) == ("draft", draft["id"], "token")


def test_draft_sent_by_many_at_once_goes_once(desk: Desk) -> None:
    draft = desk.draft()
    url = f"{desk.sandbox.url}/v3/grants/{desk.grant_id}/drafts/{draft['id']}"
    headers = {"Authorization": f"Bearer {desk.sandbox.api_key}"}

    with ThreadPoolExecutor(20) as pool:
        statuses = list(
            pool.map(lambda _: requests.post(url, headers=headers, timeout=30).status_code, range(20))
        )

    assert sorted(statuses) == [200] + [404] * 19
    assert len(desk.log()) == 1


def test_draft_may_be_sent_again_when_switched(desk: Desk) -> None:
    desk.switch(second_draft_send="sends_again")
    draft = desk.draft()

    statuses = [desk.mail("POST", f"drafts/{draft['id']}").status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert len(desk.log()) == 2


def test_multipart_send_carries_files(desk: Desk) -> None:
    message = json.dumps({"to": [{"email": "casey@example.net"}], "subject": "S", "body": "B"})
    content = bytes(range(256)) * 20_000

    reply = desk.mail(
        "POST",
        "messages/send",
        files={
            "message": ("", message, "application/json"),
            "file0": ("big.bin", content, "application/x-bin"),
        },
    )

    [attachment] = desk.log()[0]["attachments"]
    assert reply.status_code == 200
    assert (attachment["filename"], attachment["sha256"]) == ("big.bin", hashlib.sha256(content).hexdigest())


def test_raw_message_keeps_its_thread(desk: Desk) -> None:
    parent = desk.customer()
    raw = (
        f"From: support@lindenhof.example\r\nTo: casey@example.net\r\nSubject: Re: A question\r\n"
        f"In-Reply-To: {parent['internet_message_id']}\r\nX-Approval-Ref: t\r\n\r\nHello"
    )

    reply = desk.mail("POST", "messages/send?type=mime", files={"mime": ("m.eml", raw, "message/rfc822")})

    assert reply.json()["data"]["thread_id"] == parent["thread_id"]
    assert desk.log()[0]["body"].strip() == "Hello"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"to": []}, 400),
        ({"to": [{"email": f"p{number}@example.net"} for number in range(51)]}, 400),
        ({"to": [{"email": "pål@example.net"}]}, 402),
        ({"to": [{"email": "no address"}]}, 400),
        ({"from": [{"email": "other@example.org"}]}, 400),
        ({"reply_to_message_id": "unknown"}, 400),
        ({"metadata": {"key1": "x" * 501}}, 400),
        ({"body": "x" * (3 * 1024 * 1024)}, 413),
    ],
)
def test_what_the_provider_refuses_is_not_sent(desk: Desk, fields: dict, status: int) -> None:
    reply = desk.send(**fields)

    assert reply.status_code == status
    assert reply.json()["error"]["type"]
    assert desk.log() == []


def test_json_with_a_charset_is_refused(desk: Desk) -> None:
    reply = desk.mail(
        "POST", "messages/send", data=b"{}", headers={"Content-Type": "application/json; charset=utf-8"}
    )

    assert reply.status_code == 400


def test_wrong_key_is_unauthorized(desk: Desk) -> None:
    reply = desk.mail("GET", "messages", headers={"Authorization": "Bearer wrong"})

    assert (reply.status_code, reply.json()["error"]["type"]) == (401, "unauthorized")


def test_sends_above_the_pace_are_queued_and_then_refused(desk: Desk) -> None:
    desk.switch(sends_per_second=1.0, queue_wait_seconds=2.0)

    replies = [desk.send() for _ in range(6)]

    assert [reply.status_code for reply in replies] == [200, 202, 202, 429, 429, 429]
    assert int(replies[-1].headers["Retry-After"]) >= 1
    assert "schedule_id" not in replies[1].json()
    assert len(desk.log()) == 3


def test_queued_draft_that_fails_comes_back(desk: Desk) -> None:
    desk.switch(queue_seconds=0.05, queued_then="failed")
    draft = desk.draft(to=[{"email": "queued@example.net"}])

    reply = desk.mail("POST", f"drafts/{draft['id']}")
    desk.wait()

    assert reply.status_code == 202
    assert desk.mail("GET", f"drafts/{draft['id']}").status_code == 200
    assert len(desk.events("message.send_failed")) == 1


def test_scheduled_send_goes_by_the_providers_clock(desk: Desk) -> None:
    now = int(desk.sandbox.get("clock")["now"])
    reply = desk.send(send_at=now + 120)
    schedule_id = reply.json()["schedule_id"]
    assert (reply.status_code, desk.log()) == (202, [])

    desk.sandbox.post("clock", advance_seconds=121)
    while not desk.log():
        time.sleep(0.02)

    assert desk.log()[0]["by"] == "schedule"
    status = desk.mail("GET", f"messages/schedules/{schedule_id}").json()["data"]["status"]["code"]
    assert status in {"pending", "success"}


def test_stopped_schedule_sends_nothing(desk: Desk) -> None:
    now = int(desk.sandbox.get("clock")["now"])
    schedule_id = desk.send(send_at=now + 120).json()["schedule_id"]

    assert desk.mail("DELETE", f"messages/schedules/{schedule_id}").status_code == 202
    desk.sandbox.post("clock", advance_seconds=200)
    desk.wait()

    assert desk.log() == []
