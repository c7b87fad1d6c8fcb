from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals.forms import BODY_CHARACTERS, SUBJECT_CHARACTERS
from approvals.widgets import LongText
from policies import categories
from policies.models import Category, ClassifierSettings, TemplateFamily, Tier

# More than the limits allow, so that the domain can name the limit that is passed.
AREA_CHARACTERS = 200_000


class LinesField(forms.CharField):
    """A list, one entry a line; given and read as a list of lines."""

    def __init__(self, *, label: Any, help_text: Any = "", rows: int = 6, required: bool = False) -> None:
        super().__init__(
            label=label,
            help_text=help_text,
            required=required,
            max_length=AREA_CHARACTERS,
            widget=LongText(attrs={"rows": rows, "spellcheck": "false"}),
        )

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        return str(super().clean(value)).splitlines()


class Versioned(forms.Form):
    """A form about a row: it carries the version of the row that was on the screen."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


class CategoryForm(Versioned):
    key = forms.SlugField(
        label=_lazy("Key"),
        max_length=48,
        help_text=_lazy("Small letters, digits, - and _; it cannot be changed later. Agents may name it."),
    )
    name = forms.CharField(label=_lazy("Name"), max_length=100)
    description = forms.CharField(
        label=_lazy("Description"), max_length=500, required=False, widget=LongText(attrs={"rows": 2})
    )
    tier = forms.ChoiceField(label=_lazy("Tier"), choices=Tier.choices, widget=forms.RadioSelect)
    override_reason = forms.CharField(
        label=_lazy("Why this may be automated or switched off after all"),
        max_length=categories.REASON_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
        help_text=_lazy(
            "It was shipped as never to be automated. Needed for automatic and for switched off; the record keeps it."
        ),
    )
    inbound_words = LinesField(
        label=_lazy("Words in the answered message"),
        help_text=_lazy(
            "One word or phrase a line, at most 200 lines of 200 characters. Case and accents do not count. "
            "refund* also finds refunds; # stands for a number."
        ),
    )
    outbound_words = LinesField(
        label=_lazy("Words in the draft"), help_text=_lazy("One word or phrase a line, as above.")
    )
    inbound_globs = LinesField(
        label=_lazy("Patterns for lines of the answered message"),
        rows=3,
        help_text=_lazy(
            "One pattern a line for a whole line of the text; * stands for any text, ? for one sign."
        ),
    )
    outbound_globs = LinesField(
        label=_lazy("Patterns for lines of the draft"), rows=3, help_text=_lazy("As above.")
    )
    is_high_risk = forms.BooleanField(
        label=_lazy("High risk"),
        required=False,
        help_text=_lazy("It counts beside every other category: nothing of it leaves without a person."),
    )
    position = forms.IntegerField(
        label=_lazy("Position"),
        min_value=1,
        max_value=100_000,
        help_text=_lazy("Of several that fit, the lowest names the mail."),
    )
    is_enabled = forms.BooleanField(label=_lazy("In use"), required=False)

    def __init__(self, data: QueryDict | None = None, *, row: Category | None = None) -> None:
        initial: dict[str, Any] = {"version": 0, "tier": Tier.APPROVE, "position": 1000, "is_enabled": True}
        if row is not None:
            initial = {name: getattr(row, name) for name in (*self.base_fields, "version")}
        super().__init__(data, initial=initial)
        if row is not None:
            del self.fields["key"]
        if row is None or not row.never_automate:
            del self.fields["override_reason"]

    def values(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "version"}


class FamilyForm(Versioned):
    name = forms.CharField(label=_lazy("Name"), max_length=100)
    subject_glob = forms.CharField(
        label=_lazy("Subject"),
        max_length=categories.LINE_CHARACTERS,
        help_text=_lazy("As it is written, with * for the parts that change."),
    )
    body_globs = LinesField(
        label=_lazy("Text"),
        rows=12,
        required=True,
        help_text=_lazy(
            "Line by line, with * for the parts that change; empty lines do not count. A line of ** stands for any "
            "number of lines. At most 200 lines of 200 characters."
        ),
    )
    is_enabled = forms.BooleanField(label=_lazy("In use"), required=False)

    def __init__(self, data: QueryDict | None = None, *, row: TemplateFamily | None = None) -> None:
        initial: dict[str, Any] = {"version": 0, "is_enabled": True}
        if row is not None:
            initial = {name: getattr(row, name) for name in (*self.base_fields, "version")}
        super().__init__(data, initial=initial)

    def values(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "version"}


class ConfidenceForm(Versioned):
    least_confidence = forms.FloatField(
        label=_lazy("Least confidence"),
        min_value=0,
        max_value=1,
        help_text=_lazy(
            "From 0 to 1. An agent that is less sure of its draft, or says nothing, gets a person. Default 0.8."
        ),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )

    def __init__(self, data: QueryDict | None = None, *, row: ClassifierSettings) -> None:
        initial = {"version": row.version, "least_confidence": row.least_confidence}
        super().__init__(data, initial=initial, auto_id="confidence_%s")


class DomainForm(forms.Form):
    domain = forms.CharField(
        label=_lazy("Domain"),
        max_length=255,
        help_text=_lazy("example.com, or *.example.com for everything below it."),
    )
    note = forms.CharField(label=_lazy("Note"), max_length=200, required=False)

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="domain_%s")


class RemoveForm(Versioned):
    pass


class TighterForm(Versioned):
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=categories.REASON_CHARACTERS,
        widget=LongText(attrs={"rows": 2}),
        help_text=_lazy("What was sent that should not have been; kept in the record."),
        error_messages={"required": _lazy("Say in a sentence what went wrong.")},
    )

    def __init__(self, data: QueryDict | None = None, *, row: Category) -> None:
        super().__init__(data, initial={"version": row.version}, auto_id="tighter_%s")


class TryForm(forms.Form):
    """A mail to try the categories on; nothing of it is kept."""

    subject = forms.CharField(
        label=_lazy("Subject of the draft"), max_length=SUBJECT_CHARACTERS, required=False
    )
    body = forms.CharField(
        label=_lazy("Text of the draft"),
        max_length=BODY_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 6}),
    )
    inbound_subject = forms.CharField(
        label=_lazy("Subject of the answered message"), max_length=SUBJECT_CHARACTERS, required=False
    )
    inbound_body = forms.CharField(
        label=_lazy("Text of the answered message"),
        max_length=BODY_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 6}),
    )
    domains = forms.CharField(
        label=_lazy("Domains of the recipients"),
        max_length=2000,
        required=False,
        help_text=_lazy("With spaces between them."),
    )
    confidence = forms.FloatField(
        label=_lazy("Confidence of the agent"),
        min_value=0,
        max_value=1,
        required=False,
        help_text=_lazy("From 0 to 1; empty: the agent says nothing."),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not any(
            cleaned[name].strip() for name in ("subject", "body", "inbound_subject", "inbound_body")
        ):
            self.add_error("body", _("Write or paste some text to try."))
        return cleaned
