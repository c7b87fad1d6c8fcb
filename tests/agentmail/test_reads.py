import base64
import gzip
import json
import os
import socket
from contextlib import suppress

import pytest

from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import (
    NotFound,
    ProviderNotConfigured,
    ProviderUnavailable,
    RequestRefused,
    TooLarge,
    Unauthenticated,
)
from agentmail.pace import Pace
from agentmail.types import Address
from tests.agentmail.loopback import answering, head

API_ERROR = {"request_id": "r1", "error": {"type": "some_error", "message": "for person@example.net"}}


def page(*identifiers, cursor=None):
    return {"data": [{"id": identifier} for identifier in identifiers], "next_cursor": cursor}


def test_ids_are_encoded_in_paths(serve, client_of):
    server = serve(answering((200, {"data": {"id": "x"}})))

    client_of(server).get_message("agent+1@example.org", "<a/b#c@d>%41")

    assert server.requests[0].target == (
        "/v3/grants/agent%2B1%40example.org/messages/%3Ca%2Fb%23c%40d%3E%2541"
    )


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_id_that_would_change_the_path_is_refused(serve, client_of, identifier):
    server = serve(answering((200, page())))

    with pytest.raises(RequestRefused):
        client_of(server).get_draft("g1", identifier)

    assert server.connections == 0


def test_list_goes_through_all_pages(serve, client_of):
    server = serve(answering((200, page("d1", "d2", cursor="c/1=")), (200, page("d3"))))

    drafts = list(client_of(server).list_drafts("g1"))

    assert [draft.id for draft in drafts] == ["d1", "d2", "d3"]
    assert server.requests[1].target.endswith("page_token=c%2F1%3D")


def test_list_ends_at_a_repeated_cursor(serve, client_of):
    server = serve(answering((200, page("d1", cursor="c1")), (200, page("d2", cursor="c1"))))

    assert [draft.id for draft in client_of(server).list_drafts("g1")] == ["d1", "d2"]
    assert len(server.requests) == 2


def test_page_of_objects_that_cannot_be_read_does_not_end_the_list(serve, client_of):
    broken = {"data": [{"no": "id"}], "next_cursor": "c1"}
    server = serve(answering((200, broken), (200, page("d2"))))

    assert [draft.id for draft in client_of(server).list_drafts("g1")] == ["d2"]


def test_list_ends_at_an_empty_page_with_a_cursor(serve, client_of):
    server = serve(answering((200, page("d1", cursor="c1")), (200, page(cursor="c2"))))

    assert [draft.id for draft in client_of(server).list_drafts("g1")] == ["d1"]


@pytest.mark.parametrize(
    "content",
    [
        {"data": [{"id": "t1"}]},
        {"data": {"threads": [{"id": "t1"}]}},
        {"data": {"items": [{"id": "t1"}], "next_cursor": None}},
        {"data": [{"id": "t1"}, {"no": "id"}, None, "text"]},
    ],
)
def test_each_form_of_a_list_is_read(serve, client_of, content):
    server = serve(answering((200, content)))

    assert [thread.id for thread in client_of(server).list_threads("g1")] == ["t1"]


@pytest.mark.parametrize(
    "content", [{"data": None}, {"data": {"items": None}}, {}, {"data": {"threads": []}}]
)
def test_each_form_of_an_empty_list_is_read(serve, client_of, content):
    assert list(client_of(serve(answering((200, content)))).list_threads("g1")) == []


def test_nested_cursor_is_followed(serve, client_of):
    first = {"data": {"items": [{"id": "w1"}], "next_cursor": "c1"}}
    server = serve(answering((200, first), (200, page("w2"))))

    assert [webhook.id for webhook in client_of(server).list_webhooks()] == ["w1", "w2"]


def test_grants_are_paged_by_offset(serve, client_of):
    server = serve(answering((200, page("g1", "g2")), (200, page("g3")), (200, page())))

    assert [grant.id for grant in client_of(server).list_grants()] == ["g1", "g2", "g3"]
    assert [request.target.partition("offset=")[2] for request in server.requests] == ["0", "2", "3"]


def test_grants_end_when_the_offset_is_ignored(serve, client_of):
    server = serve(answering((200, page("g1", "g2"))))

    assert [grant.id for grant in client_of(server).list_grants()] == ["g1", "g2"]


def test_filters_of_a_message_list_are_sent(serve, client_of):
    server = serve(answering((200, page())))

    list(client_of(server).list_messages("g1", metadata_pair="key1:ABC", with_headers=True))

    assert server.requests[0].target.endswith("?limit=200&metadata_pair=key1%3AABC&fields=include_headers")


def test_message_without_the_metadata_asked_for_is_left_out(serve, client_of):
    listed = [
        {"id": "m1"},
        {"id": "m2", "metadata": {"key1": "another"}},
        {"id": "m3", "metadata": {"key1": "a:token"}},
    ]
    server = serve(answering((200, {"data": listed})))

    found = client_of(server).list_messages("g1", metadata_pair="key1:a:token")

    assert [message.id for message in found] == ["m3"]


def test_draft_among_messages_is_no_message(serve, client_of):
    drafted = {"id": "d1", "object": "draft", "metadata": {"key1": "token"}}
    sent = {"id": "m1", "object": "message", "metadata": {"key1": "token"}}
    client = client_of(serve(answering((200, {"data": [drafted, sent]}), (200, {"data": drafted}))))

    assert [message.id for message in client.list_messages("g1", metadata_pair="key1:token")] == ["m1"]
    with pytest.raises(NotFound):
        client.get_message("g1", "d1")


def test_draft_with_odd_fields_is_read(serve, client_of):
    data = {
        "id": 12,
        "to": [{"email": "A@Example.net", "name": None}, "b@example.net", 7],
        "cc": None,
        "date": "1790001234",
        "subject": "nul\0 and \ud800 alone",
        "attachments": [{"id": "a1", "filename": None, "size": "5120", "content_id": "<c1>"}],
        "metadata": {"key1": 5},
    }
    server = serve(answering((200, {"data": data})))

    draft = client_of(server).get_draft("g1", "12")

    assert (draft.id, draft.grant_id, draft.date, draft.thread_id) == ("12", "g1", 1790001234, "")
    assert draft.to == (Address("A@Example.net"), Address("b@example.net"))
    assert draft.subject == "nul\ufffd and \ufffd alone"
    assert (draft.attachments[0].filename, draft.attachments[0].size) == ("", 5120)
    assert draft.attachments[0].content_id == "c1"
    assert draft.metadata == {"key1": "5"}


def test_thread_without_dates_is_read(serve, client_of):
    server = serve(answering((200, {"data": {"id": "t1", "message_ids": ["m1", 2]}})))

    thread = client_of(server).get_thread("g1", "t1")

    assert thread.message_ids == ("m1", "2")
    assert (thread.latest_message_received_date, thread.draft_ids) == (None, ())


def test_object_without_its_envelope_is_read(serve, client_of):
    server = serve(answering((200, {"id": "g1", "email": "a@example.org", "grant_status": "valid"})))

    grant = client_of(server).get_grant("g1")

    assert (grant.email, grant.is_valid, grant.is_blocked) == ("a@example.org", True, False)


@pytest.mark.parametrize(
    ("data", "role"),
    [
        ({"name": "Gesendet", "attributes": ["\\Sent"]}, "sent"),
        ({"name": "SENT"}, "sent"),
        ({"name": "Invoices", "attributes": None}, ""),
        ({"name": "x", "attributes": ["\\HasNoChildren", "\\Junk"]}, "junk"),
    ],
)
def test_folder_role_comes_from_attributes_then_from_the_name(serve, client_of, data, role):
    server = serve(answering((200, {"data": [{"id": "f1", **data}]})))

    assert [folder.role for folder in client_of(server).list_folders("g1")] == [role]


def test_blocked_evaluation_without_a_message_is_read(serve, client_of):
    data = {"id": "e1", "message_id": None, "evaluated_at": 5, "evaluation_stage": "outbound_send"}
    server = serve(answering((200, {"data": [data]})))

    (evaluation,) = client_of(server).list_rule_evaluations("g1")

    assert (evaluation.message_id, evaluation.stage, evaluation.matched_rule_ids) == ("", "outbound_send", ())


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"event_type": "delivered"}, "delivered", ""),
        (
            {"event_type": "bounced", "bounce_class": "hard", "reason": "General (5.1.1)"},
            "hard_bounce",
            "5.1.1",
        ),
        ({"event_type": "bounced", "bounce_class": "soft", "reason": "General"}, "soft_bounce", ""),
        (
            {
                "event_type": "bounced",
                "bounce_class": "undetermined",
                "detail": {"diagnostic_code": "smtp; 452 4.2.2"},
            },
            "soft_bounce",
            "4.2.2",
        ),
        ({"event_type": "bounced"}, "hard_bounce", ""),
    ],
)
def test_send_activity_tells_bounces_apart(serve, client_of, fields, kind, code):
    row = {"message_id": "m1", "recipient": "a@example.net", "timestamp": 9, **fields}
    server = serve(answering((200, {"data": [row]})))

    (activity,) = client_of(server).list_send_activity("g1", message_id="m1", start=5)

    assert (activity.recipient, activity.at, activity.kind, activity.code) == ("a@example.net", 9, kind, code)
    assert server.requests[0].target.endswith("?limit=200&grant_id=g1&start=5&message_id=m1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRefused),
        (401, Unauthenticated),
        (403, RequestRefused),
        (404, NotFound),
        (307, ProviderUnavailable),
        (429, ProviderUnavailable),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
    ],
)
def test_failing_read_names_its_kind(serve, client_of, status, error):
    server = serve(answering((status, API_ERROR)))

    with pytest.raises(error) as caught:
        client_of(server).get_draft("g1", "d1")

    assert (caught.value.status_code, caught.value.request_id) == (status, "r1")
    assert "person@example.net" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", NotFound),
        (b'{"type": "not_found_error"}', NotFound),
        (b"<h1>Not here</h1>", ProviderUnavailable),
    ],
)
def test_404_counts_for_the_object_only_when_the_api_says_it(serve, client_of, body, error):
    server = serve(answering((404, body)))

    with pytest.raises(error) as caught:
        client_of(server).get_draft("g1", "d1")

    assert caught.value.status_code == 404


def test_unreadable_body_is_unavailable(serve, client_of):
    server = serve(answering((200, b"<html>maintenance</html>")))

    with pytest.raises(ProviderUnavailable):
        client_of(server).get_draft("g1", "d1")


def test_read_is_repeated_once_after_a_lost_connection(serve, client_of):
    def dying(line):
        line.read_request()
        line.reset()

    server = serve(dying, answering((200, {"data": {"id": "d1"}})))

    assert client_of(server).get_draft("g1", "d1").id == "d1"
    assert len(server.requests) == 2


def test_read_gives_up_after_the_second_lost_connection(serve, client_of):
    def dying(line):
        line.read_request()
        line.reset()

    server = serve(dying)

    with pytest.raises(ProviderUnavailable):
        client_of(server).get_draft("g1", "d1")

    assert len(server.requests) == 2


def test_write_is_not_repeated_after_a_lost_connection(serve, client_of):
    def dying(line):
        line.read_request()
        line.reset()

    server = serve(dying)

    with pytest.raises(ProviderUnavailable):
        client_of(server).update_draft("g1", "d1", {"subject": "x"})

    assert len(server.requests) == 1


def test_short_retry_after_is_honoured_once(serve, client_of):
    server = serve(answering((429, API_ERROR, {"Retry_After": "0"}), (200, {"data": {"id": "d1"}})))

    assert client_of(server).get_draft("g1", "d1").id == "d1"


def test_long_retry_after_is_passed_on(serve, client_of):
    server = serve(answering((429, API_ERROR, {"Retry_After": "600"})))

    with pytest.raises(ProviderUnavailable) as caught:
        client_of(server).get_draft("g1", "d1")

    assert caught.value.retry_after_seconds == 600
    assert len(server.requests) == 1


def test_silent_read_is_unavailable_and_not_repeated(serve, client_of):
    def script(line):
        line.read_request()
        line.stay_silent()

    server = serve(script)

    with pytest.raises(ProviderUnavailable):
        client_of(server, connect_timeout=2.0).get_draft("g1", "d1", read_timeout=0.2)

    assert len(server.requests) <= 2


def test_refused_connection_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ProviderUnavailable):
        NylasClient(f"http://127.0.0.1:{port}", "key").get_grant("g1")


def test_attachment_within_the_limit_is_downloaded(serve, client_of):
    server = serve(answering((200, b"%PDF-1.4")))

    content = client_of(server).download_attachment("g1", "a/1", parent_id="m1", limit=8)

    assert content == b"%PDF-1.4"
    assert server.requests[0].target == "/v3/grants/g1/attachments/a%2F1/download?message_id=m1"


def test_attachment_above_the_limit_is_refused(serve, client_of):
    server = serve(answering((200, b"x" * 101)))

    with pytest.raises(TooLarge):
        client_of(server).download_attachment("g1", "a1", parent_id="m1", limit=100)


def test_small_reply_that_unpacks_into_a_large_one_is_refused(serve, client_of):
    packed = gzip.compress(b"0" * 5_000_000)
    server = serve(answering((200, packed, {"Content_Encoding": "gzip"})))

    with pytest.raises(TooLarge):
        client_of(server).download_attachment("g1", "a1", parent_id="m1", limit=1_000_000)


def test_fields_of_a_draft_are_sent_as_json_without_a_charset(serve, client_of):
    server = serve(answering((200, {"data": {"id": "d2"}})))

    draft = client_of(server).update_draft("g1", "d1", {"subject": "é"})

    assert draft.id == "d2"
    assert server.requests[0].headers["content-type"] == "application/json"
    assert json.loads(server.requests[0].body) == {"subject": "é"}


@pytest.mark.parametrize(("status", "was_there"), [(200, True), (404, False)])
def test_deleting_a_draft_says_whether_it_was_there(serve, client_of, status, was_there):
    server = serve(answering((status, {"request_id": "r1"})))

    assert client_of(server).delete_draft("g1", "d1") is was_there


def test_rotated_secret_is_read_from_either_place(serve, client_of):
    for content in ({"data": {"webhook_secret": "s2"}}, {"webhook_secret": "s2"}):
        assert client_of(serve(answering((200, content)))).rotate_webhook_secret("w1") == "s2"


def test_connection_is_kept_between_reads(serve, client_of):
    server = serve(answering((200, {"data": {"id": "d1"}})))
    client = client_of(server)

    client.get_draft("g1", "d1")
    client.get_draft("g1", "d1")

    assert server.connections == 1


def test_cookies_of_the_provider_are_not_kept(serve, client_of):
    server = serve(answering((200, {"data": {"id": "d1"}}, {"Set_Cookie": "a=b"})))
    client = client_of(server)

    client.get_draft("g1", "d1")
    client.get_draft("g1", "d1")

    assert "cookie" not in server.requests[1].headers


def test_proxy_of_the_environment_is_not_used(serve, client_of, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", os.devnull)
    server = serve(answering((200, {"data": {"id": "d1"}})))

    assert client_of(server).get_draft("g1", "d1").id == "d1"


def test_child_process_opens_its_own_connection(serve, client_of):
    server = serve(answering((200, {"data": {"id": "d1"}})))
    client = client_of(server)
    client.get_draft("g1", "d1")

    child = os.fork()
    if child == 0:
        try:
            client.get_draft("g1", "d1")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    client.get_draft("g1", "d1")

    assert server.connections == 2
    assert len(server.requests) == 3


def test_pace_spends_its_store_and_then_waits():
    waits = []
    pace = Pace(per_grant=10.0, clock=lambda: 100.0, sleep=waits.append)

    for _ in range(12):
        pace.wait("g1")

    assert waits == pytest.approx([0.1, 0.2])


def test_pace_fills_again_with_time():
    now = [100.0]
    waits = []
    pace = Pace(per_grant=10.0, clock=lambda: now[0], sleep=waits.append)

    for _ in range(12):
        pace.wait("g1")
    now[0] += 60
    for _ in range(10):
        pace.wait("g1")

    assert len(waits) == 2


def test_each_mailbox_and_the_application_have_their_own_pace():
    waits = []
    pace = Pace(per_application=2.0, per_grant=3.0, clock=lambda: 100.0, sleep=waits.append)

    for grant in ["g1", "g1", "g1", "g2", "g2", "g2", "", ""]:
        pace.wait(grant)

    assert waits == []


def test_reads_wait_for_the_pace_of_their_mailbox(serve):
    asked = []
    server = serve(answering((200, {"data": {"id": "x"}})))
    pace = Pace(per_application=0.5, per_grant=0.5, sleep=asked.append)
    client = NylasClient(server.uri, "key", pace=pace)

    client.get_draft("g1", "d1")
    client.get_grant("g1")
    client.send_message("g1", body=b"{}", content_type="application/json", idempotency_key="k", attempt_id=1)
    client.get_draft("g2", "d1")

    assert len(asked) == 3


def test_client_needs_an_address_and_a_key(settings):
    settings.NYLAS_API_URI = "http://127.0.0.1:9"
    settings.NYLAS_API_KEY = ""

    with pytest.raises(ProviderNotConfigured):
        configured_client()


def test_configured_client_stays_the_same_until_the_settings_change(settings):
    settings.NYLAS_API_URI = "http://127.0.0.1:9"
    settings.NYLAS_API_KEY = "key-1"
    settings.SEND_CONNECT_SECONDS = 5
    settings.SEND_READ_SECONDS = 120
    first = configured_client()

    again = configured_client()
    settings.NYLAS_API_KEY = "key-2"

    assert again is first
    assert configured_client() is not first


def source_of(raw):
    return {"id": "m1", "grant_id": "g1", "raw_mime": base64.urlsafe_b64encode(raw).decode()}


@pytest.mark.parametrize("strip", ["", "="])
def test_the_source_of_a_message_is_read_with_and_without_padding(serve, client_of, strip):
    data = source_of(b"From: a@example.net\r\n\r\n\xfb\xff")
    data["raw_mime"] = data["raw_mime"].rstrip(strip) if strip else data["raw_mime"]
    server = serve(answering((200, {"data": data})))

    raw = client_of(server).get_raw_mime("g1", "m/1", limit=1000)

    assert raw == b"From: a@example.net\r\n\r\n\xfb\xff"
    assert server.requests[0].target == "/v3/grants/g1/messages/m%2F1?fields=raw_mime"


@pytest.mark.parametrize("size", [101, 100_000])
def test_a_source_above_its_limit_is_refused(serve, client_of, size):
    server = serve(answering((200, {"data": source_of(b"a" * size)})))

    with pytest.raises(TooLarge):
        client_of(server).get_raw_mime("g1", "m1", limit=100)


def test_a_source_is_not_read_beyond_its_limit(serve, client_of):
    def endless(line):
        line.read_request()
        line.write(head(200, 10**9) + b'{"data": {"raw_mime": "')
        with suppress(OSError):
            while True:
                line.write(b"A" * 65536)

    server = serve(endless)

    with pytest.raises(TooLarge):
        client_of(server).get_raw_mime("g1", "m1", limit=100_000)


@pytest.mark.parametrize(
    "data",
    [{}, {"raw_mime": ""}, {"raw_mime": None}, {"raw_mime": 7}, {"raw_mime": "a*b"}, {"raw_mime": "é"}],
)
def test_a_reply_without_a_readable_source_is_unavailable(serve, client_of, data):
    server = serve(answering((200, {"data": {"id": "m1", "grant_id": "g1", **data}})))

    with pytest.raises(ProviderUnavailable):
        client_of(server).get_raw_mime("g1", "m1", limit=1000)


def test_the_source_of_another_grants_message_is_not_given(serve, client_of):
    server = serve(answering((200, {"data": source_of(b"x") | {"grant_id": "g2"}})))

    with pytest.raises(NotFound):
        client_of(server).get_raw_mime("g1", "m1", limit=1000)
