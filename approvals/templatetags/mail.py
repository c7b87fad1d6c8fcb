from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import conditional_escape, escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Message, PartsState
from approvals.characters import deceiving_count, deceiving_in, hides_address, one_line, with_line_feeds
from approvals.file_kinds import KIND_WORDS, claimed_kinds, differs
from approvals.models import Draft
from approvals.notes import Link, host_as_read, link_of
from approvals.remote_images import hosts_of
from approvals.renderings import DRAWN_KINDS
from approvals.states import OPEN_DRAFT_STATES

register = template.Library()
NOT_COMPARED: Mapping[PartsState, Any] = {
    PartsState.GONE: _lazy(
        "Its plain text was not compared with the formatted one: the provider no longer has the message."
    ),
    PartsState.TOO_LARGE: _lazy(
        "Its plain text was not compared with the formatted one: its source is larger than 10 MB."
    ),
    PartsState.UNREADABLE: _lazy(
        "Its plain text was not compared with the formatted one: its source cannot be taken apart."
    ),
    PartsState.NOT_GIVEN: _lazy(
        "Its plain text was not compared with the formatted one: the provider did not give its source."
    ),
}
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n)+")
# A tag that is none of these, or has an attribute: how it looks is not for its text to say.
_OTHER_MARKUP = re.compile(
    r"<(?!/?(?:p|br|div|b|strong|i|em|u|ul|ol|li)\s*/?>)(?!a\s+href=\"[^\"<>]*\"\s*>|/a\s*>)", re.IGNORECASE
)
LOW_CHARACTERS, LOW_TAGS = 300, 10
_MARKS_IN_A_ROW = 16
# A larger file of a message is fetched from the provider only when somebody asks for its preview.
THUMBNAIL_BYTES = 5_000_000
register.filter(deceiving_count)
register.filter(one_line)


@register.filter
def visible(text: object) -> SafeString:
    """Escape text and show each character that could deceive the eye as a mark such as [U+202E].

    Line ends are normalised to LF and kept, tabs and spaces are kept.
    """
    written = with_line_feeds(text)
    pattern = deceiving_in(written)
    if pattern is None:
        return escape(written)
    parts: list[str] = []
    end = 0
    # A run of one character takes one mark: a megabyte of them must not become thirty.
    for match in re.finditer(rf"({pattern.pattern})\1*", written):
        parts += [escape(written[end : match.start()]), _mark_of(match.group(1), len(match.group()))]
        end = match.end()
    return mark_safe("".join([*parts, escape(written[end:])]))


@register.filter
def paragraphs(shown: SafeString) -> SafeString:
    """Let each empty line of a shown text stand as a gap of its own, which takes less room than a line.

    Takes what `visible` or `visible_marking` gave. The characters stay as they are, so that a copy has them all.
    """
    return mark_safe(_EMPTY_LINES.sub(_gaps, conditional_escape(shown)))


def _gaps(match: re.Match[str]) -> str:
    first, *others = match[0].split("\n")[1:]
    gaps = [
        f'<span class="gap">\n{first}\n</span>',
        *(f'<span class="gap">{one}\n</span>' for one in others[:-1]),
    ]
    return "".join(gaps)


@register.filter
def visible_text(text: object) -> str:
    """The same as `visible` for places that take no markup, such as a page's title; escaped by the template."""
    written = with_line_feeds(text)
    pattern = deceiving_in(written)
    return pattern.sub(lambda match: f"[U+{ord(match.group()):04X}]", written) if pattern else written


@register.filter
def visible_marking(text: object, wanted: Sequence[str]) -> SafeString:
    """The same as `visible`, with each of the wanted texts marked where it stands."""
    shown = with_line_feeds(text)
    if not wanted:
        return visible(shown)
    pattern = re.compile("|".join(map(re.escape, sorted(wanted, key=len, reverse=True))))
    parts: list[SafeString] = []
    end = 0
    for match in pattern.finditer(shown):
        parts += [
            visible(shown[end : match.start()]),
            format_html('<mark class="hl">{}</mark>', visible(match.group())),
        ]
        end = match.end()
    return format_html_join("", "{}", ((part,) for part in [*parts, visible(shown[end:])]))


@register.filter
def marked_texts(message: object) -> Sequence[str]:
    """The texts to mark in a message; none on a page that marks nothing."""
    return getattr(message, "marked", ())


@register.filter
def holds_any(text: object, wanted: Sequence[str]) -> bool:
    """Whether one of the wanted texts stands in a text."""
    return any(one in with_line_feeds(text) for one in wanted or ())


@register.filter
def links_of_message(message: Message) -> list[Link]:
    """The links of a message as its sender laid it out, in order."""
    return [link_of(text, target) for text, target in message.links]


@register.filter
def images_said(message: Message) -> dict[str, object]:
    """How many remote images a message has, and from where, for a page that loads none."""
    return {"count": len(message.remote_images), "hosts": ", ".join(hosts_of(message.remote_images))}


@register.filter
def parts_that_differ(message: Message) -> Mapping[str, Any] | None:
    """What the two forms of a message say each alone, as `parts_difference` of `Message`; None where they agree."""
    return message.parts_difference if message.parts_state == PartsState.DIFFER else None


@register.filter
def parts_said(message: Message, draft: Draft | None) -> str:
    """That the plain text of a message was not compared with its HTML, and why; "" where it was, or need not be."""
    if message.parts_state in NOT_COMPARED:
        return str(NOT_COMPARED[PartsState(message.parts_state)])
    if message.parts_state != PartsState.NOT_ASKED or not draft:
        return ""
    is_awaited = (
        draft.state in OPEN_DRAFT_STATES
        and draft.parent_message_id == message.provider_id
        and bool(message.body_html)
        and not message.is_outbound
    )
    if not is_awaited:
        return ""
    if message.parts_attempts:
        return _(
            "Its plain text has not been compared with the formatted one yet: the provider gave no answer. "
            "It is asked again."
        )
    return _("Its plain text has not been compared with the formatted one yet.")


@register.inclusion_tag("components/file-preview.html")
def preview_of(part: Mapping[str, Any], draft: Draft, message: Message | None = None) -> dict[str, object]:
    """Where a file of a draft or of one of its messages can be looked at, a small picture of it, and what it is.

    What the content of a file of a message is, is not known before it is drawn.
    """
    filename, content_type = str(part.get("filename") or ""), str(part.get("content_type") or "")
    sha256 = str(part.get("sha256") or "")
    kind = str(part.get("kind") or "")
    if message is None:
        name, args, query = "attachment", [draft.public_id, sha256], ""
    else:
        name, args = "message_attachment", [draft.public_id, message.pk]
        query = "?" + urlencode({"id": str(part.get("id") or "")})
    is_drawn = bool(DRAWN_KINDS & ({kind} if kind else claimed_kinds(filename, content_type)))
    is_small = message is None or int(part.get("size") or 0) <= THUMBNAIL_BYTES
    return {
        "preview": reverse(f"approvals:{name}_preview", args=args) + query,
        "thumbnail": reverse(f"approvals:{name}_thumbnail", args=args) + query
        if is_drawn and is_small
        else "",
        "kind_word": KIND_WORDS.get(kind, ""),
        "differs": differs(kind, filename, content_type),
    }


def _mark_of(character: str, count: int) -> str:
    marks = _mark(character)
    return marks * count if count <= _MARKS_IN_A_ROW else f'{marks}<span class="ctl">×{count}</span>'  # noqa: RUF001


@cache
def _mark(character: str) -> str:
    return format_html('<span class="ctl">[U+{}]</span>', f"{ord(character):04X}")


def unicode_domain(email: str) -> str:
    """The domain of an address as a reader would see it, or "" when that is how it is written already."""
    _local, at, domain = email.rpartition("@")
    return host_as_read(domain) if at else ""


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
        "is_suspicious": hides_address(name, email),
    }


@register.inclusion_tag("components/refs.html")
def refs(noted: Mapping[tuple[str, int], Sequence[int]], part: str, index: int) -> dict[str, object]:
    """The numbers of the notes that an entry of a list caused; `noted` are those of every entry that caused one."""
    return {"numbers": noted.get((part, index), ()) if noted else ()}


@register.filter
def is_low(html: str) -> bool:
    """Whether a mail is so short and plain that a low frame shows all of it."""
    return len(html) <= LOW_CHARACTERS and html.count("<") <= LOW_TAGS and "<img" not in html.lower()


@register.filter
def looks_like_its_text(html: str) -> bool:
    """Whether the HTML of a mail only parts lines and stresses words, so that its text shows all its reader sees."""
    return _OTHER_MARKUP.search(html) is None


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
