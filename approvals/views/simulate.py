from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_safe

from agentmail.models import OversightMode
from approvals import jobs, people
from approvals.forms_ledgers import MailboxChoice
from approvals.models import JobKind
from approvals.people import Person, Right
from approvals.queries import visible_drafts
from approvals.simulation import (
    SIMULATED_LIMIT,
    Fate,
    Judged,
    Simulation,
    SimulationRefused,
    mailboxes_to_simulate,
    rules_in,
)
from approvals.states import JobState
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS
from approvals.views.jobs import own_jobs, shown_job
from approvals.views.writing import NotWritable, nothing_changed

RULES_CHARACTERS = 200_000
FATE_WORDS: dict[Fate, tuple[str | Promise, str, str]] = {
    Fate.LEAVES: (_lazy("leaves by itself"), "check", ""),
    Fate.WAITS: (_lazy("waits for a person"), "ring", "ink"),
    Fate.BLOCKED: (_lazy("blocked"), "x", "look"),
}
PICTURE_WIDTH = 640


class SimulateForm(forms.Form):
    mailbox = MailboxChoice()
    last = forms.IntegerField(
        label=_lazy("How many of its last drafts"),
        min_value=1,
        max_value=SIMULATED_LIMIT,
        initial=100,
        help_text=_lazy("From 1 to 500."),
    )
    mode = forms.ChoiceField(
        label=_lazy("Oversight mode"),
        choices=[("", _lazy("As it is now")), *OversightMode.choices],
        required=False,
    )
    rules = forms.CharField(
        label=_lazy("Rules to use instead"),
        required=False,
        max_length=RULES_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=_lazy(
            "Paste what the rules page exports (JSON), changed as you like. Leave it empty to keep the present rules."
        ),
    )

    def __init__(self, *args: Any, person: Person, **more: Any) -> None:
        super().__init__(*args, **more)
        field = self.fields["mailbox"]
        field.required, field.empty_label = True, None  # type: ignore[attr-defined]
        field.queryset = mailboxes_to_simulate(person)  # type: ignore[attr-defined]

    def clean_rules(self) -> str:
        text: str = self.cleaned_data["rules"]
        try:
            rules_in(text)
        except SimulationRefused as refusal:
            raise forms.ValidationError(list(refusal.sentences)) from refusal
        return text

    def asked(self) -> dict[str, Any]:
        """What a valid form asks for, as its job keeps it and as the form takes it back."""
        return self.cleaned_data | {"mailbox": str(self.cleaned_data["mailbox"].public_id)}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def simulate(request: HttpRequest) -> HttpResponseBase:
    """Ask what other policies would have made of old drafts. A POST, because a worker does it; it changes no mail."""
    person = _policy_reader(request)
    if request.method != "POST":
        initial = {name: request.GET[name] for name in ("mailbox", "mode") if name in request.GET}
        form = SimulateForm(initial={"last": 100} | initial, person=person)
        return _page(request, form)
    form = SimulateForm(request.POST, person=person)
    try:
        # Rules are read inside a transaction that is undone.
        if not form.is_valid():
            return _page(request, form, status=422)
        job = jobs.ask(person, JobKind.SIMULATION, form.asked())
    except jobs.JobRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, form, status=409)
    except NotWritable:
        form.add_error(None, nothing_changed())
        return _page(request, form, status=503)
    return redirect(jobs.address_of(job))


@require_safe
@signed_in
def simulation(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """How far a simulation is, and what came of it."""
    person = _policy_reader(request)
    job = jobs.job_of(person, public_id)
    if job is None or job.kind != JobKind.SIMULATION:
        raise Http404
    mailbox = mailboxes_to_simulate(person).filter(public_id=job.parameters["mailbox"]).first()
    if mailbox is None:
        raise PermissionDenied
    shown = shown_job(job)
    if request.GET.get("seen") == shown["version"]:
        return HttpResponse(status=204)
    context = shown | {"mailbox": mailbox}
    if job.state == JobState.DONE:
        context |= _result(person, Simulation.from_json(job.result))
    if "seen" in request.GET:
        return render(request, "approvals/simulate.html#simulated", context)
    return _page(request, SimulateForm(initial=job.parameters, person=person), context)


def _policy_reader(request: HttpRequest) -> User:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    return person


def _page(
    request: HttpRequest, form: SimulateForm, more: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    context = {"here": "policies", "form": form, **(more or {})}
    # The one that the page shows says itself how far it is, and the list would not follow.
    context["own_jobs"] = [
        row for row in own_jobs(person_of(request), JobKind.SIMULATION) if row["job"] != context.get("job")
    ]
    return render(request, "approvals/simulate.html", context, status=status)


def _result(person: User, done: Simulation) -> dict[str, Any]:
    drafts = {
        draft.public_id: draft
        for draft in visible_drafts(person)
        .filter(public_id__in=[one.draft for one in done.named])
        .defer("search_text", "thread_pinned")
    }
    rows = [
        {
            "draft": drafts[one.draft],
            "judged": [_shown(one.before, _("Now")), _shown(one.after, _("With the change"))],
        }
        for one in done.named
        if one.draft in drafts
    ]
    return {
        "done": done,
        "rows": rows,
        "different": done.different,
        "more": done.different - len(rows),
        "counts": _counts(done),
        "pictures": [
            {"word": _("Now"), "parts": _picture(done.before, done.count)},
            {"word": _("With the change"), "parts": _picture(done.after, done.count)},
        ],
    }


def _shown(judged: Judged, when: str) -> dict[str, Any]:
    word, shape, tone = FATE_WORDS[judged.fate]
    return {
        "when": when,
        "word": word,
        "shape": shape,
        "tone": tone,
        "gate": GATE_WORDS.get(judged.gate, judged.gate),
        "sentence": judged.sentence,
    }


def _counts(done: Simulation) -> list[dict[str, Any]]:
    return [
        {
            "fate": fate.value,
            "word": word,
            "shape": shape,
            "tone": tone,
            "before": done.before.get(fate, 0),
            "after": done.after.get(fate, 0),
            "change": _signed(done.after.get(fate, 0) - done.before.get(fate, 0)),
        }
        for fate, (word, shape, tone) in FATE_WORDS.items()
    ]


def _signed(number: int) -> str:
    return f"{number:+d}".replace("-", "\N{MINUS SIGN}") if number else "0"


def _picture(counts: Any, total: int) -> list[dict[str, Any]]:
    """The parts of one bar, each with where it begins and how long it is, out of PICTURE_WIDTH."""
    parts, begins = [], 0.0
    for fate in Fate:
        width = PICTURE_WIDTH * counts.get(fate, 0) / total if total else 0.0
        if width:
            parts.append({"fate": fate.value, "x": round(begins, 1), "width": round(width, 1)})
        begins += width
    return parts
