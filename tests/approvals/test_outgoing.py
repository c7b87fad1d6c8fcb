"""Addresses that people type in reach nothing inside the network."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from approvals import outgoing
from tests.agentmail.loopback import Line, Server


@pytest.fixture
def inside() -> Iterator[Server]:
    def answer(line: Line) -> None:
        if line.read_request() is not None:
            line.answer(200, {"secret": "of the inside"})

    with Server([answer]) as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://user:password@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https:///nobody",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: other",
        "https://localhost/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
        "https://[fd00::1]/",
        "https://[ff02::1]/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://1.2.3.4:99999/",
        "https://" + "a" * 600 + ".example.com/",
    ],
)
def test_an_address_that_is_not_public_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(outgoing.AddressRefused):
        outgoing.check(url)


@pytest.mark.parametrize("url", ["https://93.184.215.14/hook?x=1", "https://[2606:2800:21f:cb07::1]:8443/"])
def test_a_public_address_passes(url: str) -> None:
    assert outgoing.check(url).scheme == "https"


def test_loopback_is_reached_only_where_the_setting_allows_it(inside: Server, settings: Any) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = False
    with pytest.raises(outgoing.AddressRefused):
        outgoing.post(inside.uri, b"{}", {})
    assert inside.requests == []

    settings.NOTIFICATIONS_TO_LOOPBACK = True
    assert outgoing.post(f"{inside.uri}/hook?x=1", json.dumps({}).encode(), {"X-Test": "1"}) == 200

    [request] = inside.requests
    assert (request.method, request.target, request.headers["x-test"]) == ("POST", "/hook?x=1", "1")


def test_a_redirect_is_not_followed(settings: Any, inside: Server) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True

    def redirect(line: Line) -> None:
        if line.read_request() is not None:
            line.answer(307, {}, Location=inside.uri)

    with Server([redirect]) as server, pytest.raises(outgoing.NotReached, match="redirect"):
        outgoing.post(server.uri, b"{}", {})
    assert inside.requests == []


def test_nobody_there_is_told_without_the_address(settings: Any) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    with Server([]) as gone:
        address = gone.uri

    with pytest.raises(outgoing.NotReached) as refusal:
        outgoing.post(address, b"{}", {})

    assert "127.0.0.1" not in str(refusal.value)


def test_a_name_that_nobody_resolves_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: released.wait() and [])

    try:
        with pytest.raises(outgoing.AddressRefused, match="in time"):
            outgoing.fetch(
                "https://slow.example/a.png", {}, most_bytes=10, most_characters=100, whole_seconds=0.2
            )
    finally:
        released.set()


def test_a_receiver_that_talks_too_slowly_is_cut_off(settings: Any) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True

    def drip(line: Line) -> None:
        line.read_request()
        for _ in range(100):
            line.write(b"X")
            line.server.released.wait(0.1)

    begun = time.monotonic()
    with Server([drip]) as server, pytest.raises(outgoing.NotReached):
        outgoing.post(server.uri, b"{}", {}, whole_seconds=0.5)

    assert time.monotonic() - begun < 5
