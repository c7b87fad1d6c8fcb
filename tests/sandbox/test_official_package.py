"""The provider's own Python package drives the sandbox as it would the provider."""

import io

import pytest
from nylas import Client
from nylas.models.drafts import Draft
from nylas.models.errors import NylasApiError
from nylas.models.messages import Message

from .conftest import Desk, Receiver


@pytest.fixture
def official(desk: Desk) -> Client:
    return Client(api_key=desk.sandbox.api_key, api_uri=desk.sandbox.url, timeout=30)


def test_grants(official: Client, desk: Desk) -> None:
    created = official.auth.custom_authentication(
        {"provider": "nylas", "settings": {"email": "agent@lindenhof.example"}}
    ).data
    updated = official.grants.update(created.id, {"settings": {"email": "agent@lindenhof.example"}}).data
    found = official.grants.find(created.id).data
    listed = official.grants.list(query_params={"limit": 5, "provider": "nylas"})

    assert (found.email, found.provider, found.grant_status) == ("agent@lindenhof.example", "nylas", "valid")
    assert updated.id == created.id
    assert {grant.id for grant in listed.data} == {created.id, desk.grant_id}
    assert official.grants.destroy(created.id).request_id
    with pytest.raises(NylasApiError) as refused:
        official.grants.find(created.id)
    assert refused.value.status_code == 404


def test_drafts(official: Client, desk: Desk) -> None:
    parent = desk.customer()
    created = official.drafts.create(
        desk.grant_id,
        {
            "to": [{"email": "casey@example.net", "name": "Casey"}],
            "subject": "Grüße",
            "body": "Hallo",
            "reply_to_message_id": parent["message_id"],
            "metadata": {"key1": "token"},
        },
    ).data
    updated = official.drafts.update(desk.grant_id, created.id, {"subject": "Re: Grüße"}).data
    listed = official.drafts.list(desk.grant_id, query_params={"thread_id": parent["thread_id"]}).data
    found = official.drafts.find(desk.grant_id, created.id).data

    assert [draft.id for draft in listed] == [created.id]
    assert (found.subject, found.object, found.metadata) == ("Re: Grüße", "draft", {"key1": "token"})
    assert updated.thread_id == parent["thread_id"]

    sent = official.drafts.send(desk.grant_id, created.id).data
    assert isinstance(sent, Message)
    assert sent.subject == "Re: Grüße"
    with pytest.raises(NylasApiError):
        official.drafts.find(desk.grant_id, created.id)


def test_draft_is_destroyed(official: Client, desk: Desk) -> None:
    created = official.drafts.create(desk.grant_id, {"subject": "Away"}).data

    assert official.drafts.destroy(desk.grant_id, created.id).request_id

    assert official.drafts.list(desk.grant_id).data == []


def test_messages(official: Client, desk: Desk) -> None:
    inbound = desk.customer(subject="Question")
    sent = official.messages.send(
        desk.grant_id,
        {
            "to": [{"email": "casey@example.net"}],
            "subject": "Answer",
            "body": "<p>Yes</p>",
            "reply_to_message_id": inbound["message_id"],
            "metadata": {"key1": "token"},
        },
        overrides={"headers": {"Idempotency-Key": "once"}},
    )
    found = official.messages.find(
        desk.grant_id, sent.data.id, query_params={"fields": "include_headers"}
    ).data
    by_token = official.messages.list(desk.grant_id, query_params={"metadata_pair": {"key1": "token"}}).data
    listed = official.messages.list(desk.grant_id, query_params={"limit": 1})
    updated = official.messages.update(
        desk.grant_id, inbound["message_id"], {"unread": False, "starred": True}
    ).data

    assert found.thread_id == inbound["thread_id"]
    assert {header.name for header in found.headers} >= {"Message-ID", "In-Reply-To"}
    assert [message.id for message in by_token] == [sent.data.id]
    assert len(listed.data) == 1
    assert listed.next_cursor
    assert (updated.unread, updated.starred) == (False, True)
    assert official.messages.destroy(desk.grant_id, inbound["message_id"]).request_id


def test_large_attachment_goes_as_multipart(official: Client, desk: Desk) -> None:
    content = b"0123456789" * 400_000
    sent = official.messages.send(
        desk.grant_id,
        {
            "to": [{"email": "casey@example.net"}],
            "subject": "Large",
            "body": "See attached",
            "attachments": [
                {
                    "filename": "large.bin",
                    "content_type": "application/octet-stream",
                    "content": io.BytesIO(content),
                    "size": len(content),
                }
            ],
        },
    ).data

    assert [(entry.filename, entry.size) for entry in sent.attachments] == [("large.bin", len(content))]


def test_raw_message(official: Client, desk: Desk) -> None:
    raw = "From: support@lindenhof.example\r\nTo: casey@example.net\r\nSubject: Raw\r\n\r\nHello"

    sent = official.messages.send_raw_mime(desk.grant_id, {"mime": raw}).data

    assert sent.subject == "Raw"


def test_scheduled_messages(official: Client, desk: Desk) -> None:
    send_at = int(desk.sandbox.get("clock")["now"]) + 600
    sent = official.messages.send(
        desk.grant_id,
        {"to": [{"email": "casey@example.net"}], "subject": "Later", "body": "b", "send_at": send_at},
    ).data
    found = official.messages.find_scheduled_message(desk.grant_id, sent.schedule_id).data

    assert (found.schedule_id, found.status.code) == (sent.schedule_id, "pending")
    assert [entry.schedule_id for entry in official.messages.list_scheduled_messages(desk.grant_id).data] == [
        sent.schedule_id
    ]
    assert official.messages.stop_scheduled_message(desk.grant_id, sent.schedule_id).data.message


def test_threads(official: Client, desk: Desk) -> None:
    inbound = desk.customer(subject="Threaded")
    official.drafts.create(
        desk.grant_id, {"reply_to_message_id": inbound["message_id"], "subject": "Re: Threaded"}
    )
    found = official.threads.find(desk.grant_id, inbound["thread_id"]).data
    listed = official.threads.list(desk.grant_id, query_params={"subject": "Threaded"}).data
    updated = official.threads.update(desk.grant_id, inbound["thread_id"], {"unread": False}).data

    assert isinstance(found.latest_draft_or_message, Draft)
    assert (found.has_drafts, found.message_ids) == (True, [inbound["message_id"]])
    assert [thread.id for thread in listed] == [inbound["thread_id"]]
    assert updated.unread is False
    assert official.threads.destroy(desk.grant_id, inbound["thread_id"]).request_id


def test_folders(official: Client, desk: Desk) -> None:
    created = official.folders.create(desk.grant_id, {"name": "Clients"}).data
    updated = official.folders.update(desk.grant_id, created.id, {"name": "Customers"}).data
    names = {folder.name for folder in official.folders.list(desk.grant_id).data}

    assert updated.name == official.folders.find(desk.grant_id, created.id).data.name == "Customers"
    assert names == {"Inbox", "Sent", "Drafts", "Trash", "Junk", "Archive", "Customers"}
    assert official.folders.destroy(desk.grant_id, created.id).request_id


def test_attachments(official: Client, desk: Desk) -> None:
    message = desk.customer(
        attachments=[{"filename": "a.txt", "content_type": "text/plain", "content": "SGVsbG8="}]
    )
    [entry] = official.messages.find(desk.grant_id, message["message_id"]).data.attachments
    parent = {"message_id": message["message_id"]}

    found = official.attachments.find(desk.grant_id, entry.id, query_params=parent).data
    content = official.attachments.download_bytes(desk.grant_id, entry.id, query_params=parent)

    assert (found.filename, found.content_type, found.size) == ("a.txt", "text/plain", 5)
    assert content == b"Hello"


def test_webhooks(official: Client, receiver: Receiver, desk: Desk) -> None:
    created = official.webhooks.create(
        {
            "trigger_types": ["message.created"],
            "webhook_url": receiver.url,
            "notification_email_addresses": ["ops@lindenhof.example"],
        }
    ).data
    updated = official.webhooks.update(created.id, {"description": "The desk"}).data
    listed = official.webhooks.list().data

    assert created.webhook_secret
    assert updated.description == official.webhooks.find(created.id).data.description == "The desk"
    assert [webhook.id for webhook in listed] == [created.id]
    assert official.webhooks.ip_addresses().data.ip_addresses
    assert official.webhooks.destroy(created.id).data.status == "success"
    assert official.webhooks.list().data == []


def test_policies(official: Client, desk: Desk) -> None:
    created = official.policies.create(
        {"name": "Support", "limits": {"limit_attachment_count_limit": 5}, "rules": ["legacy"]}
    ).data
    updated = official.policies.update(created.id, {"spam_detection": {"use_list_dnsbl": True}}).data
    found = official.policies.find(created.id).data

    assert found.limits.limit_attachment_count_limit == 5
    assert (updated.spam_detection.use_list_dnsbl, found.rules) == (True, ["legacy"])
    assert [policy.id for policy in official.policies.list().data] == [created.id]
    assert official.policies.destroy(created.id).request_id


def test_rules(official: Client, desk: Desk) -> None:
    created = official.rules.create(
        {
            "name": "Block",
            "trigger": "outbound",
            "match": {
                "conditions": [{"field": "recipient.domain", "operator": "is", "value": "blocked.example"}]
            },
            "actions": [{"type": "block"}],
        }
    ).data
    updated = official.rules.update(created.id, {"priority": 3, "enabled": False}).data

    assert (updated.priority, updated.enabled, updated.match.operator) == (3, False, "all")
    assert official.rules.find(created.id).data.actions[0].type == "block"
    assert [rule.id for rule in official.rules.list().data] == [created.id]
    assert official.rules.destroy(created.id).request_id


def test_lists(official: Client, desk: Desk) -> None:
    created = official.lists.create({"name": "Blocked", "type": "domain"}).data
    added = official.lists.add_items(
        created.id, {"items": ["One.example", "two.example", "one.example"]}
    ).data
    items = official.lists.list_items(created.id).data
    removed = official.lists.remove_items(created.id, {"items": ["two.example", "unknown.example"]}).data
    updated = official.lists.update(created.id, {"description": "Nobody there"}).data

    assert (added.items_count, removed.items_count) == (2, 1)
    assert {item.value for item in items} == {"one.example", "two.example"}
    assert official.lists.find(created.id).data.description == updated.description == "Nobody there"
    assert [entry.id for entry in official.lists.list().data] == [created.id]
    assert official.lists.destroy(created.id).request_id


def test_workspaces(official: Client, desk: Desk) -> None:
    policy = official.policies.create({"name": "Support"}).data
    created = official.workspaces.create({"name": "Lindenhof", "domain": "lindenhof.example"}).data
    updated = official.workspaces.update(
        created.workspace_id, {"policy_id": policy.id, "rule_ids": [], "auto_group": False}
    ).data
    assigned = official.workspaces.manual_assign(
        created.workspace_id, {"assign_grants": [desk.grant_id]}
    ).data
    grouped = official.workspaces.auto_group({"specific_domain": "lindenhof.example"}).data

    assert updated.policy_id == official.workspaces.find(created.workspace_id).data.policy_id == policy.id
    assert assigned.grants_assigned == [desk.grant_id]
    assert grouped.job_id
    assert {entry.default for entry in official.workspaces.list().data} == {True, False}
    assert official.workspaces.destroy(created.workspace_id).request_id


def test_rule_evaluations_of_a_blocked_send(official: Client, desk: Desk) -> None:
    rule = official.rules.create(
        {
            "name": "Block",
            "trigger": "outbound",
            "match": {
                "conditions": [{"field": "recipient.address", "operator": "contains", "value": "blocked"}]
            },
            "actions": [{"type": "block"}],
        }
    ).data
    [default] = official.workspaces.list().data
    official.workspaces.update(default.workspace_id, {"rule_ids": [rule.id]})

    with pytest.raises(NylasApiError) as refused:
        official.messages.send(desk.grant_id, {"to": [{"email": "blocked@example.net"}], "body": "b"})

    [evaluation] = official.rules.list_evaluations(desk.grant_id).data
    assert (refused.value.status_code, refused.value.type) == (403, "forbidden_access")
    assert evaluation.matched_rule_ids == [rule.id]
    assert evaluation.applied_actions.blocked is True
    assert evaluation.evaluation_input.from_address == "support@lindenhof.example"
