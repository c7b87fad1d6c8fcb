"""Ways around the gate through /nylas/v3/, each with its refusal."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals.models import Submission
from audit.models import Entry
from audit.record import SYSTEM
from policies import recipients
from policies.models import RecipientKind
from policies.recipients import NewEntry
from tests.agentmail.loopback import Server, answering
from tests.gateway.conftest import Program, taken_in, token_of
from tests.gateway.test_nylas import error_of, in_mode, letter, path, question  # noqa: F401 - fixtures

NOT_FOUND = (404, "not_found_error")
INVALID = (400, "invalid_request_error")
NO_METHOD = (405, "invalid_request_error")


@pytest.fixture
def places(mailbox: Mailbox, sandbox: Any) -> dict[str, str]:
    """What the addresses of the attempts name: a grant that is foreign, and a draft of nobody in the own one."""
    foreign = sandbox.post("grants", email="boss@harbour.example", name="Boss")["grant"]["id"]
    draft = sandbox.post("agent/drafts", grant=mailbox.grant_id, **letter())["draft"]
    message = sandbox.post("customer", grant=mailbox.grant_id, subject="Hello", body="Hello")
    return {
        "own": mailbox.grant_id,
        "foreign": foreign,
        "draft": draft["id"],
        "message": message["message_id"],
        "thread": message["thread_id"],
    }


@pytest.mark.row("004-26", "003-20", "001-26")
@pytest.mark.parametrize(
    ("method", "address", "body", "refusal"),
    [
        ("GET", "grants/{foreign}/messages", None, NOT_FOUND),
        ("GET", "grants/boss@harbour.example/threads", None, NOT_FOUND),
        ("POST", "grants/{foreign}/messages/send", letter(), NOT_FOUND),
        ("POST", "grants/{foreign}/drafts", letter(), NOT_FOUND),
        ("GET", "grants", None, NOT_FOUND),
        ("DELETE", "grants/{own}", None, NO_METHOD),
        ("PATCH", "grants/{own}", {"settings": {}}, NO_METHOD),
        ("POST", "connect/custom", {"provider": "nylas"}, NOT_FOUND),
        ("GET", "webhooks", None, NOT_FOUND),
        ("POST", "webhooks", {"webhook_url": "https://evil.example"}, NOT_FOUND),
        ("GET", "policies", None, NOT_FOUND),
        ("POST", "rules", {}, NOT_FOUND),
        ("DELETE", "lists/x", None, NOT_FOUND),
        ("GET", "workspaces", None, NOT_FOUND),
        ("GET", "grants/{own}/rule-evaluations", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/schedules", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/Schedules", None, NOT_FOUND),
        ("DELETE", "grants/{own}/messages/schedules/x", None, NOT_FOUND),
        ("PUT", "grants/{own}/messages/clean", {"message_id": ["{message}"]}, INVALID),
        ("GET", "grants/{own}/messages/send", None, NO_METHOD),
        ("PUT", "grants/{own}/messages/send", letter(), NO_METHOD),
        ("DELETE", "grants/{own}/messages/{message}", None, NO_METHOD),
        ("DELETE", "grants/{own}/threads/{thread}", None, NO_METHOD),
        ("PUT", "grants/{own}/threads/{thread}", {"folders": ["x"]}, NO_METHOD),
        ("POST", "grants/{own}/folders", {"name": "x"}, NO_METHOD),
        ("GET", "grants/{own}/contacts/groups", None, NOT_FOUND),
        ("GET", "grants/{own}/calendars", None, NOT_FOUND),
        ("POST", "grants/{own}/drafts/{draft}", None, NOT_FOUND),
        ("PUT", "grants/{own}/drafts/{draft}", letter(), NOT_FOUND),
        ("DELETE", "grants/{own}/drafts/{draft}", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/{draft}", None, NOT_FOUND),
        ("GET", "grants/{own}/attachments/x/download?message_id={draft}", None, NOT_FOUND),
        ("OPTIONS", "grants/{own}/messages", None, NO_METHOD),
        ("GET", "grants/{own}/messages/", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/%2e%2e", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/..%2fdrafts%2f{draft}", None, NOT_FOUND),
        ("GET", "grants/{own}%2f..%2f{foreign}/messages", None, NOT_FOUND),
        ("GET", "grants/{own}/../{foreign}/messages", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/%252e%252e%252fdrafts", None, NOT_FOUND),
        ("GET", "grants/{own}/messages/x%0ay", None, NOT_FOUND),
        ("GET", "grants/%00/messages", None, NOT_FOUND),
        ("GET", "%00/%0a", None, NOT_FOUND),
        ("GET", "grants/me%2f/messages", None, NOT_FOUND),
        ("GET", "", None, NOT_FOUND),
        ("GET", "grants/{own}/messages?metadata_pair=key1:x", None, INVALID),
        ("GET", "grants/{own}/messages?grant_id={foreign}", None, INVALID),
        ("GET", "grants/{own}/messages?fields=standard&fields=raw_mime", None, INVALID),
        ("GET", "grants/{own}/messages?limit=0", None, INVALID),
        ("GET", "grants/{own}/messages?limit=%D9%A1", None, INVALID),
        ("GET", "grants/{own}/messages?in=nowhere", None, INVALID),
        ("GET", "grants/{own}/messages?page_token=x", None, INVALID),
        ("GET", "grants/{own}/drafts?page_token=x", None, INVALID),
        ("GET", "grants/{own}/drafts?metadata_pair=key3:x", None, INVALID),
        ("GET", "grants/{own}/messages?" + "&".join("a=1" for _ in range(1100)), None, INVALID),
        ("POST", "grants/{own}/messages/send?type=mime", letter(), INVALID),
        ("DELETE", "grants/{own}/drafts/{draft}?hard_delete=true", None, INVALID),
    ],
)
def test_no_address_leads_around_the_gate(
    agent: Program,
    places: dict[str, str],
    sandbox: Any,
    method: str,
    address: str,
    body: Any,
    refusal: tuple[int, str],
) -> None:
    answer = agent.call(method, "/nylas/v3/" + address.format(**places), body)

    assert error_of(answer) == refusal
    assert not Submission.objects.exists()
    assert sandbox.sends() == []
    assert configured_client().get_draft(places["own"], places["draft"]).subject == "Your order"


@pytest.mark.row("004-26", "001-26")
@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"metadata": {"key1": "x"}}, "metadata.key1"),
        ({"metadata": {"key2": "x"}}, "metadata.key2"),
        ({"metadata": {"key3": "x"}}, "metadata.key3"),
        ({"oversight_mode": "autonomous"}, "oversight_mode"),
        ({"send_at": 1_900_000_000}, "send_at"),
        ({"use_draft": True}, "use_draft"),
        ({"tracking_options": {"opens": True}}, "tracking_options"),
        ({"template": {"id": "x"}}, "template"),
        ({"signature_id": "x"}, "signature_id"),
        ({"custom_headers": [{"name": "Bcc", "value": "spy@rival.example"}]}, "custom_headers"),
        ({"from": [{"email": "ceo@harbour.example"}]}, "from.0.email"),
        ({"from": [{"email": "support@harbour.example", "name": "The CEO"}]}, "from.0.name"),
        ({"to": [{"email": "a@example.net\r\nBcc: spy@rival.example"}]}, "to.0"),
        ({"to": [{"email": "a@example.net", "name": "A\nB"}]}, "to.0"),
        ({"to": []}, "to"),
        ({"to": [{"email": "a@example.net"}] * 51}, "to"),
        ({"reply_to_message_id": ".."}, "reply_to_message_id"),
        ({"to": "a@example.net"}, "to"),
        ({"subject": "a\r\nBcc: spy@rival.example"}, "subject"),
        ({"subject": "a\x00"}, "subject"),
        ({"subject": "\ud800"}, "subject"),
        ({"body": 5}, "body"),
        ({"is_plaintext": "yes"}, "is_plaintext"),
        ({"reply_to_message_id": "unknown"}, "reply_to_message_id"),
        ({"metadata": {"confidence": "2"}}, "metadata.confidence"),
        ({"attachments": [{"filename": "a", "content": "?"}]}, "attachments.0.content"),
        (
            {"attachments": [{"filename": "a", "content": "", "content_id": "a\nb"}]},
            "attachments.0.content_id",
        ),
        ({"attachments": [{"filename": "a", "content": "", "id": "x"}]}, "attachments.0.id"),
        ({"__class__": "x"}, "__class__"),
    ],
)
@pytest.mark.parametrize("place", ["messages/send", "drafts"])
def test_what_the_desk_cannot_hold_is_refused_by_name(
    agent: Program,
    path: str,  # noqa: F811
    place: str,
    extra: dict[str, Any],
    named: str,
) -> None:
    answer = agent.post(f"{path}/{place}", letter(**extra))

    assert error_of(answer) == INVALID
    assert answer.json()["error"]["message"].startswith(named)
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"\xff\xfe", b'{"to": NaN}', b"[" * 100_000, b'{"to": ' + b"9" * 5000 + b"}"],
)
def test_what_is_no_json_object_is_refused(agent: Program, path: str, body: bytes) -> None:  # noqa: F811
    assert error_of(agent.post(f"{path}/messages/send", body)) == INVALID


def test_a_mail_in_parts_or_too_large_is_refused_with_the_limit(agent: Program, path: str) -> None:  # noqa: F811
    headers = {"Authorization": f"Bearer {agent.secret}"}
    in_parts = Client().post(f"{path}/messages/send", {"message": "{}"}, headers=headers)
    large = agent.post(f"{path}/drafts", b'{"body": "' + b"x" * 4_300_000 + b'"}')

    assert error_of(in_parts) == INVALID
    assert error_of(large) == (413, "invalid_request_error")


@pytest.mark.row("004-24")
@pytest.mark.parametrize("place", ["messages/send", "drafts"])
def test_a_read_only_mailbox_takes_no_mail(
    agent: Program,
    mailbox: Mailbox,
    path: str,  # noqa: F811
    place: str,
) -> None:
    in_mode(mailbox, "read_only")

    answer = agent.post(f"{path}/{place}", letter())

    assert error_of(answer) == (403, "action_blocked")
    assert answer.json()["error"]["message"] == "oversight_mode is read_only"
    assert Entry.objects.filter(action="approvals.submission.blocked", outcome="blocked_mode").count() == 1


@pytest.mark.row("004-37")
def test_a_draft_from_before_waits_but_is_not_sent_when_the_mailbox_became_read_only(
    agent: Program,
    mailbox: Mailbox,
    path: str,  # noqa: F811
    sandbox: Any,
) -> None:
    told = agent.post(f"{path}/drafts", letter()).json()["data"]
    (draft,) = taken_in()
    in_mode(mailbox, "read_only")

    answer = agent.post(f"{path}/drafts/{told['id']}")

    draft.refresh_from_db()
    assert error_of(answer) == (403, "action_blocked")
    assert (draft.state, sandbox.sends()) == ("pending", [])


def test_a_denied_recipient_blocks_also_a_draft_that_is_changed_to_it(
    agent: Program,
    path: str,  # noqa: F811
) -> None:
    recipients.add([NewEntry(RecipientKind.DENY, "global", "rival.example", "")], actor=SYSTEM)
    told = agent.post(f"{path}/drafts", letter()).json()["data"]
    taken_in()
    spy = [{"email": "spy@sub.rival.example"}]

    at_first = agent.post(f"{path}/messages/send", letter(bcc=spy))
    later = agent.call("PUT", f"{path}/drafts/{told['id']}", {"bcc": spy})

    assert error_of(at_first) == error_of(later) == (403, "action_blocked")
    assert agent.get(f"{path}/drafts/{told['id']}").json()["data"]["bcc"] == []


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer cs_agent_wrong", "Basic x", "Bearer " + "x" * 500, "Bearer sandbox-key"]
)
def test_without_a_token_in_force_nothing_is_answered_or_recorded(path: str, header: str) -> None:  # noqa: F811
    for address in (f"{path}/messages", "/nylas/v3/webhooks"):
        answer = Client().get(address, headers={"Authorization": header} if header else {})

        assert error_of(answer) == (401, "unauthorized")
    assert not Entry.objects.filter(action="gateway.attempt.refused").exists()


def test_tokens_of_operators_and_without_a_scope_are_refused_and_recorded(
    reviewer: Program,
    ada: User,
    mailbox: Mailbox,
    path: str,  # noqa: F811
) -> None:
    reads = Program(token_of(ada, mailbox, name="Reads", scopes=["read"]).secret)
    writes = Program(token_of(ada, mailbox, name="Writes", scopes=["send"]).secret)

    answers = [
        reviewer.get(f"{path}/messages"),
        reads.post(f"{path}/messages/send", letter()),
        reads.call("PUT", f"{path}/messages/x", {"unread": True}),
        writes.get(f"{path}/messages"),
    ]

    assert [error_of(answer) for answer in answers] == [(403, "insufficient_scopes")] * 4
    assert Entry.objects.filter(action="gateway.attempt.refused").count() == 4


def test_what_is_not_offered_is_recorded_with_what_was_tried(agent: Program, path: str) -> None:  # noqa: F811
    agent.get("/nylas/v3/grants/somebody-else/messages")
    agent.post("/nylas/v3/webhooks", {})
    agent.call("DELETE", f"{path}/messages/x")

    entries = Entry.objects.filter(action="gateway.attempt.refused").order_by("pk")
    assert [entry.data["attempt"] for entry in entries] == [
        "GET /nylas/v3/grants/somebody-else/messages",
        "POST /nylas/v3/webhooks",
        f"DELETE {path}/messages/x",
    ]


@pytest.mark.parametrize(
    "header",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Forwarded-Prefix": "/v3/webhooks"},
        {"X-Original-URL": "/v3/webhooks"},
        {"X-Rewrite-URL": "/v3/webhooks"},
        {"X-Nylas-Grant": "other"},
    ],
)
def test_a_header_changes_neither_method_nor_address(
    agent: Program,
    path: str,  # noqa: F811
    question: dict[str, Any],  # noqa: F811
    header: dict[str, str],
) -> None:
    answer = agent.call("GET", f"{path}/messages/{question['message_id']}", None, **header)

    assert answer.json()["data"]["id"] == question["message_id"]
    assert agent.get(f"{path}/messages/{question['message_id']}").status_code == 200


@pytest.fixture
def provider(connected_settings: Any) -> Iterator[Any]:
    """A provider that answers what a test wants, and remembers what it was asked."""
    with Server([]) as server:

        def answers(*replies: Any) -> Server:
            server.scripts.append(answering(*replies))
            return server

        connected_settings.NYLAS_API_URI = server.uri
        yield answers


def test_the_provider_gets_our_key_and_nothing_of_the_agent_s_headers(
    agent: Program,
    path: str,  # noqa: F811
    provider: Any,
) -> None:
    server = provider((200, {"data": []}))
    agent.client.cookies["sessionid"] = "stolen"

    more = {"X-Evil": "1", "X-Forwarded-For": "10.0.0.1"}
    answer = agent.call("GET", f"{path}/messages?limit=5", None, **more)

    assert not answer.cookies
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sandbox-key"
    assert set(request.headers) == {"host", "authorization", "accept", "accept-encoding", "user-agent"}
    assert request.target == f"{path.removeprefix('/nylas')}/messages?limit=5"


def test_objects_of_other_grants_and_drafts_among_messages_are_not_given_on(
    agent: Program,
    path: str,  # noqa: F811
    provider: Any,
) -> None:
    own = path.rpartition("/")[2]
    provider(
        (
            200,
            {
                "data": [
                    {"id": "1", "object": "message", "grant_id": own, "metadata": {"key1": "T", "a": "b"}},
                    {"id": "2", "object": "message", "grant_id": "other"},
                    {"id": "3", "object": "draft", "grant_id": own},
                    {"id": "4", "grant_id": own},
                    "text",
                ]
            },
        )
    )

    shown = agent.get(f"{path}/messages").json()["data"]

    assert shown == [{"id": "1", "object": "message", "grant_id": own, "metadata": {"a": "b"}}]


def test_contacts_are_read_and_a_grant_shows_nothing_of_its_connection(
    agent: Program,
    path: str,  # noqa: F811
    provider: Any,
) -> None:
    own = path.rpartition("/")[2]
    provider(
        (200, {"data": [{"id": "c", "grant_id": own, "object": "contact", "given_name": "Bo"}]}),
        (200, {"data": {"id": own, "provider": "nylas", "settings": {"password": "x"}, "ip": "10.0.0.1"}}),
    )

    contacts = agent.get(f"{path}/contacts?email=bo@example.net").json()["data"]
    grant = agent.get(path).json()["data"]

    assert [one["given_name"] for one in contacts] == ["Bo"]
    assert grant == {"id": own, "provider": "nylas"}


@pytest.mark.parametrize(
    ("reply", "refusal"),
    [
        ((401, {"error": {"type": "unauthorized", "message": "key"}}), (503, "api.internal_error")),
        ((403, {"error": {"type": "forbidden", "message": "plan"}}), (503, "api.internal_error")),
        ((404, {"error": {"type": "x", "message": "y"}}), NOT_FOUND),
        ((400, {"error": {"type": "invalid_request_error", "message": "bad filter"}}), INVALID),
        ((429, {"error": {}}, {"Retry_After": "7"}), (429, "rate_limit_error")),
        ((500, {}), (503, "api.internal_error")),
        ((504, {}), (504, "api.provider_error")),
        ((200, b"no json"), (503, "api.internal_error")),
        ((200, [1]), (504, "api.provider_error")),
        ((200, {"data": {"id": 5}}), NOT_FOUND),
        ((200, {"data": {"id": "other", "object": "message", "grant_id": "other"}}), NOT_FOUND),
    ],
)
def test_a_fault_of_the_provider_has_its_envelope_and_no_secret(
    agent: Program,
    path: str,  # noqa: F811
    provider: Any,
    reply: Any,
    refusal: tuple[int, str],
) -> None:
    provider(reply)

    answer = agent.get(f"{path}/messages/x")

    assert error_of(answer) == refusal
    assert "sandbox-key" not in answer.content.decode()
    assert answer.headers.get("Retry-After") == ("7" if refusal[0] == 429 else None)


@pytest.mark.parametrize(
    "target",
    [
        "/nylas/v3/grants/{own}/../{foreign}/messages",
        "/nylas/v3/grants/{own}/messages/../../{foreign}/messages",
        "/nylas/v3/grants/{own}%2F..%2F{foreign}/messages",
        "/nylas/v3/grants/{own}/messages/%2E%2E%2Fdrafts",
        "/nylas/v3//grants/{foreign}/messages",
        "/nylas/../nylas/v3/grants/{foreign}/messages",
        "//nylas/v3/grants/{foreign}/messages",
        "/nylas/v3/grants/{own}/messages;/../../{foreign}",
        "/NYLAS/v3/grants/{own}/messages",
    ],
)
def test_no_raw_request_line_reaches_another_grant(
    transactional_db: None, live_server: Any, agent: Program, places: dict[str, str], target: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(live_server.url).netloc, timeout=30)
    connection.request("GET", target.format(**places), headers={"Authorization": f"Bearer {agent.secret}"})
    response = connection.getresponse()
    body = response.read()
    connection.close()

    assert response.status == 404
    assert "/nylas" not in target[:6] or json.loads(body)["error"]["type"] == "not_found_error"
