from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from approvals import condition, elsewhere, operations, people, provider_drift, switchboard
from approvals.forms import REASON_CHARACTERS, read_ids
from approvals.forms_ledgers import place_text, read_place
from approvals.ledgers import mailbox_rows
from approvals.notices import standing
from approvals.people import Right
from approvals.switchboard import Acknowledgement
from approvals.templatetags.bar import count_text, facts_for
from approvals.templatetags.times import duration
from approvals.transitions.sends import SendRefused
from approvals.views.access import person_of, signed_in
from approvals.views.reauthentication import PasswordAgain
from approvals.views.writing import NotWritable, nothing_changed
from policies import switch

logger = logging.getLogger(__name__)

HELD_WORDS: Mapping[str, Any] = {
    "blocked_kill_switch": _lazy("Held by a stop"),
    "blocked_grant": _lazy("Mailbox needs care"),
    "rule_engine_error": _lazy("A check failed"),
}
CONDITION_WORDS: Mapping[str, Any] = {
    "database": _lazy("Database"),
    "versions": _lazy("Versions"),
    "disk": _lazy("Disk"),
    "broker": _lazy("Broker"),
    "provider": _lazy("Provider"),
    "clock": _lazy("Clocks"),
    "notices": _lazy("Notices"),
}
REJECTION_WORDS: Mapping[str, Any] = {
    "no_signature": _lazy("no signature"),
    "bad_signature": _lazy("wrong signature"),
    "no_secret": _lazy("no secret is set here"),
    "too_large": _lazy("too large"),
    "too_deep": _lazy("nested too deeply"),
    "cut_off": _lazy("cut off on the way"),
    "malformed": _lazy("not readable"),
    "wrong_content_type": _lazy("wrong content type"),
    "wrong_encoding": _lazy("wrong encoding"),
}


# How many sends under way a sentence names.
NAMED = 10


class StopForm(forms.Form):
    """A stop waits for nothing, not even for its reason."""

    reason = forms.CharField(
        label=_lazy("Why"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("Everybody reads it on every page. Stopping does not wait for it."),
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="stop_%s")

    def clean_reason(self) -> str:
        return self.cleaned_data["reason"].strip() or _("No reason was given.")


class ReleaseForm(PasswordAgain):
    reason = forms.CharField(
        label=_lazy("What was put right"),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence what was put right; it is kept in the record.")},
    )
    field_order = ["reason", "password"]

    def __init__(self, data: QueryDict | None = None, *, request: HttpRequest) -> None:
        super().__init__(data, request=request, auto_id="resume_%s")


@require_safe
@signed_in
def show(request: HttpRequest) -> HttpResponseBase:
    return page(request)


@require_POST
@signed_in
def stop(request: HttpRequest) -> HttpResponseBase:
    form = StopForm(request.POST)
    if not form.is_valid():
        return page(request, stop_form=form, status=422)
    try:
        done = switchboard.stop(switch.GLOBAL, person=person_of(request), reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return page(request, stop_form=form, problem=str(refusal), status=403)
    except DatabaseError:
        return page(request, stop_form=form, problem=not_written(), status=503)
    messages.success(request, acknowledged(done, person_of(request)))
    return redirect("approvals:operations")


@require_POST
@signed_in
def resume(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may_everywhere(person, Right.RESUME):
        problem = _("Only an operator or an admin can resume sending.")
        return page(request, problem=problem, status=403)
    form = ReleaseForm(request.POST, request=request)
    if not form.is_valid():
        return page(request, release_form=form, status=422)
    try:
        held = switchboard.release(switch.GLOBAL, person=person, reason=form.cleaned_data["reason"])
    except switchboard.SwitchRefused as refusal:
        return page(request, release_form=form, problem=str(refusal), status=409)
    except NotWritable:
        return page(request, release_form=form, problem=nothing_changed(), status=503)
    messages.success(request, released(held))
    return redirect("approvals:operations")


@require_POST
@signed_in
def resume_held(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.RESUME):
        return page(request, problem=_("Only an operator or an admin can resume held mail."), status=403)
    if not facts_for(request).sending.is_open:
        problem = _("Sending is stopped. Resume sending first; held mail would only be held again.")
        return page(request, problem=problem, status=409)
    given = request.POST.getlist("shown" if "all" in request.POST else "chosen")
    ids = operations.held_ids(person, read_ids(given, operations.HELD_ROWS))
    if not ids:
        problem = _("Choose at least one mail of the list that is still held and yours to resume.")
        return page(request, problem=problem, status=422)
    try:
        resumed = switchboard.resume_held(ids, person=person)
    except SendRefused as refusal:
        return page(request, problem=str(refusal), status=409)
    except NotWritable:
        return page(request, problem=nothing_changed(), status=503)
    if not resumed:
        problem = _(
            "Nothing was resumed: sending from this mailbox is stopped, or somebody else resumed the mail before."
        )
        return page(request, problem=problem, status=409)
    messages.success(
        request,
        ngettext(
            "%(count)d mail asks every check again and leaves if all pass.",
            "%(count)d mails ask every check again and leave if all pass.",
            resumed,
        )
        % {"count": resumed},
    )
    return redirect("approvals:operations")


@require_safe
@signed_in
def show_condition(request: HttpRequest) -> HttpResponseBase:
    """Ask everything now. In the page it is fetched after the rest, so that a stop never waits for it."""
    now = timezone.now()
    rank = {condition.Standing.BAD: 0, condition.Standing.LOOK: 1, condition.Standing.WELL: 2}
    findings = sorted([*condition.examine(), *_told()], key=lambda finding: rank[finding.standing])
    context: dict[str, Any] = {
        "here": "operations",
        "now": now,
        "findings": [
            {"word": CONDITION_WORDS.get(finding.name, finding.name), "finding": finding}
            for finding in findings
        ],
        "events": operations.failing_events(),
        "rejections": _shown_rejections(now),
    }
    part = "#condition" if request.headers.get("HX-Request") == "true" else ""
    return render(request, f"approvals/condition.html{part}", context)


def _told() -> list[condition.Finding]:
    try:
        return [standing.finding()]
    except DatabaseError:
        # What is wrong with the database stands above.
        logger.exception("nobody knows whether people are told")
        return []


def not_written() -> str:
    """What to do when the stop itself cannot be written; for the handler of a DatabaseError."""
    logger.exception("a stop could not be written")
    return _(
        "The stop could not be written down, because the database takes no changes. While that lasts nothing "
        "new can be sent either: every send is written down first. To make sure, create the file %(path)s on the "
        "machine of the desk."
    ) % {"path": settings.KILL_SWITCH_FILE}


def acknowledged(done: Acknowledgement, person: User) -> str:
    """What a stop achieved, in words: how long it waited, what is still under way, what is held.

    Mail of mailboxes that the person does not see is counted and not named.
    """
    held = ngettext("%(count)d mail is held.", "%(count)d mails are held.", done.held) % {"count": done.held}
    names = [
        send.draft.counterpart or str(send.draft)
        for send in done.in_flight
        if people.may(person, Right.SEE, send.mailbox_id)
    ][:NAMED]
    if len(names) < len(done.in_flight):
        more = len(done.in_flight) - len(names)
        names.append(ngettext("%(count)d other", "%(count)d others", more) % {"count": more})
    if done.in_flight:
        said = _(
            "Stopped. After %(seconds)s these are still under way: %(names)s. None began after the stop."
        ) % {
            "seconds": duration(done.waited_seconds),
            "names": ", ".join(names),
        }
    elif done.is_drained:
        said = _("Stopped. Nothing more leaves; the last answer came %(seconds)s after the switch.") % {
            "seconds": duration(done.waited_seconds)
        }
    else:
        said = _(
            "Stopped. Whether something is still under way could not be found out within %(seconds)s."
        ) % {"seconds": duration(done.waited_seconds)}
    return f"{said} {held}"


def released(held: int) -> str:
    said = _("Sending is on again.")
    if not held:
        return said
    return (
        said
        + " "
        + ngettext(
            "%(count)d mail stays held until it is resumed below.",
            "%(count)d mails stay held until they are resumed below.",
            held,
        )
        % {"count": held}
    )


def page(
    request: HttpRequest,
    *,
    stop_form: StopForm | None = None,
    release_form: ReleaseForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    now = timezone.now()
    sending = facts_for(request).sending
    since = None if sending.is_open else sending.since
    attempts = operations.under_way(person, since)
    try:
        after = read_place(request.GET.get("after", ""))
    except ValueError:
        after = None
    held, has_more = operations.held_sends(person, after)
    numbers = operations.numbers(person, now)
    stray = facts_for(request).sent_elsewhere
    may_resume = people.may(person, Right.RESUME)
    address = reverse("approvals:operations")
    context: dict[str, Any] = {
        "here": "operations",
        "now": now,
        "sending": sending,
        "problem": problem,
        "stoppage": operations.stoppage(since, attempts, now),
        "attempts": attempts,
        "held": [
            {
                "send": send,
                "word": HELD_WORDS.get(send.held, send.held),
                "is_stop": send.held == "blocked_kill_switch",
            }
            for send in held
        ],
        "held_count": count_text(numbers.held),
        "elsewhere": elsewhere.newest_open(person) if stray else [],
        "elsewhere_count": count_text(stray),
        "numbers": numbers,
        "mailboxes": mailbox_rows(person, with_counts=False),
        "processes": operations.processes(now),
        "provider_look": provider_drift.last_look() if people.may(person, Right.READ_POLICIES) else None,
        "may_stop": people.may(person, Right.STOP),
        "stopped": [one for one in switchboard.stopped(person) if one.scope != switch.GLOBAL],
        "may_release": people.may_everywhere(person, Right.RESUME),
        "may_resume": may_resume and sending.is_open,
        "may_manage": people.may_everywhere(person, Right.MANAGE),
        "may_revoke": people.may(person, Right.REVOKE),
        "stop_form": stop_form or StopForm(),
        "release_form": release_form or ReleaseForm(request=request),
        "paging": {
            "next_address": f"{address}?{urlencode({'after': place_text(held[-1].queued_at, held[-1].pk)})}#held"
            if has_more
            else "",
            "first_address": f"{address}#held" if after else "",
        },
    }
    return render(request, "approvals/operations.html", context, status=status)


def _shown_rejections(now: Any) -> list[dict[str, Any]]:
    return [
        {"word": REJECTION_WORDS.get(reason, reason), "total": total}
        for reason, total in operations.rejections(now)
    ]
