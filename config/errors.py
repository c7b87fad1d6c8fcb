"""What a person sees when a request fails before or behind a view: what happened, and what comes next."""

import sys

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string

TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)
RETRY_SECONDS = 10


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "csrf.html", status=403)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, and 413 with the limit for a form that is larger than the desk reads."""
    if isinstance(exception, TOO_LARGE):
        limit = filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return _page(request, "413.html", 413, limit=limit, fields=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
    return _page(request, "400.html", 400)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, and 503 while the database does not answer. Asks neither the database nor the session."""
    if isinstance(sys.exception(), InterfaceError | OperationalError):
        answer = _page(request, "503.html", 503)
        answer["Retry-After"] = str(RETRY_SECONDS)
        return answer
    return _page(request, "500.html", 500)


def not_this_way(request: HttpRequest) -> str:
    """The text of a 405 for a person: most often the address of a form, opened by hand or after a sign-in."""
    return render_to_string("405.html", {"request": request})


def _page(request: HttpRequest, template: str, status: int, **context: object) -> HttpResponse:
    # Without the context processors: they ask for the person, whom only the database knows.
    return HttpResponse(render_to_string(template, {"request": request, **context}), status=status)
