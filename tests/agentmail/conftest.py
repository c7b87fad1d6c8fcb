from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from agentmail.client import NylasClient
from tests.agentmail.loopback import Script, Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(Server(list(scripts)))


@pytest.fixture
def client_of() -> Callable[..., NylasClient]:
    def make(server: Server, **options: float) -> NylasClient:
        return NylasClient(server.uri, "key-1", **{"connect_timeout": 2.0, "read_timeout": 5.0, **options})

    return make


__all__ = ["Script"]
