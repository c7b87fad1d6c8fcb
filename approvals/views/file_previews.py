"""Files to look at without opening them: each on a page of its own, as pictures that this desk drew, or as text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from agentmail.exceptions import ProviderError, TooLarge
from agentmail.models import Message
from approvals import renderings
from approvals.file_kinds import KIND_WORDS, differs
from approvals.models import AttachmentBlob, Draft
from approvals.renderings import FULL, THUMBNAIL, TROUBLES, Frame, Rendering
from approvals.views.access import draft_or_404, signed_in
from approvals.views.content import bytes_of, message_of, part_of_draft, part_of_message

logger = logging.getLogger(__name__)


@require_safe
@signed_in
def attachment_preview(request: HttpRequest, public_id: UUID, sha256: str) -> HttpResponse:
    draft = draft_or_404(request, public_id)
    part = part_of_draft(draft, sha256)
    found, trouble = _tried(lambda: _of_draft(sha256, FULL))
    args = [draft.public_id, sha256]
    return _page(request, draft, part, found, trouble, "attachment", args, "")


@require_safe
@signed_in
def attachment_picture(request: HttpRequest, public_id: UUID, sha256: str, number: int) -> HttpResponse:
    part_of_draft(draft_or_404(request, public_id), sha256)
    return _picture(lambda: _of_draft(sha256, FULL), number)


@require_safe
@signed_in
def attachment_thumbnail(request: HttpRequest, public_id: UUID, sha256: str) -> HttpResponseBase:
    part_of_draft(draft_or_404(request, public_id), sha256)
    return _thumbnail(lambda: _of_draft(sha256, THUMBNAIL))


@require_safe
@signed_in
def message_attachment_preview(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponse:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    part = part_of_message(message, request.GET.get("id", ""))
    found, trouble = _tried(lambda: _of_message(draft, message, part, FULL))
    args = [draft.public_id, message.pk]
    query = "?" + urlencode({"id": str(part["id"])})
    return _page(request, draft, part, found, trouble, "message_attachment", args, query)


@require_safe
@signed_in
def message_attachment_picture(
    request: HttpRequest, public_id: UUID, message_id: int, number: int
) -> HttpResponse:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    part = part_of_message(message, request.GET.get("id", ""))
    return _picture(lambda: _of_message(draft, message, part, FULL), number)


@require_safe
@signed_in
def message_attachment_thumbnail(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    part = part_of_message(message, request.GET.get("id", ""))
    return _thumbnail(lambda: _of_message(draft, message, part, THUMBNAIL))


def _of_draft(sha256: str, frame: Frame) -> Rendering:
    def read() -> bytes:
        return bytes(get_object_or_404(AttachmentBlob, sha256=sha256).content)

    return renderings.rendered(sha256, read, frame)


def _of_message(draft: Draft, message: Message, part: Mapping[str, Any], frame: Frame) -> Rendering:
    # What arrived does not change at the provider, so its place there stands for its bytes.
    key = "\n".join((draft.grant_id, message.provider_id, str(part["id"])))
    return renderings.rendered(key, lambda: bytes_of(draft, message, part), frame)


def _tried(draw: Callable[[], Rendering]) -> tuple[Rendering | None, str]:
    """What was drawn, or why nothing was."""
    try:
        found = draw()
    except renderings.Busy:
        return None, "busy"
    except TooLarge:
        return None, "size"
    except ProviderError as error:
        logger.warning("a file could not be read for its preview: %s", error)
        return None, "unread"
    return found, found.trouble


def _thumbnail(draw: Callable[[], Rendering]) -> HttpResponseBase:
    """The first picture, or a crossed-out page: a letter has no place for why, the page of the file says it."""
    found, _trouble = _tried(draw)
    if found is None or not found.pictures:
        return redirect(static("img/no-preview.svg"))
    return _png(found.pictures[0].png)


def _picture(draw: Callable[[], Rendering], number: int) -> HttpResponse:
    found, trouble = _tried(draw)
    if found is None:
        return HttpResponse(status=502 if trouble == "unread" else 503)
    if not 1 <= number <= len(found.pictures):
        raise Http404
    return _png(found.pictures[number - 1].png)


def _png(png: bytes) -> HttpResponse:
    response = HttpResponse(png, content_type="image/png")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _page(
    request: HttpRequest,
    draft: Draft,
    part: Mapping[str, Any],
    found: Rendering | None,
    trouble: str,
    name: str,
    args: list[Any],
    query: str,
) -> HttpResponse:
    filename, content_type = str(part.get("filename") or ""), str(part.get("content_type") or "")
    pictures = [
        {"address": reverse(f"approvals:{name}_picture", args=[*args, number]) + query, "picture": picture}
        for number, picture in enumerate(found.pictures if found else (), 1)
    ]
    context = {
        "here": "queue",
        "draft": draft,
        "part": part,
        "found": found,
        "kind_word": KIND_WORDS.get(found.kind, "") if found else "",
        "differs": found is not None and differs(found.kind, filename, content_type),
        "trouble": TROUBLES.get(trouble, TROUBLES["child"]) if trouble else "",
        "pictures": pictures,
        "left": max(0, found.total - len(pictures)) if found and found.kind == "pdf" else 0,
        "is_moving": found is not None and found.kind != "pdf" and found.total > 1,
        "download": reverse(f"approvals:{name}", args=args) + query,
        "draft_address": reverse("approvals:draft", args=[draft.public_id]),
    }
    status = {"unread": 502, "busy": 503}.get(trouble, 200)
    return render(request, "approvals/file_preview.html", context, status=status)
