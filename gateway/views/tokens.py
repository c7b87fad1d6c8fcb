from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from agentmail.models import Mailbox
from approvals import people
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.paging import number_given, paging_of
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now
from gateway import tokens
from gateway.forms import TokenForm
from gateway.models import Scope, Token
from gateway.tokens import TokenState

PAGE = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One token as its page shows it; mailboxes that the person does not see are counted and not named."""

    token: Token
    scopes: list[Any]
    mailboxes: list[Mailbox]
    others: int
    state: TokenState


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def listing(request: HttpRequest) -> HttpResponseBase:
    """The tokens; a POST makes one and is answered with its secret, because no address and no store may hold that."""
    person = person_of(request)
    if not people.may(person, Right.REVOKE):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request)
    if not people.may_everywhere(person, Right.MANAGE):
        raise PermissionDenied
    form = TokenForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    names = ("kind", "name", "owner", "scopes", "days", "is_test", "form_id")
    given = {name: form.cleaned_data[name] for name in names}
    try:
        made = tokens.make(
            **given, mailboxes=list(form.cleaned_data["mailboxes"]), actor=people.actor_for(person)
        )
    except tokens.TokenRefused as refusal:
        form.add_error(refusal.field, str(refusal))
        return _page(request, form=form, status=422)
    except tokens.AlreadyMade:
        problem = _("This form was sent before and made one token. Its secret is not shown again.")
        return _page(request, problem=problem, status=409)
    except NotWritable:
        return _page(request, form=form, problem=nothing_changed(), status=503)
    return _page(request, made=made)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def revoke(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.REVOKE):
        raise PermissionDenied
    found = tokens.revocable_by(person).select_related("owner").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    if request.method != "POST":
        return _revoke_page(request, found)
    try:
        ended = tokens.revoke(found, actor=people.actor_for(person), by=person)
    except NotWritable:
        return _revoke_page(request, found, problem=nothing_changed(), status=503)
    if ended:
        messages.success(
            request, _("Revoked. The next request of “%(name)s” is refused.") % {"name": found.name}
        )
    else:
        messages.info(request, _("“%(name)s” was revoked before.") % {"name": found.name})
    return redirect("gateway:tokens")


def _revoke_page(request: HttpRequest, found: Token, *, problem: str = "", status: int = 200) -> HttpResponse:
    context = {"here": "operations", "row": _rows(request, [found])[0], "problem": problem}
    return render(request, "gateway/token_revoke.html", context, status=status)


def _page(
    request: HttpRequest,
    *,
    form: TokenForm | None = None,
    made: tokens.Made | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    may_make = people.may_everywhere(person, Right.MANAGE)
    begin = number_given(request)
    rows = tokens.revocable_by(person).select_related("owner", "revoked_by").prefetch_related("mailboxes")
    if begin:
        rows = rows.filter(pk__lt=begin)
    found = list(rows.order_by("-pk")[: PAGE + 1])
    context: dict[str, Any] = {
        "here": "operations",
        "rows": _rows(request, found[:PAGE]),
        "form": (form or TokenForm(request=request)) if may_make else None,
        "made": made,
        "problem": problem,
        "paging": paging_of(reverse("gateway:tokens"), found, PAGE, has_begun=bool(begin)),
    }
    return render(request, "gateway/tokens.html", context, status=status)


def _rows(request: HttpRequest, found: list[Token]) -> list[Row]:
    seen = frozenset(people.mailbox_ids_with(person_of(request), Right.REVOKE))
    now = database_now()
    return [_row(token, seen, now) for token in found]


def _row(token: Token, seen: frozenset[int], now: datetime) -> Row:
    named = list(token.mailboxes.all())
    shown = [mailbox for mailbox in named if mailbox.pk in seen]
    return Row(
        token,
        [Scope(scope).label for scope in token.scopes],
        shown,
        len(named) - len(shown),
        tokens.state_of(token, now),
    )
