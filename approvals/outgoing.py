"""Reaching addresses that people type in or mails name. Whatever they resolve to, nothing inside is reached.

The name is resolved once, within a time, every answer must be public, and the connection goes to an address that was
checked, with the name kept for TLS. A post follows nothing, and of its answer only the status is read, unless the
caller asks for a bounded beginning of it; what a fetch is led to is checked in the same way.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from django.conf import settings
from django.utils.translation import gettext as _

from agentmail.addresses import AddressError, parse_address

PORTS = (443, 8443)
PLAIN_PORT = 80
REDIRECTS = 3
PIECE_BYTES = 16 * 1024
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 5.0, 10.0, 15.0
# The system gives no time limit for a look-up of a name, so each has a thread of its own, and they are counted.
LOOK_UP_SECONDS, LOOK_UPS_AT_ONCE = 5.0, 32
URL_CHARACTERS = 500
# IPv4 inside IPv6: what is behind these is decided by a translator on the way.
_TRANSLATED = tuple(
    ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


_look_ups = threading.BoundedSemaphore(LOOK_UPS_AT_ONCE)


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a post: the status where there was one, and why it does not count as taken, or nothing."""

    status: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its first bytes; `retry_after` in seconds, None where it names none."""

    status: int
    body: bytes
    retry_after: int | None

    @property
    def trouble(self) -> str:
        """Why it does not mean that something was taken; empty from 200 to 299."""
        return "" if 200 <= self.status < 300 else _("It answered %(status)d.") % {"status": self.status}


def target_of(url: str, *, may_be_plain: bool = False, most_characters: int = URL_CHARACTERS) -> Target:
    """Take a URL apart, without asking anybody; http:// is for `may_be_plain` only. Raises AddressRefused."""
    if len(url) > most_characters:
        raise AddressRefused(
            _("The address is longer than %(limit)d characters.") % {"limit": most_characters}
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
    is_plain = parts.scheme == "http" and (is_loopback or may_be_plain)
    if parts.scheme != "https" and not is_plain:
        raise AddressRefused(_("The address must begin with https://."))
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused(_("The address must name a host, without a user, a password or a fragment."))
    ports = (PLAIN_PORT, *PORTS) if may_be_plain else PORTS
    if not is_loopback and (port or ports[0]) not in ports:
        raise AddressRefused(_("The port must be one of %(ports)s.") % {"ports": ", ".join(map(str, ports))})
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return Target(parts.scheme, _ascii_host(host), port or (443 if parts.scheme == "https" else 80), path)


def check(url: str) -> Target:
    """Take a URL apart and resolve its name as a delivery would. Raises AddressRefused."""
    target = target_of(url)
    _addresses(target)
    return target


def post(url: str, body: bytes, headers: Mapping[str, str], *, whole_seconds: float = WHOLE_SECONDS) -> int:
    """Post once and give the status. Raises AddressRefused or NotReached; a redirect is NotReached.

    After `whole_seconds`, the look-up of the name among them, the connection is cut off: its other limits begin anew
    with each byte.
    """
    return ask(url, body, headers, read_bytes=0, whole_seconds=whole_seconds).status


def ask(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    read_bytes: int,
    whole_seconds: float = WHOLE_SECONDS,
) -> Reply:
    """As `post`, with the first `read_bytes` of the answer and how long it asks to be left alone."""
    target = target_of(url)
    with _asked(target, "POST", headers, body=body, whole_seconds=whole_seconds) as answer:
        status = int(answer.status)
        begun = answer.read(read_bytes, decode_content=False) if read_bytes else b""
        wait = str(answer.headers.get("Retry-After", ""))
    if 300 <= status < 400:
        raise NotReached(
            _("It answered with a redirect (%(status)d), which is not followed.") % {"status": status}
        )
    return Reply(status, begun, int(wait) if wait.isdecimal() and len(wait) < 7 else None)


def fetch(
    url: str, headers: Mapping[str, str], *, most_bytes: int, most_characters: int, whole_seconds: float
) -> bytes:
    """Read what a web address gives, http:// or https://, through three redirects at most, each checked anew.

    Nothing of the desk or its person goes along: no cookies, no referrer. Raises AddressRefused, or NotReached for
    every answer but 200, for one over `most_bytes` and for one that takes longer than `whole_seconds` in all.
    """
    until = time.monotonic() + whole_seconds
    for _hop in range(REDIRECTS + 1):
        target = target_of(url.partition("#")[0], may_be_plain=True, most_characters=most_characters)
        left = until - time.monotonic()
        if left <= 0:
            break
        with _asked(target, "GET", headers, whole_seconds=left) as answer:
            if answer.status not in (301, 302, 303, 307, 308):
                return _content_of(answer, most_bytes)
            url = urljoin(url, answer.headers.get("Location", ""))
    raise NotReached(_("It leads on and on, or takes too long."))


def _content_of(answer: urllib3.BaseHTTPResponse, most_bytes: int) -> bytes:
    if answer.status != 200:
        raise NotReached(_("It answered %(status)d.") % {"status": answer.status})
    pieces: list[bytes] = []
    size = 0
    for piece in answer.stream(PIECE_BYTES, decode_content=False):
        size += len(piece)
        if size > most_bytes:
            raise NotReached(_("It is larger than %(limit)d MB.") % {"limit": most_bytes // 1_000_000})
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def _asked(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    *,
    whole_seconds: float,
    body: bytes | None = None,
) -> Iterator[urllib3.BaseHTTPResponse]:
    """Ask once, at an address that was checked; the answer is open while the caller reads it."""
    until = time.monotonic() + whole_seconds
    address = _addresses(target, within_seconds=min(LOOK_UP_SECONDS, whole_seconds))[0]
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
        with _cut_after(max(until - time.monotonic(), 0.0), pool):
            answer = pool.urlopen(
                method,
                target.path,
                body=body,
                headers={**headers, "Host": _host_header(target), "Accept-Encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            try:
                yield answer
            finally:
                answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotReached(_("No answer: %(why)s") % {"why": type(error).__name__}) from error
    finally:
        pool.close()


def tell(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post JSON once; an answer from 200 to 299 means that it was taken. Does not raise for what a receiver does."""
    try:
        reply = ask_in_json(url, body, headers, read_bytes=0)
    except (AddressRefused, NotReached) as error:
        return Answer(None, str(error))
    return Answer(reply.status, reply.trouble)


def ask_in_json(url: str, body: bytes, headers: Mapping[str, str], *, read_bytes: int) -> Reply:
    """As `ask`, for a body of JSON, with the headers that every message of the desk to a program has."""
    ours = {"Content-Type": "application/json", "User-Agent": "Countersign"}
    return ask(url, body, {**ours, **headers}, read_bytes=read_bytes)


@contextmanager
def _cut_after(seconds: float, pool: urllib3.HTTPConnectionPool) -> Iterator[None]:
    opened: list[socket.socket] = []
    plain: Any = pool.ConnectionCls

    class Watched(plain):
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            # TLS takes the socket over; this copy stays with us and leads to the same connection.
            opened.append(made.dup())
            return made

    def cut() -> None:
        for connection in opened:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    pool.ConnectionCls = Watched
    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for connection in opened:
            connection.close()


def _addresses(target: Target, *, within_seconds: float = LOOK_UP_SECONDS) -> list[str]:
    try:
        addresses = _looked_up(target, within_seconds)
    except TimeoutError as error:
        raise AddressRefused(_("Nobody said in time where the host is.")) from error
    except (OSError, UnicodeError) as error:
        raise AddressRefused(_("The host is not known.")) from error
    if not addresses:
        raise AddressRefused(_("The host is not known."))
    may_loopback = settings.NOTIFICATIONS_TO_LOOPBACK and _is_loopback(target.host)
    if not all(_is_public(address) or (may_loopback and _is_loopback(address)) for address in addresses):
        raise AddressRefused(_("The host is inside a private network, or another that is not public."))
    return addresses


def _looked_up(target: Target, seconds: float) -> list[str]:
    """What the system says of a name. Raises OSError, TimeoutError or UnicodeError; one that hangs goes on alone."""
    until = time.monotonic() + seconds
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)
        finally:
            _look_ups.release()

    if not _look_ups.acquire(timeout=seconds):
        raise TimeoutError
    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return found.result(timeout=max(until - time.monotonic(), 0.0))


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
