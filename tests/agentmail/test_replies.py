import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from agentmail.replies import classify
from agentmail.types import ReplyClass

API_ERROR = {"request_id": "r1", "error": {"type": "invalid_request_error", "message": "subject too long"}}
MESSAGE = {"request_id": "r1", "data": {"id": "m1"}}


def reply(status_code, content=None, *, is_draft_send=False, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(
        status_code=status_code, headers=CaseInsensitiveDict(names), body=body, is_draft_send=is_draft_send
    )


def conflict(kind):
    return {"error": {"type": kind, "message": "conflict"}}


@pytest.mark.parametrize(
    ("status_code", "content", "expected"),
    [
        (200, MESSAGE, ReplyClass.ACCEPTED),
        (200, {"data": {"id": ""}}, ReplyClass.AMBIGUOUS),
        (200, {"data": {}}, ReplyClass.AMBIGUOUS),
        (200, {"data": [MESSAGE]}, ReplyClass.AMBIGUOUS),
        (200, b"<html>", ReplyClass.AMBIGUOUS),
        (200, b"", ReplyClass.AMBIGUOUS),
        (200, b'{"data": {"id": "m1"', ReplyClass.AMBIGUOUS),
        (200, b"[" * 100_000, ReplyClass.AMBIGUOUS),
        (201, MESSAGE, ReplyClass.AMBIGUOUS),
        (202, MESSAGE, ReplyClass.AMBIGUOUS),
        (204, b"", ReplyClass.AMBIGUOUS),
        (307, b"", ReplyClass.AMBIGUOUS),
        (400, API_ERROR, ReplyClass.REFUSED),
        (400, b"<html>bad request</html>", ReplyClass.AMBIGUOUS),
        (400, {"message": "from a proxy"}, ReplyClass.AMBIGUOUS),
        (401, b"", ReplyClass.UNAUTHENTICATED),
        (402, API_ERROR, ReplyClass.AMBIGUOUS),
        (403, b"", ReplyClass.BLOCKED),
        (404, API_ERROR, ReplyClass.AMBIGUOUS),
        (408, API_ERROR, ReplyClass.AMBIGUOUS),
        (409, conflict("api.invalid_idempotent_request"), ReplyClass.PAYLOAD_MISMATCH),
        (409, conflict("invalid_idempotent_request"), ReplyClass.PAYLOAD_MISMATCH),
        (409, conflict("api.concurrent_idempotent_request"), ReplyClass.AMBIGUOUS),
        (409, b"", ReplyClass.AMBIGUOUS),
        (413, API_ERROR, ReplyClass.REFUSED),
        (413, b"<html>too large</html>", ReplyClass.AMBIGUOUS),
        (418, API_ERROR, ReplyClass.AMBIGUOUS),
        (422, API_ERROR, ReplyClass.REFUSED),
        (422, {}, ReplyClass.AMBIGUOUS),
        (423, API_ERROR, ReplyClass.AMBIGUOUS),
        (429, b"", ReplyClass.RATE_LIMITED),
        (500, API_ERROR, ReplyClass.AMBIGUOUS),
        (502, b"", ReplyClass.AMBIGUOUS),
        (503, API_ERROR, ReplyClass.AMBIGUOUS),
        (504, API_ERROR, ReplyClass.AMBIGUOUS),
    ],
)
def test_each_reply_has_the_class_of_the_table(status_code, content, expected):
    assert reply(status_code, content).reply_class is expected


def test_missing_draft_is_gone_only_when_a_draft_was_sent():
    assert reply(404, API_ERROR, is_draft_send=True).reply_class is ReplyClass.GONE


@pytest.mark.parametrize("status_code", [202, 201])
def test_queued_reply_keeps_the_message_id(status_code):
    assert reply(status_code, MESSAGE).message.id == "m1"


def test_refusal_keeps_what_the_provider_said():
    refusal = reply(400, API_ERROR)

    assert (refusal.error_type, refusal.error_message) == ("invalid_request_error", "subject too long")
    assert "subject" not in refusal.detail


def test_request_id_falls_back_to_the_header():
    assert reply(502, b"", X_Request_Id="r-header").request_id == "r-header"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("99999999999999", 86_400),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("²", None),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(given, seconds):
    answered = reply(429, b"", Retry_After=given, Date="Sat, 21 Nov 2026 10:00:00 GMT")

    assert answered.retry_after_seconds == seconds


@given(status_code=st.integers(100, 599), body=st.binary(max_size=60))
def test_only_a_200_with_an_id_is_ever_accepted(status_code, body):
    assert reply(status_code, body).reply_class is not ReplyClass.ACCEPTED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "error", "id", "type", "to", "request_id"]) | st.text(), inner
        )
    ),
    max_leaves=12,
)


@given(status_code=st.integers(100, 599), content=json_values)
def test_any_json_is_classified_without_an_error(status_code, content):
    assert reply(status_code, content).reply_class in ReplyClass
