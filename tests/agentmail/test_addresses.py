import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmail.addresses import AddressError, ascii_form, is_well_formed, parse_address


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("a@example.net", "a@example.net"),
        ("Anna.Berg+x@Example.NET", "Anna.Berg+x@example.net"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de"),
        ("a@пример.рф", "a@xn--e1afmkfd.xn--p1ai"),
        ("a" * 64 + "@example.net", "a" * 64 + "@example.net"),
    ],
)
def test_strict_address_is_normalised(text, normalised):
    assert parse_address(text) == normalised


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Anna@Example.NET", "Anna@Example.NET"),
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("ä@münchen.de", "ä@münchen.de"),
        ("a@\uff45xample.net", "a@\uff45xample.net"),
    ],
)
def test_only_a_sendable_international_domain_changes_its_form(text, form):
    assert ascii_form(text) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@example.net",
        "a@",
        "a@localhost",
        "x@evil.com@yourcompany.com",
        "a@example.net.",
        ".a@example.net",
        "a..b@example.net",
        "a.@example.net",
        '"a"@example.net',
        '"a@b"@example.net',
        "a b@example.net",
        "a(comment)@example.net",
        "<a@example.net>",
        "Anna <a@example.net>",
        "a@example.net,b@example.net",
        "group:a@example.net;",
        "@relay.example,@other.example:a@example.net",
        "a%b@example.net",
        "host!a@example.net",
        "a@[127.0.0.1]",
        "a@[IPv6:::1]",
        "a@127.0.0.1",
        "a@-example.net",
        "a@example-.net",
        "a@exam_ple.net",
        "a@example..net",
        "a@xn--zzzz.de",
        "a@ab--cd.de",
        "é@example.net",
        "a@example.net\r\nBcc: b@example.net",
        "a@exam\x00ple.net",
        "a@exam\u200bple.net",
        "a@exam\u202eple.net",
        "a@exam\u00adple.net",
        "a@example\uff0enet",
        "a@example\u3002net",
        "a@ex\uff20mple.net",
        "a@ⓔxample.net",
        "a@℀.net",
        "a" * 65 + "@example.net",
        "a@" + "b" * 64 + ".net",
        "a@" + ".".join(["b" * 60] * 5),
    ],
)
def test_anything_else_is_refused_with_a_reason(text):
    with pytest.raises(AddressError, match=r"\w"):
        parse_address(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text):
    assert is_well_formed(text) in (True, False)


@given(
    local_part=st.text(max_size=8),
    domain=st.text(alphabet=st.characters(codec="utf-8"), max_size=12),
    suffix=st.sampled_from([".com", ".de", ".рф", "", "."]),
)
def test_what_is_accepted_has_one_written_form(local_part, domain, suffix):
    try:
        address = parse_address(f"{local_part}@{domain}{suffix}")
    except AddressError:
        return

    assert address.isascii()
    assert address.count("@") == 1
    assert parse_address(address) == address
