"""Amounts and hosts as they are read from texts."""

import pytest

from approvals import mentions


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("We refund 40 EUR.", ["40 EUR"]),
        ("We refund EUR 40", ["EUR 40"]),
        ("€1.200,50 now", ["€1.200,50"]),
        ("$5", ["$5"]),
        ("a fee of 12 dollars", ["12 dollars"]),
        ("20 % off, or 15 percent", ["20 %", "15 percent"]),
        ("5€ and 5€", ["5€"]),
        ("order 48213 of 2026", []),
    ],
)
def test_amounts_are_read(text, amounts):
    assert mentions.amounts_in(text) == amounts


def test_an_amount_is_new_when_its_digits_were_not_said():
    assert mentions.new_amounts("€40 or 50 EUR", "it was 40,- or 40 EUR") == ["50 EUR"]


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://Shop.Example/x", "shop.example"),
        ("https://www.shop.example./x", "shop.example"),
        ("https://good.example@evil.example/", "evil.example"),
        ("https://evil.example\\@good.example/", "evil.example"),
        ("https:/evil.example/x", "evil.example"),
        ("https:\\\\evil.example/x", "evil.example"),
        ("https:evil.example", "evil.example"),
        ("//evil.example/x", "evil.example"),
        ("https://ev%69l.example/", "evil.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("www.evil.example/x", "evil.example"),
        ("/relative", ""),
        ("mailto:a@b.example", ""),
        ("https://[broken", ""),
    ],
)
def test_a_host_is_read_as_a_browser_would(link, host):
    assert mentions.host_of(link) == host


def test_hosts_of_a_text_are_each_named_once():
    text = 'See https://a.example, http://a.example/2! Or www.b.example: (<a href="https:\\\\c.example">)'

    assert mentions.link_hosts_in(text) == ["a.example", "b.example", "c.example"]
