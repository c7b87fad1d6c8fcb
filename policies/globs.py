"""Patterns with * (any text) and ? (any one character), matched in one pass over the text.

The pattern is one number per character, so a hostile pattern costs what a harmless one does: each character of the
text is looked at once, whatever the stars are. There are no regular expressions of users anywhere.
"""

from __future__ import annotations


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern; case counts, so both are given folded.

    Bit i of `reached` says that the first i characters of the pattern, stars left out, fit what was read so far.
    """
    characters = pattern.replace("*", "")
    stays = 0
    place = 0
    for character in pattern:
        if character == "*":
            stays |= 1 << place
        else:
            place += 1
    any_one = 0
    steps: dict[str, int] = {}
    for index, character in enumerate(characters):
        if character == "?":
            any_one |= 1 << index
        else:
            steps[character] = steps.get(character, 0) | 1 << index
    reached = 1
    for character in text:
        reached = (reached & (steps.get(character, 0) | any_one)) << 1 | reached & stays
    return bool(reached >> len(characters) & 1)
