import time

import pytest

from .conftest import Desk


def send_to(desk: Desk, *locals: str) -> dict:
    reply = desk.send(to=[{"email": f"{local}@example.net"} for local in locals], metadata={"key1": "token"})
    desk.wait()
    return reply.json()["data"]


def test_ordinary_recipient_is_delivered(desk: Desk) -> None:
    message = send_to(desk, "casey")

    [event] = desk.events("message.delivered")

    object = event["data"]["object"]
    assert object["message"]["id"] == message["id"]
    assert object["message"]["metadata"] == {"key1": "token"}
    assert object["message"]["from"] == "support@lindenhof.example"
    assert object["delivered"]["recipients"] == ["casey@example.net"]


@pytest.mark.parametrize(
    ("local", "code"),
    [("hard-bounce", "550 5.1.1"), ("Hard-Bounce+7", "550 5.1.1"), ("soft-bounce", "452 4.2.2")],
)
def test_bounce_carries_its_diagnostic_code(desk: Desk, local: str, code: str) -> None:
    send_to(desk, local, "casey")

    [event] = desk.events("message.bounced")

    [recipient] = event["data"]["object"]["bounce"]["recipients"]
    assert recipient["email"] == f"{local}@example.net"
    assert code in recipient["diagnostic_code"]
    [delivered] = desk.events("message.delivered")
    assert delivered["data"]["object"]["delivered"]["recipients"] == ["casey@example.net"]


def test_soft_bounce_is_delivered_later_when_switched(desk: Desk) -> None:
    desk.switch(soft_bounce_then="delivered", soft_bounce_delivered_seconds=0.1)

    send_to(desk, "soft-bounce")

    assert len(desk.events("message.bounced")) == 1
    assert len(desk.events("message.delivered")) == 1


def test_complaint_comes_after_delivery(desk: Desk) -> None:
    send_to(desk, "complaint")

    types = [event["type"] for event in desk.sandbox.get("events")["events"]]

    assert types.index("message.delivered") < types.index("message.complaint")


def test_virus_is_rejected_for_everybody(desk: Desk) -> None:
    send_to(desk, "rejected", "casey")

    assert "rejected_at" in desk.events("message.rejected")[0]["data"]["object"]
    assert desk.events("message.delivered") == []


def test_no_report_stays_without_one(desk: Desk) -> None:
    send_to(desk, "no-report")

    assert desk.events("message.delivered") == []
    assert len(desk.log()) == 1


def test_slow_customer_answers_in_the_thread(desk: Desk) -> None:
    desk.switch(slow_reply_seconds=0.1)
    message = send_to(desk, "slow")

    while len(desk.events("message.created")) < 2:
        time.sleep(0.02)

    thread = desk.mail("GET", f"threads/{message['thread_id']}").json()["data"]
    assert len(thread["message_ids"]) == 2
    assert "latest_message_received_date" in thread


def test_connected_account_reports_bounces_in_its_own_way(desk: Desk) -> None:
    grant = desk.sandbox.post("grants", email="team@lindenhof.example", provider="google")["grant"]
    body = {"to": [{"email": "hard-bounce@example.net"}, {"email": "casey@example.net"}], "body": "x"}
    desk.call("POST", f"/v3/grants/{grant['id']}/messages/send", json=body)
    desk.wait()

    [event] = desk.events("message.bounce_detected")

    assert event["data"]["object"]["bounced_addresses"] == "hard-bounce@example.net"
    assert event["data"]["object"]["code"] == "550"
    assert desk.events("message.delivered") == []


def test_send_events_list_every_recipient(desk: Desk) -> None:
    message = send_to(desk, "hard-bounce", "casey")

    rows = desk.call("GET", f"/v3/activity/send?message_id={message['id']}").json()["data"]

    assert {(row["recipient"], row["event_type"]) for row in rows} == {
        ("hard-bounce@example.net", "accepted"),
        ("casey@example.net", "accepted"),
        ("hard-bounce@example.net", "bounced"),
        ("casey@example.net", "delivered"),
    }
    bounced = desk.call("GET", "/v3/activity/send?event_type=bounced&bounce_class=hard").json()["data"]
    assert [row["recipient"] for row in bounced] == ["hard-bounce@example.net"]


def test_mail_between_mailboxes_of_the_sandbox_arrives(desk: Desk) -> None:
    other = desk.sandbox.post("grants", email="orders@lindenhof.example")["grant"]

    desk.send(to=[{"email": "Orders@lindenhof.example"}], subject="Internal")
    desk.wait()

    [arrived] = desk.call("GET", f"/v3/grants/{other['id']}/messages").json()["data"]
    assert (arrived["subject"], arrived["unread"]) == ("Internal", True)
