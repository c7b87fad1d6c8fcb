import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmail.mail_html import (
    Cleaned,
    clean,
    cleaned,
    hidden_text,
    is_html,
    links,
    text_in_tags,
    to_text,
    with_images,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='\u2028javascript:alert(1)'>x</a>",
    "<form action=https://evil.example><input name=q><button formaction=//evil.example>go</button></form>",
    "<base href=//evil.example><p>x</p>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import url(//evil.example);</style>",
    "<p style='background:url(//evil.example/x)'>x</p>",
    "<p style='color:red;background-color:u\\72l(//evil.example)'>x</p>",
    "<p style='width:expression(alert(1))'>x</p>",
    "<p style='position:fixed;top:0'>x</p>",
    "<table background=//evil.example/x><tr><td background=//evil.example>x</table>",
    "<video poster=//evil.example src=//evil.example></video>",
    "<object data=//evil.example><embed src=//evil.example>",
    "<img src=//evil.example/x.gif>",
    "<img srcset='//evil.example/x 2x'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<img src='data:text/html,<script>alert(1)</script>'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<p id=location class=x name=body>x</p>",
    "<!--><script>alert(1)</script>-->",
    "<div title='<img src=//evil.example>'>x</div>",
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<template><img src=x onerror=alert(1)></template>",
]
ALLOWED_ATTRIBUTES = {
    "align", "alt", "bgcolor", "border", "cellpadding", "cellspacing", "color", "colspan", "data-image", "dir", "face",
    "height", "lang", "rowspan", "size", "span", "src", "start", "style", "type", "valign", "value", "width",
}  # fmt: skip


def assert_harmless(cleaned):
    # A second parser, that of the standard, reads what the browser will read.
    tree = html5lib.parseFragment(cleaned, treebuilder="etree", namespaceHTMLElements=False)
    for element in tree.iter():
        assert element.tag not in (
            "script",
            "style",
            "iframe",
            "form",
            "input",
            "svg",
            "math",
            "base",
            "meta",
            "link",
        )
        assert set(element.attrib) <= ALLOWED_ATTRIBUTES
        assert element.attrib.get("src", "data:image/png").startswith(("data:image/png", "data:image/gif"))
        style = element.attrib.get("style", "").lower()
        assert not any(bad in style for bad in ("url", "expression", "\\", "position", "display"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_html_is_harmless_after_cleaning(hostile):
    assert_harmless(clean(f"<p>before</p>{hostile}<p>after</p>"))


fragments = st.sampled_from(
    [*HOSTILE, "<table>", "</table>", "<td>", "<b>", "</b>", "<p>", "</p>", "<select>", "<!--", "-->",
     "<![CDATA[", "]]>", "<math>", "<svg>", "<style>", "</style>", "<title>", "</title>", "'", '"',
     "<textarea>", "<a href=x>",
     "&lt;img>", "x"]
)  # fmt: skip


@given(st.lists(fragments, max_size=12))
def test_any_mixture_is_harmless_after_cleaning(parts):
    assert_harmless(clean("".join(parts)))


@given(st.lists(fragments | st.text(max_size=5), max_size=12))
def test_no_html_breaks_the_text_side(parts):
    html = "".join(parts)

    assert isinstance(to_text(html), str)
    assert isinstance(links(html), list)
    assert isinstance(hidden_text(html), list)


def test_layout_and_colours_are_kept():
    html = '<table width="100%"><tr><td align="right" style="color: red; padding: 2px">1</td></tr></table>'

    assert clean(html) == (
        '<table width="100%"><tbody><tr>'
        '<td align="right" style="color:red;padding:2px">1</td></tr></tbody></table>'
    )


def test_remote_image_becomes_its_alternative_text():
    html = '<p>See <img src="https://t.example/x.gif" alt="our &lt;logo&gt;"> and <img src="cid:1"></p>'

    assert cleaned(html) == Cleaned(
        '<p>See <span data-image="0">[image: our &lt;logo&gt;]</span> and [image]</p>',
        ("https://t.example/x.gif",),
    )


PICTURE = "data:image/png;base64,AAAA"


def test_remote_image_is_put_in_its_place_on_demand():
    html = '<p>a<img src="https://t.example/1" alt=one>b<img src="http://t.example/2" alt=\'"2\'>c</p>'

    shown = with_images(clean(html), {1: PICTURE})

    assert shown == (
        f'<p>a<span data-image="0">[image: one]</span>b<img src="{PICTURE}" alt="[image: &quot;2]">c</p>'
    )
    assert_harmless(shown)


@pytest.mark.parametrize(
    "source", ["https://t.example/x", "data:text/html,x", "data:image/svg+xml;base64,AA", '"><b>']
)
def test_nothing_but_an_inline_picture_is_put_in_the_place_of_an_image(source):
    html = clean('<img src="https://t.example/1" alt=one>')

    assert with_images(html, {0: source}) == html


def test_a_mail_cannot_bring_places_of_images_of_its_own():
    assert clean('<span data-image="0">[image]</span>') == "<span>[image]</span>"


def test_text_in_tag_characters_is_read():
    planted = "".join(chr(0xE0000 + ord(letter)) for letter in "forward this")

    assert text_in_tags(f"Hello{planted} there") == ["forward this"]
    assert text_in_tags("a flag \U0001f3f4") == []


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif"])
def test_inline_image_is_kept(kind):
    html = f'<img src="data:image/{kind};base64,AAAA" alt="x">'

    assert f"data:image/{kind};base64,AAAA" in clean(html)


def test_link_keeps_its_text_and_loses_its_target():
    assert clean('<a href="https://bank.example">Pay here</a>') == "<a>Pay here</a>"


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "font-size:0",
        "font-size: 1px",
        "font-size:0.1em",
        "text-indent:-9999px",
        "text-indent:-99em",
        "margin:0 0 0 -500px",
        "margin-left:-100%",
        "height:0",
        "max-width: 0px",
        "letter-spacing:-1em",
        "color:transparent",
        "color: rgba(10, 20, 30, 0)",
        "color:#00000000",
    ],
)
def test_text_that_the_style_hides_is_shown(style):
    assert clean(f'<div style="{style}">secret</div>') == "<div>secret</div>"
    assert hidden_text(f'<div style="{style}">secret</div>') == ["secret"]


def test_html_above_the_limit_becomes_text_with_a_note():
    cleaned = clean("<p>first</p>" + "<b>x</b>" * 70_000)

    assert "larger than 512 kB" in cleaned
    assert "<pre>first" in cleaned
    assert "<b>" not in cleaned


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 60_000,
        "".join(f"<font size={number}>" for number in range(9_000)) + "<p>" * 60_000,
        "<b>" * 60_000 + "<p>" * 60_000,
    ],
)
def test_html_built_to_grow_becomes_text_with_a_note(html):
    assert "only its text is shown" in clean(html)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>Hello</p>", True),
        ("Hello<br>World", True),
        ("<!DOCTYPE html>\n<html>", True),
        ('<div dir="ltr">x</div>', True),
        ("Hello <anna@example.net> wrote", False),
        ("see <https://example.net/p>", False),
        ("a < b and c > d", False),
        ("<pre-order> number 5", False),
        ("", False),
    ],
)
def test_html_is_told_from_plain_text(body, expected):
    assert is_html(body) is expected


def test_text_keeps_paragraphs_lists_tables_and_quotes():
    html = (
        "<h1>Title</h1><p>Dear&nbsp;Anna,<br>two   lines</p><ul><li>one</li><li>two</li></ul>"
        "<table><tr><td>a</td><td>b</td></tr></table><blockquote><p>was said</p></blockquote>"
        "<script>no</script><style>no</style>"
    )

    assert to_text(html) == ("Title\n\nDear\xa0Anna,\ntwo lines\n\n- one\n- two\n\na\tb\n\n> was said")


def test_text_of_preformatted_parts_keeps_its_spaces():
    assert to_text("<pre>a  b\n  c</pre>") == "a  b\n  c"


def test_text_names_images():
    assert to_text('<p>x <img src=y alt="chart"></p>') == "x [image: chart]"


def test_links_list_text_and_target():
    html = (
        '<a href="https://evil.example/?a=1&amp;b=2"><b>bank</b>.example</a> <a name=x>no</a>'
        ' <a href="mailto:a@b.c">mail</a>'
    )

    assert links(html) == [("bank.example", "https://evil.example/?a=1&b=2"), ("mail", "mailto:a@b.c")]


def test_link_that_is_never_closed_is_listed():
    assert links("<a href=//x.example>text") == [("text", "//x.example")]


@pytest.mark.parametrize(
    "hidden",
    [
        '<div style="display:none">planted</div>',
        '<div style="DISPLAY : none !important"><p>planted</p></div>',
        '<span style="visibility:hidden">planted</span>',
        '<span style="font-size:0">planted</span>',
        '<span style="font-size:1px;line-height:1px">planted</span>',
        '<span style="opacity:0">planted</span>',
        '<span style="color:#fff">planted</span>',
        '<font color="white">planted</font>',
        '<td bgcolor="#336699" style="color:#336699">planted</td>',
        '<div style="position:absolute;left:-9999px">planted</div>',
        '<table bgcolor="#336699"><tr><td><b style="color:#336699">planted</b></td></tr></table>',
        '<div style="background:#eee"><p><span style="color: #eee">planted</span></p></div>',
        '<div style="background:transparent"><span style="color:white">planted</span></div>',
        '<div style="max-height:0;overflow:hidden">planted</div>',
        "<div hidden>planted</div>",
        "<!-- planted -->",
        '<div style="mso-hide:all">planted</div>',
    ],
)
def test_hidden_text_is_found(hidden):
    assert hidden_text(f"<p>visible</p>{hidden}<p>visible</p>") == ["planted"]


@pytest.mark.parametrize(
    "visible",
    [
        "<p>plain</p>",
        '<p style="font-size:10px;color:#333">plain</p>',
        '<td style="background-color:#000;color:#fff">plain</td>',
        '<table bgcolor="#000000"><tr><td><span style="color:#fff">plain</span></td></tr></table>',
        '<div style="background:#eee"><p style="background:#fff"><b style="color:#eee">plain</b></p></div>',
        "<!--[if mso]><table><![endif]-->",
        '<p style="opacity:0.9;max-width:600px">plain</p>',
        '<p style="background-color:transparent;border-color:transparent">plain</p>',
        '<p style="font-size:1em">plain</p>',
        '<p style="font-size:0.9rem;line-height:0">plain</p>',
        '<p style="font-size:1.5em;border-width:0;min-width:0">plain</p>',
        '<p style="color:#000;letter-spacing:-1px;margin-left:-15px">plain</p>',
        '<p style="color:rgb(0,0,0)">plain</p>',
    ],
)
def test_visible_text_is_not_listed_as_hidden(visible):
    assert hidden_text(visible) == []
