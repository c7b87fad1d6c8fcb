"""Who gets to a page at all. What is foreign does not exist; what is visible but not permitted is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from approvals import people
from approvals.models import Draft
from approvals.people import Right
from approvals.queries import draft_for

View = Callable[..., HttpResponseBase]


def signed_in(view: View) -> View:
    """Send strangers to the sign-in page; an element that refreshes itself gets 401 and the fixed way there."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(
                status=401, headers={"HX-Redirect": f"{reverse(settings.LOGIN_URL)}?ended=yes"}
            )
        back = request.get_full_path() if request.method == "GET" else "/"
        return redirect_to_login(back, login_url=reverse(settings.LOGIN_URL))

    return guarded


def person_of(request: HttpRequest) -> User:
    """The signed-in person of a view behind `signed_in`."""
    person = request.user
    if not isinstance(person, User):
        raise PermissionDenied
    return person


def draft_or_404(request: HttpRequest, public_id: UUID, right: Right = Right.SEE) -> Draft:
    """The draft, when its mailbox is visible to the person: 404 otherwise, 403 without the right."""
    person = person_of(request)
    draft = draft_for(person, public_id)
    if draft is None:
        raise Http404
    if not people.may(person, right, draft.mailbox_id):
        raise PermissionDenied
    return draft
