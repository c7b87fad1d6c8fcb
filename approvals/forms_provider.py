"""Forms for what the provider holds, with the limits of nylas-v3 section 7 that are known before it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.addresses import AddressError, parse_address
from agentmail.client import MOST_GRANTS, MOST_ITEMS
from approvals.provider_rules import MOST_OBJECTS, Held, refused_words
from approvals.widgets import LongText
from policies.models import ProviderIntent, ProviderKind, Workspace
from policies.scopes import GLOBAL, workspace_scope

NAME_CHARACTERS = 256
DESCRIPTION_CHARACTERS = 1000
VALUE_CHARACTERS = 500
MOST_CONDITIONS = 50
MOST_ACTIONS = 20
HIGHEST_PRIORITY = 1000
UNLIMITED = -1

_TLD = re.compile(r"[a-z0-9-]{2,63}")

LIMITS: Mapping[str, Any] = {
    "limit_count_daily_email_sent": _lazy("Mails sent in a day"),
    "limit_count_daily_message_received": _lazy("Mails received in a day"),
    "limit_inbox_retention_period": _lazy("Days that mail is kept"),
    "limit_spam_retention_period": _lazy("Days that spam is kept"),
    "limit_storage_total": _lazy("Storage in bytes"),
    "limit_size_total_mime": _lazy("Largest mail in bytes"),
    "limit_attachment_size_limit": _lazy("Largest attachment in bytes"),
    "limit_attachment_count_limit": _lazy("Attachments in a mail"),
}
MAY_BE_UNLIMITED = frozenset(
    {
        "limit_count_daily_email_sent",
        "limit_count_daily_message_received",
        "limit_inbox_retention_period",
        "limit_spam_retention_period",
        "limit_storage_total",
    }
)
TYPES = "limit_attachment_allowed_types"
SPAM_BOOLEANS: Mapping[str, Any] = {
    "use_list_dnsbl": _lazy("Ask lists of known spam senders"),
    "use_header_anomaly_detection": _lazy("Look for anomalies in headers"),
}
SENDER_FIELDS: Mapping[str, Any] = {
    "from.address": _lazy("Sender's address"),
    "from.domain": _lazy("Sender's domain"),
    "from.tld": _lazy("Sender's top-level domain"),
}
OUTBOUND_FIELDS: Mapping[str, Any] = {
    "recipient.address": _lazy("Any recipient's address"),
    "recipient.domain": _lazy("Any recipient's domain"),
    "recipient.tld": _lazy("Any recipient's top-level domain"),
    "outbound.type": _lazy("Kind of mail: compose or reply"),
}
OPERATORS: Mapping[str, Any] = {
    "is": _lazy("is"),
    "is_not": _lazy("is not"),
    "contains": _lazy("contains"),
    "in_list": _lazy("is in the list"),
}
ACTIONS: Mapping[str, Any] = {
    "block": _lazy("Block it"),
    "mark_as_spam": _lazy("Mark as spam"),
    "mark_as_read": _lazy("Mark as read"),
    "mark_as_starred": _lazy("Mark with a star"),
    "archive": _lazy("Archive"),
    "trash": _lazy("Move to the trash"),
}
LIST_TYPES: Mapping[str, Any] = {
    "domain": _lazy("Domains"),
    "address": _lazy("Addresses"),
    "tld": _lazy("Top-level domains"),
}


class ProviderForm(forms.Form):
    """A form for one object. `seen` is the digest of what the form showed; empty for a new object."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)
    # The provider's name of a field, where the form calls it otherwise.
    NAMES: Mapping[str, str] = {}

    def __init__(
        self, data: Any = None, *, held: Held | None = None, initial: Mapping[str, Any] = {}
    ) -> None:
        self.held = held
        shown = (self.values_of(held) | {"seen": held.seen}) if held is not None else {}
        super().__init__(data, initial={**shown, **initial}, auto_id="provider_%s", label_suffix="")

    def values_of(self, held: Held) -> dict[str, Any]:
        raise NotImplementedError

    def wanted(self) -> dict[str, Any]:
        """The fields of the provider's JSON that the form says."""
        raise NotImplementedError

    def refuse(self, field: str, sentence: str) -> None:
        """Show the provider's refusal at the field that it names, at the top of the form when it names none."""
        named = self.NAMES.get(field) or self.NAMES.get(field.partition(".")[0]) or field.rpartition(".")[2]
        self.add_error(named if named in self.fields else None, refused_words(sentence))


def _name(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=NAME_CHARACTERS,
        help_text=_lazy("1 to 256 characters."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class PolicyForm(ProviderForm):
    name = _name(_lazy("Name"))
    limit_attachment_allowed_types = forms.CharField(
        label=_lazy("Types of attachment"),
        required=False,
        widget=LongText(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_lazy("One a line, such as application/pdf or image/*. None: all that the plan permits."),
    )
    use_list_dnsbl = forms.BooleanField(label=SPAM_BOOLEANS["use_list_dnsbl"], required=False)
    use_header_anomaly_detection = forms.BooleanField(
        label=SPAM_BOOLEANS["use_header_anomaly_detection"], required=False
    )
    spam_sensitivity = forms.FloatField(
        label=_lazy("Spam sensitivity"),
        initial=1.0,
        min_value=0.1,
        max_value=5.0,
        help_text=_lazy("0.1 to 5.0; the usual is 1.0."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def __init__(
        self, data: Any = None, *, held: Held | None = None, initial: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(data, held=held, initial=initial)
        own = {
            limit: forms.IntegerField(
                label=label,
                required=False,
                validators=[MinValueValidator(UNLIMITED if limit in MAY_BE_UNLIMITED else 0)],
                help_text=self._help(limit),
            )
            for limit, label in LIMITS.items()
        }
        fields = dict(self.fields)
        self.fields = {"seen": fields.pop("seen"), "name": fields.pop("name"), **own, **fields}

    def _help(self, limit: str) -> str:
        sentences = [_("-1 is unlimited, where the plan allows it.")] if limit in MAY_BE_UNLIMITED else []
        if not self._is_held(limit):
            sentences.append(_("Empty: the plan's maximum."))
        return " ".join(sentences)

    def _is_held(self, limit: str) -> bool:
        # The provider merges: a limit that is not named stays as it is, so a held one cannot be emptied.
        return self.held is not None and self.held.fields["limits"].get(limit) is not None

    def values_of(self, held: Held) -> dict[str, Any]:
        limits, spam = held.fields["limits"], held.fields["spam_detection"]
        return {
            "name": held.fields["name"],
            **{name: limits.get(name) for name in LIMITS},
            TYPES: "\n".join(str(one) for one in limits.get(TYPES) or []),
            **{name: bool(spam.get(name)) for name in SPAM_BOOLEANS},
            "spam_sensitivity": spam.get("spam_sensitivity", 1.0),
        }

    def clean_limit_attachment_allowed_types(self) -> list[str]:
        types = self.cleaned_data[TYPES].split()
        for one in types:
            if not re.fullmatch(r"[a-z0-9.+-]+/(?:\*|[a-z0-9.+-]+)", one.lower()):
                raise forms.ValidationError(
                    _("“%(type)s” is no type of content, such as application/pdf or image/*."),
                    params={"type": one[:80]},
                )
        return [one.lower() for one in types]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in LIMITS:
            if name in cleaned and cleaned[name] is None and self._is_held(name):
                self.add_error(
                    name, _("Write a number: a limit that is left empty stays as the provider holds it.")
                )
        spam, inbox = cleaned.get("limit_spam_retention_period"), cleaned.get("limit_inbox_retention_period")
        is_shorter = spam is None or inbox is None or inbox == UNLIMITED or UNLIMITED < spam < inbox
        if not is_shorter:
            said = _("Spam must be kept for fewer days than other mail: here %(spam)d against %(inbox)d.") % {
                "spam": spam,
                "inbox": inbox,
            }
            self.add_error("limit_spam_retention_period", said)
            self.add_error("limit_inbox_retention_period", said)
        return cleaned

    def wanted(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        limits = {name: cleaned[name] for name in LIMITS if cleaned[name] is not None}
        had = self.held.fields["limits"].get(TYPES) if self.held is not None else []
        if cleaned[TYPES] or had:
            limits[TYPES] = cleaned[TYPES]
        spam = {name: cleaned[name] for name in SPAM_BOOLEANS}
        return {
            "name": cleaned["name"],
            "limits": limits,
            "spam_detection": {**spam, "spam_sensitivity": cleaned["spam_sensitivity"]},
        }


class ConditionForm(forms.Form):
    """One condition. A list is chosen in `in_list`; everything else is typed in `value`."""

    field = forms.ChoiceField(
        label=_lazy("Field"),
        required=False,
        choices=[("", "-"), *SENDER_FIELDS.items(), *OUTBOUND_FIELDS.items()],
    )
    operator = forms.ChoiceField(label=_lazy("Comparison"), required=False, choices=list(OPERATORS.items()))
    value = forms.CharField(
        label=_lazy("Value"),
        required=False,
        max_length=VALUE_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    in_list = forms.MultipleChoiceField(
        label=_lazy("Lists"), required=False, widget=forms.SelectMultiple(attrs={"size": 2})
    )

    def __init__(self, *args: Any, lists: Sequence[Held] = (), **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "label_suffix": ""})
        self.types = {one.id: str(one.fields["type"]) for one in lists}
        chosen = (self.initial or {}).get("in_list") or []
        known = [(one.id, f"{one.name} ({LIST_TYPES.get(self.types[one.id], '?')})") for one in lists]
        gone = [(one, _("gone: %(id)s") % {"id": one}) for one in chosen if one not in self.types]
        self.fields["in_list"].choices = [*known, *gone]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        field, operator = cleaned.get("field"), cleaned.get("operator")
        value, lists = (cleaned.get("value") or "").strip(), cleaned.get("in_list") or []
        if not field:
            if value or lists:
                self.add_error("field", _("Choose what is compared, or empty the line."))
            return cleaned
        if field == "outbound.type":
            if operator not in ("is", "is_not"):
                self.add_error("operator", _("The kind of mail can only be compared with is and is not."))
            elif value.lower() not in ("compose", "reply"):
                self.add_error("value", _("Write compose or reply."))
        elif operator == "in_list":
            if not lists:
                self.add_error("in_list", _("Choose a list."))
            part = field.rpartition(".")[2]
            if any(self.types.get(one, part) != part for one in lists):
                self.add_error("in_list", _("This list holds something else than the field compares."))
        elif not value:
            self.add_error("value", _("Write what it is compared with."))
        return cleaned

    def condition(self) -> dict[str, Any] | None:
        cleaned = self.cleaned_data
        if not cleaned.get("field"):
            return None
        value: Any = cleaned["value"].strip()
        if cleaned["operator"] == "in_list":
            value = cleaned["in_list"]
        elif cleaned["field"] == "outbound.type":
            value = value.lower()
        return {"field": cleaned["field"], "operator": cleaned["operator"], "value": value}


class RuleForm(ProviderForm):
    NAMES = {"match": "operator", "conditions": "operator", "actions": "actions"}
    FREE_LINES = 3

    name = _name(_lazy("Name"))
    description = forms.CharField(
        label=_lazy("Description"), required=False, max_length=DESCRIPTION_CHARACTERS
    )
    trigger = forms.ChoiceField(
        label=_lazy("Applies to"),
        choices=[("outbound", _lazy("Outgoing mail")), ("inbound", _lazy("Incoming mail"))],
    )
    priority = forms.IntegerField(
        label=_lazy("Priority"),
        initial=10,
        validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRIORITY)],
        help_text=_lazy("0 to 1,000; the lowest runs first."),
    )
    enabled = forms.BooleanField(label=_lazy("In force"), required=False, initial=True)
    operator = forms.ChoiceField(
        label=_lazy("Matches when"),
        choices=[("all", _lazy("all conditions hold")), ("any", _lazy("any condition holds"))],
    )
    actions = forms.MultipleChoiceField(
        label=_lazy("Then"),
        required=False,
        choices=list(ACTIONS.items()),
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy(
            "A block stands alone. Outgoing mail is only stopped by a block; the rest marks the sent copy."
        ),
    )
    folders = forms.CharField(
        label=_lazy("Put into folders"),
        required=False,
        widget=LongText(attrs={"rows": 1}),
        help_text=_lazy("Names or paths, one a line, such as Clients/Acme."),
    )

    def __init__(
        self,
        data: Any = None,
        *,
        held: Held | None = None,
        lists: Sequence[Held] = (),
        initial: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(data, held=held, initial=initial)
        conditions = held.fields["match"]["conditions"] if held is not None else []
        formset = forms.formset_factory(
            ConditionForm,
            extra=self.FREE_LINES,
            max_num=MOST_CONDITIONS + self.FREE_LINES,
            validate_max=False,
        )
        self.conditions = formset(
            data,
            prefix="conditions",
            auto_id="provider_%s",
            form_kwargs={"lists": lists},
            initial=[_condition_values(one) for one in conditions],
        )

    def values_of(self, held: Held) -> dict[str, Any]:
        fields = held.fields
        return {
            **{name: fields[name] for name in ("name", "description", "trigger", "priority", "enabled")},
            "operator": fields["match"]["operator"],
            "actions": [one["type"] for one in fields["actions"] if one["type"] in ACTIONS],
            "folders": "\n".join(
                one.get("value", "") for one in fields["actions"] if one["type"] == "assign_to_folder"
            ),
        }

    def is_valid(self) -> bool:
        # Both are asked, so that every fault is shown at once.
        return all([self.conditions.is_valid(), super().is_valid()])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        actions = self._actions(cleaned)
        if not 1 <= len(actions) <= MOST_ACTIONS:
            self.add_error("actions", _("Choose 1 to %(limit)d actions.") % {"limit": MOST_ACTIONS})
        elif len(actions) > 1 and any(one["type"] == "block" for one in actions):
            self.add_error("actions", _("A block must be the only action."))
        if not self.conditions.is_valid():
            self.add_error("operator", _("A condition below cannot be used as it is."))
            return cleaned
        found = self._conditions()
        if not 1 <= len(found) <= MOST_CONDITIONS:
            self.add_error("operator", _("Write 1 to %(limit)d conditions.") % {"limit": MOST_CONDITIONS})
        if cleaned.get("trigger") == "inbound":
            for form in self.conditions.forms:
                if form.cleaned_data.get("field") in OUTBOUND_FIELDS:
                    form.add_error(
                        "field", _("Incoming mail can only be compared by its sender, not by recipients.")
                    )
                    self.add_error("trigger", _("A condition below only fits outgoing mail."))
        return cleaned

    def wanted(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        names = ("name", "description", "trigger", "priority", "enabled")
        return {
            **{name: cleaned[name] for name in names},
            "match": {"operator": cleaned["operator"], "conditions": self._conditions()},
            "actions": self._actions(cleaned),
        }

    def _conditions(self) -> list[dict[str, Any]]:
        found = (form.condition() for form in self.conditions.forms)
        return [one for one in found if one is not None]

    def _actions(self, cleaned: Mapping[str, Any]) -> list[dict[str, str]]:
        folders = [line.strip() for line in (cleaned.get("folders") or "").splitlines() if line.strip()]
        return [{"type": one} for one in cleaned.get("actions") or []] + [
            {"type": "assign_to_folder", "value": folder} for folder in folders
        ]


def _condition_values(condition: Mapping[str, Any]) -> dict[str, Any]:
    value = condition["value"]
    is_list = condition["operator"] == "in_list"
    lists = value if isinstance(value, list) else [value]
    return {
        "field": condition["field"],
        "operator": condition["operator"],
        "value": "" if is_list else value,
        "in_list": lists if is_list else [],
    }


class ListForm(ProviderForm):
    name = _name(_lazy("Name"))
    type = forms.ChoiceField(label=_lazy("Holds"), choices=list(LIST_TYPES.items()))
    description = forms.CharField(
        label=_lazy("Description"), required=False, max_length=DESCRIPTION_CHARACTERS
    )

    def __init__(
        self, data: Any = None, *, held: Held | None = None, initial: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(data, held=held, initial=initial)
        if held is not None:
            self.fields["type"].disabled = True
            self.fields["type"].help_text = _("A list keeps its type.")

    def values_of(self, held: Held) -> dict[str, Any]:
        return dict(held.fields)

    def wanted(self) -> dict[str, Any]:
        names = ("name", "description") if self.held is not None else ("name", "type", "description")
        return {name: self.cleaned_data[name] for name in names}


class ItemsForm(forms.Form):
    """Values to add to a list and to remove from it, one a line, each checked against the type of the list."""

    add = forms.CharField(
        label=_lazy("Add"),
        required=False,
        strip=False,
        widget=LongText(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_lazy("One a line, at most 1,000 at once, each up to 500 characters."),
    )
    remove = forms.CharField(
        label=_lazy("Remove"),
        required=False,
        strip=False,
        widget=LongText(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_lazy("One a line, at most 1,000 at once. What the list does not hold is passed over."),
    )

    def __init__(self, data: Any = None, *, type: str, initial: Mapping[str, Any] = {}) -> None:
        super().__init__(data, initial=dict(initial), auto_id="items_%s", label_suffix="")
        self.type = type

    def clean_add(self) -> list[str]:
        return self._lines("add", is_checked=True)

    def clean_remove(self) -> list[str]:
        return self._lines("remove", is_checked=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned["add"] and not cleaned["remove"]:
            self.add_error("add", _("Write at least one value to add or to remove."))
        return cleaned

    def refuse(self, name: str, _field: str, sentence: str) -> None:
        self.add_error(name, refused_words(sentence))

    def _lines(self, name: str, *, is_checked: bool) -> list[str]:
        lines = [
            (number, line.strip().lower())
            for number, line in enumerate(self.cleaned_data[name].splitlines(), 1)
            if line.strip()
        ]
        if len(lines) > MOST_ITEMS:
            raise forms.ValidationError(
                _("These are %(count)d values; at most %(limit)d can be given at once."),
                params={"count": len(lines), "limit": MOST_ITEMS},
            )
        faults: list[forms.ValidationError] = []
        values = []
        for number, value in lines:
            try:
                values.append(self._value(value) if is_checked else self._short(value))
            except ValueError as error:
                faults.append(
                    forms.ValidationError(
                        _("Line %(number)d, “%(value)s”: %(why)s"),
                        params={"number": number, "value": value[:80], "why": error},
                    )
                )
        if faults:
            raise forms.ValidationError(faults[:20])
        return list(dict.fromkeys(values))

    @staticmethod
    def _short(value: str) -> str:
        if len(value) > VALUE_CHARACTERS:
            raise ValueError(
                _("it has %(count)d characters; a value may have %(limit)d.")
                % {"count": len(value), "limit": VALUE_CHARACTERS}
            )
        return value

    def _value(self, value: str) -> str:
        self._short(value)
        try:
            if self.type == "address":
                return parse_address(value).lower()
            if self.type == "domain":
                return parse_address(f"x@{value}").partition("@")[2]
        except AddressError as error:
            raise ValueError(str(error)) from error
        if not _TLD.fullmatch(value):
            raise ValueError(_("a top-level domain is 2 to 63 letters, such as com."))
        return value


class WorkspaceForm(ProviderForm):
    NAMES = {"policy_id": "policy_id", "rule_ids": "rule_ids"}

    name = _name(_lazy("Name"))
    domain = forms.CharField(
        label=_lazy("Domain"),
        required=False,
        max_length=253,
        help_text=_lazy("New mailboxes of this domain join by themselves. It cannot be changed later."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    auto_group = forms.BooleanField(
        label=_lazy("Mailboxes of the domain join by themselves"),
        required=False,
        help_text=_lazy("While this is on, mailboxes cannot be put here by hand."),
    )
    policy_id = forms.ChoiceField(label=_lazy("Policy"), required=False)
    rule_ids = forms.MultipleChoiceField(
        label=_lazy("Rules"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self,
        data: Any = None,
        *,
        held: Held | None = None,
        policies: Sequence[Held] = (),
        rules: Sequence[Held] = (),
        initial: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(data, held=held, initial=initial)
        policy_choices = [("", _("None")), *((one.id, one.name) for one in policies)]
        rule_choices = [(one.id, one.name) for one in rules]
        if held is not None:
            # What is attached and was not read must not be detached by a form that could not show it.
            known = {value for value, _word in policy_choices}
            if held.fields["policy_id"] and held.fields["policy_id"] not in known:
                policy_choices.append((held.fields["policy_id"], held.fields["policy_id"]))
            known = {value for value, _word in rule_choices}
            rule_choices += [(one, one) for one in held.fields["rule_ids"] if one not in known]
            self.fields["domain"].disabled = True
            if held.is_default:
                for name in ("name", "auto_group"):
                    self.fields[name].disabled = True
        self.fields["policy_id"].choices = policy_choices  # type: ignore[attr-defined]
        self.fields["rule_ids"].choices = rule_choices  # type: ignore[attr-defined]
        if not rule_choices:
            del self.fields["rule_ids"]

    def values_of(self, held: Held) -> dict[str, Any]:
        return dict(held.fields) | {"policy_id": held.fields["policy_id"] or ""}

    def clean_domain(self) -> str:
        domain = self.cleaned_data["domain"].strip().lower()
        if domain and self.held is None:
            try:
                return parse_address(f"x@{domain}").partition("@")[2]
            except AddressError as error:
                raise forms.ValidationError(str(error)) from error
        return domain

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("auto_group") and not cleaned.get("domain") and "domain" not in self.errors:
            self.add_error("auto_group", _("Without a domain no mailbox can join by itself."))
        return cleaned

    def wanted(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        attached = {"policy_id": cleaned["policy_id"] or None, "rule_ids": cleaned.get("rule_ids", [])}
        if self.held is None:
            names: tuple[str, ...] = ("name", "domain", "auto_group")
        else:
            names = () if self.held.is_default else ("name", "auto_group")
        wanted = {name: cleaned[name] for name in names} | attached
        if not wanted.get("domain", True):
            del wanted["domain"]
        return wanted


class MembersForm(forms.Form):
    """Mailboxes to put into a workspace. `choices` are those of the person that are elsewhere."""

    mailboxes = forms.MultipleChoiceField(
        label=_lazy("Mailboxes"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _lazy("Choose at least one mailbox.")},
        help_text=_lazy("They leave the workspace they are in and take over this one's policy and rules."),
    )

    def __init__(
        self, data: Any = None, *, choices: list[tuple[str, str]], is_auto_grouped: bool = False
    ) -> None:
        super().__init__(data, auto_id="members_%s", label_suffix="")
        self.fields["mailboxes"].choices = choices  # type: ignore[attr-defined]
        self.is_auto_grouped = is_auto_grouped

    def clean_mailboxes(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["mailboxes"]
        if self.is_auto_grouped:
            raise forms.ValidationError(
                _("Mailboxes join this workspace by themselves. Turn that off before you put others here.")
            )
        if len(chosen) > MOST_GRANTS:
            raise forms.ValidationError(
                _("These are %(count)d mailboxes; at most %(limit)d can be moved at once."),
                params={"count": len(chosen), "limit": MOST_GRANTS},
            )
        return chosen

    def refuse(self, _field: str, sentence: str) -> None:
        self.add_error("mailboxes", refused_words(sentence))


class KeepForm(forms.Form):
    """That an object is wanted as it is held; `version` is that of the wish which the page showed, 0 for none.

    A rule is wanted attached to workspaces, too.
    """

    version = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    scope = forms.ChoiceField(label=_lazy("Attached to"), required=False)

    def __init__(self, data: Any = None, *, kind: ProviderKind, intent: ProviderIntent | None = None) -> None:
        initial = (
            {"version": 0, "scope": GLOBAL}
            if intent is None
            else {"version": intent.version, "scope": intent.scope}
        )
        super().__init__(data, initial=initial, auto_id="keep_%s", label_suffix="")
        if kind == ProviderKind.RULE:
            self.fields["scope"].choices = self.scope_choices()  # type: ignore[attr-defined]
        else:
            del self.fields["scope"]

    @staticmethod
    def scope_choices() -> list[tuple[str, str]]:
        rows = Workspace.objects.exclude(provider_id="").order_by("name")[:MOST_OBJECTS]
        return [
            (GLOBAL, _("every workspace")),
            *((workspace_scope(row.pk), row.name) for row in rows),
            ("", _("the workspaces that name it")),
        ]

    def clean_scope(self) -> str | None:
        # A page that offered no choice leaves the attachment as it is.
        return self.cleaned_data["scope"] if "scope" in self.data else None
