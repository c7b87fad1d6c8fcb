from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from agentmail.models import Mailbox
from approvals import inbound as domain
from approvals import people
from approvals.models import InboundRelease
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.content import framed
from approvals.views.modes import mailbox_of
from approvals.views.writing import NotWritable, nothing_changed

SHOWN = 50
RELEASED_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def inbound(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = mailbox_of(request, public_id)
    if request.method != "POST":
        return _page(request, found)
    person = person_of(request)
    if not people.may(person, Right.DECIDE, found.pk):
        raise PermissionDenied
    chosen = request.POST.getlist("chosen")
    if not chosen or not all(one.isascii() and one.isdigit() and len(one) < 19 for one in chosen):
        return _page(request, found, problem=_("Choose at least one message."), status=422)
    try:
        count = domain.release(found, [int(one) for one in chosen], person=person)
    except domain.ReleaseRefused as refusal:
        return _page(request, found, problem=str(refusal), status=409, chosen=chosen)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503, chosen=chosen)
    if count == 0:
        messages.info(request, _("These were released before."))
    else:
        messages.success(
            request,
            ngettext(
                "%(count)d message released; the agent can read it now.",
                "%(count)d messages released; the agent can read them now.",
                count,
            )
            % {"count": count},
        )
    return redirect("approvals:inbound", public_id)


@framed
def inbound_body(request: HttpRequest, public_id: UUID, message_id: int) -> str:
    found = mailbox_of(request, public_id)
    row = get_object_or_404(
        InboundRelease.objects.select_related("message"), mailbox=found, message_id=message_id
    )
    return row.message.body_html


def _page(
    request: HttpRequest,
    found: Mailbox,
    *,
    problem: str = "",
    status: int = 200,
    chosen: list[str] | None = None,
) -> HttpResponse:
    held = domain.held_in(found)
    rows = list(held.select_related("message")[:SHOWN])
    context = {
        "here": "mailboxes",
        "now": timezone.now(),
        "mailbox": found,
        "rows": [
            {
                "row": row,
                "is_chosen": str(row.message_id) in (chosen or ()),
                "body_address": reverse("approvals:inbound_body", args=[found.public_id, row.message_id]),
            }
            for row in rows
        ],
        "count": held.count(),
        "released": InboundRelease.objects.filter(mailbox=found, released_at__isnull=False)
        .select_related("message", "released_by")
        .order_by("-released_at", "-pk")[:RELEASED_SHOWN],
        "may_release": people.may(person_of(request), Right.DECIDE, found.pk),
        "problem": problem,
    }
    return render(request, "approvals/inbound.html", context, status=status)
