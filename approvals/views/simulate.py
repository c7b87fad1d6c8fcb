from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from agentmail.models import OversightMode
from approvals import people
from approvals.forms_ledgers import MailboxChoice
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from approvals.simulation import SIMULATED_LIMIT, Fate, Judged, Simulation, simulate
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS
from policies import exchange
from policies.faults import Invalid
from policies.models import Rule

RULES_CHARACTERS = 200_000
ROWS_SHOWN = 100
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
        field.queryset = visible_mailboxes(person).filter(  # type: ignore[attr-defined]
            pk__in=visible_mailboxes(person, Right.READ_POLICIES)
        )

    def clean_rules(self) -> list[Rule] | None:
        text: str = self.cleaned_data["rules"]
        if not text.strip():
            return None
        try:
            plan = exchange.planned(text)
        except Invalid as error:
            raise forms.ValidationError(
                [
                    _("%(path)s: %(why)s") % {"path": fault.path, "why": fault.sentence}
                    for fault in error.faults
                ]
            ) from error
        if any(one.known_id is None for one in plan.lists):
            raise forms.ValidationError(
                _(
                    "The file brings lists that are not here yet. Import the lists first, then simulate the rules."
                )
            )
        return [Rule(**fields) for fields in plan.rules]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def simulated(request: HttpRequest) -> HttpResponseBase:
    """Judge old drafts by other policies. A POST, because a set of rules is long; it changes nothing."""
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    context: dict[str, Any] = {"here": "policies"}
    if request.method != "POST":
        initial = {name: request.GET[name] for name in ("mailbox", "mode") if name in request.GET}
        context["form"] = SimulateForm(initial={"last": 100} | initial, person=person)
        return render(request, "approvals/simulate.html", context)
    form = SimulateForm(request.POST, person=person)
    context["form"] = form
    if not form.is_valid():
        return render(request, "approvals/simulate.html", context, status=422)
    given = form.cleaned_data
    done = simulate(given["mailbox"], mode=given["mode"], rules=given["rules"], last=given["last"])
    different = done.different
    context |= {
        "done": done,
        "mailbox": given["mailbox"],
        "rows": [
            {
                "draft": one.draft,
                "judged": [_shown(one.before, _("Now")), _shown(one.after, _("With the change"))],
            }
            for one in different[:ROWS_SHOWN]
        ],
        "different": len(different),
        "more": max(0, len(different) - ROWS_SHOWN),
        "counts": _counts(done),
        "pictures": [
            {"word": _("Now"), "parts": _picture(done.before, len(done.compared))},
            {"word": _("With the change"), "parts": _picture(done.after, len(done.compared))},
        ],
    }
    return render(request, "approvals/simulate.html", context)


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
