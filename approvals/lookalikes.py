"""Domains that read like others: how a mail is led to a stranger. By plain rules, without a model."""

# ruff: noqa: RUF001 - the letters that look like others are what this is about

from __future__ import annotations

import unicodedata
from collections.abc import Collection

import idna

# Shorter names are one letter apart by chance.
_SHORTEST = 6
# Letters of other alphabets and digits by the Latin letter they read as; then pairs that read as one letter.
_READ_AS = str.maketrans(
    {
        "а": "a", "ɑ": "a", "α": "a", "ь": "b", "с": "c", "ϲ": "c", "ԁ": "d", "е": "e", "ҽ": "e", "ε": "e",
        "ɡ": "g", "һ": "h", "н": "h", "і": "l", "ι": "l", "ı": "l", "i": "l", "1": "l", "ӏ": "l", "ǀ": "l",
        "ј": "j", "к": "k", "κ": "k", "м": "m", "п": "n", "ո": "n", "η": "n", "о": "o", "ο": "o", "0": "o",
        "օ": "o", "р": "p", "ρ": "p", "ԛ": "q", "г": "r", "ѕ": "s", "5": "s", "т": "t", "τ": "t", "υ": "u",
        "ս": "u", "ѵ": "v", "ν": "v", "ѡ": "w", "ω": "w", "ԝ": "w", "х": "x", "χ": "x", "у": "y", "γ": "y",
        "ʏ": "y", "-": "",
    }
)  # fmt: skip
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


class LookAlikes:
    """Known domains, in A-labels, and what could be taken for them."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._by_look = {_look_of(one): one for one in sorted(known)}

    def is_known(self, domain: str) -> bool:
        return domain in self._known

    def of(self, domain: str) -> str:
        """The known domain that another one could be taken for; empty for a known one, its subdomains and all others.

        One reads like another when letters of the same look stand in it, when it is one letter away, or when it holds
        the other in front. Takes time in proportion to the number of known domains.
        """
        suffixes = _suffixes(domain)
        if any(suffix in self._known for suffix in suffixes):
            return ""
        for suffix in suffixes:
            found = self._by_look.get(_look_of(suffix)) or next(
                (one for one in self._known if _is_one_slip_away(suffix, one)), ""
            )
            if found:
                return found
        return next((one for one in self._known if "." in one and f".{one}." in f".{domain}."), "")


def _suffixes(domain: str) -> list[str]:
    labels = domain.split(".")[-4:]
    return [".".join(labels[start:]) for start in range(max(1, len(labels) - 1))]


def _look_of(domain: str) -> str:
    read = unicodedata.normalize("NFKD", ".".join(map(_as_read, domain.split("."))))
    look = "".join(c for c in read if not unicodedata.combining(c)).casefold().translate(_READ_AS)
    for pair, letter in _PAIRS:
        look = look.replace(pair, letter)
    return look


def _as_read(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return label


def _is_one_slip_away(one: str, other: str) -> bool:
    """Whether a letter was exchanged, added, left out or swapped with its neighbour. Numbered names do not count."""
    if one == other or abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < _SHORTEST:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    first, second = one[start : len(one) - end], other[start : len(other) - end]
    if len(first) == len(second) == 2:
        return first == second[::-1]
    return max(len(first), len(second)) == 1 and not f"{first}{second}".isdigit()
