"""Texts in the form in which they are compared: what does not show, and what only looks different, is taken away."""

from __future__ import annotations

import unicodedata


def comparable(text: str) -> str:
    """The text case folded, in compatibility form, without invisible characters, every run of space as one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    shown = "".join(one for one in folded if one.isascii() or unicodedata.category(one) != "Cf")
    return " ".join(shown.split())


def is_storable(text: str) -> bool:
    """Whether both databases take the text and every page can show it: no control characters, no half characters."""
    return all(one in "\t\n\r" or unicodedata.category(one) not in ("Cc", "Cs") for one in text)
