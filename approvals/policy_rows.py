"""The policy rows that a verdict names, in words and with the page of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from approvals.judgements import named_version

# kind: (word, route of the row's page)
_PAGES: Mapping[str, tuple[Any, str]] = {
    "rule": (_("Rule"), "approvals:rule"),
    "recipiententry": (_("Recipient entry"), "approvals:recipient"),
    "category": (_("Category"), "approvals:category"),
    "family": (_("Template"), "approvals:family"),
    "policy": (_("Caps"), "approvals:cap_policy"),
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
