"""Two forms of one text, such as the plain text and the HTML of a mail, compared by their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from approvals.characters import with_line_feeds
from policies.words import Words

PASSAGE_CHARACTERS = 100
LINES, LINE_CHARACTERS = 8, 300
# Between words that are read as one passage, such as the groups of a number.
_GAP_CHARACTERS = 2
# How much of a line stands before the word that it is shown for.
_BEFORE_CHARACTERS = 80
# Addresses of links and texts for pictures, which mail programs write into one form and not into the other.
_NO_WORDS = re.compile(r"(?:https?://|www\.|mailto:)\S+|\[(?:image|cid:)[^\]\n]{0,300}\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sayings:
    """What one form says more often than the other: every such word as it is first written there, and the passages
    that words beside each other make, each at most `PASSAGE_CHARACTERS` long.
    """

    text: str
    words: list[str]
    passages: list[str]
    _line_numbers: list[int]

    def lines(self) -> list[str]:
        """The first `LINES` lines that hold such a word, each at most `LINE_CHARACTERS` long."""
        written = self.text.split("\n")
        return [_cut(written[number], self.passages) for number in self._line_numbers[:LINES]]


def sayings(one: str, other: str) -> tuple[Sayings, Sayings]:
    """What each of two forms of a text says more often than the other; linear in their length.

    How they are laid out, the addresses of links and the texts for pictures make no difference.
    """
    texts = [with_line_feeds(text) for text in (one, other)]
    first, second = (Words.of(_NO_WORDS.sub(" ", text)) for text in texts)
    return _sayings(texts[0], first, second), _sayings(texts[1], second, first)


def _sayings(text: str, ours: Words, theirs: Words) -> Sayings:
    more = [places for word, places in ours.places.items() if len(places) > len(theirs.places.get(word, ()))]
    spans = list(_passages(ours, sorted(place for places in more for place in places)))
    return Sayings(
        text,
        [ours.text[slice(*ours.spans[places[0]])] for places in more],
        list(dict.fromkeys(ours.text[start:end][:PASSAGE_CHARACTERS] for start, end in spans)),
        list(dict.fromkeys(_line_numbers(ours.text, [start for start, _end in spans]))),
    )


def _passages(words: Words, places: list[int]) -> Iterator[tuple[int, int]]:
    """Where the words at these places stand, those beside each other on one line as one."""
    begin = end = -1
    for place in places:
        start, stop = words.spans[place]
        gap = words.text[end:start]
        if begin >= 0 and (len(gap) > _GAP_CHARACTERS or "\n" in gap):
            yield begin, end
            begin = -1
        begin, end = (start if begin < 0 else begin), stop
    if begin >= 0:
        yield begin, end


def _line_numbers(text: str, starts: list[int]) -> Iterator[int]:
    number = position = 0
    for start in starts:
        number += text.count("\n", position, start)
        position = start
        yield number


def _cut(line: str, passages: list[str]) -> str:
    if len(line) <= LINE_CHARACTERS:
        return line
    found = min((at for one in passages if (at := line.find(one)) >= 0), default=0)
    start = max(0, min(found - _BEFORE_CHARACTERS, len(line) - LINE_CHARACTERS))
    end = start + LINE_CHARACTERS
    return f"{'… ' if start else ''}{line[start:end]}{' …' if end < len(line) else ''}"
