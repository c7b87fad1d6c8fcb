import base64
import hashlib

import pytest

from .conftest import Desk


def subjects(desk: Desk, query: str) -> list[str]:
    return sorted(message["subject"] for message in desk.mail("GET", f"messages?{query}").json()["data"])


@pytest.fixture
def filled(desk: Desk) -> Desk:
    now = int(desk.sandbox.get("clock")["now"])
    desk.customer(subject="Old invoice", date=now - 5000, **{"from": {"email": "Alice@Example.net"}})
    desk.customer(
        subject="New invoice",
        date=now - 100,
        cc=[{"email": "carol@example.org"}],
        attachments=[{"filename": "a.pdf", "content_type": "application/pdf", "content": "YQ=="}],
        **{"from": {"email": "bob@example.net"}},
    )
    desk.customer(
        subject="Hello", date=now - 50, body="about apples", **{"from": {"email": "bob@example.net"}}
    )
    return desk


def test_message_filters_can_be_combined(filled: Desk) -> None:
    now = int(filled.sandbox.get("clock")["now"])

    assert subjects(filled, "subject=INVOICE") == ["New invoice", "Old invoice"]
    assert subjects(filled, "from=alice@example.net") == ["Old invoice"]
    assert subjects(filled, "any_email=carol@example.org,alice@example.net") == ["New invoice", "Old invoice"]
    assert subjects(filled, f"received_after={now - 1000}") == ["Hello", "New invoice"]
    assert subjects(filled, f"received_before={now - 1000}") == ["Old invoice"]
    assert subjects(filled, "has_attachment=True") == ["New invoice"]
    assert subjects(filled, "from=bob@example.net&subject=hello") == ["Hello"]
    assert subjects(filled, "search_query_native=(apples OR invoice) -new") == ["Hello", "Old invoice"]


def test_folder_filter_takes_ids_only(filled: Desk) -> None:
    folders = {folder["name"]: folder for folder in filled.mail("GET", "folders").json()["data"]}

    assert len(subjects(filled, f"in={folders['Inbox']['id']}")) == 3
    assert subjects(filled, f"in={folders['Sent']['id']}") == []
    assert filled.mail("GET", "messages?in=inbox").status_code == 400
    assert folders["Sent"]["attributes"] == ["\\Sent"]
    assert folders["Inbox"]["total_count"] == 3


def test_messages_come_newest_first_over_pages(filled: Desk) -> None:
    first = filled.mail("GET", "messages?limit=2").json()
    filled.customer(subject="Newest")
    second = filled.mail("GET", f"messages?limit=2&page_token={first['next_cursor']}").json()

    seen = [message["subject"] for page in (first, second) for message in page["data"]]
    assert seen == ["Hello", "New invoice", "Old invoice"]
    assert "next_cursor" not in second


def test_select_returns_only_named_fields(filled: Desk) -> None:
    [message, *_] = filled.mail("GET", "messages?select=id,subject").json()["data"]

    assert set(message) == {"id", "subject"}


def test_headers_come_only_when_asked_for(filled: Desk) -> None:
    id = filled.mail("GET", "messages?limit=1").json()["data"][0]["id"]

    plain = filled.mail("GET", f"messages/{id}").json()["data"]
    basic = filled.mail("GET", f"messages/{id}?fields=include_basic_headers").json()["data"]
    raw = filled.mail("GET", f"messages/{id}?fields=raw_mime").json()["data"]

    assert "headers" not in plain
    assert {header["name"] for header in basic["headers"]} == {"Message-ID"}
    assert set(raw) == {"grant_id", "object", "id", "raw_mime"}
    assert b"about apples" in base64.urlsafe_b64decode(raw["raw_mime"])


def test_customer_answers_in_the_thread_by_message_id(desk: Desk) -> None:
    first = desk.customer(subject="One")

    second = desk.customer(subject="Quite another subject", in_reply_to=first["internet_message_id"])

    assert second["thread_id"] == first["thread_id"]


def test_thread_dates_follow_their_direction(desk: Desk) -> None:
    first = desk.customer()
    thread = desk.mail("GET", f"threads/{first['thread_id']}").json()["data"]
    assert "latest_message_sent_date" not in thread

    desk.send(reply_to_message_id=first["message_id"])
    thread = desk.mail("GET", f"threads/{first['thread_id']}").json()["data"]

    assert thread["latest_message_sent_date"] >= thread["latest_message_received_date"]
    assert thread["latest_draft_or_message"]["object"] == "message"
    assert len(thread["message_ids"]) == 2


def test_threads_page_at_twenty(desk: Desk) -> None:
    for number in range(23):
        desk.customer(subject=f"Thread {number}")

    first = desk.mail("GET", "threads").json()
    second = desk.mail("GET", f"threads?page_token={first['next_cursor']}").json()

    assert (len(first["data"]), len(second["data"])) == (20, 3)
    assert len(desk.mail("GET", "threads?limit=500").json()["data"]) == 23


def test_message_marks_and_metadata_change(desk: Desk) -> None:
    id = desk.customer()["message_id"]

    changed = desk.mail("PUT", f"messages/{id}", json={"unread": False, "metadata": {"key1": "v"}}).json()[
        "data"
    ]

    assert (changed["unread"], changed["metadata"]) == (False, {"key1": "v"})
    assert len(desk.events("message.updated")) == 1


def test_deleted_message_goes_to_trash(desk: Desk) -> None:
    id = desk.customer()["message_id"]
    trash = next(folder for folder in desk.mail("GET", "folders").json()["data"] if folder["name"] == "Trash")

    assert desk.mail("DELETE", f"messages/{id}").status_code == 200

    assert desk.mail("GET", f"messages/{id}").json()["data"]["folders"] == [trash["id"]]


def test_attachment_is_described_and_downloaded(desk: Desk) -> None:
    content = bytes(range(256))
    message = desk.customer(
        attachments=[
            {
                "filename": "b.bin",
                "content_type": "application/x-bin",
                "content": base64.b64encode(content).decode(),
            }
        ]
    )
    [attachment] = desk.mail("GET", f"messages/{message['message_id']}").json()["data"]["attachments"]
    path = f"attachments/{attachment['id']}"

    shown = desk.mail("GET", f"{path}?message_id={message['message_id']}").json()["data"]
    downloaded = desk.mail("GET", f"{path}/download?message_id={message['message_id']}")

    assert (shown["filename"], shown["size"]) == ("b.bin", 256)
    assert hashlib.sha256(downloaded.content).digest() == hashlib.sha256(content).digest()
    assert desk.mail("GET", f"{path}/download").status_code == 400


def test_own_folders_come_and_go_and_system_folders_stay(desk: Desk) -> None:
    created = desk.mail("POST", "folders", json={"name": "Clients"}).json()["data"]
    inbox = next(folder for folder in desk.mail("GET", "folders").json()["data"] if folder["name"] == "Inbox")

    assert desk.mail("POST", "folders", json={"name": "inbox"}).status_code == 400
    assert desk.mail("DELETE", f"folders/{inbox['id']}").status_code == 400
    assert desk.mail("DELETE", f"folders/{created['id']}").status_code == 200


def test_grant_is_found_by_id_and_by_address(desk: Desk) -> None:
    by_address = desk.call("GET", "/v3/grants/support%40lindenhof.example").json()["data"]

    assert by_address["id"] == desk.grant_id
    assert (by_address["provider"], by_address["grant_status"]) == ("nylas", "valid")
    assert desk.call("GET", "/v3/grants/unknown").status_code == 404


def test_connecting_an_address_again_returns_its_grant(desk: Desk) -> None:
    body = {"provider": "nylas", "settings": {"email": "Support@lindenhof.example"}}

    reply = desk.call("POST", "/v3/connect/custom", json=body)

    assert (reply.status_code, reply.json()["data"]["id"]) == (201, desk.grant_id)


def test_revoked_grant_refuses_everything_until_it_is_valid_again(desk: Desk) -> None:
    desk.sandbox.control("PATCH", f"grants/{desk.grant_id}", grant_status="invalid")
    assert desk.mail("GET", "drafts").status_code == 401

    desk.sandbox.control("PATCH", f"grants/{desk.grant_id}", grant_status="valid")

    assert desk.mail("GET", "drafts").status_code == 200


def test_deleted_grant_is_gone_with_its_mail(desk: Desk) -> None:
    desk.customer()

    assert desk.call("DELETE", f"/v3/grants/{desk.grant_id}").status_code == 200

    assert desk.mail("GET", "messages").status_code == 404
    assert len(desk.events("grant.deleted")) == 1
    assert desk.sandbox.get("state")["messages"] == []


def test_large_answers_are_compressed_on_request(desk: Desk) -> None:
    id = desk.customer(body_bytes=50_000)["message_id"]

    packed = desk.mail("GET", f"messages/{id}", headers={"Accept-Encoding": "gzip"})
    plain = desk.mail("GET", f"messages/{id}", headers={"Accept-Encoding": "identity"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["data"] == plain.json()["data"]


def test_unknown_route_is_a_json_error(desk: Desk) -> None:
    reply = desk.call("GET", "/v3/nothing/here")

    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found_error")
    assert reply.json()["request_id"]
