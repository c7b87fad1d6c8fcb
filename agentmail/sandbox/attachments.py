from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from .errors import invalid, not_found
from .exchange import Reply, Request, Routes, data
from .mime import Part
from .store import Record
from .world import World


def attachment_object(grant_id: str, entry: Record) -> dict[str, Any]:
    shown = {
        "id": entry["id"],
        "grant_id": grant_id,
        "filename": entry["filename"],
        "content_type": entry["content_type"],
        "size": entry["size"],
        "is_inline": entry["is_inline"],
        "content_disposition": entry["content_disposition"],
    }
    return {**shown, "content_id": entry["content_id"]} if entry["content_id"] else shown


def add_attachment(
    world: World,
    content: bytes,
    *,
    filename: str,
    content_type: str,
    content_id: str = "",
    is_inline: bool = False,
) -> Record:
    """Store bytes and return the entry that a message or draft keeps of them."""
    digest = hashlib.sha256(content).hexdigest()
    world.store.put_content(digest, content)
    disposition = "inline" if is_inline else "attachment"
    return {
        "id": str(world.new_uuid()),
        "filename": filename,
        "content_type": content_type,
        "size": len(content),
        "content_id": content_id,
        "is_inline": is_inline,
        "content_disposition": f'{disposition}; filename="{filename}"',
        "sha256": digest,
    }


def read_attachments(world: World, value: Any, parts: list[Part]) -> list[Record]:
    """Store the attachments of a request, JSON ones and multipart ones alike."""
    if value is not None and not isinstance(value, list):
        raise invalid("attachments must be an array")
    entries = []
    for raw in value or []:
        if not isinstance(raw, dict) or not raw.get("filename") or not raw.get("content_type"):
            raise invalid("attachments need a filename and a content_type")
        try:
            content = base64.b64decode(raw.get("content") or "", validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise invalid("attachments.content must be standard base64") from error
        entries.append(
            add_attachment(
                world,
                content,
                filename=str(raw["filename"]),
                content_type=str(raw["content_type"]),
                content_id=str(raw.get("content_id") or ""),
                is_inline=bool(raw.get("is_inline") or raw.get("content_id")),
            )
        )
    for part in parts:
        is_inline = bool(part.name) and part.name != "attachment" and not part.name.startswith("file")
        entries.append(
            add_attachment(
                world,
                part.content,
                filename=part.filename or "attachment",
                content_type=part.content_type,
                content_id=part.name if is_inline else "",
                is_inline=is_inline,
            )
        )
    return entries


def content_of(world: World, entry: Record) -> bytes:
    content = world.store.content(entry["sha256"])
    if content is None:
        raise not_found("attachment content")
    return content


def contents_of(world: World, record: Record) -> list[tuple[Record, bytes]]:
    return [(entry, content_of(world, entry)) for entry in record["attachments"]]


def find_attachment(world: World, request: Request) -> tuple[str, Record]:
    grant_id = world.grant(request)["id"]
    parent_id = request.text("message_id")
    if not parent_id:
        raise invalid("message_id is required")
    parent = world.store.get("message", parent_id) or world.store.get("draft", parent_id)
    if parent is None or parent["grant_id"] != grant_id or parent.get("visible_from", 0) > world.clock.now():
        raise not_found("message")
    for entry in parent["attachments"]:
        if entry["id"] == request.parameters["attachment_id"]:
            return grant_id, entry
    raise not_found("attachment")


def swap_content(world: World, attachment_id: str, content: bytes) -> None:
    """Put other bytes behind an attachment, with name, type and id as they were."""
    digest = hashlib.sha256(content).hexdigest()
    with world.store.change():
        world.store.put_content(digest, content)
        for kind in ("draft", "message"):
            for record in world.store.all(kind):
                for entry in record["attachments"]:
                    if entry["id"] == attachment_id:
                        entry["sha256"], entry["size"] = digest, len(content)
                        world.store.put(kind, record)
                        return
    raise not_found("attachment")


def get_attachment(world: World, request: Request) -> Reply:
    return data(attachment_object(*find_attachment(world, request)))


def download_attachment(world: World, request: Request) -> Reply:
    _, entry = find_attachment(world, request)
    return Reply(200, content_of(world, entry), content_type="application/octet-stream")


def add_routes(routes: Routes) -> None:
    base = "/v3/grants/{grant_id}/attachments/{attachment_id}"
    routes.add("GET", base, "get_attachment", get_attachment)
    routes.add("GET", base + "/download", "download_attachment", download_attachment)
