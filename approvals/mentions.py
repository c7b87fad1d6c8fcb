"""Amounts and places that a text mentions, read by plain patterns; what notes and rules have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

from agentmail.mail_html import links
from agentmail.models import Message
from approvals.models import Revision

_LINK = re.compile(r"""(?:https?:[/\\]+|\bwww\.)[^\s<>"')\]]+""", re.IGNORECASE)
# As browsers read them: any number of slashes, of either kind, stands between scheme and host.
_SCHEME = re.compile(r"\s*(https?|ftp):[/\\]*", re.IGNORECASE)
_CURRENCY = r"(?:EUR|USD|GBP|CHF|JPY)"
_NUMBER = r"\d[\d.,]{0,30}"
# No part repeats without a limit, so that a page of digits takes no longer than a page of words.
_AMOUNT = re.compile(
    rf"(?:[€£$¥]\s?\d[\d.,]{{0,30}}\d|[€£$¥]\s?\d|\b{_CURRENCY}\s?{_NUMBER}"
    rf"|{_NUMBER}\s?(?:[€£$¥%]|{_CURRENCY}\b|(?:euros?|dollars?|pounds|percent)\b))",
    re.IGNORECASE,
)


def amounts_in(text: str) -> list[str]:
    """The amounts of money and the percentages of a text as written, each once."""
    return once(_AMOUNT.findall(text))


def new_amounts(text: str, said: str) -> list[str]:
    """The amounts of a text whose digits are in no amount of what was said before."""
    known = {_digits(amount) for amount in amounts_in(said)}
    return [amount for amount in amounts_in(text) if _digits(amount) not in known]


def link_hosts_in(text: str) -> list[str]:
    """The hosts of the web addresses in a text or in the source of HTML, in their ASCII form, each once."""
    # What ends a sentence is no part of an address.
    return once(host_of(link.rstrip(".,;:!?")) for link in _LINK.findall(text))


def link_hosts_of(revision: Revision) -> list[str]:
    """Every host that a draft leads to, by a written address or by a link of its HTML."""
    written = "\n".join((revision.body_text or revision.body, revision.body, revision.body_html))
    targets = [host_of(target) for _text, target in links(revision.body)] if revision.body_html else []
    return once([*link_hosts_in(written), *filter(None, targets)])


def said_in(messages: Sequence[Message]) -> str:
    """Everything the messages of a conversation say, their HTML included."""
    return "\n".join(f"{message.subject}\n{message.body_text}\n{message.body_html}" for message in messages)


def host_of(link: str) -> str:
    """The host of an address without "www." and closing dots, in its ASCII form; empty when it has none."""
    text = link.strip().replace("\\", "/")
    if text[:4].lower() == "www.":
        text = f"https://{text}"
    try:
        host = unquote(urlsplit(_SCHEME.sub(r"\1://", text, count=1)).hostname or "")
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        return host.lower().rstrip(".").removeprefix("www.")
    except (ValueError, UnicodeError):
        return ""


def once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _digits(amount: str) -> str:
    return "".join(filter(str.isdigit, amount))
