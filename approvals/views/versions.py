"""The version of a policy row that a page showed, and what its reader is told when somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from policies.changes import Conflict

NO_VERSION = -1


def version_given(request: HttpRequest) -> int:
    """The version that a form without other fields carried; NO_VERSION, which no row has, for anything else."""
    given = request.POST.get("version", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else NO_VERSION


def with_version(data: Any, version: int) -> QueryDict:
    """What was typed, written over the version that is shown now if it is sent once more."""
    changed: QueryDict = data.copy()
    changed["version"] = str(version)
    return changed


def differences(
    conflict: Conflict | None,
    fields: Mapping[str, forms.Field] | None = None,
    *,
    in_words: Callable[[Any], str] | None = None,
) -> list[dict[str, str]]:
    """Each field that somebody else changed: its label, what is stored now and what was typed.

    Labels are those of `fields`, else the names. `in_words` writes a value.
    """
    if conflict is None:
        return []
    told = in_words or as_text
    labels = {name: str(field.label) for name, field in (fields or {}).items() if field.label}
    return [
        {
            "field": labels.get(name) or name.replace("_", " "),
            "stored": told(stored),
            "yours": told(typed),
        }
        for name, (stored, typed) in conflict.differences.items()
    ]


def as_text(value: Any) -> str:
    if value is None:
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
