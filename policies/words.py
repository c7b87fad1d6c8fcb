"""Finding words of a list in a text: on word borders, without regard to case and accents, in one pass.

A line of a list is a phrase. In it `*` stands for any part of a word (`refund*`, `*mail`), a `*` alone for any one
word, and `#` for a number. Signs of money and `%` count as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from policies import globs

# Letters and digits with apostrophes inside, or one sign; a fixed pattern without repetition inside repetition.
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[$€£¥%]")
_PATTERN_WORD = re.compile(r"(?:[^\W_]|\*)+(?:'(?:[^\W_]|\*)+)*|[$€£¥%#]")
NUMBER, ANY = "#", "*"
# What mail programs put before the subject of an answer or a forwarded mail.
REPLY_PREFIXES = frozenset({"re", "aw", "fw", "fwd", "wg", "sv", "tr"})


def folded(text: str) -> str:
    """The text without accents, case and characters that have no width."""
    decomposed = unicodedata.normalize("NFKD", _plain(text))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


@lru_cache(maxsize=4096)
def words_of_phrase(phrase: str) -> tuple[str, ...]:
    """The words that a line of a list asks for, folded; none for a line that asks for nothing."""
    found = tuple(folded(word) for word in _PATTERN_WORD.findall(_plain(phrase)))
    return found if any(word.strip(ANY) for word in found) else ()


@dataclass(slots=True)
class Words:
    """The words of a text, and where each of them stands."""

    text: str
    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    places: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Words:
        found = cls(_plain(text))
        known: dict[str, str] = {}
        for match in _WORD.finditer(found.text):
            written = match.group()
            word = known.get(written)
            if word is None:
                word = known[written] = folded(written)
            found.places.setdefault(word, []).append(len(found.words))
            found.words.append(word)
            found.spans.append(match.span())
        return found

    def find(self, phrase: str) -> str:
        """The first place where a phrase stands, as it is written there; empty when it does not."""
        wanted = words_of_phrase(phrase)
        if not wanted:
            return ""
        rarest = min(range(len(wanted)), key=lambda index: ANY in wanted[index] or wanted[index] == NUMBER)
        first = min(
            (
                place - rarest
                for word in self._fitting(wanted[rarest])
                for place in self.places[word]
                if place >= rarest and self._stands(wanted, place - rarest)
            ),
            default=None,
        )
        if first is None:
            return ""
        return self.text[self.spans[first][0] : self.spans[first + len(wanted) - 1][1]]

    def _fitting(self, pattern: str) -> Sequence[str]:
        if pattern != NUMBER and ANY not in pattern:
            return [pattern] if pattern in self.places else []
        return [word for word in self.places if _fits(pattern, word)]

    def _stands(self, wanted: Sequence[str], place: int) -> bool:
        there = self.words[place : place + len(wanted)]
        return len(there) == len(wanted) and all(map(_fits, wanted, there))


def _fits(pattern: str, word: str) -> bool:
    if pattern == NUMBER:
        return word[0].isdigit()
    if ANY not in pattern:
        return pattern == word
    return globs.matches(pattern, word)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    return "".join(c for c in composed if unicodedata.category(c) not in ("Cf", "Mn"))
