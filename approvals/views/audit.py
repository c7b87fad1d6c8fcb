from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from agentmail.models import Mailbox
from approvals import people
from approvals.forms_ledgers import MailboxChoice
from approvals.people import Person
from approvals.queries import visible_mailboxes
from approvals.spine import (
    Line,
    Place,
    Reach,
    SpineFilter,
    action_choices,
    people_in_record,
    reach_of,
    spine_page,
)
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS

# Shape and tone of an action, by the last part of its name; a dot stands for the rest.
SHAPES: Mapping[str, tuple[str, str]] = {
    "approved": ("check", "ink"),
    "accepted": ("check", ""),
    "found": ("check", ""),
    "closed_sent": ("check", ""),
    "engaged": ("stop", "stop"),
    "stopped": ("stop", "stop"),
    "held": ("stop", "stop"),
    "released": ("play", ""),
    "resumed": ("play", ""),
    "rejected": ("x", ""),
    "refused": ("x", ""),
    "failed": ("x", ""),
    "closed_not_sent": ("x", ""),
    "changes_requested": ("back", ""),
    "returned_to_pending": ("ring", ""),
    "edited": ("pencil", ""),
    "revised": ("pencil", ""),
    "corrected": ("pencil", ""),
    "undone": ("undo", ""),
    "stale": ("stale", "look"),
    "unknown": ("question", "look"),
    "contradicted": ("flag", "look"),
    "content_differs": ("flag", "look"),
    "crossed": ("flag", "look"),
    "second_copy": ("flag", "look"),
    "sent_elsewhere": ("flag", "look"),
    "quarantined": ("lock", "look"),
    "paused": ("flag", "look"),
    "opened": ("returned", ""),
    "expired": ("clock", ""),
    "queued": ("clock", ""),
    "deferred": ("clock", ""),
    "looked_up": ("search", ""),
}


class SpineFilterForm(forms.Form):
    mailbox = MailboxChoice()
    action = forms.ChoiceField(label=_lazy("Action"), required=False)
    person = forms.ChoiceField(label=_lazy("Person"), required=False)
    draft = forms.UUIDField(
        label=_lazy("Draft"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"invalid": _lazy("A draft's id looks like 0b54a3f2-…; copy it from its address.")},
    )
    after = forms.RegexField(
        r"^(\d{1,18})?~((\d{1,12})\.(\d{1,18}))?$", required=False, widget=forms.HiddenInput
    )

    def __init__(self, data: QueryDict, *, person: Person, reach: Reach) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["mailbox"].queryset = visible_mailboxes(person)  # type: ignore[attr-defined]
        self.fields["action"].choices = [("", _("Any action")), *action_choices()]  # type: ignore[attr-defined]
        self.fields["person"].choices = [  # type: ignore[attr-defined]
            ("", _("Anybody")),
            *((str(one.pk), people.name_of(one)) for one in people_in_record(reach)),
        ]

    def clean_after(self) -> Place:
        sequence, _tilde, evaluation = self.cleaned_data["after"].partition("~")
        at, _dot, evaluation_id = evaluation.partition(".")
        return Place(
            int(sequence) if sequence else None, (int(at), int(evaluation_id)) if evaluation else None
        )

    def chosen(self) -> SpineFilter:
        """The filter that the form describes; what is faulty in it counts as not given."""
        self.full_clean()
        cleaned = self.cleaned_data
        mailbox: Mailbox | None = cleaned.get("mailbox")
        return SpineFilter(
            mailbox=mailbox.public_id if mailbox else None,
            action=cleaned.get("action") or "",
            person=int(cleaned["person"]) if cleaned.get("person") else None,
            draft=cleaned.get("draft"),
            after=cleaned.get("after") or Place(),
        )


@require_safe
@signed_in
def audit(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    reach = reach_of(person)
    form = SpineFilterForm(request.GET, person=person, reach=reach)
    chosen = form.chosen()
    page = spine_page(person, chosen)
    is_begun = chosen.after != Place()
    context: dict[str, Any] = {
        "here": "audit",
        "form": form,
        "chosen": chosen,
        "is_own_only": reach.is_own_only,
        "lines": [_shown(line) for line in page.lines],
        "paging": {
            "next_address": _address(chosen, page.following) if page.following else "",
            "first_address": _address(chosen, None) if is_begun else "",
        },
    }
    return render(request, "approvals/audit.html", context)


def _shown(line: Line) -> dict[str, Any]:
    entry = line.entry
    shape, tone = SHAPES.get(entry.action.rpartition(".")[2], ("dot", "")) if entry else ("", "")
    return {
        "at": line.at,
        "entry": entry,
        "evaluation": line.evaluation,
        "draft": line.draft,
        "mailbox": line.mailbox,
        "shape": shape,
        "tone": tone,
        "is_linked": entry is not None and line.evaluation is not None,
        "gates": [
            {
                "word": GATE_WORDS.get(gate.get("gate", ""), gate.get("gate", "")),
                "standing": gate.get("standing", ""),
                "sentence": gate.get("sentence", ""),
            }
            for gate in (entry.gates if entry else [])
        ],
        "more": sorted(entry.data.items()) if entry else [],
    }


def _address(chosen: SpineFilter, after: Place | None) -> str:
    values: dict[str, Any] = {
        "mailbox": chosen.mailbox or "",
        "action": chosen.action,
        "person": chosen.person or "",
        "draft": chosen.draft or "",
    }
    if after is not None:
        evaluation = "{}.{}".format(*after.evaluation) if after.evaluation else ""
        values["after"] = f"{after.sequence or ''}~{evaluation}"
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:audit")
    return f"{address}?{query}" if query else address
