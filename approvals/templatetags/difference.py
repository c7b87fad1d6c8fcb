from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from approvals.file_names import runs_programs
from approvals.templatetags.mail import visible

register = template.Library()
register.filter(runs_programs)

_ADDRESS_FIELDS = (
    ("sender", _("From, changed")),
    ("to", _("To, changed")),
    ("cc", _("Cc, changed")),
    ("bcc", _("Bcc, changed")),
    ("reply_to", _("Reply to, changed")),
    ("attachments", _("Files, changed")),
)


@register.filter
def changed_words(parts: Sequence[Sequence[str]]) -> SafeString:
    """The parts of `approvals.difference.words` as text with `<del>` and `<ins>`, deceiving characters visible."""
    return format_html_join("", "{}", ((_part(sign, text),) for sign, text in _passages(parts)))


# How many characters of an unchanged text are shown beside a change.
NEAR_CHARACTERS = 80


@register.filter
def changed_near(parts: Sequence[Sequence[str]]) -> SafeString:
    """As `changed_words`, with long unchanged texts cut down to what stands beside a change."""
    shown = list(_passages(parts))
    last = len(shown) - 1
    return format_html_join(
        "",
        "{}",
        (
            (_part(sign, _cut(text, not index, index == last) if sign == "=" else text),)
            for index, (sign, text) in enumerate(shown)
        ),
    )


def _cut(text: str, is_first: bool, is_last: bool) -> str:
    before = "" if is_first else text[:NEAR_CHARACTERS]
    after = "" if is_last else text[-NEAR_CHARACTERS:]
    if len(before) + len(after) + 20 >= len(text):
        return text
    return f"{before} … {after}" if before and after else f"{before} …" if before else f"… {after}"


def _passages(parts: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Changes parted only by white space belong to one passage: first what went, then what came."""
    removed = added = ""
    for index, (sign, text) in enumerate(parts):
        if sign == "-":
            removed += text
        elif sign == "+":
            added += text
        elif (removed or added) and text.isspace() and "\n" not in text and index + 1 < len(parts):
            removed, added = removed + text, added + text
        else:
            yield from _passage(removed, added)
            yield "=", text
            removed = added = ""
    yield from _passage(removed, added)


def _passage(removed: str, added: str) -> Iterator[tuple[str, str]]:
    kept = ""
    while removed and added and removed[-1] == added[-1] and removed[-1].isspace():
        kept = removed[-1] + kept
        removed, added = removed[:-1], added[:-1]
    if removed.strip():
        yield "-", removed
    if added:
        yield "+", added
    if kept:
        yield "=", kept


def _part(sign: str, text: str) -> SafeString:
    if sign == "-":
        return format_html("<del>{}</del>", visible(text))
    if sign == "+":
        return format_html("<ins>{}</ins>", visible(text))
    return visible(text)


@register.filter
def address_changes(difference: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The changed lists of a difference as `{"word", "removed", "added"}`, in the order of a letterhead."""
    return [
        {"word": word, **difference[name]}
        for name, word in _ADDRESS_FIELDS
        if difference and name in difference
    ]
