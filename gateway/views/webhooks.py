from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import people
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.paging import number_given, paging_of
from approvals.views.reauthentication import NewSecretForm
from approvals.views.versions import version_given, with_version
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now
from audit.record import Actor
from gateway.forms import WebhookForm
from gateway.webhooks import deliveries, endpoints, events
from gateway.webhooks.endpoints import AlreadyMade, Conflict, WebhookRefused
from gateway.webhooks.models import WebhookDelivery, WebhookEndpoint
from gateway.webhooks.secrets import secret_of, signing_secrets

PAGE = 50
SHOWN_CHARACTERS = 4000


@require_safe
@signed_in
def listing(request: HttpRequest) -> HttpResponseBase:
    _admin_or_403(request)
    rows = (
        WebhookEndpoint.objects.select_related("agent").prefetch_related("mailboxes").order_by("name", "pk")
    )
    return render(request, "gateway/webhooks.html", {"here": "operations", "rows": list(rows)})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponseBase:
    """Make an endpoint; the POST is answered with its secret, because no address and no store may hold that."""
    _admin_or_403(request)
    if request.method != "POST":
        return _form_page(request, WebhookForm(request=request))
    form = WebhookForm(request.POST, request=request)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        made = endpoints.make(
            actor=_actor(request),
            agent=form.cleaned_data["agent"],
            form_id=form.cleaned_data["form_id"],
            **form.given(),
        )
    except WebhookRefused as refusal:
        form.add_error(refusal.field or None, str(refusal))
        return _form_page(request, form, status=422)
    except AlreadyMade:
        messages.info(request, _("This form was sent before and made one webhook."))
        return redirect("gateway:webhooks")
    except NotWritable:
        return _form_page(request, form, problem=nothing_changed(), status=503)
    return _page(request, made, new_secret=secret_of(made))


@require_safe
@signed_in
def show(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _page(request, _found(request, public_id))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if request.method != "POST":
        return _form_page(request, WebhookForm(request=request, endpoint=found), endpoint=found)
    form = WebhookForm(request.POST, request=request, endpoint=found)
    if not form.is_valid():
        return _form_page(request, form, endpoint=found, status=422)
    try:
        endpoints.change(found, version=form.cleaned_data["version"], actor=_actor(request), **form.given())
    except WebhookRefused as refusal:
        form.add_error(refusal.field or None, str(refusal))
        return _form_page(request, form, endpoint=found, status=422)
    except Conflict:
        found.refresh_from_db()
        again = WebhookForm(with_version(request.POST, found.version), request=request, endpoint=found)
        again.is_valid()
        return _form_page(request, again, endpoint=found, problem=_moved(), status=409)
    except NotWritable:
        return _form_page(request, form, endpoint=found, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It holds for what happens from now on."))
    return redirect("gateway:webhook", public_id)


@require_POST
@signed_in
def rotate(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    form = NewSecretForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, found, secret_form=form, status=422)
    try:
        rotated = endpoints.rotate(found, version=form.cleaned_data["version"], actor=_actor(request))
    except (WebhookRefused, Conflict) as refusal:
        problem = str(refusal) if isinstance(refusal, WebhookRefused) else _moved()
        return _page(request, _found(request, public_id), problem=problem, status=409)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    return _page(request, rotated, new_secret=secret_of(rotated))


@require_POST
@signed_in
def end_rotation(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    return _done(
        request,
        found,
        lambda: endpoints.end_rotation(found, version=version_given(request), actor=_actor(request)),
        _("Only the new secret signs from now on."),
    )


@require_POST
@signed_in
def switch(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    on = request.POST.get("on") == "yes"
    return _done(
        request,
        found,
        lambda: endpoints.switch(found, on=on, version=version_given(request), actor=_actor(request)),
        _("It is told of what happens from now on.") if on else _("It is told nothing any more."),
    )


@require_POST
@signed_in
def test(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if not found.is_enabled:
        return _page(request, found, problem=_("It is switched off. Switch it on first."), status=409)
    return _done(
        request,
        found,
        lambda: endpoints.send_test(found),
        _("A test is on its way. What became of it stands in the log in a moment."),
    )


@require_POST
@signed_in
def resend(request: HttpRequest, public_id: UUID, delivery_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    delivery = WebhookDelivery.objects.filter(endpoint=found, public_id=delivery_id).first()
    if delivery is None:
        raise Http404
    if not found.is_enabled:
        return _page(request, found, problem=_("It is switched off. Switch it on first."), status=409)
    return _done(
        request, found, lambda: deliveries.send_again(delivery), _("It is posted again, under the same id.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def remove(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if request.method != "POST":
        return _remove_page(request, found)
    try:
        endpoints.remove(found, version=version_given(request), actor=_actor(request))
    except Conflict:
        return _remove_page(request, _found(request, public_id), problem=_moved(), status=409)
    except NotWritable:
        return _remove_page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("“%(name)s” is removed.") % {"name": found.name})
    return redirect("gateway:webhooks")


def _done(request: HttpRequest, found: WebhookEndpoint, act: Any, said: str) -> HttpResponseBase:
    try:
        act()
    except Conflict:
        return _page(request, _found(request, found.public_id), problem=_moved(), status=409)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, said)
    return redirect("gateway:webhook", found.public_id)


def _moved() -> str:
    return _("Somebody else changed this webhook meanwhile; below it is as it is now.")


def _actor(request: HttpRequest) -> Actor:
    return people.actor_for(person_of(request))


def _admin_or_403(request: HttpRequest) -> None:
    if not people.may_everywhere(person_of(request), Right.MANAGE):
        raise PermissionDenied


def _found(request: HttpRequest, public_id: UUID) -> WebhookEndpoint:
    _admin_or_403(request)
    rows = WebhookEndpoint.objects.select_related("agent").prefetch_related("mailboxes")
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _form_page(
    request: HttpRequest,
    form: WebhookForm,
    *,
    endpoint: WebhookEndpoint | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {"here": "operations", "form": form, "endpoint": endpoint, "problem": problem}
    return render(request, "gateway/webhook_form.html", context, status=status)


def _remove_page(
    request: HttpRequest, found: WebhookEndpoint, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context = {"here": "operations", "endpoint": found, "problem": problem}
    return render(request, "gateway/webhook_remove.html", context, status=status)


def _page(
    request: HttpRequest,
    found: WebhookEndpoint,
    *,
    secret_form: NewSecretForm | None = None,
    new_secret: str = "",
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    begin = number_given(request)
    log = (
        WebhookDelivery.objects.filter(endpoint=found)
        .defer("body")
        .annotate(beginning=Left("body", SHOWN_CHARACTERS))
        .prefetch_related("attempts")
        .order_by("-pk")
    )
    rows = list((log.filter(pk__lt=begin) if begin else log)[: PAGE + 1])
    context: dict[str, Any] = {
        "here": "operations",
        "endpoint": found,
        "types": [(kind, events.TYPES[kind]) for kind in found.types],
        "is_rotating": len(signing_secrets(found, database_now())) > 1,
        "secret_form": secret_form or NewSecretForm(request=request, version=found.version),
        "new_secret": new_secret,
        "log": rows[:PAGE],
        "paging": paging_of(
            reverse("gateway:webhook", args=[found.public_id]), rows, PAGE, has_begun=bool(begin)
        ),
        "problem": problem,
    }
    return render(request, "gateway/webhook.html", context, status=status)
