from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agentmail.models import Mailbox
from approvals import people
from approvals.forms_modes import ChannelForm, ModeSettingsForm
from approvals.people import Right
from approvals.transitions.notifications import send_test
from approvals.views.access import person_of, signed_in
from approvals.views.modes import mailbox_of, page
from approvals.views.writing import NotWritable, nothing_changed
from policies import changes, channels, mailbox_settings, modes
from policies.models import Channel, ChannelKind


@require_POST
@signed_in
def save(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _editable(request, public_id)
    before = channels.of(found.pk)
    form = ChannelForm(request.POST, channel=before)
    if not form.is_valid():
        return page(request, found, channel_form=form, status=422)
    given = dict(form.cleaned_data)
    try:
        channel = channels.write(
            found.pk, version=given.pop("version"), actor=people.actor_for(person_of(request)), **given
        )
    except changes.Conflict as conflict:
        return _conflict(request, found, given, conflict)
    except NotWritable:
        return page(request, found, channel_form=form, problem=nothing_changed(), status=503)
    if channel.kind == ChannelKind.WEBHOOK and (before is None or before.salt != channel.salt):
        return page(request, found, new_secret=channels.secret_of(channel))
    messages.success(request, _("Kept. Send a test to see that it arrives."))
    return redirect("approvals:mode", public_id)


@require_POST
@signed_in
def renew_secret(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _editable(request, public_id)
    channel = channels.of(found.pk)
    if channel is None or channel.kind != ChannelKind.WEBHOOK:
        return page(request, found, problem=_("Only a webhook has a secret."), status=409)
    try:
        renewed = channels.renew_secret(
            channel, version=channel.version, actor=people.actor_for(person_of(request))
        )
    except changes.Conflict as conflict:
        return _conflict(request, found, {}, conflict)
    except NotWritable:
        return page(request, found, problem=nothing_changed(), status=503)
    return page(request, found, new_secret=channels.secret_of(renewed))


@require_POST
@signed_in
def test(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _editable(request, public_id)
    if channels.of(found.pk) is None:
        return page(request, found, problem=_("There is no channel to test."), status=409)
    try:
        send_test(found)
    except NotWritable:
        return page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("A test is on its way. What became of it stands below in a moment."))
    return redirect("approvals:mode", public_id)


@require_POST
@signed_in
def remove(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _editable(request, public_id)
    channel = channels.of(found.pk)
    if channel is None:
        return redirect("approvals:mode", public_id)
    if found.mode == modes.MONITORED:
        problem = _("A monitored mailbox keeps its channel; choose another mode first.")
        return page(request, found, problem=problem, status=409)
    try:
        channels.remove(channel, version=channel.version, actor=people.actor_for(person_of(request)))
    except changes.Conflict as conflict:
        return _conflict(request, found, {}, conflict)
    except NotWritable:
        return page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("Removed. Nobody is told of its sends any more."))
    return redirect("approvals:mode", public_id)


@require_POST
@signed_in
def settings(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _editable(request, public_id)
    form = ModeSettingsForm(request.POST, settings=mailbox_settings.of(found.pk))
    if not form.is_valid():
        return page(request, found, settings_form=form, status=422)
    given = dict(form.cleaned_data)
    try:
        mailbox_settings.write(
            found.pk, version=given.pop("version"), actor=people.actor_for(person_of(request)), **given
        )
    except changes.Conflict:
        problem = _(
            "Somebody else changed the settings of this mailbox meanwhile; below they are as stored now."
        )
        return page(request, found, problem=problem, status=409)
    except NotWritable:
        return page(request, found, settings_form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept."))
    return redirect("approvals:mode", public_id)


def _editable(request: HttpRequest, public_id: UUID) -> Mailbox:
    found = mailbox_of(request, public_id)
    if not people.may(person_of(request), Right.EDIT_POLICIES, found.pk):
        raise PermissionDenied
    return found


def _conflict(
    request: HttpRequest, found: Mailbox, typed: dict[str, Any], conflict: changes.Conflict
) -> HttpResponseBase:
    """The page with what was typed and the version of now, and what differs from it named."""
    current = conflict.current if isinstance(conflict.current, Channel) else None
    stored = (
        _("it is %(kind)s %(target)s now") % {"kind": current.kind, "target": current.target}
        if current is not None
        else _("it is gone")
    )
    problem = _("Somebody else changed the channel meanwhile: %(stored)s. What you typed is still below.") % {
        "stored": stored
    }
    form = ChannelForm(channel=current, initial=typed)
    return page(request, found, channel_form=form, problem=problem, status=409)
