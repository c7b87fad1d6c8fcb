import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmail.bounces import bounce_kind
from agentmail.events import (
    DeliveryReport,
    DraftChanged,
    GrantChanged,
    MessageArrived,
    MessageDeleted,
    MessageTruncated,
    RecipientReport,
    SendFailedReport,
    Unknown,
    grant_id_of,
    parse,
    parse_envelope,
)
from agentmail.models import ProviderEvent

SENT = {
    "id": "m1",
    "subject": "Hi",
    "from": "agent@example.org",
    "to": ["x@example.net"],
    "cc": ["y@example.net"],
    "sent_at": 1790001234,
    "metadata": {"key1": "TOKEN"},
}
MESSAGE = {"id": "m1", "grant_id": "g1", "thread_id": "t1", "subject": "Hi", "body": "<p>Hi</p>"}


def event(event_type, *, time=1790001500, **data):
    return parse_envelope({"type": event_type, "id": "n1", "time": time, "data": {"grant_id": "g1", **data}})


def delivery(event_type, **block):
    return event(event_type, object={"message": SENT, **block})


def test_stored_event_is_parsed_from_its_payload():
    stored = ProviderEvent(type="x", payload={"type": "message.deleted", "data": {"object": {"id": "m1"}}})

    assert parse(stored) == MessageDeleted("m1")


@pytest.mark.parametrize(("event_type", "is_update"), [("message.created", False), ("message.updated", True)])
def test_arrived_message_brings_its_snapshot(event_type, is_update):
    arrived = event(event_type, object=MESSAGE | {"metadata": {"key1": "TOKEN"}})

    assert isinstance(arrived, MessageArrived)
    assert (arrived.provider_message_id, arrived.thread_id, arrived.token) == ("m1", "t1", "TOKEN")
    assert (arrived.snapshot.body, arrived.is_update) == ("<p>Hi</p>", is_update)


@pytest.mark.parametrize("variant", ["transformed", "cleaned", "metadata"])
def test_variant_of_an_arrived_message_is_read_as_one(variant):
    assert isinstance(event(f"message.created.{variant}", object=MESSAGE), MessageArrived)


@pytest.mark.parametrize("event_type", ["message.created.truncated", "message.updated.truncated"])
def test_truncated_message_is_named_as_such(event_type):
    truncated = event(event_type, object={"id": "m1", "thread_id": "t1"})

    assert truncated == MessageTruncated("m1", "t1", "")


def test_message_without_its_body_counts_as_truncated():
    assert isinstance(event("message.created", object={"id": "m1"}), MessageTruncated)


def test_delivered_report_names_its_recipients():
    report = delivery("message.delivered", delivered={"delivered_at": 5, "recipients": ["x@example.net"]})

    assert report == DeliveryReport(
        "delivered", "m1", "TOKEN", (RecipientReport("x@example.net", "delivered"),), 5
    )


def test_bounced_report_names_only_the_failed_recipients():
    failed = {"email": "x@example.net", "diagnostic_code": "smtp; 550 5.1.1 user unknown"}
    report = delivery(
        "message.bounced", bounce={"bounced_at": 6, "type": "MailboxFull", "recipients": [failed]}
    )

    (recipient,) = report.recipients
    assert (report.kind, report.at) == ("bounced", 6)
    assert (recipient.address, recipient.kind, recipient.code) == ("x@example.net", "hard_bounce", "5.1.1")
    assert recipient.detail == "smtp; 550 5.1.1 user unknown"


def test_recipients_of_one_bounce_are_judged_apart():
    recipients = [
        {"email": "x@example.net", "diagnostic_code": "smtp; 550 5.1.1 unknown"},
        {"email": "y@example.net", "diagnostic_code": "smtp; 452 4.2.2 full"},
    ]

    report = delivery("message.bounced", bounce={"recipients": recipients})

    assert [recipient.kind for recipient in report.recipients] == ["hard_bounce", "soft_bounce"]


def test_bounce_without_recipients_concerns_everyone():
    report = delivery("message.bounced", bounce={"bounced_at": 6})

    assert [recipient.address for recipient in report.recipients] == ["x@example.net", "y@example.net"]


def test_delivery_without_recipients_is_not_believed_for_several():
    assert delivery("message.delivered", delivered={}).recipients == ()


def test_complaint_names_who_complained():
    report = delivery(
        "message.complaint",
        complaint={"reported_at": 7, "type": "abuse", "complained_recipients": ["x@example.net"]},
    )

    assert (report.kind, report.at) == ("complaint", 7)
    assert report.recipients == (RecipientReport("x@example.net", "complaint", "", "abuse"),)


def test_rejected_message_concerns_everyone():
    report = delivery("message.rejected", rejected_at=8)

    assert (report.kind, report.at) == ("rejected", 8)
    assert [recipient.kind for recipient in report.recipients] == ["rejected", "rejected"]


def test_report_without_its_own_time_has_that_of_the_notification():
    assert delivery("message.rejected").at == 1790001500


def test_send_success_is_a_report_without_recipients():
    report = event("message.send_success", object={"id": "m1", "metadata": {"key1": "TOKEN"}})

    assert report == DeliveryReport("send_success", "m1", "TOKEN", (), 1790001500)


def test_failed_send_concerns_everyone():
    report = event(
        "message.send_failed",
        reason="rejected upstream",
        error={"type": "provider_error", "message": "no", "status_code": 550},
        object={"id": "m1", "to": [{"email": "x@example.net"}], "bcc": [{"email": "z@example.net"}]},
    )

    assert isinstance(report, SendFailedReport)
    assert (report.provider_message_id, report.reason) == ("m1", "rejected upstream")
    assert [(r.address, r.kind, r.code) for r in report.recipients] == [
        ("x@example.net", "send_failed", "550"),
        ("z@example.net", "send_failed", "550"),
    ]


def test_failed_send_without_its_message_is_read():
    assert event("message.send_failed", reason="x", error={}, object=None).provider_message_id == ""


def test_bounce_of_a_connected_account_is_read():
    report = event(
        "message.bounce_detected",
        object={
            "bounce_reason": "mailbox unavailable",
            "bounce_date": "Tue, 06 Oct 2026 10:00:00 +0000",
            "bounced_addresses": "x@example.net, y@example.net",
            "type": "mailbox_unavailable",
            "code": "550",
            "message_id": "m1",
            "origin": {"id": "p1", "to": ["x@example.net"]},
        },
    )

    assert (report.kind, report.provider_message_id, report.at) == ("bounced", "m1", 1791280800)
    assert [(r.address, r.kind, r.code) for r in report.recipients] == [
        ("x@example.net", "hard_bounce", "550"),
        ("y@example.net", "hard_bounce", "550"),
    ]


@pytest.mark.parametrize("change", ["created", "updated", "deleted", "expired"])
def test_change_of_a_grant_is_read(change):
    parsed = parse_envelope(
        {"type": f"grant.{change}", "data": {"object": {"grant_id": "g1", "code": 25013}}}
    )

    assert parsed == GrantChanged("g1", change)


def test_change_of_a_draft_is_read():
    assert event("draft.updated", object={"id": "d1", "thread_id": "t1"}) == DraftChanged(
        "d1", "t1", "updated"
    )


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "message",
        "message.opened",
        "message.transactional.bounced",
        "grant.imap_sync_completed",
        "thread.replied",
    ],
)
def test_other_types_are_unknown(event_type):
    assert event(event_type, object={"id": "x"}) == Unknown(event_type)


@pytest.mark.parametrize(
    ("diagnostic", "bounce_type", "kind", "code"),
    [
        ("smtp; 550 5.1.1 user unknown", "", "hard_bounce", "5.1.1"),
        ("smtp; 452 4.2.2 mailbox full", "", "soft_bounce", "4.2.2"),
        ("550 4.2.2 mailbox full", "", "soft_bounce", "4.2.2"),
        ("smtp; 451 try again later", "", "soft_bounce", "451"),
        ("smtp; 550 no such user", "", "hard_bounce", "550"),
        ("host 4.3.2.1 said: 550 no", "", "hard_bounce", "550"),
        ("host mx[5.1.1.9] said 421 busy", "", "soft_bounce", "421"),
        ("rejected (5.7.1).", "", "hard_bounce", "5.7.1"),
        ("unknown user", "", "hard_bounce", ""),
        ("", "MailboxFull", "hard_bounce", ""),
        ("", "Transient", "soft_bounce", ""),
        ("", "", "hard_bounce", ""),
    ],
)
def test_bounce_is_told_hard_or_soft_by_its_status(diagnostic, bounce_type, kind, code):
    assert bounce_kind(diagnostic, bounce_type) == (kind, code)


@pytest.mark.parametrize(
    "data",
    [{"grant_id": "g1"}, {"object": {"grant_id": "g1"}}, {"grant_id": None, "object": {"grant_id": "g1"}}],
)
def test_grant_is_found_in_each_place(data):
    assert grant_id_of({"data": data}) == "g1"


types = st.sampled_from(
    ["message.created", "message.created.truncated", "message.deleted", "message.delivered", "message.bounced",
     "message.complaint", "message.rejected", "message.send_failed", "message.send_success",
     "message.bounce_detected", "grant.expired", "draft.created"]
)  # fmt: skip
names = st.sampled_from(
    ["object", "message", "id", "grant_id", "bounce", "delivered", "complaint", "recipients", "email", "to", "metadata",
     "key1", "diagnostic_code", "bounced_at", "bounced_addresses", "origin", "error", "bounce_date", "body"]
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(event_type=types | st.text(max_size=10) | st.none(), data=values)
def test_no_payload_breaks_the_parser(event_type, data):
    parse_envelope({"type": event_type, "data": data})


@given(values)
def test_no_envelope_breaks_the_parser(envelope):
    parse_envelope(envelope)
    grant_id_of(envelope)
