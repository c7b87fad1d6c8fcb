"""The oversight mode is changed while programs go on calling the desk."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import ModeChange
from tests.gateway.conftest import mail, token_of
from tests.processes import site

pytestmark = pytest.mark.slow

# Up and down the ladder and back to where it began.
STEPS = ("autonomous", "gated_send", "read_only", "gated_send", "autonomous", "gated_all", "gated_send")


class Client:
    """A program that speaks with the running site; `answers` counts what it was told."""

    def __init__(self, address: str, secret: str) -> None:
        self.base = f"{address}/api/v1"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {secret}"
        self.answers: Counter[tuple[int, str]] = Counter()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, self.base + path, json=body, timeout=60)
        told = answer.json()
        self.answers[answer.status_code, told.get("error", "")] += 1
        return told


@contextmanager
def in_threads(*works: Callable[[], None]) -> Iterator[None]:
    """Do works again and again, each in a thread of its own, until the block ends, and fail as the first that did."""
    is_over = threading.Event()
    failures: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            while not is_over.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - a thread's end: whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join(120)
    if failures:
        raise failures[0]


@pytest.mark.row("004-30", "004-13", "004-14")
def test_while_the_mode_goes_up_and_down_no_request_fails(
    process_environment: dict[str, str], ada: User, mailbox: Mailbox, sandbox: Any
) -> None:
    provider = {"NYLAS_API_URI": sandbox.url, "NYLAS_API_KEY": sandbox.api_key}
    agent, operator = token_of(ada, mailbox).secret, token_of(ada, kind="operator").secret
    with site(process_environment | provider) as (address, _process):
        senders, readers, listers = (
            [Client(address, secret), Client(address, secret)] for secret in (agent, agent, operator)
        )
        switcher, witness = Client(address, operator), Client(address, agent)
        known = witness.call("POST", "/emails/send", mail())["id"]
        with in_threads(
            *(partial(one.call, "POST", "/emails/send", mail()) for one in senders),
            *(partial(one.call, "GET", f"/emails/{known}") for one in readers),
            *(partial(one.call, "GET", f"/mailboxes/{mailbox.address}/pending") for one in listers),
        ):
            for mode in STEPS:
                change = {"oversight_mode": mode, "change_reason": "Thirty calm days."}
                switcher.call("PATCH", f"/mailboxes/{mailbox.address}", change)
                for _time in range(3):
                    told = witness.call("POST", "/emails/send", mail())
                    assert (told.get("error") == "action_blocked") is (mode == "read_only")

    for client in (*senders, *readers, *listers, switcher, witness):
        client.session.close()
    assert switcher.answers == {(200, ""): len(STEPS)}
    for client in (*readers, *listers):
        assert set(client.answers) == {(200, "")}
    for client in senders:
        assert set(client.answers) <= {(200, ""), (202, ""), (403, "action_blocked")}
    assert ModeChange.objects.count() == len(STEPS)
