"""Two forms of one text, such as the plain text and the HTML of a mail, compared by their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from approvals.characters import with_line_feeds
from policies.words import Words

WORDS = 12
LINES, LINE_CHARACTERS = 8, 300
# How much of a line stands before the word that it is shown for.
_BEFORE_CHARACTERS = 80
# Addresses of links and texts for pictures, which mail programs write into one form and not into the other.
_NO_WORDS = re.compile(r"(?:https?://|www\.|mailto:)\S+|\[(?:image|cid:)[^\]\n]{0,300}\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sayings:
    """What one form says more often than the other: every such word, as it is first written there."""

    text: str
    words: list[str]
    _places: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """The first `LINES` lines that hold such a word, each at most `LINE_CHARACTERS` long."""
        written = self.text.split("\n")
        return [_cut(written[number], self.words) for number in self._places[:LINES]]


def sayings(one: str, other: str) -> tuple[Sayings, Sayings]:
    """What each of two forms of a text says more often than the other; linear in their length.

    How they are laid out, the addresses of links and the texts for pictures make no difference.
    """
    texts = [with_line_feeds(text) for text in (one, other)]
    first, second = (Words.of(_NO_WORDS.sub(" ", text)) for text in texts)
    return _sayings(texts[0], first, second), _sayings(texts[1], second, first)


def _sayings(text: str, ours: Words, theirs: Words) -> Sayings:
    more = {
        word: places for word, places in ours.places.items() if len(places) > len(theirs.places.get(word, ()))
    }
    starts = sorted(ours.spans[place][0] for places in more.values() for place in places)
    return Sayings(
        text,
        [ours.text[slice(*ours.spans[places[0]])] for places in more.values()],
        tuple(dict.fromkeys(_line_numbers(ours.text, starts))),
    )


def _line_numbers(text: str, starts: list[int]) -> Iterator[int]:
    number = position = 0
    for start in starts:
        number += text.count("\n", position, start)
        position = start
        yield number


def _cut(line: str, words: list[str]) -> str:
    if len(line) <= LINE_CHARACTERS:
        return line
    found = min((at for word in words[:WORDS] if (at := line.find(word)) >= 0), default=0)
    start = max(0, min(found - _BEFORE_CHARACTERS, len(line) - LINE_CHARACTERS))
    end = start + LINE_CHARACTERS
    return f"{'… ' if start else ''}{line[start:end]}{' …' if end < len(line) else ''}"
