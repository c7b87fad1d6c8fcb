from __future__ import annotations

import http.client
import ipaddress
import secrets
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .errors import ApiError
from .events import call, sign
from .exchange import Reply, Request, Routes, data
from .store import Record
from .world import World

TRIGGERS = frozenset(
    f"{subject}.{change}"
    for subject, changes in {
        "grant": ("created", "updated", "deleted", "expired"),
        "message": (
            "created",
            "updated",
            "deleted",
            "send_success",
            "send_failed",
            "bounce_detected",
            "delivered",
            "bounced",
            "complaint",
            "rejected",
            "opened",
            "link_clicked",
        ),
        "thread": ("replied",),
        "folder": ("created", "updated", "deleted"),
        "draft": ("created", "updated", "deleted"),
    }.items()
    for change in changes
)
MOCK_SECRET = "mock-webhook-secret"  # noqa: S105
CHALLENGE_SECONDS = 10.0


def refused(code: str, message: str) -> ApiError:
    return ApiError(400, code, message)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_url(value: Any) -> str:
    parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
    allowed = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not parts.hostname or not allowed:
        raise refused("70003", "webhook_url must be an https URL (http is taken on the loopback interface)")
    return str(value)


def challenge(url: str) -> None:
    """Ask the destination to echo a value; raises 400 when it does not."""
    value = secrets.token_hex(16)
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query), ("challenge", value)])
    try:
        status, body, _ = call(
            urlunsplit(parts._replace(query=query)), "GET", headers={}, body=None, timeout=CHALLENGE_SECONDS
        )
    except (OSError, http.client.HTTPException) as error:
        raise refused("70005", "unable.verify.webhook_url : the destination does not answer") from error
    if status != 200:
        raise refused("70005", f"unable.verify.webhook_url : status is not ok, got {status}")
    if body != value.encode():
        raise refused("70005", "unable.verify.webhook_url : challenge is not echoed exactly")


def webhook_object(webhook: Record, *, with_secret: bool = False) -> dict[str, Any]:
    shown = {name: value for name, value in webhook.items() if name != "webhook_secret"}
    return {**shown, "webhook_secret": webhook["webhook_secret"]} if with_secret else shown


def find_webhook(world: World, request: Request) -> Record:
    webhook = world.store.get("webhook", request.parameters["webhook_id"])
    if webhook is None:
        raise refused("70000", "destination.id.not.found : record not found")
    return webhook


def read_fields(world: World, fields: dict[str, Any], own_id: str = "") -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "trigger_types" in fields:
        types = fields["trigger_types"]
        if not isinstance(types, list) or not types or not set(types) <= TRIGGERS:
            raise refused("70002", "trigger_types must name known triggers")
        changes["trigger_types"] = types
    if "webhook_url" in fields:
        changes["webhook_url"] = read_url(fields["webhook_url"])
        if any(
            entry["webhook_url"] == changes["webhook_url"] and entry["id"] != own_id
            for entry in world.store.all("webhook")
        ):
            raise refused("70004", "webhook_url is used by another webhook")
    if "notification_email_addresses" in fields:
        changes["notification_email_addresses"] = list(fields["notification_email_addresses"] or [])
    if "description" in fields:
        changes["description"] = str(fields["description"] or "")
    if "compressed_delivery" in fields:
        changes["compressed_delivery"] = bool(fields["compressed_delivery"])
    if "status" in fields:
        status = "pause" if fields["status"] == "inactive" else fields["status"]
        if status not in {"active", "pause"}:
            raise refused("70006", "status must be active or pause")
        changes["status"] = status
    return changes


def create_webhook(world: World, request: Request) -> Reply:
    fields = request.json()
    if "trigger_types" not in fields or "webhook_url" not in fields:
        raise refused("70002", "trigger_types and webhook_url are required")
    with world.store.lock:
        changes = read_fields(world, fields)
    challenge(changes["webhook_url"])
    return data(webhook_object(add_webhook(world, changes, secrets.token_hex(24)), with_secret=True))


def add_webhook(world: World, fields: dict[str, Any], secret: str) -> Record:
    now = world.clock.seconds()
    webhook = {
        "id": str(uuid.uuid4()),
        "description": "",
        "notification_email_addresses": [],
        "compressed_delivery": False,
        **fields,
        "status": "active",
        "webhook_secret": secret,
        "status_updated_at": now,
        "created_at": now,
        "updated_at": now,
    }
    with world.store.change():
        return world.store.put("webhook", webhook)


def list_webhooks(world: World, request: Request) -> Reply:
    return data([webhook_object(webhook) for webhook in world.store.all("webhook")])


def get_webhook(world: World, request: Request) -> Reply:
    return data(webhook_object(find_webhook(world, request)))


def put_webhook(world: World, request: Request) -> Reply:
    webhook = find_webhook(world, request)
    with world.store.lock:
        changes = read_fields(world, request.json(), webhook["id"])
    is_activated = changes.get("status") == "active" and webhook["status"] != "active"
    url: str = changes.get("webhook_url") or webhook["webhook_url"]
    if is_activated or url != webhook["webhook_url"]:
        challenge(url)
    now = world.clock.seconds()
    with world.store.change():
        if "status" in changes and changes["status"] != webhook["status"]:
            webhook["status_updated_at"] = now
        webhook.update(changes, updated_at=now)
        world.store.put("webhook", webhook)
    return data(webhook_object(webhook))


def delete_webhook(world: World, request: Request) -> Reply:
    webhook = find_webhook(world, request)
    with world.store.change():
        world.store.remove("webhook", webhook["id"])
    return data({"status": "success"})


def rotate_secret(world: World, request: Request) -> Reply:
    webhook = find_webhook(world, request)
    with world.store.change():
        webhook["webhook_secret"] = secrets.token_hex(24)
        webhook["updated_at"] = world.clock.seconds()
        world.store.put("webhook", webhook)
    return data(webhook_object(webhook, with_secret=True))


def sample_event(world: World, type: str) -> dict[str, Any]:
    now = world.clock.seconds()
    grant_id = "00000000-0000-4000-8000-000000000001"
    message = {
        "object": "message",
        "id": "sample-message",
        "grant_id": grant_id,
        "thread_id": "sample-thread",
        "subject": "Sample",
        "from": [{"email": "sender@example.net", "name": "Sample Sender"}],
        "to": [{"email": "recipient@example.org"}],
        "cc": [],
        "bcc": [],
        "reply_to": [],
        "date": now,
        "body": "<p>Sample</p>",
        "snippet": "Sample",
        "unread": True,
        "starred": False,
        "folders": [],
        "attachments": [],
    }
    object = (
        message if type.startswith("message.") else {"grant_id": grant_id, "provider": "nylas", "code": 25012}
    )
    return {
        "specversion": "1.0",
        "type": type,
        "source": "/sandbox/mock",
        "id": str(uuid.uuid4()),
        "time": now,
        "webhook_delivery_attempt": 1,
        "data": {
            "application_id": world.application["application_id"],
            "grant_id": grant_id,
            "object": object,
        },
    }


def read_trigger(fields: dict[str, Any]) -> str:
    if fields.get("trigger_type") not in TRIGGERS:
        raise refused("70002", "trigger_type must name a known trigger")
    return str(fields["trigger_type"])


def mock_payload(world: World, request: Request) -> Reply:
    return data({"data": sample_event(world, read_trigger(request.json()))})


def send_test_event(world: World, request: Request) -> Reply:
    fields = request.json()
    reply = Reply(200, sample_event(world, read_trigger(fields)))
    body = reply.encoded("")
    headers = {"Content-Type": "application/json", "X-Nylas-Signature": sign(MOCK_SECRET, body)}
    try:
        status, _, _ = call(
            read_url(fields.get("webhook_url")), "POST", headers=headers, body=body, timeout=CHALLENGE_SECONDS
        )
    except (OSError, http.client.HTTPException) as error:
        raise refused("70005", "the destination does not answer") from error
    if status != 200:
        raise refused("70005", f"status is not ok, got {status}")
    return data("success")


def list_addresses(world: World, request: Request) -> Reply:
    return data({"ip_addresses": ["127.0.0.1"], "updated_at": world.clock.seconds()})


def add_routes(routes: Routes) -> None:
    base = "/v3/webhooks"
    routes.add("GET", base, "list_webhooks", list_webhooks)
    routes.add("POST", base, "create_webhook", create_webhook)
    routes.add("GET", base + "/ip-addresses", "list_webhook_addresses", list_addresses)
    routes.add("POST", base + "/mock-payload", "mock_payload", mock_payload)
    routes.add("POST", base + "/send-test-event", "send_test_event", send_test_event)
    routes.add("POST", base + "/rotate-secret/{webhook_id}", "rotate_secret", rotate_secret)
    routes.add("GET", base + "/{webhook_id}", "get_webhook", get_webhook)
    routes.add("PUT", base + "/{webhook_id}", "put_webhook", put_webhook)
    routes.add("DELETE", base + "/{webhook_id}", "delete_webhook", delete_webhook)
