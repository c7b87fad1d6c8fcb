from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from agentmail.models import Mailbox, OversightMode
from approvals import evidence, inbound, oversight, people
from approvals.forms_modes import ChannelForm, LoosenForm, ModeSettingsForm, TightenForm
from approvals.ledgers import mailbox_for
from approvals.models import ModeChange, Notification
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed
from policies import channels, mailbox_settings, modes
from policies.evidence import UNTOUCHED_LINE

CHANGES_SHOWN = 50
TOLD_SHOWN = 10

PURPOSES = {
    modes.READ_ONLY: _lazy("The agent reads. It sends nothing, tags nothing and writes no drafts."),
    modes.GATED_ALL: _lazy("A person releases what the agent reads, and decides what it sends."),
    modes.GATED_SEND: _lazy("The agent reads freely; every draft waits for a countersignature."),
    modes.MONITORED: _lazy("Replies leave when every check passes, and people are told of each."),
    modes.AUTONOMOUS: _lazy("Replies leave when every check passes, and nobody is told."),
}


@dataclass(frozen=True, slots=True)
class Rung:
    mode: str
    word: str
    purpose: Any
    is_present: bool
    is_chosen: bool
    is_looser: bool
    may: bool


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def mode(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = mailbox_of(request, public_id)
    person = person_of(request)
    if request.method != "POST":
        return page(request, found, to=request.GET.get("to", ""))
    if not people.may(person, Right.TIGHTEN, found.pk):
        raise PermissionDenied
    to = request.POST.get("to", "")
    form = _form(request, found, to, data=request.POST)
    if not form.is_valid():
        return page(request, found, to=to, form=form, status=422)
    given = form.cleaned_data
    try:
        change = oversight.change_mode(
            found.pk,
            to=given["to"],
            seen=given["seen"],
            person=person,
            reason=given["reason"],
            unnotified_reason=given.get("unnotified_reason", ""),
        )
    except oversight.NotAllowed as refusal:
        return page(request, found, to=to, form=form, problem=str(refusal), status=403)
    except oversight.ModeMoved as refusal:
        found.refresh_from_db()
        again = _form(request, found, to, initial={"reason": given["reason"]})
        return page(request, found, to=to, form=again, problem=str(refusal), status=409)
    except oversight.OversightRefused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        return page(request, found, to=to, form=form, status=422)
    except NotWritable:
        return page(request, found, to=to, form=form, problem=nothing_changed(), status=503)
    messages.success(
        request,
        _("The mode is %(mode)s from the next action of its agents on. What waits keeps its place.")
        % {"mode": change.after},
    )
    return redirect("approvals:mode", public_id)


def mailbox_of(request: HttpRequest, public_id: UUID) -> Mailbox:
    found = mailbox_for(person_of(request), public_id)
    if found is None:
        raise Http404
    return found


def page(
    request: HttpRequest,
    found: Mailbox,
    *,
    to: str = "",
    form: TightenForm | None = None,
    problem: str = "",
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """The page of a mailbox's oversight mode; with `to`, a mode of the ladder, the preview of that step too."""
    person = person_of(request)
    channel = channels.of(found.pk)
    may_tighten = people.may(person, Right.TIGHTEN, found.pk)
    may_loosen = people.may(person, Right.LOOSEN, found.pk)
    chosen = to if to in modes.LADDER and to != found.mode else ""
    looser = bool(chosen) and modes.is_looser(chosen, found.mode)
    numbers = evidence.of(found)
    context: dict[str, Any] = {
        "here": "mailboxes",
        "now": timezone.now(),
        "mailbox": found,
        "rungs": _rungs(found, chosen, may_tighten=may_tighten, may_loosen=may_loosen),
        "chosen": chosen,
        "is_looser": looser,
        "may": may_loosen if looser else may_tighten,
        "may_tighten": may_tighten,
        "may_loosen": may_loosen,
        "form": (form or _form(request, found, chosen)) if chosen else None,
        "differences": modes.differences(found.mode, chosen) if chosen else [],
        "lacks_channel": bool(chosen) and oversight.needs_channel(found.pk, chosen),
        "evidence": numbers,
        "lines": evidence.lines_for(numbers, found.mode, chosen or _next_rung(found.mode)),
        "evidence_facts": _facts(numbers),
        "changes": ModeChange.objects.filter(mailbox=found).order_by("-pk")[:CHANGES_SHOWN],
        "channel": channel,
        "channel_form": ChannelForm(channel=channel),
        "is_dead": channel is not None and not channels.is_alive(channel),
        "told": Notification.objects.filter(mailbox=found).order_by("-pk")[:TOLD_SHOWN],
        "may_edit": people.may(person, Right.EDIT_POLICIES, found.pk),
        "settings": mailbox_settings.of(found.pk),
        "settings_form": ModeSettingsForm(settings=mailbox_settings.of(found.pk)),
        "held_inbound": inbound.held_in(found).count(),
        "problem": problem,
    }
    return render(request, "approvals/mode.html", context | more, status=status)


def _form(
    request: HttpRequest, found: Mailbox, to: str, *, data: Any = None, initial: Any = None
) -> TightenForm:
    may_loosen = people.may(person_of(request), Right.LOOSEN, found.pk)
    asks_channel = may_loosen and to in modes.LADDER and oversight.needs_channel(found.pk, to)
    start = {"to": to, "seen": found.mode} | (initial or {})
    if to in modes.LADDER and modes.is_looser(to, found.mode) and may_loosen:
        return LoosenForm(data, asks_channel=asks_channel, request=request, initial=start)
    return TightenForm(data, asks_channel=asks_channel, initial=start)


def _rungs(found: Mailbox, chosen: str, *, may_tighten: bool, may_loosen: bool) -> list[Rung]:
    rungs = []
    for one in modes.LADDER:
        looser = modes.is_looser(one, found.mode)
        rungs.append(
            Rung(
                mode=one,
                word=str(OversightMode(one).label),
                purpose=PURPOSES[one],
                is_present=one == found.mode,
                is_chosen=one == (chosen or found.mode),
                is_looser=looser,
                may=one != found.mode and (may_loosen if looser else may_tighten),
            )
        )
    return rungs


def _facts(found: evidence.Evidence) -> list[dict[str, Any]]:
    untouched = _("%(share)s (%(line)s is a good record)") % {
        "share": _percent(found.untouched),
        "line": _percent(UNTOUCHED_LINE),
    }
    return [
        {"word": _("In this mode"), "value": _("%(days)d d") % {"days": found.days_in_mode}},
        {"word": _("Handled by people"), "value": found.handled},
        {"word": _("Approved as written"), "value": untouched},
        {"word": _("Rejected"), "value": found.rejected},
        {"word": _("Sent back"), "value": found.changes_requested},
        {"word": _("Sent"), "value": found.sent},
        {"word": _("Bounced"), "value": _percent(found.bounced)},
        {"word": _("Turned out wrong"), "value": found.turned_out_wrong},
        {"word": _("Complaints"), "value": f"{found.complaints}, {_percent(found.complained)}"},
        {"word": _("Waiting"), "value": found.pending},
    ]


def _percent(share: float | None) -> str:
    return _("no basis yet") if share is None else f"{share:.1%}"


def _next_rung(present: str) -> str:
    place = modes.LADDER.index(present) + 1
    return modes.LADDER[min(place, len(modes.LADDER) - 1)]
