from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from agentmail.models import Mailbox
from approvals import people
from approvals.forms_ledgers import MailboxChoice, place_text, read_place
from approvals.history import (
    BLOCKED,
    OURS,
    PROVIDER,
    HistoryFilter,
    HistoryLine,
    HistoryPlace,
    history_page,
    judgement_for,
    stages,
    why,
)
from approvals.judgements import PASSED, PENDING
from approvals.people import Person, Right
from approvals.policy_rows import named_row
from approvals.queries import draft_for, visible_mailboxes
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS

RESULTS = (
    (BLOCKED, _lazy("Blocked, for any reason")),
    (PASSED, _lazy("Passed")),
    (PENDING, _lazy("Waits for a person")),
    ("blocked_kill_switch", _lazy("Blocked by the kill switch")),
    ("blocked_grant", _lazy("Blocked by the mailbox")),
    ("blocked_mode", _lazy("Blocked by the oversight mode")),
    ("blocked_decision", _lazy("Blocked: no valid approval")),
    ("blocked_recipient", _lazy("Blocked by a recipient")),
    ("blocked_rule", _lazy("Blocked by a rule")),
    ("blocked_duplicate", _lazy("Blocked as a duplicate")),
    ("blocked_stale", _lazy("Blocked as stale")),
    ("blocked_rate_cap", _lazy("Blocked by a cap")),
    ("dry_run", _lazy("Dry run")),
    ("rule_engine_error", _lazy("A check failed")),
)


class HistoryPlaceField(forms.CharField):
    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput, max_length=220)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        ours, _bar, rest = text.partition("|")
        provider, _bar, inbound = rest.partition("|")
        at, _dot, number = provider.partition(".")
        try:
            theirs = (int(at), int(number)) if provider else None
            return HistoryPlace(read_place(ours), theirs, read_place(inbound))
        except ValueError as error:
            raise forms.ValidationError(
                _("This page address is damaged; start again at the top of the list.")
            ) from error


class HistoryFilterForm(forms.Form):
    mailbox = MailboxChoice()
    result = forms.ChoiceField(
        label=_lazy("Result"), choices=[("", _lazy("Any result")), *RESULTS], required=False
    )
    stage = forms.ChoiceField(label=_lazy("Stage"), required=False)
    source = forms.ChoiceField(
        label=_lazy("Decided by"),
        choices=[
            ("", _lazy("This desk and the provider")),
            (OURS, _lazy("This desk")),
            (PROVIDER, _lazy("The provider")),
        ],
        required=False,
    )
    rule = forms.CharField(
        label=_lazy("Rule"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    draft = forms.UUIDField(
        label=_lazy("Draft"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"invalid": _lazy("A draft's id looks like 0b54a3f2-…; copy it from its address.")},
    )
    after = HistoryPlaceField()

    def __init__(self, data: QueryDict, *, person: Person) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["mailbox"].queryset = visible_mailboxes(person, Right.READ_POLICIES)  # type: ignore[attr-defined]
        self.fields["stage"].choices = [("", _("Any stage")), *stages()]  # type: ignore[attr-defined]

    def chosen(self) -> HistoryFilter:
        """The filter that the form describes; what is faulty in it counts as not given."""
        self.full_clean()
        cleaned = self.cleaned_data
        mailbox: Mailbox | None = cleaned.get("mailbox")
        return HistoryFilter(
            mailbox=mailbox.public_id if mailbox else None,
            draft=cleaned.get("draft"),
            rule=cleaned.get("rule") or "",
            stage=cleaned.get("stage") or "",
            result=cleaned.get("result") or "",
            source=cleaned.get("source") or "",
            after=cleaned.get("after") or HistoryPlace(),
        )


@require_safe
@signed_in
def history(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    form = HistoryFilterForm(request.GET, person=person)
    chosen = form.chosen()
    page = history_page(person, chosen)
    context: dict[str, Any] = {
        "here": "policies",
        "form": form,
        "chosen": chosen,
        "lines": [_shown(line) for line in page.lines],
        "paging": {
            "next_address": _address(chosen, page.following) if page.following else "",
            "first_address": _address(chosen, None) if chosen.after != HistoryPlace() else "",
        },
    }
    return render(request, "approvals/history.html", context)


@require_safe
@signed_in
def judgement(request: HttpRequest, judgement_id: int) -> HttpResponseBase:
    person = person_of(request)
    found = judgement_for(person, judgement_id)
    if found is None:
        raise Http404
    context: dict[str, Any] = {
        "here": "policies",
        "judgement": found,
        "draft": draft_for(person, found.draft.public_id),
        "why": why(found),
        "verdicts": [{"word": GATE_WORDS.get(str(one["gate"]), one["gate"])} | one for one in found.verdicts],
        "rules": [named_row(str(rule)) for rule in found.rules],
    }
    return render(request, "approvals/judgement.html", context)


def _shown(line: HistoryLine) -> dict[str, Any]:
    if line.inbound is not None:
        rules = [named_row(str(rule)) for rule in line.inbound.rules]
        return {"at": line.at, "inbound": line.inbound, "rules": rules}
    found = line.judgement
    if found is None:
        return {"at": line.at, "evaluation": line.evaluation}
    shape, tone = {PASSED: ("check", ""), PENDING: ("ring", "ink")}.get(found.result, ("x", "look"))
    return {
        "at": line.at,
        "judgement": found,
        "gate": GATE_WORDS.get(found.gate, found.gate),
        "word": dict(RESULTS).get(found.result, found.result),
        "shape": shape,
        "tone": tone,
        "rules": [named_row(str(rule)) for rule in found.rules],
    }


def _address(chosen: HistoryFilter, after: HistoryPlace | None) -> str:
    values: dict[str, Any] = {
        "mailbox": chosen.mailbox or "",
        "draft": chosen.draft or "",
        "rule": chosen.rule,
        "stage": chosen.stage,
        "result": chosen.result,
        "source": chosen.source,
    }
    if after is not None:
        provider = "{}.{}".format(*after.provider) if after.provider else ""
        ours, inbound = (place_text(*place) if place else "" for place in (after.ours, after.inbound))
        values["after"] = f"{ours}|{provider}|{inbound}"
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:history")
    return f"{address}?{query}" if query else address
