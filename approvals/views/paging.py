"""Lists whose newest rows come first, a page at a time, each page beginning behind a row's number."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Model
from django.http import HttpRequest

LONGEST_NUMBER = 18


def number_of(text: str) -> int:
    """The number of a row, as it stood on a page; 0 for none and for a damaged one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else 0


def number_given(request: HttpRequest) -> int:
    """The number behind which the page begins; 0, the first page, for none and for a damaged one."""
    return number_of(request.GET.get("after", ""))


def paging_of(address: str, found: Sequence[Model], size: int, *, has_begun: bool) -> dict[str, str]:
    """What `components/paging.html` takes; `found` holds one row more than a page when there is another page."""
    return {
        "next_address": f"{address}?after={found[size - 1].pk}" if len(found) > size else "",
        "first_address": address if has_begun else "",
    }
