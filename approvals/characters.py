"""Characters that do not show, or that make a text read differently from what it says."""

from __future__ import annotations

import unicodedata

_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cs"})
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")


def is_deceiving(character: str) -> bool:
    """Whether the eye misses a character or is misled by it.

    Controls other than LF and tab, bidirectional and zero-width characters, soft hyphens, tag characters, line and
    paragraph separators, variation selectors, blank letters.
    """
    if character in "\n\t ":
        return False
    if unicodedata.category(character) in _CATEGORIES or character in _FILLERS:
        return True
    return any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)


def deceiving_count(text: object) -> int:
    return sum(map(is_deceiving, with_line_feeds(text)))


def with_line_feeds(text: object) -> str:
    """The text with every line end written as LF; None is the empty text."""
    return ("" if text is None else str(text)).replace("\r\n", "\n").replace("\r", "\n")
