"""How the text of a mail is set on a page."""

import pytest

from approvals.templatetags.mail import looks_like_its_text, paragraphs, visible


def test_empty_lines_become_gaps_that_keep_every_character():
    assert paragraphs(visible("a\n\nb\n \n\nc\nd")) == (
        'a<span class="gap">\n\n</span>b<span class="gap">\n \n</span><span class="gap">\n</span>c\nd'
    )


def test_gaps_are_made_of_escaped_text_only():
    assert paragraphs("<b>\n\n</b>") == '&lt;b&gt;<span class="gap">\n\n</span>&lt;/b&gt;'


@pytest.mark.parametrize(
    "html",
    ["<p>Hello</p><br/>", '<b>yes</b> <a href="https://shop.example/">shop</a>', "<UL><LI>one</LI></UL>"],
)
def test_mail_that_only_parts_lines_and_stresses_words_looks_like_its_text(html):
    assert looks_like_its_text(html)


@pytest.mark.parametrize(
    "html",
    [
        '<p style="display:none">no</p>',
        '<a href="https://shop.example/" title="x">shop</a>',
        "<img src=x>",
        "<!-- no -->",
        "<table><tr><td>1</td></tr></table>",
        "<p hidden>no</p>",
        "a < b",
    ],
)
def test_all_other_mail_has_to_be_looked_at(html):
    assert not looks_like_its_text(html)
