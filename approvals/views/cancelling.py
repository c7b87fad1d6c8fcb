from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from agentmail.models import Mailbox
from approvals import cancelling, people
from approvals.cancelling import Cancelled, CountChanged, Interrupted
from approvals.forms import REASON_CHARACTERS
from approvals.ledgers import mailbox_for
from approvals.people import Right
from approvals.transitions.drafts import NotAllowed
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

logger = logging.getLogger(__name__)
EXAMPLES_SHOWN = 10


class CancelForm(forms.Form):
    count = forms.IntegerField(
        label=_lazy("How many drafts are cancelled"),
        min_value=1,
        help_text=_lazy("Type the number above, so that nobody cancels by accident."),
        widget=forms.NumberInput(attrs={"autocomplete": "off"}),
    )
    reason = forms.CharField(
        label=_lazy("Why"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("It is kept with each draft; up to 2,000 characters."),
        error_messages={"required": _lazy("Say in a sentence why; it is kept with each draft.")},
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="cancel_%s")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def cancel_all(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    person = person_of(request)
    mailbox = mailbox_for(person, public_id)
    if mailbox is None:
        raise Http404
    if not people.may(person, Right.CANCEL, mailbox.pk):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request, mailbox, CancelForm())
    form = CancelForm(request.POST)
    if not form.is_valid():
        return _page(request, mailbox, form, status=422)
    try:
        done = cancelling.cancel_all(
            mailbox,
            person=person,
            confirmed=form.cleaned_data["count"],
            reason=form.cleaned_data["reason"],
        )
    except CountChanged as refusal:
        return _page(request, mailbox, form, problem=str(refusal), status=409)
    except NotAllowed as refusal:
        return _page(request, mailbox, form, problem=str(refusal), status=403)
    except Interrupted as stopped:
        return _page(request, mailbox, form, stopped_after=stopped.cancelled, **_cause(stopped))
    except NotWritable:
        return _page(request, mailbox, form, problem=nothing_changed(), status=503)
    messages.success(request, _said(done))
    if done.remaining:
        return redirect("approvals:cancel_all", public_id)
    return redirect("approvals:mailbox", public_id)


def _cause(stopped: Interrupted) -> dict[str, Any]:
    if isinstance(stopped.__cause__, NotAllowed):
        return {"problem": str(stopped.__cause__), "status": 403}
    logger.error("cancelling all stopped on the way", exc_info=stopped)
    return {"problem": _("The database took no more writes; go on in a moment."), "status": 503}


def _said(done: Cancelled) -> str:
    parts = [
        ngettext("%(count)d draft was cancelled.", "%(count)d drafts were cancelled.", done.cancelled)
        % {"count": done.cancelled}
    ]
    if done.left_alone:
        parts.append(
            ngettext(
                "%(count)d was decided or expired meanwhile and left alone.",
                "%(count)d were decided or expired meanwhile and left alone.",
                done.left_alone,
            )
            % {"count": done.left_alone}
        )
    if done.remaining:
        parts.append(
            ngettext("%(count)d still waits.", "%(count)d still wait; go on below.", done.remaining)
            % {"count": done.remaining}
        )
    return " ".join(parts)


def _page(
    request: HttpRequest,
    mailbox: Mailbox,
    form: CancelForm,
    *,
    problem: str = "",
    stopped_after: int = 0,
    status: int = 200,
) -> HttpResponse:
    found = cancelling.open_in(mailbox)
    context: dict[str, Any] = {
        "here": "mailboxes",
        "now": timezone.now(),
        "mailbox": mailbox,
        "form": form,
        "count": found.count(),
        "at_once": cancelling.CANCELLED_AT_ONCE,
        "examples": list(found[:EXAMPLES_SHOWN]),
        "problem": problem,
        "stopped_after": stopped_after,
    }
    return render(request, "approvals/cancel_all.html", context, status=status)
