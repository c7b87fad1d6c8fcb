from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from approvals.characters import deceiving_count, is_deceiving, with_line_feeds

register = template.Library()
register.filter(deceiving_count)


@register.filter
def visible(text: object) -> SafeString:
    """Escape text and show each character that could deceive the eye as a mark such as [U+202E].

    Line ends are normalised to LF and kept, tabs and spaces are kept.
    """
    return format_html_join("", "{}", ((part,) for part in _shown(with_line_feeds(text))))


@register.filter
def visible_text(text: object) -> str:
    """The same as `visible` for places that take no markup, such as a page's title; escaped by the template."""
    return "".join(f"[U+{ord(c):04X}]" if is_deceiving(c) else c for c in with_line_feeds(text))


def _shown(text: str) -> Iterator[str]:
    for is_hidden, run in groupby(text, is_deceiving):
        if is_hidden:
            yield from (format_html('<span class="ctl">[U+{}]</span>', f"{ord(c):04X}") for c in run)
        else:
            yield "".join(run)


@register.filter
def one_line(text: object) -> str:
    """The text with every run of white space, line ends included, written as one space."""
    return " ".join(("" if text is None else str(text)).split())


def unicode_domain(email: str) -> str:
    """The domain of an address as a reader would see it, or "" when that is how it is written already."""
    _local, at, domain = email.rpartition("@")
    if not at or not any(label.lower().startswith("xn--") for label in domain.split(".")):
        return ""
    try:
        shown = domain.encode("ascii").decode("idna")
    except UnicodeError:
        return ""
    return "" if shown == domain else shown


def name_is_suspicious(name: str) -> bool:
    """Whether a display name looks like an address, which is how senders are forged."""
    return "@" in unicodedata.normalize("NFKC", name)


@register.inclusion_tag("components/address.html")
def address(entry: Mapping[str, str] | str | None) -> dict[str, object]:
    """One mailbox, address first and name second; the readable form of an international domain beside it."""
    if isinstance(entry, str):
        entry = {"email": entry}
    email = str((entry or {}).get("email") or "")
    name = str((entry or {}).get("name") or "")
    return {
        "email": email,
        "name": name if name != email else "",
        "domain_as_read": unicode_domain(email),
        "is_suspicious": name_is_suspicious(name) and name != email,
    }


@register.filter
def address_text(entries: Sequence[Mapping[str, str]] | None) -> str:
    """The addresses of a list of mailboxes, without names, joined by commas."""
    return ", ".join(str(entry.get("email") or "") for entry in entries or [])


@register.filter
def file_size(size: int | None) -> str:
    """Write bytes as people count them, in powers of ten: "812 B", "84 kB", "1.2 MB"; "" for an unknown size."""
    if not isinstance(size, int):
        return ""
    if size < 1000:
        return _("%(size)d B") % {"size": size}
    if size < 1_000_000:
        return _("%(size)d kB") % {"size": round(size / 1000)}
    return _("%(size)s MB") % {"size": f"{size / 1_000_000:.1f}"}


_QUOTE_INTRODUCTION = re.compile(r"^(?:on|am|le|el|il|op|em)\b.{3,200}:\s*$", re.IGNORECASE)


@register.filter
def folded(text: object) -> list[dict[str, object]]:
    """Split a text into `{"is_quoted", "text"}` parts in one pass; a quotation includes its introduction."""
    parts: list[tuple[bool, list[str]]] = []
    for line in with_line_feeds(text).split("\n"):
        is_quoted = line.startswith(">")
        if parts and parts[-1][0] == is_quoted:
            parts[-1][1].append(line)
            continue
        moved: list[str] = []
        if is_quoted and parts:
            said = parts[-1][1]
            if said and _QUOTE_INTRODUCTION.match(said[-1].strip()):
                moved = [said.pop()]
            if not said:
                parts.pop()
        parts.append((is_quoted, [*moved, line]))
    return [{"is_quoted": is_quoted, "text": "\n".join(lines)} for is_quoted, lines in parts if any(lines)]


@register.filter
def initials(name: str) -> str:
    """The first letters of the first and the last word of a name, in capitals."""
    words = [word for word in re.split(r"[\s._-]+", name) if word]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
