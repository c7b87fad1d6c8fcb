"""Passwords, keys and card numbers in a text, by the form they are written in."""

from __future__ import annotations

import re
from collections.abc import Iterator

# An attempt starts only where a word starts, and no part repeats without a limit or over what another attempt has
# read, so that the time is linear.
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r"|(?<![\w-])(?:(?:AKIA|ASIA)[0-9A-Z]{16}(?![\w-])|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22}"
    r"|xox[abprs]-[\w-]{10,}|[rs]k_live_[\w-]{10,}|sk-[\w-]{20,}|AIza[\w-]{35}|eyJ[\w-]{10,}\.eyJ[\w-]{10,})"
)
_NAMED = re.compile(
    r"(?<!\w)(?:passwor[dt]|passcode|passphrase|pin|api[ _-]?key|(?:access|secret|client)[ _-](?:key|secret)|token)"
    r"(?:\s{0,3}[:=]|\s{1,3}is)\s{0,3}(?=\S{0,63}\d)(\S{4,64})",
    re.IGNORECASE,
)
_CARD = re.compile(
    r"(?<![\w+-])(?:[3-6]\d{12,15}|[4-6]\d{3}([ -])\d{4}\1\d{4}\1\d{1,4}|3\d{3}([ -])\d{6}\2\d{5})(?![\w-])"
)


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Where a text seems to hold a secret, and what it is there; a named secret without its name. Linear in time."""
    for match in _SECRET.finditer(text):
        yield match.start(), match.group()
    for match in _NAMED.finditer(text):
        yield match.start(1), match.group(1)
    for match in _CARD.finditer(text):
        if _is_card(match.group()):
            yield match.start(), match.group()


def _is_card(written: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1)."""
    digits = [int(c) for c in reversed(written) if c.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
