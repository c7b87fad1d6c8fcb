from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals.keyboard import Kept
from approvals.keys import COMMANDS, Where, chosen_keys, clashes, read_keys


class KeysField(forms.CharField):
    """One key, or two in a row; empty for none."""

    def __init__(self, label: Any) -> None:
        attrs = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        super().__init__(label=label, required=False, max_length=9, widget=forms.TextInput(attrs=attrs))

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        try:
            return read_keys(text)
        except ValueError as error:
            raise forms.ValidationError(
                _("Give one character, or two with a space between them, such as “g q”.")
            ) from error


class KeyboardForm(forms.Form):
    """How a person works: whether single keys act, what follows a decision, and a field for each command, named by
    its id.
    """

    has_letters = forms.BooleanField(
        label=_lazy("Single keys act"),
        required=False,
        help_text=_lazy("Without them, Ctrl+K still finds every command, and every button has its place."),
    )

    opens_next = forms.BooleanField(
        label=_lazy("Open the next draft after a decision"),
        required=False,
        help_text=_lazy("Otherwise the draft that you decided about stays open."),
    )

    def __init__(self, data: QueryDict | None = None, *, kept: Kept) -> None:
        chosen = chosen_keys(kept.own)
        initial = {"has_letters": kept.has_letters, "opens_next": kept.opens_next, **chosen}
        super().__init__(data, initial=initial, label_suffix="")
        self.fields |= {name: KeysField(COMMANDS[name].word) for name in chosen}

    def groups(self) -> list[dict[str, Any]]:
        """The fields of the commands by the part of the desk they belong to."""
        return [
            {
                "where": where,
                "fields": [self[name] for name in self.fields if name in COMMANDS and _is_in(name, where)],
            }
            for where in Where
        ]

    def keys(self) -> dict[str, str]:
        """The key of each command that was given a readable one, by its id."""
        return {name: self.cleaned_data[name] for name in COMMANDS if name in self.cleaned_data}

    def clean(self) -> dict[str, Any]:
        chosen = self.keys()
        for one, other in list(clashes(chosen)):
            # The fault belongs to the field that was changed.
            at, taken = (one, other) if one in self.changed_data else (other, one)
            self.add_error(at, self._clash(chosen[at], chosen[taken], COMMANDS[taken].word))
        return self.cleaned_data

    def _clash(self, keys: str, taken: str, word: Any) -> str:
        if keys == taken:
            return _("“%(keys)s” is the key of “%(word)s” already.") % {"keys": keys, "word": word}
        return _(
            "“%(keys)s” and “%(taken)s”, the key of “%(word)s”, begin alike: only one could be pressed."
        ) % {"keys": keys, "taken": taken, "word": word}


def _is_in(name: str, where: Where) -> bool:
    return COMMANDS[name].where == where
