"""Two forms of one text compared by their words."""

import time

import pytest

from approvals.alternatives import LINE_CHARACTERS, LINES, sayings


def words(one, other):
    first, second = sayings(one, other)
    return first.words, second.words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello there", "HELLO\r\n\r\n  there!"),
        ("> Hello\n> there", "Hello there"),
        ("*Hello* there", "Hello there"),
        ("Pay here https://a.example/x?y", "Pay here"),
        ("Pay <mailto:a@b.example>", "Pay"),
        ("A plate [image: a plate] [cid:image001.png@01DA]", "A plate"),
        ("", " \n"),
    ],
)
def test_forms_that_only_look_different_say_the_same(one, other):
    assert words(one, other) == ([], [])


def test_each_form_is_asked_what_it_says_more_often():
    assert words("pay to account 11 now", "pay to account 22") == (["11", "now"], ["22"])
    assert words("no", "no no") == ([], ["no"])


def test_the_lines_are_those_where_the_words_stand_as_they_are_written():
    one, other = sayings(
        "Dear all,\nsee https://a.example and pay 11\n\nBye", "Dear all, see and pay 22. Bye"
    )

    assert one.lines() == ["see https://a.example and pay 11"]
    assert other.lines() == ["Dear all, see and pay 22. Bye"]


def test_words_beside_each_other_on_a_line_are_one_passage():
    one, other = sayings("pay DE00 0000 0000, to me\n1234 https://a.example 5678", "pay to me")

    assert one.passages == ["DE00 0000 0000", "1234", "5678"]
    assert other.passages == []
    assert sayings("x " * 500, "")[0].passages == ["x " * 50]


def test_lines_are_few_and_short_and_show_the_word():
    long, _other = sayings("\n".join(["a " * 500 + f"account{n}" for n in range(20)]), "a " * 10_000)

    assert len(long.lines()) == LINES
    assert all(len(line) <= LINE_CHARACTERS + 4 for line in long.lines())
    assert long.lines()[0].startswith("… ")
    assert long.lines()[0].endswith("account0")


def test_a_million_characters_are_compared_in_linear_time():
    began = time.process_time()
    sayings("word " * 200_000, "\n".join(f"word{n}" for n in range(150_000)))

    assert time.process_time() - began < 30
