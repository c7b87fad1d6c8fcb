"""Content of strangers, each piece at its own address: laid-out mail for the frame, files for download."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST, require_safe

from agentmail.client import configured_client
from agentmail.exceptions import NotFound, ProviderError, TooLarge
from agentmail.mail_html import Cleaned, cleaned
from agentmail.models import Message
from approvals import people, remote_images
from approvals.content import MESSAGE_BYTES
from approvals.models import AttachmentBlob, Draft
from approvals.people import Right
from approvals.views.access import View, draft_or_404, person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

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
        return _in_frame(view(request, *args, **kwargs))

    return served


def _in_frame(html: str, *, status: int = 200) -> HttpResponse:
    response = HttpResponse(_BEFORE + html + _AFTER, status=status)
    response["Content-Security-Policy"] = FRAME_POLICY
    response["X-DNS-Prefetch-Control"] = "off"
    return response


@framed
def message_body(request: HttpRequest, public_id: UUID, message_id: int) -> str:
    return message_of(draft_or_404(request, public_id), message_id).body_html


@framed
def revision_body(request: HttpRequest, public_id: UUID, number: int) -> str:
    revision = get_object_or_404(draft_or_404(request, public_id).revisions, number=number)
    return revision.body_html


@require_POST
@signed_in
@xframe_options_sameorigin
def message_images(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponse:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    message = message_of(draft, message_id)
    return _with_images(
        request, draft, message.body_html, message.remote_images, message_id=message.provider_id
    )


@require_POST
@signed_in
@xframe_options_sameorigin
def revision_images(request: HttpRequest, public_id: UUID, number: int) -> HttpResponse:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    revision = get_object_or_404(draft.revisions, number=number)
    found = cleaned(revision.body) if revision.body_html else Cleaned("")
    return _with_images(request, draft, found.html, found.remote_images)


def _with_images(
    request: HttpRequest, draft: Draft, html: str, addresses: Sequence[str], *, message_id: str = ""
) -> HttpResponse:
    """The mail again, for the same frame under the same policy, with the pictures that could be fetched."""
    if remote_images.is_off():
        said = _("This desk never loads remote images.")
        return _in_frame(f"<p><em>{escape(said)}</em></p>\n{html}", status=403)
    try:
        loaded = remote_images.load(
            html,
            addresses,
            mailbox=draft.mailbox,
            actor=people.actor_for(person_of(request)),
            message_id=message_id,
            draft=str(draft.public_id),
        )
    except NotWritable:
        # What cannot be recorded does not happen.
        return _in_frame(f"<p><em>{escape(nothing_changed())}</em></p>\n{html}", status=503)
    said = _("%(shown)d of %(count)d remote images were loaded, by this desk, from %(hosts)s.") % {
        "shown": loaded.shown,
        "count": loaded.count,
        "hosts": ", ".join(loaded.hosts),
    }
    return _in_frame(f"<p><em>{escape(said)}</em></p>\n{loaded.html}")


@require_safe
@signed_in
def attachment(request: HttpRequest, public_id: UUID, sha256: str) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    part = part_of_draft(draft, sha256)
    blob = get_object_or_404(AttachmentBlob, sha256=sha256)
    return download(bytes(blob.content), str(part.get("filename") or ""))


@require_safe
@signed_in
def message_attachment(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    part = part_of_message(message, request.GET.get("id", ""))
    try:
        data = bytes_of(draft, message, part)
    except TooLarge:
        problem = _("The file is larger than this desk takes.")
    except ProviderError as error:
        logger.warning("attachment of message %s could not be read: %s", message.pk, error)
        problem = _("The provider did not give the file. Try again in a moment.")
    else:
        return download(data, str(part.get("filename") or ""))
    context = {"heading": _("The file could not be fetched"), "text": problem, "back": request.path}
    return render(request, "approvals/trouble.html", context, status=502)


def part_of_draft(draft: Draft, sha256: str) -> Mapping[str, Any]:
    """What the newest revision that carries a file says about it; 404 when none of the draft's does."""
    for attachments in draft.revisions.order_by("-number").values_list("attachments", flat=True):
        for part in attachments:
            if part.get("sha256") == sha256:
                return dict(part)
    raise Http404


def part_of_message(message: Message, wanted: str) -> Mapping[str, Any]:
    """What a message says about one of its files; 404 when it has none of this id."""
    part = next((part for part in message.attachments if wanted and part.get("id") == wanted), None)
    if part is None:
        raise Http404
    return dict(part)


def bytes_of(draft: Draft, message: Message, part: Mapping[str, Any]) -> bytes:
    """The bytes of a file of a message, from the provider; 404 when it is gone there. Raises ProviderError."""
    try:
        return configured_client().download_attachment(
            draft.grant_id,
            str(part["id"]),
            parent_id=message.provider_id,
            limit=MESSAGE_BYTES,
            read_timeout=ATTACHMENT_READ_SECONDS,
        )
    except NotFound as error:
        raise Http404 from error


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


def message_of(draft: Draft, message_id: int) -> Message:
    """A message of the draft's own conversation, or 404."""
    return get_object_or_404(
        Message, pk=message_id, mailbox_id=draft.mailbox_id, thread_id=draft.thread_id or None
    )
