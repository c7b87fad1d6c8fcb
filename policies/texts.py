"""Texts in the form in which they are compared: what does not show, and what only looks different, is taken away."""

from __future__ import annotations

import unicodedata


def comparable(text: str) -> str:
    """The text case folded, in compatibility form, without invisible characters, every run of space as one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    shown = "".join(one for one in folded if one.isascii() or unicodedata.category(one) != "Cf")
    return " ".join(shown.split())
