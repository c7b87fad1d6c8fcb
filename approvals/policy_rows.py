"""The policy rows that a verdict or a change names, in words and with the page of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from approvals.judgements import named_version
from policies.models import Change, Versioned

# kind: (word, route of the row's page), by the names of verdicts and of changes
_PAGES: Mapping[str, tuple[Any, str]] = {
    "rule": (_("Rule"), "approvals:rule"),
    "recipiententry": (_("Recipient entry"), "approvals:recipient"),
    "category": (_("Category"), "approvals:category"),
    "family": (_("Template"), "approvals:family"),
    "policy": (_("Caps"), "approvals:cap_policy"),
    "valuelist": (_("List"), "approvals:value_list"),
    "templatefamily": (_("Template"), "approvals:family"),
    "organisationcap": (_("Cap of the organisation"), ""),
    "workspace": (_("Workspace"), ""),
    "workspacemember": (_("Member of a workspace"), ""),
    "mailboxsettings": (_("Settings of a mailbox"), ""),
    "channel": (_("Notification channel"), ""),
    "noticechannel": (_("Channel of notices"), ""),
    "providerintent": (_("Wanted at the provider"), ""),
    "highvaluedomain": (_("Domain of high value"), ""),
    "classifiersettings": (_("Settings of the categories"), ""),
    "triplimits": (_("Limits of automatic stops"), ""),
}


@dataclass(frozen=True, slots=True)
class NamedRow:
    """`name` is "kind:id"; `address` is the row's own page, `history` lists the evaluations that name it."""

    name: str
    word: str
    version: int
    address: str
    history: str


def named_row(rule: str) -> NamedRow:
    """Read "kind:id:version", as verdicts name policy rows. A row that was removed since is named all the same."""
    name, version = named_version(rule)
    kind, _colon, number = name.partition(":")
    word, route = _PAGES.get(kind, (kind, ""))
    return NamedRow(
        name=name,
        word=f"{word} {number}",
        version=version,
        address=reverse(route, args=[int(number)]) if route and number.isdecimal() else "",
        history=reverse("approvals:history") + "?" + urlencode({"rule": name}),
    )


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """`name` is what the row is called, if it has a name; `address` is its page, while the row is there."""

    change: Change
    done: str
    word: str
    name: str
    address: str


def changed_rows(limit: int) -> list[ChangedRow]:
    """The latest changes of policy rows, newest first."""
    fields_of = {
        model._meta.model_name: {field.name for field in model._meta.fields}
        for model in apps.get_models()
        if issubclass(model, Versioned)
    }
    rows = []
    gone: set[tuple[str, int]] = set()
    for change in Change.objects.order_by("-pk")[:limit]:
        said = change.after or change.before
        # What belongs to a row without being a field of it, such as the values of a list, changes the row.
        is_part = fields_of.get(change.kind, set()).isdisjoint(said)
        if not change.after and not is_part:
            gone.add((change.kind, change.object_id))
        named = named_row(f"{change.kind}:{change.object_id}:0")
        rows.append(
            ChangedRow(
                change=change,
                done=gettext("changed") if is_part else _done(change),
                word=named.word,
                name=str(said.get("name") or said.get("pattern") or said.get("domain") or ""),
                address="" if (change.kind, change.object_id) in gone else named.address,
            )
        )
    return rows


def _done(change: Change) -> str:
    if not change.before:
        return gettext("added")
    return gettext("changed") if change.after else gettext("removed")
