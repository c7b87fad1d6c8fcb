"""From page to page by their links, to one page of each kind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.browser.desk import Person

LINKS = "(links) => links.map((link) => link.pathname + link.search)"
# Files and the frames of a letter are no pages of their own.
NO_PAGES = re.compile(r"/(export|body|file)/|/attachments?/(?!([^/]+/)?preview/($|\?))|\.json$")


def kind_of(address: str) -> tuple[str, tuple[str, ...]]:
    """Pages of one kind differ in the number or the name of their row only, or in the values of a filter."""
    path, _, query = address.partition("?")
    path = re.sub(r"/(?!v\d+/)[^/]*\d[^/]*(?=/)", "/#", path)
    return path, tuple(sorted(part.partition("=")[0] for part in query.split("&")))


def pages(one: Person, *begin: str) -> Iterator[str]:
    """Follow the links from page to page, to one page of each kind; give each address that was opened."""
    waiting = list(begin)
    seen = {kind_of(address) for address in begin}
    for address in waiting:
        one.go(address)
        yield address
        for found in one.page.locator("a[href^='/'], a[href^='?']").evaluate_all(LINKS):
            if kind_of(found) not in seen and not NO_PAGES.search(found):
                seen.add(kind_of(found))
                waiting.append(found)
