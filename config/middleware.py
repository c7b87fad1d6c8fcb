import logging
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.backends.base import UpdateError
from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import reverse
from django.utils.cache import add_never_cache_headers

from audit.context import request_id
from config.errors import not_this_way

logger = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponseBase]

# What a proxy may hand us: nothing that could forge a second log line.
ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Give each request an id that stands in logs, in the audit record and in the answer's X-Request-ID.

    An id that comes with the request is kept only when a proxy of ours stands in front.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "") if settings.TRUSTED_PROXY_COUNT else ""
        value = given if ACCEPTABLE_REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request_id.set(value)
        response = self.get_response(request)
        response["X-Request-ID"] = value
        return response


@receiver(request_finished)
def forget_request_id(**kwargs: object) -> None:
    # Not when the middleware returns: Django logs refusals, and streams run, after that.
    request_id.set("")


class NoStore:
    """Keep pages out of every cache: they show mail. A view that sets Cache-Control itself keeps its word."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response


class NoBlankPage:
    """Give the refusal of a method a page: Django answers with an empty one, which a browser shows as nothing."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_person = "text/html" in request.headers.get("Accept", "") and request.method != "HEAD"
        if isinstance(response, HttpResponseNotAllowed) and not response.content and is_person:
            response.content = not_this_way(request)
        return response


class SessionLimits:
    """End a session that was idle too long or that began too long ago.

    A page that refreshes itself is no sign of a person: only requests that somebody made count as use.
    """

    SIGNED_IN_AT = "signed_in_at"
    USED_AT = "used_at"
    # Rewriting the session row at every click would double the writes of the desk.
    GRAIN_SECONDS = 60

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.session.session_key is None or not request.user.is_authenticated:
            return self.get_response(request)
        now = int(time.time())
        signed_in_at = request.session.setdefault(self.SIGNED_IN_AT, now)
        used_at = request.session.setdefault(self.USED_AT, now)
        is_over = (
            now - signed_in_at >= settings.SESSION_ABSOLUTE_SECONDS
            or now - used_at >= settings.SESSION_IDLE_SECONDS
        )
        if is_over:
            logout(request)
            return _sign_in_again(request)
        if now - used_at >= self.GRAIN_SECONDS and not is_self_refresh(request):
            request.session[self.USED_AT] = now
            try:
                request.session.save()
            except UpdateError:
                # A database that can only be read must not keep anybody from reading.
                logger.warning("a session could not be written")
            request.session.modified = False
        return self.get_response(request)


def is_self_refresh(request: HttpRequest) -> bool:
    """Whether the page asked by itself: polling elements say so with the header X-Self-Refresh."""
    return request.headers.get("X-Self-Refresh") == "1"


def _sign_in_again(request: HttpRequest) -> HttpResponse:
    sign_in = reverse(settings.LOGIN_URL)
    if request.headers.get("HX-Request") == "true":
        # A fixed place: nothing that the request carries goes into this header.
        return HttpResponse(status=401, headers={"HX-Redirect": f"{sign_in}?ended=yes"})
    query = {"ended": "yes"}
    if request.method == "GET":
        query["next"] = request.get_full_path()
    return HttpResponseRedirect(f"{sign_in}?{urlencode(query)}")
