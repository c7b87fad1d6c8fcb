"""The one form of address that may be sent to (security.md section 3.5). Everything else is refused."""

from __future__ import annotations

import re
import unicodedata

import idna
from django.utils.translation import gettext as _

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class AddressError(ValueError):
    """The address is not in the strict form; the text says what is wrong with it, for a person."""


def parse_address(text: str) -> str:
    """Return the address normalised: local part as written, domain as lower-case A-labels.

    Accepts a dot-atom local part of ASCII up to 64, one `@`, and a domain of at least two LDH labels up to
    253 after UTS46 (non-transitional, strict). Anything else raises `AddressError`.
    """
    if not text:
        raise AddressError(_("The address is empty."))
    _check_visible(text)
    if text.count("@") != 1:
        raise AddressError(_("An address has exactly one @."))
    local_part, domain = text.split("@")
    _check_local_part(local_part)
    return f"{local_part}@{_domain(domain)}"


def parse_domain(text: str) -> str:
    """Return a domain as lower-case A-labels, by the rules of `parse_address`. Raises `AddressError`."""
    _check_visible(text)
    return _domain(text)


def is_well_formed(text: str) -> bool:
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def ascii_form(text: str) -> str:
    """The address with an international domain written as A-labels; one outside the strict form stays as it is."""
    if text.isascii():
        return text
    try:
        return parse_address(text)
    except AddressError:
        return text


def _check_visible(text: str) -> None:
    for character in text:
        if unicodedata.category(character)[0] in "CZ":
            raise AddressError(
                _("The address contains a space or an invisible character (U+%(code)s).")
                % {"code": f"{ord(character):04X}"}
            )


def _check_local_part(local_part: str) -> None:
    if not local_part:
        raise AddressError(_("There is nothing before the @."))
    if not local_part.isascii():
        raise AddressError(_("The part before the @ has letters outside ASCII."))
    if len(local_part) > 64:
        raise AddressError(_("The part before the @ is longer than 64 characters."))
    if "!" in local_part or "%" in local_part:
        raise AddressError(_("The part before the @ routes through another host (! or %)."))
    if '"' in local_part:
        raise AddressError(_("Quoted addresses are not accepted."))
    if not _LOCAL_PART.fullmatch(local_part):
        raise AddressError(_("The part before the @ has a character or a dot where none may stand."))


def _domain(domain: str) -> str:
    if not domain:
        raise AddressError(_("There is no domain."))
    if domain.startswith("["):
        raise AddressError(_("Numeric hosts in brackets are not accepted."))
    if domain.endswith("."):
        raise AddressError(_("The domain ends with a dot."))
    if unicodedata.normalize("NFKC", domain) != domain:
        raise AddressError(_("The domain contains letters in a form that stands for others."))
    try:
        encoded = domain.lower() if domain.isascii() else _a_labels(domain)
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(_("The domain is no valid international name.")) from error
    if encoded.count(".") != domain.count("."):
        raise AddressError(_("The domain contains a look-alike of a dot."))
    labels = encoded.split(".")
    if len(encoded) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError(_("The domain is not a valid host name."))
    if labels[-1].isdigit():
        raise AddressError(_("The domain is a number, not a name."))
    if any(label[2:4] == "--" for label in labels):
        _check_a_labels(labels)
    return encoded


def _a_labels(domain: str) -> str:
    return idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode("ascii").lower()


def _check_a_labels(labels: list[str]) -> None:
    # An A-label that does not decode to a name and back could be shown as one name and delivered to another.
    for label in labels:
        if label[2:4] != "--":
            continue
        try:
            if not label.startswith("xn--") or _a_labels(idna.decode(label)) != label:
                raise AddressError(_("The domain is no valid international name."))
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(_("The domain is no valid international name.")) from error
