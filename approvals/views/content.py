"""Content of strangers, each piece at its own address: laid-out mail for the frame, files for download."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from agentmail.client import configured_client
from agentmail.exceptions import NotFound, ProviderError, TooLarge
from agentmail.models import Message
from approvals.content import MESSAGE_BYTES
from approvals.models import AttachmentBlob, Draft
from approvals.views.access import View, draft_or_404, signed_in

logger = logging.getLogger(__name__)

# Even if the cleaning at arrival let something through, nothing here may run, load or navigate.
FRAME_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
ATTACHMENT_READ_SECONDS = 20.0

# Not a template: this is the one place where markup of a stranger, cleaned at arrival, is not escaped.
_BEFORE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Mail</title><style>'
    "body{margin:12px;background:#fff;color:#1c211e;font:16px/1.5 Georgia,serif;overflow-wrap:anywhere}"
    "img{max-width:100%;height:auto}table{max-width:100%}</style></head><body>\n"
)
_AFTER = "\n</body></html>\n"


def framed(view: Callable[..., str]) -> View:
    """Serve cleaned HTML as a document for the sandboxed frame, under its own content security policy."""

    @wraps(view)
    @require_safe
    @signed_in
    @xframe_options_sameorigin
    def served(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = HttpResponse(_BEFORE + view(request, *args, **kwargs) + _AFTER)
        response["Content-Security-Policy"] = FRAME_POLICY
        return response

    return served


@framed
def message_body(request: HttpRequest, public_id: UUID, message_id: int) -> str:
    return _message_of(draft_or_404(request, public_id), message_id).body_html


@framed
def revision_body(request: HttpRequest, public_id: UUID, number: int) -> str:
    revision = get_object_or_404(draft_or_404(request, public_id).revisions, number=number)
    return revision.body_html


@require_safe
@signed_in
def attachment(request: HttpRequest, public_id: UUID, sha256: str) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    names = [
        str(part.get("filename") or "")
        for attachments in draft.revisions.order_by("-number").values_list("attachments", flat=True)
        for part in attachments
        if part.get("sha256") == sha256
    ]
    if not names:
        raise Http404
    blob = get_object_or_404(AttachmentBlob, sha256=sha256)
    return download(bytes(blob.content), names[0])


@require_safe
@signed_in
def message_attachment(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    message = _message_of(draft, message_id)
    wanted = request.GET.get("id", "")
    part = next((part for part in message.attachments if wanted and part.get("id") == wanted), None)
    if part is None:
        raise Http404
    try:
        data = configured_client().download_attachment(
            draft.grant_id,
            wanted,
            parent_id=message.provider_id,
            limit=MESSAGE_BYTES,
            read_timeout=ATTACHMENT_READ_SECONDS,
        )
    except NotFound as error:
        raise Http404 from error
    except TooLarge:
        problem = _("The file is larger than this desk takes.")
    except ProviderError as error:
        logger.warning("attachment of message %s could not be read: %s", message.pk, error)
        problem = _("The provider did not give the file. Try again in a moment.")
    else:
        return download(data, str(part.get("filename") or ""))
    context = {"heading": _("The file could not be fetched"), "text": problem, "back": request.path}
    return render(request, "approvals/trouble.html", context, status=502)


def download(data: bytes, filename: str) -> HttpResponse:
    """The bytes as a file to keep, never to show: whatever their type, a browser does not render them."""
    response = HttpResponse(data, content_type="application/octet-stream")
    response["Content-Disposition"] = (
        f"attachment; filename*=UTF-8''{quote(safe_filename(filename), safe='')}"
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def safe_filename(filename: str) -> str:
    """The name without folders, controls and characters that change how it reads; never empty."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in last if character.isprintable()).strip(" .")
    return kept[:150] or "attachment"


def _message_of(draft: Draft, message_id: int) -> Message:
    return get_object_or_404(
        Message, pk=message_id, mailbox_id=draft.mailbox_id, thread_id=draft.thread_id or None
    )
