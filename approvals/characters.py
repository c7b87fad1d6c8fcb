"""Characters that do not show, or that make a text read differently from what it says."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cs"})
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")


@lru_cache(maxsize=65_536)
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


def has_control(text: str) -> bool:
    """Whether a text holds what could end or break the line of a header: line breaks, NUL and other controls."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def deceiving_in(text: str) -> re.Pattern[str] | None:
    """A pattern of one deceiving character that the text holds; None when it holds none. Each letter is judged once."""
    found = sorted(filter(is_deceiving, set(text)))
    return re.compile(f"[{re.escape(''.join(found))}]") if found else None


def deceiving_count(text: object) -> int:
    written = with_line_feeds(text)
    return sum(written.count(character) for character in set(written) if is_deceiving(character))


def hides_address(name: str, email: str) -> bool:
    """Whether a display name looks like another address than its own, which is how senders are forged."""
    return name != email and "@" in unicodedata.normalize("NFKC", name)


def one_line(text: object) -> str:
    """The text with every run of white space, line ends included, written as one space."""
    return " ".join(("" if text is None else str(text)).split())


def with_line_feeds(text: object) -> str:
    """The text with every line end written as LF; None is the empty text."""
    return ("" if text is None else str(text)).replace("\r\n", "\n").replace("\r", "\n")
