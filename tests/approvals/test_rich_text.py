"""What the editor of letters is given, and what is taken from it."""

import hashlib
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.rich_text import NotKept, encoded, letter_of, with_middle
from tests.agentmail.test_mail_html import HOSTILE

VENDOR = Path(__file__).resolve().parents[2] / "static" / "vendor"
SIGNED = (
    '<p style="color:red">Dear Casey,</p>\n<p>Yes.</p>\n'
    '<div class="gmail_signature"><table><tr><td>Ann</td></tr></table></div>'
)


@pytest.mark.parametrize(
    ("html", "pieces"),
    [
        ("<p>a</p><p>b<br>c</p>", ["<p>a</p>", "<p>b<br>c</p>"]),
        ("a <b>x</b><br>y<p>z</p> tail", ["a <b>x</b><br>y", "<p>z</p>", " tail"]),
        ("\n<html><body>\n<p>a</p>\n</body></html>\n", ["<p>a</p>"]),
        ("<ul><li>1</li><li>2</li></ul>", ["<ul><li>1</li><li>2</li></ul>"]),
        ("<p>a &amp; <a href='https://e.example/?a=1'>b</a></p>", None),
    ],
)
def test_a_letter_is_cut_at_its_top_level_and_is_whole_again(html, pieces):
    letter = letter_of(html)

    assert letter.obstacle == ""
    assert list(letter.pieces) == (pieces or [html])
    assert letter.before + letter.middle + letter.after == html


@pytest.mark.parametrize(
    ("html", "named"),
    [
        ("<table><tr><td>x</td></tr></table>", "<table>"),
        ("<p>x</p><table><tr><td>x</td></tr></table><p>y</p>", "<table>"),
        ("<p>x</p><hr><p>y</p>", "<hr>"),
        ("<p>x <img src='https://e.example/x.png'></p>", "<img>"),
        ("<p>a<!-- b -->c</p>", "comment"),
        ("<style>p{}</style><p>x</p>", "<style>"),
        ("<p id=x>y</p>", "id"),
        ("<p onclick='x()'>y</p>", "onclick"),
        ("<p><a href='javascript:x()'>y</a></p>", "no web or mail address"),
        ("<p><a href='java&#10;script:x()'>y</a></p>", "no web or mail address"),
        ("<p style='white-space:pre'>y</p>", "line ends"),
        ("<p style='color:rgb(0 0 0 / 0)'>y</p>", "loads or places"),
        ("<p>x</b>", "not closed in order"),
        ("<p>1 < 2</p>", "cannot be read with certainty"),
        ("<p>" + "x" * 200_000 + "</p>", "200000"),
        ("<p>x</p>" * 1501, "1500"),
        ("<p> </p>", "no text"),
    ],
)
def test_what_would_not_be_kept_is_named(html, named):
    assert named in letter_of(html).obstacle


def test_a_signature_at_the_end_is_left_out_of_the_editor():
    letter = letter_of(SIGNED)

    assert letter.pieces == ('<p style="color:red">Dear Casey,</p>\n', "<p>Yes.</p>\n")
    assert letter.after.startswith('<div class="gmail_signature">')


def test_a_signature_behind_two_dashes_is_left_out_of_the_editor():
    letter = letter_of("<p>Yes.</p><p>-- </p><p>Ann</p>")

    assert (letter.middle, letter.after) == ("<p>Yes.</p>", "<p>-- </p><p>Ann</p>")


def test_untouched_pieces_keep_their_bytes():
    letter = letter_of(SIGNED.replace("\n", "\r\n"))

    made = with_middle(letter, letter.middle.replace("\r\n", "\n").replace("Yes.", "<b>No.</b>"))

    assert made == SIGNED.replace("\n", "\r\n").replace("<p>Yes.</p>\r\n", "<p><b>No.</b></p>\n")


def test_nothing_touched_is_the_same_letter():
    letter = letter_of(SIGNED.replace("\n", "\r\n"))

    assert with_middle(letter, letter.middle) == SIGNED.replace("\n", "\r\n")


def test_the_attributes_of_the_letter_are_numbers_in_the_editor():
    shown = encoded(
        letter_of(
            '<p style="color:red" dir=ltr>a <a href="https://e.example/?a=1&amp;b=2" target="_blank">b</a></p>'
        )
    )

    assert shown.pieces == (
        '<p class="kept-0">a <a class="kept-1" href="https://e.example/?a=1&amp;b=2">b</a></p>',
    )
    assert shown.attributes == ('style="color:red" dir=ltr', 'target="_blank"')
    assert shown.styles == ("color:red", "")


def test_an_address_between_other_attributes_is_taken_out_of_them():
    shown = encoded(letter_of('<p><a title="x" href="https://e.example/"  rel="nofollow">b</a></p>'))

    assert shown.attributes == ('title="x" rel="nofollow"',)


@pytest.mark.parametrize("hostile", [*HOSTILE, '<p style="position:fixed">x</p>', '<p class="btn">x</p>'])
def test_hostile_html_is_refused_from_the_editor_and_never_stripped(hostile):
    letter = letter_of("<p>a</p>")

    with pytest.raises(NotKept):
        with_middle(letter, f"<p>a</p>{hostile}")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_html_of_an_agent_never_gets_into_the_editor(hostile):
    letter = letter_of(f"<p>before</p>{hostile}<p>after</p>")

    assert letter.obstacle
    assert letter.pieces == ()


_parts = st.sampled_from(
    [*HOSTILE, "<p>", "</p>", "<b>", "</b>", "<br>", "text", " ", "<!--", "-->", '<p style="x">',
     "<ul><li>1</li></ul>", "&lt;"]
)  # fmt: skip


@given(st.lists(_parts, max_size=12))
def test_whatever_is_cut_is_whole_again(parts):
    html = "".join(parts)
    letter = letter_of(html)

    if not letter.obstacle:
        assert letter.before + letter.middle + letter.after == html
        assert with_middle(letter, letter.middle) == html
        for shown in encoded(letter).pieces:
            assert not re.search(r"<[^>]*\s(?:on\w+|style)\s*=", shown)


def test_a_hostile_style_takes_time_in_proportion():
    def seconds(size):
        html = f'<p style="{"a(" * (size // 2)}">x</p>'
        start = time.process_time()
        letter_of(html)
        return time.process_time() - start

    small, large = (min(seconds(size) for _ in range(3)) for size in (20_000, 160_000))
    # In proportion is a factor of 8, quadratic one of 64.
    assert large < 24 * small + 0.2


def test_the_programs_of_others_are_those_their_list_names():
    listed = dict(
        re.findall(r"^\| `([^`]+/[^`]+)` \| `([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.M)
    )
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.glob("*/*")
    }

    assert listed == there
    for folder in VENDOR.iterdir():
        assert not folder.is_dir() or any(path.name.startswith("LICENSE") for path in folder.iterdir())
