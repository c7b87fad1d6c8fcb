"""The pictures of the documentation: every page has one, and every one is shown."""

import re
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from django.urls import NoReverseMatch, Resolver404, URLPattern, get_resolver, resolve, reverse

from tests.pages.pages import browser

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "pages.md"
IMAGE = re.compile(r"\]\(([^)]*\.png)\)")
ADDRESS = re.compile(r"^`(/[^`]*)`$", re.MULTILINE)
NOWHERE = "/no-such-page/"
# What may stand for a row of the desk in an address.
ROWS = ("00000000-0000-0000-0000-000000000001", "1", "a" * 64)
# What answers a GET and is no page: files, and parts of a page.
PARTS = {
    "account_logout",
    "approvals:attachment",
    "approvals:attachment_picture",
    "approvals:attachment_thumbnail",
    "approvals:beside",
    "approvals:first_sync",
    "approvals:front",
    "approvals:inbound_body",
    "approvals:job_file",
    "approvals:message_attachment",
    "approvals:message_attachment_picture",
    "approvals:message_attachment_thumbnail",
    "approvals:message_body",
    "approvals:message_source_file",
    "approvals:oversight_report_export",
    "approvals:recipients_export",
    "approvals:revision_body",
    "approvals:rules_export",
    "approvals:sent_elsewhere_body",
    "gateway:api_document",
}


def routes(patterns, spaces=()):
    for pattern in patterns:
        if not isinstance(pattern, URLPattern):
            space = (pattern.namespace,) if pattern.namespace else ()
            yield from routes(pattern.url_patterns, (*spaces, *space))
        elif pattern.name:
            yield ":".join((*spaces, pattern.name)), len(pattern.pattern.converters)


def address_of(name, count):
    for rows in product(ROWS, repeat=count):
        with suppress(NoReverseMatch):
            return reverse(name, args=rows)
    raise AssertionError(f"{name} has an address that this test cannot write")


def view_of(address):
    parts = address.split("<id>")
    for rows in product(ROWS, repeat=len(parts) - 1):
        with suppress(Resolver404):
            return resolve("".join(map("".join, zip(parts, (*rows, ""), strict=True)))).view_name
    raise AssertionError(f"{address} is no address of the desk")


@pytest.mark.django_db
def test_every_page_has_a_picture(carol):
    shown = {view_of(one) for one in ADDRESS.findall(DOCUMENT.read_text()) if one != NOWHERE}
    client = browser(carol)
    ours = ("approvals:", "gateway:", "account_")

    missing = [
        name
        for name, rows in routes(get_resolver().url_patterns)
        if name.startswith(ours)
        and name not in shown | PARTS
        and client.get(address_of(name, rows)).status_code != 405
    ]

    assert not missing, " ".join(missing)


def test_every_picture_is_there_and_shown():
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {(text.parent / image).resolve() for text in texts for image in IMAGE.findall(text.read_text())}

    assert shown == set((ROOT / "docs" / "images").rglob("*.png"))
