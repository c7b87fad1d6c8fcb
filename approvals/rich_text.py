"""Which HTML the editor keeps as it is, and how a letter is cut so that what nobody touched keeps its bytes.

The editor is given the letter as pieces: the elements of its top level, as they are written. It gives HTML back. What
is the same as a piece is that piece, byte for byte; the rest may hold only what an editor writes: the elements below,
links to web and mail addresses, and attributes that were in the letter before. Anything else is refused, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import escape, unescape

from django.utils.translation import gettext as _

from agentmail.mail_html import RAW, VOID, to_text

# Beyond this the script would make a person wait.
LONGEST = 200_000
MOST_PIECES = 1500
LINK_SCHEMES = ("http://", "https://", "mailto:")

BLOCKS = frozenset({"p", "div", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})
INLINE = frozenset(
    {
        "a",
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ins",
        "s",
        "strike",
        "del",
        "sub",
        "sup",
        "code",
        "small",
        "span",
        "br",
    }
)
_KEPT = BLOCKS | INLINE
# What follows these is no markup, to every reader or to some.
_NO_MARKUP = RAW | {"noscript", "plaintext"}
_TOKEN = re.compile(
    r"<!--.*?-->|<(?P<close>/)?(?P<name>[a-zA-Z][a-zA-Z0-9:-]*)"
    r"(?P<attributes>(?:\s+[a-zA-Z_:][\w:.-]*(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=`]+))?)*)\s*/?>|[^<]+",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([a-zA-Z_:][\w:.-]*)(?:\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>=`]+)))?""")
_BEFORE = re.compile(
    r"\s*(?:<!doctype html>\s*)?(?:<html>\s*)?(?:<head>\s*</head>\s*)?(?:<body>\s*)?", re.IGNORECASE
)
_AFTER = re.compile(r"(?:\s*</body>)?(?:\s*</html>)?\s*\Z", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"class\s*=\s*[\"'][^\"']*\b(?:gmail_signature|moz-signature|signature)\b", re.IGNORECASE
)
# Attributes that the editor's own elements carry, and that do nothing but describe.
_HARMLESS = frozenset(
    {"href", "style", "class", "dir", "lang", "align", "title", "target", "rel", "start", "type"}
)
# No part of it looks further than the next bracket, so that it takes time in proportion to the style.
_MOVING_STYLE = re.compile(r"\([^()/]*/|expression|\\|position|@|url|float|z-index", re.IGNORECASE)
_TARGETS = frozenset({"_blank", "_self", "_top", "_parent"})


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as the editor gets it: `pieces` are edited, `before` and `after` stay as they are written.

    All of it together is the letter; `is_signed` says that `after` holds a signature. With an `obstacle`, a sentence,
    the editor would not keep the letter as it is.
    """

    before: str = ""
    pieces: tuple[str, ...] = ()
    after: str = ""
    obstacle: str = ""
    is_signed: bool = False

    @property
    def middle(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The pieces for the editor, with a class `kept-N` in place of the attributes number N, and those attributes.

    So no script meets a style or a class of the letter, and they come back as they were written.
    """

    pieces: tuple[str, ...]
    attributes: tuple[str, ...]
    styles: tuple[str, ...]


class NotKept(ValueError):
    """The text holds what the editor does not write; the message says what."""


def letter_of(html: str) -> Letter:
    """Cut a letter for the editor. What stands at its end and would not be kept, a signature say, is left out of it."""
    if len(html) > LONGEST:
        return Letter(
            obstacle=_("It is longer than %(limit)d characters, so it is edited as its source.")
            % {"limit": LONGEST}
        )
    opening = _BEFORE.match(html)
    start = opening.end() if opening is not None else 0
    closing = _AFTER.search(html, start)
    end = closing.start() if closing is not None else len(html)
    try:
        cut = list(_pieces(html[start:end]))
    except NotKept as error:
        return Letter(obstacle=str(error))
    while cut and not cut[0][0].strip():
        start += len(cut.pop(0)[0])
    signature = next(
        (place for place, (piece, _why) in enumerate(cut) if place and _is_signature(piece)), len(cut)
    )
    kept = next((place for place, (_piece, why) in enumerate(cut) if why), len(cut))
    last = min(signature, kept)
    if any(not why and to_text(piece).strip() for piece, why in cut[last:signature]):
        # Edited around what the editor would lose, a letter would fall apart.
        return Letter(obstacle=next(why for _piece, why in cut[last:] if why))
    pieces = tuple(piece for piece, _why in cut[:last])
    if len(pieces) > MOST_PIECES:
        return Letter(
            obstacle=_("It has more than %(limit)d paragraphs, so it is edited as its source.")
            % {"limit": MOST_PIECES}
        )
    if not any(to_text(piece).strip() for piece in pieces):
        why = next((why for _piece, why in cut if why), "")
        return Letter(obstacle=why or _("It has no text, so it is edited as its source."))
    after = "".join(piece for piece, _why in cut[last:]) + html[end:]
    return Letter(html[:start], pieces, after, is_signed=signature < len(cut))


def encoded(letter: Letter) -> Encoded:
    """Write the pieces of a letter for the editor, which sees neither their styles nor their classes."""
    kept: dict[str, int] = {}
    pieces = []
    for piece in letter.pieces:
        made = []
        for start, end, name, is_close, attributes in _tokens(piece):
            if not name or is_close or not attributes.strip():
                made.append(piece[start:end])
                continue
            others = " ".join(one[0] for one in _ATTRIBUTE.finditer(attributes) if one[1].lower() != "href")
            target = next((value for attribute, value in _named(attributes) if attribute == "href"), None)
            place = kept.setdefault(others, len(kept)) if others else None
            made.append(
                f"<{name}"
                + (f' class="kept-{place}"' if place is not None else "")
                + (f' href="{escape(target)}"' if target is not None else "")
                + ">"
            )
        pieces.append("".join(made))
    styles = tuple(
        next((value for attribute, value in _named(others) if attribute == "style"), "") for others in kept
    )
    return Encoded(tuple(pieces), tuple(kept), styles)


def with_middle(letter: Letter, typed: str) -> str:
    """The letter with what the editor gave back in place of its pieces; untouched pieces keep their bytes.

    Raises `NotKept` when it holds anything that the editor does not write.
    """
    typed = typed.replace("\r\n", "\n")
    if typed == letter.middle.replace("\r\n", "\n"):
        return letter.before + letter.middle + letter.after
    known: dict[str, str] = {}
    for piece in letter.pieces:
        known.setdefault(piece.replace("\r\n", "\n"), piece)
    written = frozenset(_pairs(letter.middle))
    made = []
    for piece, why in _pieces(typed):
        if piece not in known:
            if why:
                raise NotKept(why)
            _check(piece, written)
        made.append(known.get(piece, piece))
    return letter.before + "".join(made) + letter.after


def _pieces(html: str) -> Iterator[tuple[str, str]]:
    """Each element of the top level with the white space behind it, and each run of text between them, as written.

    With each comes the sentence why the editor would not keep it, empty if it would.
    """
    stack: list[str] = []
    begun, why, is_block = 0, "", False
    for start, end, name, is_close, attributes in _tokens(html):
        if not stack and begun < start and not is_close:
            opens_block = bool(name) and (name in BLOCKS or name not in _KEPT)
            if opens_block or (is_block and (name or html[start:end].strip())):
                yield html[begun:start], why
                begun, why, is_block = start, "", False
        if not name:
            if html.startswith("<!--", start):
                why = why or _("It holds a comment, which the editor would lose.")
            continue
        if is_close:
            if not stack or stack.pop() != name:
                raise NotKept(_("Its markup is not closed in order, so it is edited as its source."))
            continue
        why = why or _obstacle(name, attributes)
        if not stack:
            is_block = name not in INLINE
        if name not in VOID:
            stack.append(name)
    if stack:
        raise NotKept(_("Its markup is not closed in order, so it is edited as its source."))
    if begun < len(html):
        yield html[begun:], why


def _tokens(html: str) -> Iterator[tuple[int, int, str, bool, str]]:
    position = 0
    while position < len(html):
        found = _TOKEN.match(html, position)
        if found is None:
            raise NotKept(_("Its markup cannot be read with certainty, so it is edited as its source."))
        name = (found["name"] or "").lower()
        if name in _NO_MARKUP:
            # Where it ends is not for this reader to say.
            raise NotKept(_not_kept(name))
        yield position, found.end(), name, bool(found["close"]), found["attributes"] or ""
        position = found.end()


def _obstacle(name: str, attributes: str) -> str:
    if name not in _KEPT:
        return _not_kept(name)
    for attribute, value in _named(attributes):
        if attribute not in _HARMLESS:
            return _("It holds the attribute %(name)s, which the editor would lose.") % {
                "name": attribute[:40]
            }
        if attribute == "href" and not _is_address(value):
            return _("It holds a link that is no web or mail address, which the editor would lose.")
        if attribute == "style" and "white-space" in value.lower():
            return _("It keeps its line ends by a style, which the editor would lose.")
        if attribute == "style" and _MOVING_STYLE.search(value):
            return _("It holds a style that loads or places something, which the editor would lose.")
        if attribute == "target" and value not in _TARGETS:
            return _("It holds the attribute %(name)s, which the editor would lose.") % {"name": attribute}
    return ""


def _check(piece: str, written: Collection[tuple[str, str]]) -> None:
    for pair in _pairs(piece):
        if pair[0] != "href" and pair not in written:
            raise NotKept(
                _("It holds the attribute %(name)s, which was not in the letter before.")
                % {"name": pair[0][:40]}
            )


def _pairs(html: str) -> Iterator[tuple[str, str]]:
    for _start, _end, name, is_close, attributes in _tokens(html):
        if name and not is_close:
            yield from _named(attributes)


def _named(attributes: str) -> Iterator[tuple[str, str]]:
    for found in _ATTRIBUTE.finditer(attributes):
        name, *values = found.groups()
        yield name.lower(), unescape(next((value for value in values if value is not None), ""))


def _is_address(target: str) -> bool:
    lowered = target.lower()
    return lowered.startswith(LINK_SCHEMES) and not any(
        ord(one) <= 32 or 127 <= ord(one) < 160 for one in target
    )


def _is_signature(piece: str) -> bool:
    opening = piece[: piece.find(">") + 1]
    return bool(_SIGNATURE.search(opening)) or to_text(piece).strip() == "--"


def _not_kept(name: str) -> str:
    return _("It holds <%(name)s>, which the editor would not keep as it is.") % {"name": name[:40]}
