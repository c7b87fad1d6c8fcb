"""Patterns of * and ?: what they fit, and that each character of a text is read once whatever the pattern is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.globs import matches


class CountedText(str):
    """A text that counts how often one of its characters is read."""

    reads = 0

    def __iter__(self):
        for character in super().__iter__():
            type(self).reads += 1
            yield character


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "anything\nat all", True),
        ("?", "", False),
        ("?", "\n", True),
        ("a*c", "abbbc", True),
        ("a*c", "abbbcd", False),
        ("*@*.example", "x@mail.example", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[a-z]", "b", False),
        ("[a-z]", "[a-z]", True),
        ("a.c", "abc", False),
        ("**a**", "bab", True),
    ],
)
def test_a_pattern_fits_the_whole_text(pattern, text, fits):
    assert matches(pattern, text) is fits


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_patterns_agree_with_their_plain_meaning(pattern, text):
    meaning = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.sub(r"\*+", "*", pattern))

    assert matches(pattern, text) is bool(re.fullmatch(meaning, text, re.DOTALL))


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "*" * 500, "?*" * 200 + "b", "a*" * 240 + "c", "x"])
def test_a_hostile_pattern_reads_each_character_once(pattern):
    CountedText.reads = 0

    matches(pattern, CountedText("a" * 5000))

    assert CountedText.reads == 5000
