import gzip
import hashlib
import hmac
import json
import threading

import pytest
from django.db import connection
from django.test import Client

from agentmail import webhooks
from agentmail.models import EventState, Mailbox, ProviderEvent, WebhookRejection
from agentmail.signals import event_stored

URL = "/webhooks/nylas"
SECRET = "first-secret"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secret(settings):
    settings.NYLAS_WEBHOOK_SECRET = SECRET
    settings.NYLAS_WEBHOOK_SECRET_FILE = ""


@pytest.fixture(autouse=True)
def nothing_rejected_before(db):
    webhooks.write_rejections()
    WebhookRejection.objects.all().delete()


@pytest.fixture
def mailbox(db):
    return Mailbox.objects.create(grant_id="g1", address="support@example.org")


@pytest.fixture
def heard():
    event_ids = []

    def listen(event_id, **_):
        event_ids.append(event_id)

    event_stored.connect(listen)
    yield event_ids
    event_stored.disconnect(listen)


def envelope(**changes):
    return {
        "specversion": "1.0",
        "type": "message.created",
        "source": "/nylas/send",
        "id": "n1",
        "time": 1790001234,
        "data": {"application_id": "a1", "object": {"id": "m1", "grant_id": "g1", "body": "x"}},
    } | changes


def sign(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def deliver(content=None, *, body=None, signature=None, content_type="application/json", **headers):
    body = json.dumps(envelope() if content is None else content).encode() if body is None else body
    headers = {"x-nylas-signature": sign(body) if signature is None else signature, **headers}
    return Client().post(URL, data=body, content_type=content_type, headers=headers)


def rejections():
    webhooks.write_rejections()
    return dict(WebhookRejection.objects.values_list("reason", "count"))


def test_challenge_is_echoed_as_plain_text(settings):
    settings.NYLAS_WEBHOOK_SECRET = ""

    response = Client().get(URL, {"challenge": "aZ09_-x"})

    assert (response.status_code, response.content) == (200, b"aZ09_-x")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("challenge", ["", "<script>alert(1)</script>", "a b", "a" * 257, "é", "a\n"])
def test_challenge_that_could_mean_something_is_not_echoed(challenge):
    response = Client().get(URL, {"challenge": challenge})

    assert response.status_code == 400
    assert b"script" not in response.content


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(method):
    assert getattr(Client(), method)(URL).status_code == 405


def test_notification_needs_no_csrf_token(mailbox):
    body = json.dumps(envelope()).encode()
    client = Client(enforce_csrf_checks=True)

    response = client.post(
        URL, data=body, content_type="application/json", headers={"x-nylas-signature": sign(body)}
    )

    assert response.status_code == 200


@pytest.mark.row("001-25", "K22")
def test_signed_notification_is_stored_whole(mailbox):
    response = deliver()

    event = ProviderEvent.objects.get()
    assert response.status_code == 200
    assert (event.source, event.notification_id, event.type, event.grant_id) == (
        "nylas",
        "n1",
        "message.created",
        "g1",
    )
    assert (event.state, event.provider_time, event.payload) == (EventState.STORED, 1790001234, envelope())
    assert event.body_sha256 == hashlib.sha256(json.dumps(envelope()).encode()).hexdigest()


def test_stored_notification_is_announced_after_the_commit(
    mailbox, heard, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks() as callbacks:
        deliver()
    before = list(heard)
    for callback in callbacks:
        callback()

    assert before == []
    assert heard == [ProviderEvent.objects.get().pk]


def test_failing_listener_does_not_disturb_the_others(mailbox, heard, django_capture_on_commit_callbacks):
    def fail(**_):
        raise RuntimeError

    event_stored.connect(fail)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            response = deliver()
    finally:
        event_stored.disconnect(fail)

    assert response.status_code == 200
    assert len(heard) == 1


def test_second_delivery_is_known_and_not_announced(mailbox, heard, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first, second = deliver(), deliver(envelope(webhook_delivery_attempt=2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert ProviderEvent.objects.count() == 1
    assert len(heard) == 1


def test_notification_for_an_unknown_grant_is_quarantined(mailbox, heard, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = deliver(envelope(data={"grant_id": "other", "object": {"id": "m1"}}))

    assert response.status_code == 200
    assert ProviderEvent.objects.get().state == EventState.QUARANTINED
    assert heard == []


def test_notification_without_a_grant_is_of_no_concern():
    deliver(envelope(type="message.transactional.delivered", data={"object": {}}))

    assert ProviderEvent.objects.get().state == EventState.IGNORED


def test_unknown_type_is_taken(mailbox):
    assert deliver(envelope(type="notetaker.joined", data={"grant_id": "g1"})).status_code == 200


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_changed_body_is_refused(mailbox, position):
    body = bytearray(json.dumps(envelope()).encode())
    signature = sign(bytes(body))
    body[position] ^= 1

    response = deliver(body=bytes(body), signature=signature)

    assert response.status_code == 401
    assert ProviderEvent.objects.count() == 0


@pytest.mark.parametrize("signature", ["", "0" * 64, "x" * 64, "é" * 64, sign(b"", "")])
def test_wrong_signature_is_refused_and_counted(mailbox, signature):
    response = deliver(signature=signature)

    assert response.status_code == 401
    assert ProviderEvent.objects.count() == 0
    assert sum(rejections().values()) == 1


def test_signature_under_an_empty_secret_is_refused(settings):
    settings.NYLAS_WEBHOOK_SECRET = ","
    body = json.dumps(envelope()).encode()

    response = deliver(body=body, signature=sign(body, ""))

    assert response.status_code == 503
    assert ProviderEvent.objects.count() == 0


def test_both_secrets_are_valid_while_one_replaces_the_other(settings, mailbox):
    settings.NYLAS_WEBHOOK_SECRET = "second-secret, first-secret"
    for number, secret in enumerate(["second-secret", "first-secret"]):
        body = json.dumps(envelope(id=f"n{number}")).encode()

        assert deliver(body=body, signature=sign(body, secret)).status_code == 200


def test_secret_file_is_read_again_after_a_rotation(settings, mailbox, tmp_path):
    file = tmp_path / "secret"
    settings.NYLAS_WEBHOOK_SECRET = ""
    settings.NYLAS_WEBHOOK_SECRET_FILE = str(file)
    body = json.dumps(envelope()).encode()
    file.write_text("old\n")
    before = deliver(body=body, signature=sign(body, "new")).status_code

    file.write_text("new,old\n")

    assert (before, deliver(body=body, signature=sign(body, "new")).status_code) == (401, 200)


def test_unreadable_secret_file_asks_to_try_again(settings, tmp_path):
    settings.NYLAS_WEBHOOK_SECRET = ""
    settings.NYLAS_WEBHOOK_SECRET_FILE = str(tmp_path / "missing")

    assert deliver().status_code == 503


def test_signature_may_be_upper_case_with_a_prefix(mailbox):
    body = json.dumps(envelope()).encode()

    assert deliver(body=body, signature="sha256=" + sign(body).upper()).status_code == 200


def test_compressed_notification_is_verified_as_it_came(mailbox):
    packed = gzip.compress(json.dumps(envelope()).encode())

    response = deliver(body=packed, **{"Content-Encoding": "gzip"})

    assert response.status_code == 200
    assert ProviderEvent.objects.get().payload == envelope()


@pytest.mark.parametrize(
    ("body", "encoding", "content_type", "status"),
    [
        (b"{", "", "application/json", 400),
        (b"[]", "", "application/json", 400),
        (b"{}", "", "application/json", 400),
        (b'{"id": "", "type": "x"}', "", "application/json", 400),
        (b'{"id": "n", "type": "x", "v": NaN}', "", "application/json", 400),
        (b'{"id": "n", "type": "x", "v": 1e999}', "", "application/json", 400),
        (b'{"id": "' + b"n" * 256 + b'", "type": "x"}', "", "application/json", 400),
        (b'{"id": "n", "type": "x", "d": ' + b"[" * 65 + b"]" * 65 + b"}", "", "application/json", 400),
        (b'{"id": "n", "type": "x", "d": ' + b"[" * 100_000, "", "application/json", 400),
        (b"\xff\xfe\x00", "", "application/json", 400),
        (json.dumps(envelope()).encode(), "", "text/html", 400),
        (json.dumps(envelope()).encode(), "br", "application/json", 400),
        (json.dumps(envelope()).encode(), "gzip", "application/json", 400),
        (gzip.compress(json.dumps(envelope()).encode())[:-12], "gzip", "application/json", 400),
        (gzip.compress(b"0" * 10_000_000), "gzip", "application/json", 413),
        (b" " * (webhooks.LARGEST_BODY + 1), "", "application/json", 413),
    ],
)
def test_signed_but_malformed_body_is_refused(body, encoding, content_type, status):
    response = deliver(body=body, content_type=content_type, **{"Content-Encoding": encoding})

    assert response.status_code == status
    assert ProviderEvent.objects.count() == 0


def test_body_of_almost_two_megabytes_is_taken(mailbox):
    content = envelope()
    content["data"]["object"]["body"] = "x" * 2_000_000

    assert deliver(content).status_code == 200


def test_text_that_no_database_stores_is_replaced(mailbox):
    body = rb'{"id": "n1", "type": "x", "data": {"grant_id": "g1", "object": {"subject": "a\u0000b\ud800"}}}'

    response = deliver(body=body)

    assert response.status_code == 200
    assert ProviderEvent.objects.get().payload["data"]["object"]["subject"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1790001234, 1790001234),
        ("1790001234", 1790001234),
        ("2026-09-21T14:33:54Z", 1790001234),
        ("soon", None),
        (None, None),
    ],
)
def test_time_is_read_in_each_form(mailbox, given, seconds):
    deliver(envelope(time=given))

    assert ProviderEvent.objects.get().provider_time == seconds


def test_rejections_are_counted_by_reason():
    deliver(signature="")
    deliver(signature="0" * 64)
    deliver(signature="f" * 64)
    deliver(body=b"{")

    assert rejections() == {"no_signature": 1, "bad_signature": 2, "malformed": 1}


def test_flood_of_rejections_is_counted_in_full():
    for _ in range(60):
        webhooks.count_rejection("bad_signature")

    assert rejections() == {"bad_signature": 60}


def test_flood_is_written_down_with_the_next_true_notification(mailbox):
    for _ in range(60):
        webhooks.count_rejection("bad_signature")

    deliver()

    assert WebhookRejection.objects.get().count == 60


@pytest.mark.django_db(transaction=True)
def test_trouble_of_the_database_asks_to_try_again(mailbox):
    table = ProviderEvent._meta.db_table
    with connection.schema_editor() as editor:
        editor.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
    try:
        response = deliver()
    finally:
        with connection.schema_editor() as editor:
            editor.execute(f"ALTER TABLE hidden_{table} RENAME TO {table}")

    assert response.status_code == 503
    assert deliver().status_code == 200


@pytest.mark.django_db(transaction=True)
def test_many_copies_at_once_are_stored_once(mailbox):
    statuses = []

    def deliver_some():
        statuses.extend(deliver().status_code for _ in range(5))
        connection.close()

    threads = [threading.Thread(target=deliver_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 40
    assert ProviderEvent.objects.count() == 1
