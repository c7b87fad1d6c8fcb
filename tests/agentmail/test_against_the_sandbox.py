import base64
import json

import pytest
from django.utils import timezone

from agentmail import mirror, raw_mime
from agentmail.client import NylasClient
from agentmail.events import DeliveryReport, MessageTruncated, SendFailedReport, parse, parse_envelope
from agentmail.exceptions import NotFound, RequestRefused, TooLarge, Unauthenticated
from agentmail.models import EventState, Mailbox, ProviderEvent
from agentmail.types import Address, ReplyClass

CUSTOMER = "casey@example.net"


@pytest.fixture
def grant(sandbox):
    grants = sandbox.post("reset", grants=[{"email": "support@lindenhof.example", "name": "Support"}])
    return grants["grants"][0]["id"]


@pytest.fixture
def client(sandbox, grant):
    return NylasClient(sandbox.url, sandbox.api_key, connect_timeout=2.0, read_timeout=10.0)


def payload(to=CUSTOMER, **fields):
    content = {"to": [{"email": to}], "subject": "Re: order", "body": "Text", "metadata": {"key1": "TOKEN"}}
    return json.dumps(content | fields).encode()


def send(client, grant, body=None, *, key="k1", content_type="application/json"):
    return client.send_message(
        grant, body=body or payload(), content_type=content_type, idempotency_key=key, attempt_id=1
    )


def delivered(sandbox):
    """The envelopes of every notification made, once nothing is on its way any more."""
    sandbox.get("idle?timeout=20")
    return [
        event.get("envelope") or event.get("payload") or event for event in sandbox.get("events")["events"]
    ]


def test_grant_is_read_by_id_and_by_address(client, grant):
    by_id, by_address = client.get_grant(grant), client.get_grant("support@lindenhof.example")

    assert by_id == by_address
    assert (by_id.email, by_id.is_valid, by_id.provider) == ("support@lindenhof.example", True, "nylas")
    assert [found.id for found in client.list_grants()] == [grant]


def test_draft_goes_through_its_life(client, grant):
    draft = client.create_draft(grant, {"to": [{"email": CUSTOMER}], "subject": "One", "body": "Text"})
    changed = client.update_draft(grant, draft.id, {"subject": "Two", "bcc": [{"email": "b@example.net"}]})

    assert (changed.subject, changed.to, changed.bcc) == (
        "Two",
        (Address(CUSTOMER),),
        (Address("b@example.net"),),
    )
    assert [listed.id for listed in client.list_drafts(grant)] == [draft.id]
    assert client.get_draft(grant, changed.id) == changed
    assert (client.delete_draft(grant, draft.id), client.delete_draft(grant, draft.id)) == (True, False)
    with pytest.raises(NotFound):
        client.get_draft(grant, draft.id)


def test_lists_longer_than_a_page_are_read_to_the_end(client, grant, sandbox):
    sandbox.control("PATCH", "switches", last_page_cursor="present")
    for number in range(55):
        sandbox.post("customer", subject=f"Thread {number}", body="x")

    assert len(list(client.list_threads(grant))) == 55
    assert len(list(client.list_messages(grant))) == 55


def test_awkward_ids_reach_their_objects(client, grant, sandbox):
    sandbox.control("PATCH", "switches", message_ids="awkward")
    written = sandbox.post("customer", subject="Hello", body="x")

    message = client.get_message(grant, written["message_id"], with_headers=True)

    assert message.id == written["message_id"]
    assert written["internet_message_id"] in dict(message.headers).values()
    assert client.get_thread(grant, message.thread_id).message_ids == (message.id,)


def test_sent_message_is_found_by_its_token(client, grant, sandbox):
    reply = send(client, grant)

    (found,) = client.list_messages(grant, metadata_pair="key1:TOKEN")
    assert (reply.reply_class, found.id) == (ReplyClass.ACCEPTED, reply.message.id)
    assert [entry["message_id"] for entry in sandbox.sends()] == [reply.message.id]


def test_repeated_key_is_answered_from_the_store(client, grant, sandbox):
    first, second = send(client, grant), send(client, grant)

    assert (first.is_replay, second.is_replay) == (False, True)
    assert second.message.id == first.message.id
    assert len(sandbox.sends()) == 1


def test_key_with_another_payload_is_a_mismatch(client, grant):
    send(client, grant)

    assert send(client, grant, payload(subject="Other")).reply_class is ReplyClass.PAYLOAD_MISMATCH


def test_draft_is_sent_and_then_gone(client, grant, sandbox):
    draft = client.create_draft(grant, {"to": [{"email": CUSTOMER}], "subject": "One", "body": "Text"})

    first = client.send_draft(grant, draft.id, attempt_id=1)
    second = client.send_draft(grant, draft.id, attempt_id=2)

    assert (first.reply_class, second.reply_class) == (ReplyClass.ACCEPTED, ReplyClass.GONE)
    assert len(sandbox.sends()) == 1


def test_multipart_send_carries_its_attachment(client, grant, sandbox):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="message"\r\nContent-Type: application/json\r\n\r\n'
        + payload()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="file0"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
    )

    reply = send(client, grant, body, content_type="multipart/form-data; boundary=b")

    assert reply.reply_class is ReplyClass.ACCEPTED
    assert [part["filename"] for part in sandbox.sends()[0]["attachments"]] == ["a.txt"]


@pytest.mark.parametrize(
    ("rule", "expected", "accepted"),
    [
        ({"action": "reply", "options": {"status": 429, "headers": {"Retry-After": "3"}}}, "rate_limited", 0),
        ({"action": "reply", "options": {"status": 500}}, "ambiguous", 0),
        ({"action": "reply", "when": "after", "options": {"status": 502}}, "ambiguous", 1),
        ({"action": "reply", "when": "after", "options": {"status": 504}}, "ambiguous", 1),
        ({"action": "reset", "when": "before"}, "ambiguous", 0),
        ({"action": "reset", "when": "after"}, "ambiguous", 1),
        ({"action": "reset", "options": {"after_bytes": "half"}}, "ambiguous", 0),
        ({"action": "truncate"}, "ambiguous", 1),
        ({"action": "wrong_json"}, "ambiguous", 1),
        ({"action": "empty"}, "ambiguous", 1),
        ({"action": "partial"}, "ambiguous", 1),
        ({"action": "revoke_grant"}, "unauthenticated", 0),
    ],
)
def test_fault_of_a_send_has_its_class(client, grant, sandbox, rule, expected, accepted):
    sandbox.post("faults", route="send_message", **rule)

    reply = send(client, grant)

    assert (reply.reply_class, len(sandbox.sends())) == (ReplyClass(expected), accepted)


def test_provider_that_accepts_and_stays_silent_is_ambiguous(client, grant, sandbox):
    sandbox.post("faults", route="send_message", action="silence", when="after")
    client = NylasClient(sandbox.url, sandbox.api_key, connect_timeout=2.0, read_timeout=0.5)

    reply = send(client, grant)

    assert reply.reply_class is ReplyClass.AMBIGUOUS
    assert len(sandbox.sends()) == 1


def test_queued_send_is_ambiguous_and_keeps_its_id(client, grant):
    reply = send(client, grant, payload(to="queued@example.net"))

    assert (reply.reply_class, reply.status_code) == (ReplyClass.AMBIGUOUS, 202)
    assert reply.message.id


def test_send_without_recipients_is_refused(client, grant):
    reply = send(client, grant, b'{"subject": "x"}')

    assert reply.reply_class is ReplyClass.REFUSED
    assert reply.error_type


def test_send_blocked_by_a_rule_is_blocked_and_evaluated(client, grant, sandbox):
    rule = {
        "name": "no",
        "trigger": "outbound",
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "example.net"}]},
        "actions": [{"type": "block"}],
    }
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "application/json"}
    rule_id = sandbox.session.post(
        f"{sandbox.url}/v3/rules", data=json.dumps(rule), headers=headers, timeout=10
    ).json()["data"]["id"]
    sandbox.control("PATCH", "switches", outbound_rule_scope="application")

    reply = send(client, grant)

    (evaluation,) = client.list_rule_evaluations(grant)
    assert reply.reply_class is ReplyClass.BLOCKED
    assert (evaluation.stage, evaluation.matched_rule_ids) == ("outbound_send", (rule_id,))
    assert evaluation.applied_actions["blocked"] is True


def test_attachment_is_downloaded_within_its_limit(client, grant, sandbox):
    content = base64.b64encode(b"hello").decode()
    part = {"filename": "a.txt", "content_type": "text/plain", "content": content}
    written = sandbox.post("customer", subject="x", body="x", attachments=[part])
    (attachment,) = client.get_message(grant, written["message_id"]).attachments

    arguments = {"parent_id": written["message_id"]}
    assert client.download_attachment(grant, attachment.id, limit=5, **arguments) == b"hello"
    with pytest.raises(TooLarge):
        client.download_attachment(grant, attachment.id, limit=4, **arguments)


def test_revoked_grant_is_unauthenticated(client, grant, sandbox):
    sandbox.control("PATCH", f"grants/{grant}", grant_status="invalid")

    with pytest.raises(Unauthenticated):
        list(client.list_drafts(grant))


def test_folders_have_their_roles(client, grant):
    roles = {folder.role for folder in client.list_folders(grant)}

    assert roles >= {"inbox", "sent", "drafts", "trash", "junk", "archive"}


def test_webhook_without_an_answering_site_is_refused(client):
    with pytest.raises(RequestRefused):
        client.create_webhook("http://127.0.0.1:9/webhooks/nylas", ["message.created"])


def test_send_activity_tells_what_became_of_a_send(client, grant, sandbox):
    message_id = send(client, grant).message.id
    sandbox.get("idle?timeout=20")

    rows = [
        row for row in client.list_send_activity(grant, message_id=message_id) if row.recipient == CUSTOMER
    ]

    assert {row.kind for row in rows} == {"accepted", "delivered"}
    assert all(row.at is not None for row in rows)


@pytest.mark.django_db
def test_mirror_follows_a_mailbox(client, grant, sandbox):
    mailbox = Mailbox.objects.create(
        grant_id=grant, address="support@lindenhof.example", connected_at=timezone.now()
    )
    sandbox.post("customer", subject="Question", body="<p>Hello</p>")
    send(client, grant)

    new = mirror.sync_messages(mailbox, client)

    assert sorted(message.is_outbound for message in new) == [False, True]
    assert mirror.sync_messages(mailbox, client) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_notifications_arrive_signed_and_are_stored(client, grant, sandbox, live_server, settings):
    Mailbox.objects.create(grant_id=grant, address="support@lindenhof.example")
    webhook = client.create_webhook(
        f"{live_server.url}/webhooks/nylas",
        ["message.created", "message.delivered", "message.bounced", "message.complaint", "message.rejected"],
    )
    settings.NYLAS_WEBHOOK_SECRET = webhook.secret
    settings.NYLAS_WEBHOOK_SECRET_FILE = ""
    sandbox.post("faults", event="*", times=0, action="duplicate")
    sandbox.post("customer", subject="Large", body="x", body_bytes=1_200_000)
    send(client, grant, payload(to="hard-bounce@example.net"), key="k1")
    send(client, grant, payload(to="soft-bounce@example.net"), key="k2")
    send(client, grant, payload(to="complaint@example.net"), key="k3")
    sandbox.get("idle?timeout=20")

    parsed = [parse(event) for event in ProviderEvent.objects.filter(state=EventState.STORED)]

    outcomes = {
        (report.address, report.kind)
        for event in parsed
        if isinstance(event, DeliveryReport)
        for report in event.recipients
    }
    assert outcomes >= {
        ("hard-bounce@example.net", "hard_bounce"),
        ("soft-bounce@example.net", "soft_bounce"),
        ("complaint@example.net", "complaint"),
    }
    assert {event.token for event in parsed if isinstance(event, DeliveryReport)} == {"TOKEN"}
    assert sum(isinstance(event, MessageTruncated) for event in parsed) == 1
    assert ProviderEvent.objects.values("notification_id").distinct().count() == len(parsed)


def test_send_that_fails_in_the_queue_is_reported(client, grant, sandbox):
    sandbox.control("PATCH", "switches", queued_then="failed")
    send(client, grant, payload(to="queued@example.net"))

    reports = [parse_envelope(envelope) for envelope in delivered(sandbox)]

    (report,) = [report for report in reports if isinstance(report, SendFailedReport)]
    assert report.token == "TOKEN"
    assert [recipient.kind for recipient in report.recipients] == ["send_failed"]


def test_the_source_of_a_message_holds_both_its_parts(sandbox, client, grant):
    written = sandbox.post(
        "customer", grant=grant, body="<p>account 1</p>", plain_part="account 2", subject="Bank"
    )

    found = raw_mime.read(client.get_raw_mime(grant, written["message_id"], limit=10_000))

    assert (found.plain.strip(), found.html.strip()) == ("account 2", "<p>account 1</p>")
    assert found.headers["Message-ID"] == (written["internet_message_id"],)
    with pytest.raises(TooLarge):
        client.get_raw_mime(grant, written["message_id"], limit=100)


def test_a_message_can_be_filed_with_a_source_of_its_own(sandbox, client, grant):
    raw = b"X: \xff\r\n\r\nanything\0"
    written = sandbox.post("customer", grant=grant, source=base64.b64encode(raw).decode())

    assert client.get_raw_mime(grant, written["message_id"], limit=10_000) == raw
