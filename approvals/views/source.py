"""The source of a message: on a page of its own as text, and to keep as a file. Neither changes or loads anything."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from agentmail.exceptions import NotFound, ProviderError, ProviderNotConfigured, TooLarge, Unauthenticated
from agentmail.models import Message
from agentmail.raw_mime import Trouble
from approvals import message_sources
from approvals.models import Draft
from approvals.views.access import draft_or_404, signed_in
from approvals.views.content import download, message_of

logger = logging.getLogger(__name__)

TROUBLE_WORDS: Mapping[Trouble, Any] = {
    Trouble.TOO_LARGE: _lazy("It is too large to be taken apart."),
    Trouble.TOO_MANY_LINES: _lazy("It has too many lines to be taken apart."),
    Trouble.TOO_MANY_PARTS: _lazy("It has too many parts to be taken apart."),
    Trouble.TOO_DEEP: _lazy("Its parts stand too deep in one another to be taken apart."),
    Trouble.MALFORMED: _lazy("It is not written as mail is, and cannot be taken apart."),
}


@require_safe
@signed_in
def message_source(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponse:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    try:
        looked = message_sources.look(message_sources.fetch(draft, message))
    except ProviderError as error:
        return _not_given(request, draft, message, error)
    trouble = looked.source.trouble
    context = {"looked": looked, "trouble": TROUBLE_WORDS[trouble] if trouble else ""}
    return render(request, "approvals/message_source.html", _context(draft, message) | context)


@require_safe
@signed_in
def message_source_file(request: HttpRequest, public_id: UUID, message_id: int) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    message = message_of(draft, message_id)
    try:
        return download(message_sources.fetch(draft, message), "message.eml")
    except ProviderError as error:
        return _not_given(request, draft, message, error)


def _not_given(request: HttpRequest, draft: Draft, message: Message, error: ProviderError) -> HttpResponse:
    logger.warning("the source of message %s could not be read: %s", message.pk, error)
    status, problem = _said_of(error)
    context = _context(draft, message) | {"problem": problem}
    return render(request, "approvals/message_source.html", context, status=status)


def _said_of(error: ProviderError) -> tuple[int, str]:
    if isinstance(error, TooLarge):
        return 200, _(
            "It is larger than 10 MB, more than this desk reads. Look at it in a mail program of the mailbox."
        )
    if isinstance(error, NotFound):
        return 404, _(
            "The provider no longer has this message. What was kept when it arrived is on the draft's page."
        )
    if isinstance(error, (Unauthenticated, ProviderNotConfigured)):
        return 502, _("The provider does not let this desk in. The page of the mailbox says what to do.")
    return 502, _("The provider did not give it. Try again in a moment.")


def _context(draft: Draft, message: Message) -> dict[str, Any]:
    args = [draft.public_id, message.pk]
    return {
        "here": "queue",
        "draft": draft,
        "message": message,
        "draft_address": reverse("approvals:draft", args=[draft.public_id]),
        "download": reverse("approvals:message_source_file", args=args),
        "again": reverse("approvals:message_source", args=args),
    }
