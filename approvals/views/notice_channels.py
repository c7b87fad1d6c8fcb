from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import people
from approvals.forms_notices import NoticeChannelForm
from approvals.notices import channels, words
from approvals.notices.channels import ChannelRefused
from approvals.notices.models import CardKind, NoticeCard, NoticeChannel, NoticeKind
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.paging import number_given, paging_of
from approvals.views.reauthentication import NewSecretForm
from approvals.views.versions import version_given, with_version
from approvals.views.writing import NotWritable, nothing_changed
from audit.record import Actor
from policies.changes import Conflict

PAGE = 50


@require_safe
@signed_in
def listing(request: HttpRequest) -> HttpResponseBase:
    _admin_or_403(request)
    context = {"here": "policies", "rows": list(channels.all_channels())}
    return render(request, "approvals/notice_channels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponseBase:
    """Make a channel; the POST is answered with a webhook's secret, because no address may hold that."""
    _admin_or_403(request)
    if request.method != "POST":
        return _form_page(request, NoticeChannelForm(request=request))
    form = NoticeChannelForm(request.POST, request=request)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        made = channels.make(actor=_actor(request), **form.given())
    except ChannelRefused as refusal:
        form.add_error(refusal.field, str(refusal))
        return _form_page(request, form, status=422)
    except NotWritable:
        return _form_page(request, form, problem=nothing_changed(), status=503)
    if made.kind == CardKind.WEBHOOK:
        return _page(request, made, new_secret=channels.secret_of(made))
    messages.success(request, _("Kept. Send a test to see that it arrives."))
    return redirect("approvals:notice_channel", made.public_id)


@require_safe
@signed_in
def show(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _page(request, _found(request, public_id))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if request.method != "POST":
        return _form_page(request, NoticeChannelForm(request=request, channel=found), channel=found)
    form = NoticeChannelForm(request.POST, request=request, channel=found)
    if not form.is_valid():
        return _form_page(request, form, channel=found, status=422)
    try:
        channels.change(found, version=form.cleaned_data["version"], actor=_actor(request), **form.given())
    except ChannelRefused as refusal:
        form.add_error(refusal.field, str(refusal))
        return _form_page(request, form, channel=found, status=422)
    except Conflict:
        found = _found(request, public_id)
        again = NoticeChannelForm(with_version(request.POST, found.version), request=request, channel=found)
        again.is_valid()
        return _form_page(request, again, channel=found, problem=_moved(), status=409)
    except NotWritable:
        return _form_page(request, form, channel=found, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It holds for what happens from now on."))
    return redirect("approvals:notice_channel", public_id)


@require_POST
@signed_in
def test(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if not found.is_on:
        return _page(request, found, problem=_("It is switched off. Switch it on first."), status=409)
    try:
        channels.send_test(found, actor=_actor(request))
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("A test is on its way. What became of it stands in the log in a moment."))
    return redirect("approvals:notice_channel", public_id)


@require_POST
@signed_in
def renew_secret(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if found.kind != CardKind.WEBHOOK:
        return _page(request, found, problem=_("Only a webhook has a secret that is made here."), status=409)
    form = NewSecretForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, found, secret_form=form, status=422)
    try:
        renewed = channels.renew_secret(found, version=form.cleaned_data["version"], actor=_actor(request))
    except Conflict:
        return _page(request, _found(request, public_id), problem=_moved(), status=409)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    return _page(request, renewed, new_secret=channels.secret_of(renewed))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def remove(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if request.method != "POST":
        return _remove_page(request, found)
    try:
        channels.remove(found, version=version_given(request), actor=_actor(request))
    except Conflict:
        return _remove_page(request, _found(request, public_id), problem=_moved(), status=409)
    except NotWritable:
        return _remove_page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("“%(name)s” is removed.") % {"name": found.name})
    return redirect("approvals:notice_channels")


def _moved() -> str:
    return _("Somebody else changed this channel meanwhile; what you see is as it is now.")


def _actor(request: HttpRequest) -> Actor:
    return people.actor_for(person_of(request))


def _admin_or_403(request: HttpRequest) -> None:
    if not people.may_everywhere(person_of(request), Right.EDIT_POLICIES):
        raise PermissionDenied


def _found(request: HttpRequest, public_id: UUID) -> NoticeChannel:
    _admin_or_403(request)
    found = channels.all_channels().filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _form_page(
    request: HttpRequest,
    form: NoticeChannelForm,
    *,
    channel: NoticeChannel | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {"here": "policies", "form": form, "channel": channel, "problem": problem}
    return render(request, "approvals/notice_channel_form.html", context, status=status)


def _remove_page(
    request: HttpRequest, found: NoticeChannel, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context = {"here": "policies", "channel": found, "problem": problem}
    return render(request, "approvals/notice_channel_remove.html", context, status=status)


def _page(
    request: HttpRequest,
    found: NoticeChannel,
    *,
    secret_form: NewSecretForm | None = None,
    new_secret: str = "",
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    before = number_given(request)
    log = NoticeCard.objects.filter(channel=found).select_related("notice__mailbox")
    log = log.prefetch_related("attempts").order_by("-pk")
    rows = list((log.filter(pk__lt=before) if before else log)[: PAGE + 1])
    address = reverse("approvals:notice_channel", args=[found.public_id])
    context: dict[str, Any] = {
        "here": "policies",
        "channel": found,
        "kinds": [NoticeKind(kind).label for kind in found.kinds],
        "secret_form": (secret_form or NewSecretForm(request=request, version=found.version))
        if found.kind == CardKind.WEBHOOK
        else None,
        "new_secret": new_secret,
        "log": [
            {
                "card": card,
                "title": words.title_of(card.notice) if card.notice is not None else _("A test"),
                "settled": words.settled_of(card.notice) if card.notice is not None else "",
            }
            for card in rows[:PAGE]
        ],
        "paging": paging_of(address, rows, PAGE, has_begun=bool(before)),
        "problem": problem,
    }
    return render(request, "approvals/notice_channel.html", context, status=status)
