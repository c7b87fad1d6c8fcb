import gzip
import json

import pytest

from .conftest import ALL_TRIGGERS, Desk, Receiver


def register(desk: Desk, receiver: Receiver, **fields: object) -> dict:
    body = {"trigger_types": ALL_TRIGGERS, "webhook_url": receiver.url, **fields}
    reply = desk.call("POST", "/v3/webhooks", json=body)
    if reply.ok:
        receiver.secret = reply.json()["data"]["webhook_secret"]
    return reply.json()


def test_webhook_is_created_after_its_challenge(desk: Desk, receiver: Receiver) -> None:
    created = register(desk, receiver)["data"]

    assert (created["status"], len(created["webhook_secret"]) >= 32) == ("active", True)
    shown = desk.call("GET", f"/v3/webhooks/{created['id']}").json()["data"]
    assert "webhook_secret" not in shown
    assert shown["status_updated_at"]


@pytest.mark.parametrize("wrong", ['"{}"', "{}\n", ""])
def test_challenge_must_be_echoed_exactly(desk: Desk, receiver: Receiver, wrong: str) -> None:
    receiver.echo = wrong.format

    reply = register(desk, receiver)

    assert reply["error"]["type"] == "70005"
    assert desk.call("GET", "/v3/webhooks").json()["data"] == []


def test_plain_http_is_taken_on_loopback_only(desk: Desk) -> None:
    body = {"trigger_types": ["message.created"], "webhook_url": "http://desk.example/hook"}

    assert desk.call("POST", "/v3/webhooks", json=body).status_code == 400


def test_unknown_webhook_is_a_bad_request(desk: Desk) -> None:
    reply = desk.call("GET", "/v3/webhooks/unknown")

    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "70000")


def test_notification_is_signed_over_its_raw_bytes(desk: Desk, subscribed: Receiver) -> None:
    message = desk.customer(subject="Grüße", body="<p>Hi</p>")
    desk.wait()

    [(headers, body)] = subscribed.received
    event = json.loads(body)

    assert subscribed.is_signed(headers, body)
    assert (event["type"], event["specversion"], event["webhook_delivery_attempt"]) == (
        "message.created",
        "1.0",
        1,
    )
    assert event["data"]["object"]["id"] == message["message_id"]
    assert event["data"]["object"]["grant_id"] == desk.grant_id


def test_compressed_notification_is_signed_over_the_compressed_bytes(desk: Desk, receiver: Receiver) -> None:
    register(desk, receiver, compressed_delivery=True)
    desk.customer()
    desk.wait()

    [(headers, body)] = receiver.received

    assert headers["content-encoding"] == "gzip"
    assert receiver.is_signed(headers, body)
    assert json.loads(gzip.decompress(body))["type"] == "message.created"


def test_own_sends_come_back_as_created(desk: Desk, subscribed: Receiver) -> None:
    desk.send()
    desk.wait()

    assert subscribed.types() == ["message.created", "message.delivered"]
    assert subscribed.events()[0]["data"]["object"]["from"][0]["email"] == "support@lindenhof.example"


def test_temporary_failures_are_tried_three_times_with_one_id(desk: Desk, subscribed: Receiver) -> None:
    desk.switch(webhook_backoff_seconds=[0.05, 0.05])
    subscribed.statuses = [503, 429, 503, 200]
    desk.customer()
    desk.wait()

    events = subscribed.events()

    assert [event["webhook_delivery_attempt"] for event in events] == [1, 2, 3]
    assert len({event["id"] for event in events}) == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_other_failures_are_not_tried_again(desk: Desk, subscribed: Receiver, status: int) -> None:
    subscribed.statuses = [status]
    desk.customer()
    desk.wait()

    assert len(subscribed.received) == 1


def test_large_message_arrives_without_its_body(desk: Desk, subscribed: Receiver) -> None:
    message = desk.customer(body_bytes=1_200_000)
    desk.wait()

    [event] = subscribed.events()

    assert event["type"] == "message.created.truncated"
    assert "body" not in event["data"]["object"]
    assert len(desk.mail("GET", f"messages/{message['message_id']}").json()["data"]["body"]) == 1_200_000


def test_events_are_doubled_by_rule(desk: Desk, subscribed: Receiver) -> None:
    desk.fault(event="message.*", action="duplicate", options={"copies": 5})
    desk.customer()
    desk.wait()

    assert len(subscribed.received) == 5
    assert len({event["id"] for event in subscribed.events()}) == 1


def test_events_are_dropped_by_rule(desk: Desk, subscribed: Receiver) -> None:
    desk.fault(event="message.delivered", action="drop")
    desk.send()
    desk.wait()

    assert subscribed.types() == ["message.created"]


def test_forged_events_have_a_wrong_signature_and_another_id(desk: Desk, subscribed: Receiver) -> None:
    desk.fault(event="message.created", action="forge")
    desk.customer()
    desk.wait()

    assert sorted(subscribed.is_signed(*entry) for entry in subscribed.received) == [False, True]
    assert len({event["id"] for event in subscribed.events()}) == 2


def test_events_are_shuffled_by_rule(desk: Desk, subscribed: Receiver) -> None:
    desk.fault(event="message.created", times=0, action="shuffle", options={"window_ms": 400})
    sent = [desk.customer(subject=str(number))["message_id"] for number in range(12)]
    desk.wait()

    arrived = [event["data"]["object"]["id"] for event in subscribed.events()]

    assert sorted(arrived) == sorted(sent)
    assert arrived != sent


def test_held_events_can_be_released_in_reverse(desk: Desk, subscribed: Receiver) -> None:
    desk.sandbox.post("webhooks/pause")
    for number in range(3):
        desk.customer(subject=str(number))
    desk.wait()
    assert subscribed.received == []

    assert desk.sandbox.post("webhooks/resume", order="reversed")["released"] == 3
    desk.wait()

    assert [event["data"]["object"]["subject"] for event in subscribed.events()] == ["2", "1", "0"]


def test_held_events_can_be_lost(desk: Desk, subscribed: Receiver) -> None:
    desk.sandbox.post("webhooks/pause")
    desk.customer()
    desk.sandbox.post("webhooks/resume", drop=True)
    desk.wait()

    assert subscribed.received == []


def test_event_may_arrive_before_the_answer_to_the_send(desk: Desk, subscribed: Receiver) -> None:
    desk.switch(webhook_timing="before_with_outcome", delivery_seconds=30)

    desk.send()

    assert sorted(subscribed.types()) == ["message.created", "message.delivered"]


def test_rotation_makes_the_old_secret_worthless(desk: Desk, receiver: Receiver) -> None:
    created = register(desk, receiver)["data"]
    rotated = desk.call("POST", f"/v3/webhooks/rotate-secret/{created['id']}").json()["data"]
    desk.customer()
    desk.wait()

    assert not receiver.is_signed(*receiver.received[0])
    receiver.secret = rotated["webhook_secret"]
    assert receiver.is_signed(*receiver.received[0])


def test_paused_webhook_gets_nothing(desk: Desk, receiver: Receiver) -> None:
    created = register(desk, receiver)["data"]
    desk.call("PUT", f"/v3/webhooks/{created['id']}", json={"status": "pause"})
    desk.customer()
    desk.wait()

    assert receiver.received == []


def test_earlier_event_can_be_sent_again(desk: Desk, subscribed: Receiver) -> None:
    desk.customer()
    desk.wait()
    id = subscribed.events()[0]["id"]

    desk.sandbox.post("events", again=id, copies=3)
    desk.wait()

    assert [event["id"] for event in subscribed.events()] == [id] * 4


def test_outcomes_can_be_reported_by_hand(desk: Desk, subscribed: Receiver) -> None:
    message = desk.send(to=[{"email": "no-report@example.net"}]).json()["data"]

    desk.sandbox.post("outcomes", message_id=message["id"], outcome="hard_bounce")
    desk.wait()

    assert "message.bounced" in subscribed.types()


def test_test_event_is_signed_with_the_mock_secret(desk: Desk, receiver: Receiver) -> None:
    body = {"trigger_type": "message.created", "webhook_url": receiver.url}

    assert desk.call("POST", "/v3/webhooks/send-test-event", json=body).json()["data"] == "success"

    receiver.secret = "mock-webhook-secret"
    assert receiver.is_signed(*receiver.received[0])


def test_drafts_are_announced_only_when_switched(desk: Desk) -> None:
    desk.draft()
    desk.switch(draft_events=True)
    desk.draft()

    assert len(desk.events("draft.created")) == 1


def test_destination_can_be_registered_by_hand_with_a_known_secret(desk: Desk, receiver: Receiver) -> None:
    receiver.secret = "known"
    desk.sandbox.post("webhooks", webhook_url=receiver.url, webhook_secret="known")
    desk.customer()
    desk.wait()

    assert receiver.is_signed(*receiver.received[0])
