from __future__ import annotations

import logging

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from agentmail import webhooks

logger = logging.getLogger(__name__)


@csrf_exempt
@require_http_methods(["GET", "POST"])
def nylas(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return _challenged(request)
    try:
        is_new = webhooks.receive(
            _raw_body(request),
            signature=request.headers.get("x-nylas-signature", ""),
            content_encoding=request.headers.get("Content-Encoding", ""),
            content_type=request.headers.get("Content-Type", ""),
        )
    except webhooks.Rejected as rejected:
        webhooks.count_rejection(rejected.reason)
        return _plain(rejected.reason, status=rejected.status_code)
    except DatabaseError:
        # Only 503 makes the provider try again; 500 would lose the notification.
        logger.exception("a notification could not be stored")
        return _plain("not stored", status=503)
    webhooks.write_rejections()
    return _plain("stored" if is_new else "known")


def _challenged(request: HttpRequest) -> HttpResponse:
    challenge = request.GET.get("challenge", "")
    if not webhooks.is_challenge(challenge):
        return _plain("no challenge", status=400)
    return _plain(challenge)


def _raw_body(request: HttpRequest) -> bytes:
    # What is certainly not signed costs nothing: its body is not even read.
    if not webhooks.looks_signed(request.headers.get("x-nylas-signature", "")):
        raise webhooks.Rejected(401, "no_signature")
    try:
        return request.read(webhooks.LARGEST_BODY + 1)
    except UnreadablePostError as error:
        raise webhooks.Rejected(400, "cut_off") from error


def _plain(text: str, *, status: int = 200) -> HttpResponse:
    return HttpResponse(
        text,
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )
