"""Posting to addresses that people type in. Whatever the name resolves to, nothing inside the network is reached.

The name is resolved once, every answer must be public, and the connection goes to an address that was checked, with
the name kept for TLS. Nothing is followed, and of the answer only the status is read.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from django.conf import settings
from django.utils.translation import gettext as _

from agentmail.addresses import AddressError, parse_address

PORTS = (443, 8443)
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
URL_CHARACTERS = 500
# IPv4 inside IPv6: what is behind these is decided by a translator on the way.
_TRANSLATED = tuple(
    ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


class AddressRefused(Exception):
    """The address may not be posted to; the message says why, for the person who typed it."""


class NotReached(Exception):
    """Nobody answered, or not as one must. The message says which, without the address."""


@dataclass(frozen=True, slots=True)
class Target:
    scheme: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """Take a URL apart, without asking anybody. Raises AddressRefused."""
    if len(url) > URL_CHARACTERS:
        raise AddressRefused(
            _("The address is longer than %(limit)d characters.") % {"limit": URL_CHARACTERS}
        )
    if any(character <= " " or character == "\x7f" for character in url):
        raise AddressRefused(_("The address holds a space or a control character."))
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise AddressRefused(_("This is not an address.")) from error
    is_loopback = settings.NOTIFICATIONS_TO_LOOPBACK and _is_loopback(host)
    if parts.scheme != "https" and not (is_loopback and parts.scheme == "http"):
        raise AddressRefused(_("The address must begin with https://."))
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused(_("The address must name a host, without a user, a password or a fragment."))
    if not is_loopback and (port or 443) not in PORTS:
        raise AddressRefused(_("The port must be one of %(ports)s.") % {"ports": ", ".join(map(str, PORTS))})
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return Target(parts.scheme, _ascii_host(host), port or (443 if parts.scheme == "https" else 80), path)


def check(url: str) -> Target:
    """Take a URL apart and resolve its name as a delivery would. Raises AddressRefused."""
    target = target_of(url)
    _addresses(target)
    return target


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post once and give the status. Raises AddressRefused or NotReached; a redirect is NotReached."""
    target = target_of(url)
    address = _addresses(target)[0]
    options: dict[str, object] = {
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        "retries": False,
        "maxsize": 1,
    }
    pool: urllib3.HTTPConnectionPool
    if target.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            address,
            target.port,
            server_hostname=target.host,
            assert_hostname=target.host,
            **options,  # type: ignore[arg-type]
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, target.port, **options)  # type: ignore[arg-type]
    try:
        answer = pool.urlopen(
            "POST",
            target.path,
            body=body,
            headers={**headers, "Host": _host_header(target), "Accept-Encoding": "identity"},
            redirect=False,
            retries=False,
            preload_content=False,
        )
        status = int(answer.status)
        answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotReached(_("No answer: %(why)s") % {"why": type(error).__name__}) from error
    finally:
        pool.close()
    if 300 <= status < 400:
        raise NotReached(
            _("It answered with a redirect (%(status)d), which is not followed.") % {"status": status}
        )
    return status


def _addresses(target: Target) -> list[str]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(_("The host is not known.")) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise AddressRefused(_("The host is not known."))
    may_loopback = settings.NOTIFICATIONS_TO_LOOPBACK and _is_loopback(target.host)
    if not all(_is_public(address) or (may_loopback and _is_loopback(address)) for address in addresses):
        raise AddressRefused(_("The host is inside a private network, or another that is not public."))
    return addresses


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None or any(found in network for network in _TRANSLATED):
            return False
        if found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ascii_host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host == "localhost":
        return host
    try:
        return parse_address(f"host@{host}").partition("@")[2]
    except AddressError as error:
        raise AddressRefused(_("This host cannot be written to: %(why)s") % {"why": error}) from error


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    default = 443 if target.scheme == "https" else 80
    return host if target.port == default else f"{host}:{target.port}"
