"""Names of the internet in the one form in which they are compared: lower case, A-labels, no dots around."""

from __future__ import annotations

import re

import idna

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def host_name(text: str) -> str:
    """A domain or host as it is compared. Raises ValueError for what is none."""
    name = text.strip().lower().rstrip(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True, std3_rules=True, transitional=False).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError(text) from error
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(text)
    return name


def domain_of(address: str) -> str:
    """What stands behind the last @, as it is compared; as written when it is no host name, empty without an @."""
    _local, at, domain = address.rpartition("@")
    if not at:
        return ""
    try:
        return host_name(domain)
    except ValueError:
        return domain.strip().lower()


def address_name(address: str) -> str:
    """A whole address as it is compared."""
    local, at, _domain = address.rpartition("@")
    return f"{local.strip().lower()}@{domain_of(address)}" if at else address.strip().lower()


def tld_of(address: str) -> str:
    return domain_of(address).rpartition(".")[2]
