from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from approvals import people, wake
from approvals.forms import REASON_CHARACTERS
from approvals.forms_ledgers import TakenAsForm, place_text, read_place
from approvals.ledgers import Unproven, unknown_for, unknown_page
from approvals.models import Send
from approvals.people import Right
from approvals.states import SendState
from approvals.transitions import sends
from approvals.views.access import person_of, signed_in
from approvals.views.reauthentication import PasswordAgain
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now

RESEND_WORD = "RESEND"
SOURCES: Mapping[str, Any] = {
    "metadata": _lazy("Search by token"),
    "events": _lazy("Notifications received"),
    "sent_mail": _lazy("Sent mail of the thread"),
    "activity": _lazy("Send activity"),
}
REPLIES: Mapping[str, Any] = {
    "accepted": _lazy("The provider said that it took the mail."),
    "not_started": _lazy("Nothing left this desk."),
    "rate_limited": _lazy("The provider asked to wait and took nothing."),
    "refused": _lazy("The provider refused it and took nothing."),
    "unauthenticated": _lazy("The provider no longer knew the mailbox and took nothing."),
    "blocked": _lazy("The provider blocked it and took nothing."),
    "gone": _lazy("The provider no longer had the draft."),
    "payload_mismatch": _lazy("The provider held another payload under the same key."),
    "ambiguous": _lazy("No reply that proves anything."),
    "": _lazy("No reply was written down."),
}


class ResendForm(PasswordAgain):
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence why; it is kept in the record with your name.")},
    )
    confirmation = forms.CharField(
        label=_lazy("Type RESEND"),
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
        error_messages={"required": _lazy("Type the word RESEND in capitals.")},
    )
    field_order = ["reason", "confirmation", "password"]

    def __init__(self, data: QueryDict | None = None, *, request: HttpRequest) -> None:
        super().__init__(data, request=request, auto_id="resend_%s")

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != RESEND_WORD:
            raise forms.ValidationError(_("Type the word RESEND in capitals; you typed something else."))
        return typed


@require_safe
@signed_in
def unknown(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    try:
        after = read_place(request.GET.get("after", ""))
    except ValueError:
        after = None
    now = timezone.now()
    page = unknown_page(person, now, after)
    address = reverse("approvals:unknown")
    following = ""
    if page.has_more:
        last = page.rows[-1].send
        following = f"{address}?{urlencode({'after': place_text(last.state_changed_at, last.pk)})}"
    context: dict[str, Any] = {
        "here": "unknown",
        "now": now,
        "rows": [_shown(row) for row in page.rows],
        "stalled": page.stalled,
        "paging": {"next_address": following, "first_address": address if after else ""},
    }
    return render(request, "approvals/unknown.html", context)


@require_safe
@signed_in
def unknown_send(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _page(request, _found(request, public_id))


@require_POST
@signed_in
def taken_as_sent(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _closed(request, public_id, "sent")


@require_POST
@signed_in
def taken_as_not_sent(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _closed(request, public_id, "not_sent")


@require_POST
@signed_in
def resend(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    unproven = _found(request, public_id, Right.RESOLVE)
    form = ResendForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, unproven, resend_form=form, status=422)

    def act() -> None:
        sends.authorise_resend(
            unproven.send.pk, person=person_of(request), reason=form.cleaned_data["reason"]
        )
        wake.sender(unproven.send.pk)
        messages.success(request, _("One more attempt is authorised. Every check is asked again first."))

    return _acted(request, public_id, act, resend_form=form)


def _closed(request: HttpRequest, public_id: UUID, way: str) -> HttpResponseBase:
    unproven = _found(request, public_id, Right.RESOLVE)
    form = TakenAsForm(request.POST, way=way)
    if not form.is_valid():
        given: dict[str, Any] = {f"{way}_form": form}
        return _page(request, unproven, status=422, **given)

    def act() -> None:
        sends.close(
            unproven.send.pk,
            person=person_of(request),
            as_sent=way == "sent",
            reason=form.cleaned_data["reason"],
        )
        messages.success(
            request,
            _("Closed as sent. Should evidence turn up, it is added.")
            if way == "sent"
            else _("Closed as not sent. The draft stays closed; the agent may write a new one."),
        )

    return _acted(request, public_id, act, **{f"{way}_form": form})


def _acted(request: HttpRequest, public_id: UUID, act: Callable[[], None], **given: Any) -> HttpResponseBase:
    try:
        act()
    except sends.SendRefused as refusal:
        return _page(request, _found(request, public_id), problem=str(refusal), status=409, **given)
    except NotWritable:
        return _page(request, _found(request, public_id), problem=nothing_changed(), status=503, **given)
    return redirect("approvals:unknown_send", public_id)


def _found(request: HttpRequest, public_id: UUID, right: Right = Right.SEE) -> Unproven:
    person = person_of(request)
    unproven = unknown_for(person, public_id)
    if unproven is None:
        raise Http404
    if not people.may(person, right, unproven.send.mailbox_id):
        raise PermissionDenied
    return unproven


def _page(
    request: HttpRequest,
    unproven: Unproven,
    *,
    sent_form: TakenAsForm | None = None,
    not_sent_form: TakenAsForm | None = None,
    resend_form: ResendForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    send = unproven.send
    now = database_now()
    may_resolve = people.may(person_of(request), Right.RESOLVE, send.mailbox_id)
    context: dict[str, Any] = {
        "here": "unknown",
        "now": now,
        "row": _shown(unproven),
        "send": send,
        "problem": problem,
        "attempts": [
            {
                "attempt": attempt,
                "said": attempt.detail or REPLIES.get(attempt.reply_class, attempt.reply_class),
            }
            for attempt in unproven.attempts
        ],
        "is_open": send.state == SendState.UNKNOWN and send.resend_at is None,
        "may_resolve": may_resolve,
        "key_is_old": unproven.key_is_old(now),
        "sent_form": sent_form or TakenAsForm(way="sent"),
        "not_sent_form": not_sent_form or TakenAsForm(way="not_sent"),
        "resend_form": resend_form or ResendForm(request=request),
    }
    return render(request, "approvals/unknown_send.html", context, status=status)


def _shown(unproven: Unproven) -> dict[str, Any]:
    send: Send = unproven.send
    revision = send.decision.revision
    return {
        "send": send,
        "rounds": [
            {
                "number": asked.number,
                "at": asked.asked_at,
                "answers": [
                    {"source": SOURCES.get(answer.source, answer.source), "answer": answer}
                    for answer in asked.answers
                ],
            }
            for asked in unproven.rounds
        ],
        "asked": len(unproven.rounds),
        "waiting": unproven.waiting,
        "recipients": [
            str(entry.get("email", ""))
            for entries in (revision.to, revision.cc, revision.bcc)
            for entry in entries
        ],
    }
