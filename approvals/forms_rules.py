from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals.forms import REASON_CHARACTERS
from approvals.widgets import LongText
from policies import exchange, lists, rules
from policies.faults import Fault
from policies.models import EnforcedAt, ListType, MatchOperator, Rule, Trigger, ValueList

CONDITIONS, ACTIONS = "conditions", "actions"
FIELD_WORDS: Mapping[str, Any] = {
    "from.address": _lazy("address of the sender"),
    "from.domain": _lazy("domain of the sender"),
    "from.tld": _lazy("top-level domain of the sender"),
    "recipient.address": _lazy("address of any recipient"),
    "recipient.domain": _lazy("domain of any recipient"),
    "recipient.tld": _lazy("top-level domain of any recipient"),
    "outbound.type": _lazy("compose or reply"),
    "subject": _lazy("words of the subject"),
    "body": _lazy("words of the text"),
    "money.present": _lazy("an amount or percentage is named"),
    "money.new": _lazy("an amount the conversation has not named"),
    "link.host": _lazy("host of any link"),
    "link.new_host": _lazy("host of a link the conversation has not named"),
    "attachment.count": _lazy("number of attachments"),
    "attachment.type": _lazy("type of any attachment"),
    "attachment.name": _lazy("file name of any attachment"),
    "size": _lazy("size in bytes"),
    "inbound.category": _lazy("category of the answered message"),
    "inbound.subject": _lazy("subject of the answered message"),
    "inbound.body": _lazy("text of the answered message"),
}
OPERATOR_WORDS: Mapping[str, Any] = {
    "is": _lazy("is"),
    "is_not": _lazy("is not"),
    "contains": _lazy("contains"),
    "in_list": _lazy("is in a list"),
    "matches": _lazy("fits a pattern of * and ?"),
    "greater_than": _lazy("is greater than"),
    "less_than": _lazy("is less than"),
}
ACTION_WORDS: Mapping[str, Any] = {
    "block": _lazy("block"),
    "hold": _lazy("hold for approval"),
    "allow_compose": _lazy("allow a compose without a person"),
    "set_category": _lazy("set the category"),
    "mark_as_spam": _lazy("mark as spam (provider)"),
    "assign_to_folder": _lazy("assign to a folder (provider)"),
    "mark_as_read": _lazy("mark as read (provider)"),
    "mark_as_starred": _lazy("mark as starred (provider)"),
    "archive": _lazy("archive (provider)"),
    "trash": _lazy("trash (provider)"),
}
_ROW = re.compile(r"(conditions|actions)\[(\d+)\](?:\.(\w+))?")


def _choices(words: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [("", _lazy("Choose")), *((name, name) for name in words)]


class RuleForm(forms.Form):
    """What a rule says beside its conditions and actions; `policies.rules` checks it all."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(
        label=_lazy("Name"),
        max_length=rules.NAME_CHARACTERS,
        error_messages={"required": _lazy("Give the rule a name; refusals show it.")},
    )
    description = forms.CharField(
        label=_lazy("Description"),
        max_length=rules.DESCRIPTION_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
    )
    scope = forms.ChoiceField(label=_lazy("Holds for"))
    trigger = forms.ChoiceField(label=_lazy("Looks at"), choices=Trigger.choices)
    enforced_at = forms.ChoiceField(label=_lazy("Enforced"), choices=EnforcedAt.choices)
    priority = forms.IntegerField(
        label=_lazy("Priority"),
        min_value=0,
        max_value=rules.PRIORITY_LIMIT,
        help_text=_lazy("0 to 1000; lower is asked first."),
    )
    is_enabled = forms.BooleanField(label=_lazy("Enabled"), required=False)
    match_operator = forms.ChoiceField(label=_lazy("It matches when"), choices=MatchOperator.choices)
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        required=False,
        help_text=_lazy("Why it is so now; kept in the record."),
    )

    NAMES = (
        "name",
        "description",
        "scope",
        "trigger",
        "enforced_at",
        "priority",
        "is_enabled",
        "match_operator",
    )

    def __init__(
        self, data: QueryDict | None = None, *, rule: Rule | None = None, scopes: Mapping[str, str]
    ) -> None:
        shown = rule or Rule()
        initial = {name: getattr(shown, name) for name in self.NAMES} | {"version": shown.version}
        super().__init__(data, initial=initial, auto_id="rule_%s", label_suffix="")
        self.fields["scope"].choices = list(scopes.items())  # type: ignore[attr-defined]


class ConditionRow(forms.Form):
    field = forms.ChoiceField(label=_lazy("Field"), required=False, choices=_choices(FIELD_WORDS))
    operator = forms.ChoiceField(label=_lazy("Operator"), required=False, choices=_choices(OPERATOR_WORDS))
    value = forms.CharField(label=_lazy("Value"), required=False, strip=True)
    lists = forms.MultipleChoiceField(
        label=_lazy("Lists, for in_list"), required=False, widget=forms.SelectMultiple(attrs={"size": 3})
    )
    leave_out = forms.BooleanField(label=_lazy("Leave this condition out"), required=False)

    def __init__(self, *args: Any, among: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["lists"].choices = among  # type: ignore[attr-defined]
        if not among:
            del self.fields["lists"]

    def said(self) -> dict[str, Any] | None:
        """The condition as `policies.rules` checks it; None for a row left empty or left out."""
        cleaned = self.cleaned_data
        field, operator, value = cleaned.get("field"), cleaned.get("operator"), cleaned.get("value", "")
        if cleaned.get("leave_out") or not (field or operator or value):
            return None
        return {
            "field": field,
            "operator": operator,
            "value": list(cleaned.get("lists") or []) if operator == "in_list" else value,
        }


class ActionRow(forms.Form):
    type = forms.ChoiceField(label=_lazy("Action"), required=False, choices=_choices(ACTION_WORDS))
    value = forms.CharField(label=_lazy("Value, for a category or folder"), required=False)
    leave_out = forms.BooleanField(label=_lazy("Leave this action out"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    def said(self) -> dict[str, Any] | None:
        cleaned = self.cleaned_data
        if cleaned.get("leave_out") or not cleaned.get("type"):
            return None
        value = {"value": cleaned["value"]} if cleaned.get("value") else {}
        return {"type": cleaned["type"]} | value


_Conditions = forms.formset_factory(
    ConditionRow, extra=0, max_num=rules.CONDITION_LIMIT, absolute_max=rules.CONDITION_LIMIT
)
_Actions = forms.formset_factory(
    ActionRow, extra=0, max_num=rules.ACTION_LIMIT, absolute_max=rules.ACTION_LIMIT
)


class RuleEditor:
    """The whole form of a rule: its own fields, a row for each condition, a row for each action."""

    def __init__(
        self, data: QueryDict | None = None, *, rule: Rule | None = None, scopes: Mapping[str, str]
    ) -> None:
        self.form = RuleForm(data, rule=rule, scopes=scopes)
        among = [(str(one.public_id), f"{one.name} ({one.type})") for one in ValueList.objects.all()]
        conditions, actions = _rows_of(rule) if data is None else (None, None)
        self.conditions = _Conditions(
            data, initial=conditions, prefix=CONDITIONS, form_kwargs={"among": among}
        )
        self.actions = _Actions(data, initial=actions, prefix=ACTIONS)
        self._kept: dict[str, list[Any]] = {CONDITIONS: [], ACTIONS: []}

    def is_readable(self) -> bool:
        """Whether every part can be read; what it says is checked by `policies.rules`."""
        parts = [self.form.is_valid(), self.conditions.is_valid(), self.actions.is_valid()]
        return all(parts)

    def said(self) -> dict[str, Any]:
        """The fields of the rule as `policies.rules` checks them."""
        self._kept = {
            CONDITIONS: [row for row in self.conditions if row.said() is not None],
            ACTIONS: [row for row in self.actions if row.said() is not None],
        }
        cleaned = {name: self.form.cleaned_data[name] for name in RuleForm.NAMES}
        return cleaned | {name: [row.said() for row in rows] for name, rows in self._kept.items()}

    def show(self, faults: Sequence[Fault]) -> None:
        """Put faults where they belong: at the field of the row, or at the top."""
        for fault in faults:
            row = _ROW.fullmatch(fault.path)
            if row is None:
                where = fault.path if fault.path in self.form.fields else None
                self.form.add_error(where, fault.sentence)
                continue
            form = self._kept[row[1]][int(row[2])]
            name = row[3]
            if name == "value" and form.cleaned_data.get("operator") == "in_list":
                name = "lists"
            form.add_error(name if name in form.fields else None, fault.sentence)

    def faults(self) -> list[dict[str, str]]:
        """Every fault with the label and the id of its field, for the top of the page."""
        found = [{"label": "", "id": "", "sentence": str(one)} for one in self.form.non_field_errors()]
        for word, part in self._parts():
            for bound in part.visible_fields():
                label = f"{word}, {bound.label}" if word else str(bound.label)
                found += [
                    {"label": label, "id": bound.id_for_label, "sentence": str(one)} for one in bound.errors
                ]
            if part is not self.form:
                found += [{"label": word, "id": "", "sentence": str(one)} for one in part.non_field_errors()]
        for group in (self.conditions, self.actions):
            found += [{"label": "", "id": "", "sentence": str(one)} for one in group.non_form_errors()]
        return found

    def _parts(self) -> list[tuple[str, forms.Form]]:
        parts: list[tuple[str, forms.Form]] = [("", self.form)]
        parts += [(_("Condition %(n)d") % {"n": n}, row) for n, row in enumerate(self.conditions, 1)]
        parts += [(_("Action %(n)d") % {"n": n}, row) for n, row in enumerate(self.actions, 1)]
        return parts


def with_another_row(data: QueryDict, kind: str) -> QueryDict:
    """What was typed, with one row more of a kind; the limit is not passed."""
    changed = data.copy()
    limit = rules.CONDITION_LIMIT if kind == CONDITIONS else rules.ACTION_LIMIT
    name = f"{kind}-TOTAL_FORMS"
    count = changed.get(name, "")
    changed[name] = str(
        min(limit, int(count) + 1 if count.isascii() and count.isdigit() and len(count) < 5 else 1)
    )
    return changed


def _rows_of(rule: Rule | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a form that nobody has typed in yet; a new rule begins with an empty condition and a hold."""
    if rule is None:
        return [{}], [{"type": "hold"}]
    return [_shown_condition(one) for one in rule.conditions], list(rule.actions)


def _shown_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    value = condition["value"]
    if condition["operator"] == "in_list":
        return {**condition, "value": "", "lists": value}
    return {**condition, "value": str(value).lower() if isinstance(value, bool) else value}


class ValueListForm(forms.Form):
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(
        label=_lazy("Name"),
        max_length=lists.NAME_CHARACTERS,
        error_messages={"required": _lazy("Give the list a name; rules show it.")},
    )
    type = forms.ChoiceField(
        label=_lazy("Type"), choices=ListType.choices, help_text=_lazy("It cannot be changed later.")
    )
    description = forms.CharField(
        label=_lazy("Description"),
        max_length=lists.DESCRIPTION_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
    )

    def __init__(self, data: QueryDict | None = None, *, shown: ValueList | None = None) -> None:
        initial = (
            {"name": shown.name, "description": shown.description, "version": shown.version} if shown else {}
        )
        super().__init__(data, initial=initial, auto_id="list_%s", label_suffix="")
        if shown is not None:
            del self.fields["type"]


class ItemsForm(forms.Form):
    """Values to add, one a line."""

    items = forms.CharField(
        label=_lazy("Values, one a line"),
        widget=LongText(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_lazy("At most 1000 at once, each of at most 500 characters."),
        error_messages={"required": _lazy("Write at least one value.")},
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="add_%s", label_suffix="")

    def values(self) -> list[str]:
        return [line for line in self.cleaned_data["items"].splitlines() if line.strip()]

    def show(self, faults: Sequence[Fault]) -> None:
        """Name each bad value by its line."""
        numbers = [
            number for number, line in enumerate(self.cleaned_data["items"].splitlines(), 1) if line.strip()
        ]
        for fault in faults:
            place = re.fullmatch(r"items\[(\d+)\]", fault.path)
            sentence = (
                _("Line %(number)d: %(what)s") % {"number": numbers[int(place[1])], "what": fault.sentence}
                if place
                else fault.sentence
            )
            self.add_error("items", sentence)


class ImportForm(forms.Form):
    text = forms.CharField(
        label=_lazy("Rules and lists as JSON"),
        required=False,
        widget=LongText(attrs={"rows": 12, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_lazy("As the export gives them, or one rule or a list of rules as the provider has them."),
    )
    file = forms.FileField(label=_lazy("Or a file"), required=False)
    digest = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        data: QueryDict | None = None,
        files: MultiValueDict[str, UploadedFile] | None = None,
        *,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=initial, auto_id="import_%s", label_suffix="")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        file = cleaned.get("file")
        if file is not None and file.size > exchange.FILE_CHARACTERS:
            self.add_error(
                "file", _("A file has at most %(limit)d MB.") % {"limit": exchange.FILE_CHARACTERS // 10**6}
            )
        elif file is not None:
            try:
                cleaned["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", _("The file is not UTF-8 text."))
        if not cleaned.get("text") and not self.errors:
            self.add_error("text", _("Paste the JSON, or choose a file."))
        return cleaned

    def said(self) -> str:
        """What is to be taken in: of the file when one was chosen."""
        return str(self.cleaned_data["text"])


def digest_of(text: str) -> str:
    """What tells one text from another, line ends aside: a browser sends them in its own way."""
    return hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest()
