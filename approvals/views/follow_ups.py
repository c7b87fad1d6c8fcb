from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from approvals import decisions, people
from approvals.forms_ledgers import CloseForm, CorrectAddressForm, EscalateForm, follow_up_filter, place_text
from approvals.ledgers import FollowUpFilter, Returned, colleagues, follow_up_for, follow_up_page
from approvals.models import FollowUpState
from approvals.people import Right
from approvals.templatetags.bar import count_text, facts_for
from approvals.transitions import follow_ups as transitions
from approvals.transitions.drafts import DecisionRefused
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed

# Word, shape and tone of what opened a follow-up.
KINDS: Mapping[str, tuple[Any, str, str]] = {
    "soft_bounce": (_lazy("Soft bounce"), "clock", ""),
    "hard_bounce": (_lazy("Hard bounce"), "returned", ""),
    "complaint": (_lazy("Complaint"), "flag", "look"),
    "rejected": (_lazy("Rejected"), "x", ""),
    "send_failed": (_lazy("Send failed"), "x", ""),
    "failed": (_lazy("Not sent"), "x", ""),
    "no_report": (_lazy("No report"), "dash", ""),
    "crossed": (_lazy("Crossed with a new message"), "flag", "look"),
    "content_differs": (_lazy("Sent text differs"), "flag", "look"),
    "second_copy": (_lazy("Sent a second time"), "flag", "look"),
    "contradicted": (_lazy("Was sent after all"), "flag", "look"),
}
KIND_SENTENCES: Mapping[str, Any] = {
    "complaint": _lazy("A reader reported this mail as spam. Do not write to that address again unasked."),
    "rejected": _lazy("The provider took the mail and then refused to pass it on."),
    "send_failed": _lazy("The provider took the mail and could not send it."),
    "failed": _lazy("The provider refused the mail; nothing left. What it said stands below."),
    "no_report": _lazy("Nothing was heard of this mail. It may have arrived."),
    "crossed": _lazy(
        "A message arrived in the conversation while this mail was leaving. Read it: the mail may "
        "not answer it."
    ),
    "content_differs": _lazy("The copy at the provider differs from what was approved. Compare both."),
    "second_copy": _lazy("Somebody sent this mail again outside this desk; the reader may have it twice."),
    "contradicted": _lazy(
        "It was taken as not sent, and it was sent after all. Whatever was written instead is a second mail."
    ),
}
STEP_WORDS: Mapping[str, Any] = {
    "approved": _lazy("countersigned"),
    "accepted": _lazy("accepted by the provider"),
    "failed": _lazy("refused by the provider"),
    "stopped": _lazy("stopped"),
    "closed_not_sent": _lazy("closed as not sent"),
    "delivered": _lazy("delivered"),
    "soft_bounce": _lazy("put off"),
    "hard_bounce": _lazy("bounced"),
    "complaint": _lazy("complaint"),
    "rejected": _lazy("rejected"),
    "send_failed": _lazy("failed"),
    "no_report": _lazy("no report"),
    "closed": _lazy("closed"),
}
# A corrected copy of a mail that did arrive would be a second mail.
CORRECTABLE = ("soft_bounce", "hard_bounce", "complaint", "rejected", "send_failed", "failed", "no_report")


@require_safe
@signed_in
def follow_ups(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    chosen = follow_up_filter(request.GET)
    page = follow_up_page(person, chosen)
    mine = facts_for(request).follow_ups
    tabs = [
        ("mine", _("Mine"), count_text(mine)),
        ("everyone", _("Everyone"), count_text(page.everyone)),
        ("closed", _("Closed"), ""),
    ]
    context: dict[str, Any] = {
        "here": "follow_ups",
        "chosen": chosen,
        "rows": [_shown(row) for row in page.rows],
        "everyone": page.everyone,
        "everyone_address": _address(FollowUpFilter("everyone")),
        "tabs": [
            {
                "word": word,
                "count": count,
                "is_current": chosen.whose == whose,
                "address": _address(FollowUpFilter(whose)),
            }
            for whose, word, count in tabs
        ],
        "paging": {
            "next_address": _address(
                FollowUpFilter(
                    chosen.whose,
                    (page.rows[-1].follow_up.opened_at, page.rows[-1].follow_up.pk),
                )
            )
            if page.has_more
            else "",
            "first_address": _address(FollowUpFilter(chosen.whose)) if chosen.after else "",
        },
    }
    return render(request, "approvals/follow_ups.html", context)


@require_safe
@signed_in
def follow_up(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _page(request, _found(request, public_id))


@require_POST
@signed_in
def correct(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    returned = _found(request, public_id, Right.FOLLOW_UP)
    revision = returned.follow_up.send.decision.revision
    form = CorrectAddressForm(request.POST, revision=revision)
    if not form.is_valid():
        return _page(request, returned, correct_form=form, status=422)
    try:
        correction = decisions.correct_address(
            returned.follow_up, person=person_of(request), changes=form.changes()
        )
    except DecisionRefused as refusal:
        return _page(request, _found(request, public_id), correct_form=form, problem=str(refusal), status=409)
    except NotWritable:
        return _page(request, returned, correct_form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("A corrected draft waits for review. Nothing was sent by this."))
    return redirect("approvals:draft", correction.public_id)


@require_POST
@signed_in
def escalate(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    returned = _found(request, public_id, Right.FOLLOW_UP)
    form = EscalateForm(request.POST, among=colleagues(returned.follow_up))
    if not form.is_valid():
        return _page(request, returned, escalate_form=form, status=422)
    to = form.cleaned_data["person"]

    def act() -> None:
        transitions.escalate(
            returned.follow_up.pk, person=person_of(request), to=to, note=form.cleaned_data["note"]
        )
        messages.success(request, _("%(name)s takes it on.") % {"name": people.name_of(to)})

    return _acted(request, public_id, act, escalate_form=form)


@require_POST
@signed_in
def close(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    returned = _found(request, public_id, Right.FOLLOW_UP)
    form = CloseForm(request.POST)
    if not form.is_valid():
        return _page(request, returned, close_form=form, status=422)

    def act() -> None:
        transitions.close(
            returned.follow_up.pk, person=person_of(request), reason=form.cleaned_data["reason"]
        )
        messages.success(request, _("Closed."))

    return _acted(request, public_id, act, close_form=form)


def _acted(request: HttpRequest, public_id: UUID, act: Callable[[], None], **forms: Any) -> HttpResponseBase:
    try:
        act()
    except transitions.FollowUpRefused as refusal:
        return _page(request, _found(request, public_id), problem=str(refusal), status=409, **forms)
    except NotWritable:
        return _page(request, _found(request, public_id), problem=nothing_changed(), status=503, **forms)
    return redirect("approvals:follow_up", public_id)


def _found(request: HttpRequest, public_id: UUID, right: Right = Right.SEE) -> Returned:
    person = person_of(request)
    returned = follow_up_for(person, public_id)
    if returned is None:
        raise Http404
    if not people.may(person, right, returned.follow_up.mailbox_id):
        raise PermissionDenied
    return returned


def _page(
    request: HttpRequest,
    returned: Returned,
    *,
    correct_form: CorrectAddressForm | None = None,
    escalate_form: EscalateForm | None = None,
    close_form: CloseForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    follow_up = returned.follow_up
    may_act = follow_up.state == FollowUpState.OPEN and people.may(
        person, Right.FOLLOW_UP, follow_up.mailbox_id
    )
    revision = follow_up.send.decision.revision
    among = colleagues(follow_up) if may_act and escalate_form is None else []
    context: dict[str, Any] = {
        "here": "follow_ups",
        "row": _shown(returned),
        "follow_up": follow_up,
        "problem": problem,
        "may_act": may_act,
        "may_correct": may_act and follow_up.kind in CORRECTABLE,
        "delivered": [r for r in returned.recipients if r.kind == "delivered"],
        "correct_form": correct_form or CorrectAddressForm(revision=revision),
        "escalate_form": escalate_form or EscalateForm(among=among),
        "close_form": close_form or CloseForm(),
    }
    return render(request, "approvals/follow_up.html", context, status=status)


def _shown(returned: Returned) -> dict[str, Any]:
    kind = returned.follow_up.kind
    word, shape, tone = KINDS[kind]
    several = len(returned.recipients) > 1
    return {
        "returned": returned,
        "follow_up": returned.follow_up,
        "send": returned.follow_up.send,
        "word": word,
        "shape": shape,
        "tone": tone,
        "sentence": KIND_SENTENCES.get(kind, ""),
        "can_correct": kind in CORRECTABLE,
        "path": [
            {"at": step.at, "word": STEP_WORDS[step.kind], "address": step.address if several else ""}
            for step in returned.path
        ],
    }


def _address(chosen: FollowUpFilter) -> str:
    values = {
        "show": "" if chosen.whose == "mine" else chosen.whose,
        "after": place_text(*chosen.after) if chosen.after else "",
    }
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:follow_ups")
    return f"{address}?{query}" if query else address
