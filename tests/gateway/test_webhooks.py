"""Programs are told of what the record holds, each event once, signed, and of nothing that is not theirs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F

from agentmail.models import Mailbox
from approvals import decisions, oversight, switchboard
from approvals.models import Draft
from approvals.transitions import drafts
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM, Actor
from gateway import tokens
from gateway.models import Token
from gateway.tasks import sweep_webhooks
from gateway.webhooks import deliveries, endpoints, events, reader
from gateway.webhooks.models import WebhookAttempt, WebhookCursor, WebhookDelivery, WebhookEndpoint
from gateway.webhooks.secrets import secret_of
from tests.approvals.conftest import approve, seen, sent
from tests.gateway.conftest import Program, mail, taken_in, token_of
from tests.processes import ROOT

pytestmark = pytest.mark.django_db
HEADER = "X-MultiMail-Signature"
ALL = list(events.TYPES)


@dataclass
class Received:
    headers: Any
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Listener:
    """A receiver on loopback that keeps what it got and answers with a status of the test's choice."""

    status: int = 200
    location: str = ""
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Listener:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.received.append(Received(self.headers, body))
                self.send_response(listener.status)
                if listener.location:
                    self.send_header("Location", listener.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Being silent is the effect."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/webhooks/email-approvals"

    @property
    def types(self) -> list[str]:
        return [one.event["type"] for one in self.received]


@pytest.fixture
def listener(settings: Any) -> Iterator[Listener]:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    with Listener() as listener:
        yield listener


@pytest.fixture
def other_mailbox(mailbox: Mailbox) -> Mailbox:
    return Mailbox.objects.create(grant_id="other-grant", address="orders@harbour.example")


@pytest.fixture
def pending(agent_writes: Callable[..., Draft]) -> Draft:
    return agent_writes()


def made(
    listener: Listener, *boxes: Mailbox, types: list[str] | None = None, **fields: Any
) -> WebhookEndpoint:
    options = {"name": "Back office", "url": listener.url, "signature_header": HEADER, "actor": SYSTEM}
    return endpoints.make(types=types or ALL, mailboxes=boxes, **(options | fields))


def pass_on() -> None:
    """Read the record and deliver what is due, as the tasks do."""
    reader.read_on()
    for endpoint_id in deliveries.due_endpoints():
        deliveries.deliver_to(endpoint_id)


def later(endpoint: WebhookEndpoint, **ago: float) -> None:
    """Let time pass for what waits and for how long the endpoint has failed."""
    by = timedelta(**ago)
    WebhookDelivery.objects.filter(endpoint=endpoint).update(next_try_at=F("next_try_at") - by)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        waits_until=F("waits_until") - by, failing_since=F("failing_since") - by
    )


def reject(draft: Draft, by: User, reason: str = "Wrong price.") -> None:
    decisions.reject(draft, person=by, seen=seen(draft), reason=reason, form_id=None)


def seed_004_accepts(secret: str, received: Received) -> bool:
    """The receiver of seed 004, its lines unchanged but for the framework around them."""
    sig = received.headers.get("X-MultiMail-Signature", "")
    body = received.body
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(sig, expected)


def standard_webhooks_accepts(secret: str, received: Received) -> bool:
    """As the specification says: the key is the base64 behind whsec_, any of the listed signatures will do."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode()
    expected = base64.b64encode(hmac.new(key, signed + received.body, hashlib.sha256).digest()).decode()
    given = [one.partition(",") for one in received.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(value, expected) for version, _, value in given)


@pytest.mark.row("004-22")
def test_the_receiver_of_the_seed_accepts_our_signature(
    listener: Listener, pending: Draft, alice: User
) -> None:
    endpoint = made(listener)
    reject(pending, alice)

    pass_on()

    [received] = listener.received
    assert seed_004_accepts(secret_of(endpoint), received)
    assert not seed_004_accepts("whsec_other", received)
    assert not seed_004_accepts(secret_of(endpoint), Received(received.headers, received.body + b" "))


@pytest.mark.row("004-22")
def test_the_standard_webhooks_signature_verifies(listener: Listener, pending: Draft, alice: User) -> None:
    endpoint = made(listener)
    reject(pending, alice)

    pass_on()

    [received] = listener.received
    assert standard_webhooks_accepts(secret_of(endpoint), received)
    assert received.headers["webhook-id"] == received.event["id"]
    assert received.headers["Content-Type"] == "application/json"


@pytest.mark.row("004-10", "004-23", "K27")
def test_approval_and_sending_are_told_once_each(listener: Listener, pending: Draft, alice: User) -> None:
    made(listener)
    to = [one["email"] for one in pending.current_revision.to]
    sent(pending, alice)

    for _ in range(3):
        pass_on()

    assert listener.types == ["email.approved", "email.sent"]
    data = listener.received[0].event["data"]
    assert (data["subject"], data["to"]) == (pending.subject, to)
    assert (data["id"], data["mailbox"]) == (str(pending.public_id), "support@harbour.example")
    assert listener.received[1].event["data"]["provider_message_id"]


@pytest.mark.row("004-10", "004-23")
def test_rejection_is_told_once_with_its_reason(listener: Listener, pending: Draft, alice: User) -> None:
    made(listener)
    reject(pending, alice, "Wrong price.")

    for _ in range(3):
        pass_on()

    [received] = listener.received
    assert (received.event["type"], received.event["data"]["reason"]) == ("email.rejected", "Wrong price.")


def test_the_note_that_asks_for_changes_is_told(listener: Listener, pending: Draft, alice: User) -> None:
    made(listener)
    decisions.request_changes(pending, person=alice, seen=seen(pending), note="Name the day.", form_id=None)

    pass_on()

    [received] = listener.received
    assert received.event["type"] == "email.changes_requested"
    assert received.event["data"]["reason"] == "Name the day."


def test_what_a_person_cancels_with_all_that_waits_is_told_as_rejected(
    listener: Listener, pending: Draft, olga: User
) -> None:
    made(listener)
    drafts.cancel(pending.pk, person=olga, reason="The campaign is over.")

    pass_on()

    [received] = listener.received
    assert (received.event["type"], received.event["data"]["reason"]) == (
        "email.rejected",
        "The campaign is over.",
    )


def test_a_mail_that_its_agent_takes_back_is_told_once_wherever_it_was(
    listener: Listener, agent: Program, alice: User
) -> None:
    made(listener)
    early, waiting, held = (agent.post("/emails/send", mail()).json()["id"] for _ in range(3))
    agent.post(f"/emails/{early}/cancel")
    taken_in()
    Mailbox.objects.update(undo_seconds=60)
    approve(Draft.objects.get(public_id=held), by=alice)
    for taken_back in (waiting, held):
        agent.post(f"/emails/{taken_back}/cancel")

    for _ in range(2):
        pass_on()

    told = [(one.event["type"], one.event["data"]["id"]) for one in listener.received]
    assert told == [
        ("email.cancelled", early),
        ("email.approved", held),
        ("email.cancelled", waiting),
        ("email.cancelled", held),
    ]


def test_a_mail_whose_draft_the_provider_refuses_is_told_as_failed(
    listener: Listener, agent: Program, sandbox: Any
) -> None:
    made(listener)
    error = {"error": {"type": "invalid_request_error", "message": "too many recipients"}}
    sandbox.post("faults", route="post_draft", action="reply", options={"status": 400, "body": error})
    told = agent.post("/emails/send", mail()).json()
    taken_in()

    pass_on()

    [received] = listener.received
    data = received.event["data"]
    assert (received.event["type"], data["id"], data["to"]) == (
        "email.failed",
        told["id"],
        ["buyer@example.net"],
    )
    assert data["reason"]
    assert agent.get(f"/emails/{told['id']}").json()["code"] == "refused_by_provider"


@pytest.mark.row("004-23", "004-39")
def test_expiry_is_told_once(listener: Listener, pending: Draft) -> None:
    made(listener)
    Draft.objects.filter(pk=pending.pk).update(expires_at=F("arrived_at"))
    assert drafts.expire(pending.pk)

    for _ in range(2):
        pass_on()

    assert listener.types == ["email.expired"]


@pytest.mark.row("004-11")
def test_a_change_of_the_mode_is_told_with_both_modes(
    listener: Listener, mailbox: Mailbox, olga: User
) -> None:
    made(listener)
    oversight.change_mode(mailbox.pk, to="read_only", seen="gated_send", person=olga)

    pass_on()

    [received] = listener.received
    assert received.event["type"] == "mailbox.mode_changed"
    assert received.event["data"] == {
        "mailbox": "support@harbour.example",
        "before": "gated_send",
        "after": "read_only",
    }


@pytest.mark.django_db(transaction=True)
def test_a_stop_and_its_end_are_told_with_scope_and_reason(
    listener: Listener, mailbox: Mailbox, olga: User
) -> None:
    made(listener)
    switchboard.stop(mailbox.scope, person=olga, reason="Wrong prices.")
    switchboard.release(mailbox.scope, person=olga, reason="Mended.")

    pass_on()

    assert listener.types == ["sending.stopped", "sending.resumed"]
    assert [one.event["data"] for one in listener.received] == [
        {"scope": "mailbox:support@harbour.example", "reason": "Wrong prices."},
        {"scope": "mailbox:support@harbour.example", "reason": "Mended."},
    ]


def test_an_endpoint_is_told_only_of_its_types(listener: Listener, pending: Draft, alice: User) -> None:
    made(listener, types=["email.sent"])
    sent(pending, alice)

    pass_on()

    assert listener.types == ["email.sent"]


def test_an_endpoint_is_told_only_of_its_mailboxes(
    listener: Listener, pending: Draft, alice: User, mailbox: Mailbox, other_mailbox: Mailbox
) -> None:
    made(listener, other_mailbox, name="Orders")
    own = made(listener, mailbox, name="Support")
    reject(pending, alice)

    pass_on()

    assert [one.endpoint for one in WebhookDelivery.objects.all()] == [own]


def test_nothing_from_before_an_endpoint_is_told(listener: Listener, pending: Draft, alice: User) -> None:
    reject(pending, alice)
    made(listener)

    pass_on()

    assert listener.received == []


@pytest.mark.row("001-26", "003-20")
def test_an_endpoint_of_an_agent_is_told_of_that_agents_mail_only(
    listener: Listener, mailbox: Mailbox, ada: User, alice: User, agent: Any, pending: Draft
) -> None:
    token = Token.objects.get()
    made(listener, agent=token, types=ALL)
    assert agent.post("/emails/send", mail(subject="Mine")).status_code == 202
    [own] = taken_in()
    reject(own, alice)
    reject(pending, alice)

    pass_on()

    assert [one.event["data"]["id"] for one in listener.received] == [str(own.public_id)]


def test_another_agents_mail_in_the_same_mailbox_is_not_told(
    listener: Listener, mailbox: Mailbox, ada: User, alice: User, agent: Any
) -> None:
    other = token_of(ada, mailbox, name="Other agent").token
    made(listener, agent=other)
    agent.post("/emails/send", mail())
    [foreign] = taken_in()
    reject(foreign, alice)

    pass_on()

    assert listener.received == []


@pytest.mark.django_db(transaction=True)
def test_an_agent_learns_of_a_stop_and_not_why(
    listener: Listener, mailbox: Mailbox, other_mailbox: Mailbox, ada: User
) -> None:
    from policies import switch  # noqa: PLC0415 - only this test throws the switch by itself

    switch.ensure_scope(other_mailbox.scope)
    made(listener, agent=token_of(ada, mailbox).token)
    switchboard.stop("global", person=ada, reason="Orders writes nonsense.")
    switchboard.stop(other_mailbox.scope, person=ada, reason="Still.")

    pass_on()

    assert [one.event["data"] for one in listener.received] == [{"scope": "global", "reason": ""}]


def test_an_endpoint_of_a_token_that_was_revoked_is_told_nothing(
    listener: Listener, mailbox: Mailbox, ada: User, alice: User, agent: Any
) -> None:
    token = Token.objects.get()
    made(listener, agent=token)
    agent.post("/emails/send", mail())
    [own] = taken_in()
    reject(own, alice)
    reader.read_on()
    tokens.revoke(token, actor=SYSTEM)

    pass_on()

    assert listener.received == []
    [attempt] = WebhookAttempt.objects.all()
    assert "no longer in force" in attempt.trouble


def test_an_endpoint_of_an_agent_is_for_no_mailbox_beyond_its_token(
    listener: Listener, mailbox: Mailbox, other_mailbox: Mailbox, ada: User
) -> None:
    token = token_of(ada, mailbox).token

    with pytest.raises(endpoints.WebhookRefused, match="not for all of these"):
        made(listener, other_mailbox, agent=token)

    assert not WebhookEndpoint.objects.exists()


def test_reading_that_is_undone_by_a_crash_loses_and_doubles_nothing(
    listener: Listener, pending: Draft, alice: User
) -> None:
    made(listener)
    reject(pending, alice)
    with transaction.atomic():
        assert reader.read_on() == 1
        transaction.set_rollback(True)
    assert not WebhookDelivery.objects.exists()

    pass_on()
    pass_on()

    assert listener.types == ["email.rejected"]


@pytest.mark.django_db(transaction=True)
def test_two_that_read_at_once_keep_each_event_once(
    listener: Listener, mailbox: Mailbox, ada: User, alice: User, agent_writes: Callable[..., Draft]
) -> None:
    made(listener)
    for _ in range(3):
        reject(agent_writes(), alice)

    def read() -> int:
        try:
            return reader.read_on()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        kept = sum(found.result() for found in [pool.submit(read) for _ in range(4)])

    assert kept == WebhookDelivery.objects.count() == 3


READ = "from gateway.webhooks import reader; reader.read_on()"
DELIVER = (
    "from gateway.webhooks import deliveries, reader; reader.read_on();"
    "[deliveries.deliver_to(pk) for pk in deliveries.due_endpoints()]"
)


def killed_at(point: str, code: str, environment: dict[str, str]) -> int:
    program = f"import django; django.setup(); {code}"
    variables = environment | {
        "FAILPOINT": f"{point}:1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "NOTIFICATIONS_TO_LOOPBACK": "true",
    }
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, check=False).returncode


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", ["W1", "W2"])
@pytest.mark.row("004-10")
def test_a_process_that_is_killed_while_it_reads_loses_and_doubles_nothing(
    listener: Listener, pending: Draft, alice: User, process_environment: dict[str, str], point: str
) -> None:
    made(listener)
    reject(pending, alice)
    connection.close()

    assert killed_at(point, READ, process_environment) == -9
    pass_on()
    pass_on()

    assert listener.types == ["email.rejected"]


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_after_the_answer_posts_again_under_the_same_id(
    listener: Listener, pending: Draft, alice: User, process_environment: dict[str, str]
) -> None:
    made(listener)
    reject(pending, alice)
    connection.close()

    assert killed_at("W3", DELIVER, process_environment) == -9
    pass_on()
    pass_on()

    assert len(listener.received) == 2
    assert len({one.headers["webhook-id"] for one in listener.received}) == 1
    assert len({one.body for one in listener.received}) == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_for_webhooks_alone_delivers_without_the_providers_key(
    listener: Listener, pending: Draft, alice: User, process_environment: dict[str, str]
) -> None:
    made(listener)
    reject(pending, alice)
    current_app.control.purge()
    without_key = {"NYLAS_API_KEY": "", "NYLAS_API_URI": "", "NOTIFICATIONS_TO_LOOPBACK": "true"}
    command = [sys.executable, "-m", "celery", "--app=config", "worker", "--queues=webhooks"]
    flags = ["--without-gossip", "--without-mingle", "--loglevel=WARNING"]
    with subprocess.Popen([*command, *flags], cwd=ROOT, env=process_environment | without_key) as worker:
        try:
            deadline = time.monotonic() + 60
            while not listener.received and time.monotonic() < deadline:
                sweep_webhooks.apply_async(retry=False, expires=5)
                time.sleep(1)
        finally:
            worker.kill()

    assert listener.types == ["email.rejected"]


def test_a_failed_delivery_is_tried_again_later_and_each_try_is_kept(
    listener: Listener, pending: Draft, alice: User
) -> None:
    endpoint = made(listener)
    reject(pending, alice)
    listener.status = 500
    pass_on()
    pass_on()
    assert len(listener.received) == 1
    listener.status = 200

    later(endpoint, seconds=61)
    pass_on()

    assert len(listener.received) == 2
    tries = list(WebhookAttempt.objects.order_by("pk").values_list("status", "trouble"))
    assert tries == [(500, "It answered 500."), (200, "")]
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_the_tries_are_spread_over_three_days() -> None:
    assert sum(deliveries.RETRY_SECONDS) == 3 * 24 * 3600
    assert list(deliveries.RETRY_SECONDS) == sorted(deliveries.RETRY_SECONDS)


def test_what_fails_does_not_keep_later_events_for_ever(
    listener: Listener, pending: Draft, alice: User
) -> None:
    endpoint = made(listener)
    listener.status = 500
    sent(pending, alice)
    pass_on()
    listener.status = 200

    later(endpoint, seconds=61)
    pass_on()

    assert sorted(listener.types) == ["email.approved", "email.approved", "email.sent"]


def test_an_endpoint_that_fails_for_three_days_is_switched_off_and_that_is_recorded(
    listener: Listener, pending: Draft, alice: User
) -> None:
    endpoint = made(listener)
    reject(pending, alice)
    listener.status = 503
    for _ in range(deliveries.TRIES):
        pass_on()
        later(endpoint, days=1)

    endpoint.refresh_from_db()
    assert not endpoint.is_enabled
    assert endpoint.switched_off_at is not None
    entry = Entry.objects.get(action="gateway.webhook.switched_off")
    assert "It answered 503." in entry.reason
    assert WebhookDelivery.objects.get().given_up_at is not None
    count = len(listener.received)
    pass_on()
    assert len(listener.received) == count


def test_what_happens_while_an_endpoint_is_off_is_not_told_afterwards(
    listener: Listener, pending: Draft, alice: User
) -> None:
    endpoint = made(listener)
    endpoints.switch(endpoint, on=False, version=1, actor=SYSTEM)
    reject(pending, alice)
    endpoints.switch(endpoint, on=True, version=2, actor=SYSTEM)

    pass_on()

    assert listener.received == []


def test_a_delivery_that_was_given_up_is_posted_again_when_a_person_says_so(
    listener: Listener, pending: Draft, alice: User
) -> None:
    made(listener)
    reject(pending, alice)
    pass_on()

    deliveries.send_again(WebhookDelivery.objects.get())
    pass_on()

    assert [one.body for one in listener.received] == [listener.received[0].body] * 2
    assert WebhookAttempt.objects.count() == 2


def test_two_secrets_sign_while_one_is_rotated(listener: Listener, pending: Draft, alice: User) -> None:
    endpoint = made(listener)
    old = secret_of(endpoint)
    new = secret_of(endpoints.rotate(endpoint, version=1, actor=SYSTEM))
    reject(pending, alice)

    pass_on()

    [received] = listener.received
    assert old != new
    assert standard_webhooks_accepts(old, received)
    assert standard_webhooks_accepts(new, received)
    assert seed_004_accepts(old, received)
    assert received.headers[f"{HEADER}-Next"] == hmac.new(new.encode(), received.body, "sha256").hexdigest()


@pytest.mark.parametrize("way", ["ended by a person", "after a day"])
def test_the_old_secret_signs_nothing_after_the_overlap(
    listener: Listener, pending: Draft, alice: User, way: str
) -> None:
    endpoint = made(listener)
    old = secret_of(endpoint)
    rotated = endpoints.rotate(endpoint, version=1, actor=SYSTEM)
    if way == "after a day":
        WebhookEndpoint.objects.update(previous_until=database_now() - timedelta(seconds=1))
    else:
        endpoints.end_rotation(rotated, version=2, actor=SYSTEM)
    reject(pending, alice)

    pass_on()

    [received] = listener.received
    assert seed_004_accepts(secret_of(rotated), received)
    assert not standard_webhooks_accepts(old, received)
    assert f"{HEADER}-Next" not in received.headers


def test_a_second_rotation_waits_for_the_end_of_the_first(listener: Listener) -> None:
    endpoint = endpoints.rotate(made(listener), version=1, actor=SYSTEM)

    with pytest.raises(endpoints.WebhookRefused, match="Two secrets sign already"):
        endpoints.rotate(endpoint, version=2, actor=SYSTEM)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "http://hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://127.0.0.1/",
    ],
)
def test_an_address_inside_the_network_is_refused_when_it_is_set(mailbox: Mailbox, url: str) -> None:
    with pytest.raises(endpoints.WebhookRefused) as refusal:
        endpoints.make(actor=SYSTEM, name="Inside", url=url, types=ALL)

    assert refusal.value.field == "url"


def test_an_address_that_moves_inside_the_network_later_is_not_posted_to(
    listener: Listener, pending: Draft, alice: User, settings: Any
) -> None:
    made(listener)
    reject(pending, alice)
    settings.NOTIFICATIONS_TO_LOOPBACK = False

    pass_on()

    assert listener.received == []
    assert WebhookAttempt.objects.get().status is None


def test_a_redirect_is_not_followed(listener: Listener, pending: Draft, alice: User) -> None:
    made(listener)
    listener.status, listener.location = 307, listener.url
    reject(pending, alice)

    pass_on()

    assert len(listener.received) == 1
    assert "redirect" in WebhookAttempt.objects.get().trouble


@pytest.mark.row("K22")
def test_a_payload_beyond_a_million_bytes_is_cut_and_says_so(
    listener: Listener, mailbox: Mailbox, pending: Draft, alice: User
) -> None:
    made(listener)
    reject(pending, alice)
    pending.current_revision.__class__.objects.filter(pk=pending.current_revision.pk).update(
        subject="ü" * 600_000
    )

    pass_on()

    [received] = listener.received
    assert len(received.body) <= events.BODY_BYTES
    assert received.event["truncated"] is True
    assert received.event["data"]["subject"] == "ü" * 1000
    assert received.event["data"]["reason"] == "Wrong price."


@pytest.mark.row("K22")
def test_a_payload_of_a_million_bytes_is_whole() -> None:
    empty = events.body_of("email.sent", database_now(), {"subject": ""}, event_id=endpoints._FORMS)
    room = events.BODY_BYTES - len(empty.encode())

    whole = events.body_of("email.sent", database_now(), {"subject": "x" * room}, event_id=endpoints._FORMS)
    cut = events.body_of(
        "email.sent", database_now(), {"subject": "x" * (room + 1)}, event_id=endpoints._FORMS
    )

    assert json.loads(whole)["truncated"] is False
    assert json.loads(cut)["truncated"] is True


def test_the_worst_payload_stays_under_the_limit_once_it_is_cut() -> None:
    worst = {"to": ["\x01" * 2000] * 500, "subject": "\x01" * 300_000, "reason": "\x01" * 300_000}

    text = events.body_of("email.rejected", database_now(), worst, event_id=endpoints._FORMS)

    assert len(text.encode()) <= events.BODY_BYTES


def test_a_test_is_told_whatever_the_endpoint_is_for(listener: Listener) -> None:
    endpoint = made(listener, types=["email.sent"])
    endpoints.send_test(endpoint)

    pass_on()

    assert listener.types == ["webhook.test"]


def test_the_record_names_neither_the_path_nor_a_secret(listener: Listener) -> None:
    endpoint = made(listener)
    endpoints.rotate(endpoint, version=1, actor=Actor("person", "7", "Ada"))

    bodies = "".join(Entry.objects.values_list("body", flat=True))
    assert "email-approvals" not in bodies
    assert secret_of(endpoint) not in bodies
    assert endpoint.salt not in bodies


def test_settled_deliveries_are_forgotten_after_a_month(
    listener: Listener, pending: Draft, alice: User
) -> None:
    made(listener)
    reject(pending, alice)
    pass_on()
    endpoints.send_test(WebhookEndpoint.objects.get())
    WebhookDelivery.objects.update(made_at=database_now() - timedelta(days=31))

    assert deliveries.forget_old() == 1
    assert WebhookDelivery.objects.get().type == "webhook.test"


def test_reading_without_an_endpoint_goes_to_the_end_of_the_record(pending: Draft) -> None:
    reader.read_on()

    assert WebhookCursor.objects.get().sequence == Entry.objects.first().sequence  # type: ignore[union-attr]
