from .conftest import Desk


def test_draft_answers_in_the_thread_of_its_parent(desk: Desk) -> None:
    parent = desk.customer(subject="Where is my parcel?")

    draft = desk.draft(reply_to_message_id=parent["message_id"])

    assert draft["thread_id"] == parent["thread_id"]
    thread = desk.mail("GET", f"threads/{parent['thread_id']}").json()["data"]
    assert thread["draft_ids"] == [draft["id"]]
    assert thread["has_drafts"] is True


def test_draft_read_back_hides_what_the_provider_hides(desk: Desk) -> None:
    parent = desk.customer()
    headers = [{"name": "X-Note", "value": "1"}]
    draft = desk.draft(
        reply_to_message_id=parent["message_id"],
        custom_headers=headers,
        is_plaintext=True,
        bcc=[{"email": "b@c.example"}],
    )

    shown = desk.mail("GET", f"drafts/{draft['id']}").json()["data"]

    assert shown["object"] == "draft"
    assert shown["bcc"] == [{"email": "b@c.example"}]
    assert not {"reply_to_message_id", "custom_headers", "is_plaintext"} & set(shown)


def test_put_replaces_given_arrays_and_keeps_the_rest(desk: Desk) -> None:
    draft = desk.draft(
        cc=[{"email": "one@example.net"}, {"email": "two@example.net"}], metadata={"key1": "t"}
    )

    changed = desk.mail("PUT", f"drafts/{draft['id']}", json={"cc": [{"email": "three@example.net"}]}).json()[
        "data"
    ]

    assert changed["id"] == draft["id"]
    assert changed["cc"] == [{"email": "three@example.net"}]
    assert (changed["subject"], changed["metadata"]) == ("Hello", {"key1": "t"})


def test_put_keeps_attachments_left_out_and_replaces_those_given(desk: Desk) -> None:
    file = {"filename": "a.txt", "content_type": "text/plain", "content": "YQ=="}
    draft = desk.draft(attachments=[file])

    kept = desk.mail("PUT", f"drafts/{draft['id']}", json={"subject": "New"}).json()["data"]
    replaced = desk.mail("PUT", f"drafts/{draft['id']}", json={"attachments": []}).json()["data"]

    assert [entry["filename"] for entry in kept["attachments"]] == ["a.txt"]
    assert replaced["attachments"] == []


def test_deleted_draft_is_gone(desk: Desk) -> None:
    draft = desk.draft()

    assert desk.mail("DELETE", f"drafts/{draft['id']}").status_code == 200

    reply = desk.mail("GET", f"drafts/{draft['id']}")
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"


def test_drafts_are_listed_in_pages_until_no_cursor_comes(desk: Desk) -> None:
    ids = {desk.draft(subject=f"Draft {number}")["id"] for number in range(5)}

    seen, token = [], ""
    while True:
        page = desk.mail("GET", f"drafts?limit=2&page_token={token}").json()
        seen += [draft["id"] for draft in page["data"]]
        token = page.get("next_cursor")
        if not token:
            break

    assert set(seen) == ids
    assert len(seen) == 5


def test_drafts_are_found_by_metadata(desk: Desk) -> None:
    wanted = desk.draft(metadata={"key1": "wanted"})
    desk.draft(metadata={"key1": "other"})

    found = desk.mail("GET", "drafts?metadata_pair=key1:wanted").json()["data"]

    assert [draft["id"] for draft in found] == [wanted["id"]]


def test_awkward_ids_work_percent_encoded(desk: Desk) -> None:
    desk.switch(message_ids="awkward")
    draft = desk.draft()
    assert "/" in draft["id"] and "#" in draft["id"]

    from_path = draft["id"].replace("/", "%2F").replace("#", "%23").replace("<", "%3C").replace(">", "%3E")

    assert desk.mail("GET", f"drafts/{from_path.replace('+', '%2B')}").status_code == 200


def test_put_may_change_the_id_when_switched(desk: Desk) -> None:
    desk.switch(draft_id_after_put="changed")
    draft = desk.draft()

    changed = desk.mail("PUT", f"drafts/{draft['id']}", json={"subject": "New"}).json()["data"]

    assert changed["id"] != draft["id"]
    assert desk.mail("GET", f"drafts/{draft['id']}").status_code == 404
