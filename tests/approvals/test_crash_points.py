"""Real workers that really die, at every crash point of send-safety section 5, before every class of reply.

The sandbox's log is the truth: what it accepted is compared with what the desk says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agentmail.models import ProviderEvent, Transport
from approvals import decisions, outcomes, sweeps
from approvals.models import Draft, RecipientOutcome, Send
from approvals.states import SendState
from approvals.transitions import sends
from approvals.transitions.drafts import AlreadyDecided
from tests.campaign import processes, relay, site, worker
from tests.campaign.desk import SETTINGS, Desk, seen
from tests.campaign.processes import Child
from tests.campaign.replies import Reply, replies_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(900)]

KILLED = -9
APPROVING = ("C0", "C1", "C2")
# A worker that dies here leaves a send of which nobody can know whether it left.
UNPROVEN = ("C5", "C6", "C7", "C8")
# Reached by every send, whatever the provider answers.
ALWAYS_REACHED = (*APPROVING, "C3", "C4", "C5", "C6")
# No look-up can see the copy, and a delivery report names it all the same.
FOUND_BY_EVENT = ("502 and hidden",)


@dataclass(slots=True)
class Cell:
    """One mail that meets one class of reply, with its own mailbox so that the fault meets nobody else."""

    reply: Reply
    draft: Draft
    uri: str = ""
    relay: Child | None = None
    killed: bool = False

    @property
    def send(self) -> Send:
        return Send.objects.get(draft=self.draft)


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


@pytest.fixture
def relays() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.kill()


def lay_out(desk: Desk, transport: str, relays: list[Child], settings: Any) -> list[Cell]:
    # A parent that has sent before hands its warm caches to every process it forks.
    worker.finish_one(desk.approved(desk.mailbox(transport)).pk)
    # A draft that is sent itself is looked at once more, before our token is written into it.
    looks = 2 if transport == Transport.PROVIDER_DRAFT else 1
    cells = []
    for reply in replies_for(transport):
        mailbox = desk.mailbox(transport)
        to = {"to": [{"email": f"{reply.recipient}@example.net"}]} if reply.recipient else {}
        cell = Cell(reply, desk.draft(mailbox, **to), settings.NYLAS_API_URI)
        if reply.is_refused_connection:
            cell.uri, child = relay.start(settings.NYLAS_API_URI, last_reads=looks)
            relays.append(child)
        for fault in reply.faults:
            desk.sandbox.post("faults", grant=mailbox.grant_id, **fault)
        cells.append(cell)
    return cells


def approve_in_process(desk: Desk, draft: Draft, failpoint: str) -> Child:
    shown = seen(draft)
    return processes.start(
        lambda: bool(decisions.approve(draft, person=desk.alice, seen=shown, form_id=None)) and 0,
        failpoint=failpoint,
    )


def approve_again(desk: Desk, draft: Draft) -> None:
    try:
        desk.approve(draft)
    except AlreadyDecided as error:
        assert error.decision.person_id == desk.alice.pk


def send_in_process(cell: Cell, settings: Any, failpoint: str = "") -> int:
    send_id = cell.send.pk
    before = settings.NYLAS_API_URI, settings.SEND_READ_SECONDS
    settings.NYLAS_API_URI = cell.uri
    if "silence" in cell.reply.name:
        settings.SEND_READ_SECONDS = 0.5
    try:
        return processes.start(lambda: worker.finish_one(send_id), failpoint=failpoint).wait()
    finally:
        settings.NYLAS_API_URI, settings.SEND_READ_SECONDS = before


def recover(desk: Desk) -> None:
    """What follows a bad day: workers start again, mailboxes are authenticated again, held sends are resumed."""
    desk.come_to_rest()
    for send in Send.objects.filter(held="blocked_grant"):
        sweeps.poll_mailbox(send.mailbox_id)
        sends.resume(send.pk, person=desk.olga)
    desk.come_to_rest()


def check(desk: Desk, cells: list[Cell], point: str) -> None:
    assert desk.compare().wrong() == {}
    for cell in cells:
        # A worker that died on the way may leave the send unknown; nothing else may come of it.
        allowed = cell.reply.ends | ({SendState.UNKNOWN} if point in UNPROVEN else set())
        if point == "C12" and cell.reply.name in FOUND_BY_EVENT:
            allowed = {SendState.ACCEPTED}
        assert cell.send.state in allowed, f"{cell.reply} at {point}"


@pytest.mark.parametrize("transport", Transport.values)
@pytest.mark.parametrize("point", [f"C{number}" for number in range(12)])
def test_a_worker_that_dies_leaves_nothing_doubled_lost_or_wrong(
    point: str, transport: str, desk: Desk, settings: Any, relays: list[Child]
) -> None:
    cells = lay_out(desk, transport, relays, settings)

    for cell in cells:
        if point in APPROVING:
            cell.killed = approve_in_process(desk, cell.draft, f"{point}:1").wait() == KILLED
            approve_again(desk, cell.draft)
        else:
            desk.approve(cell.draft)
            cell.killed = send_in_process(cell, settings, f"{point}:1") == KILLED
        send_in_process(cell, settings)
    recover(desk)

    died = {cell.reply.name for cell in cells if cell.killed}
    must_die = {
        cell.reply.name
        for cell in cells
        if point in ALWAYS_REACHED or cell.reply.name in ("200", "202 queued")
    }
    assert must_die <= died
    check(desk, cells, point)


@pytest.mark.parametrize("transport", Transport.values)
def test_a_worker_that_dies_over_an_event_adds_no_fact_twice(
    transport: str, desk: Desk, settings: Any, relays: list[Child], tmp_path: Any
) -> None:
    with site.running(desk.sandbox, settings, tmp_path):
        cells = lay_out(desk, transport, relays, settings)
        for cell in cells:
            desk.approve(cell.draft)
            send_in_process(cell, settings)
        desk.sandbox.get("idle?timeout=20")
    reports = ProviderEvent.objects.filter(type__startswith="message.delivered")
    killed = [
        processes.start(lambda event=event: outcomes.process(event.pk) and 0, failpoint="C12:1").wait()
        for event in reports
    ]
    ProviderEvent.objects.update(next_attempt_at=None)
    for event in ProviderEvent.objects.all():
        outcomes.process(event.pk)
    recover(desk)

    assert KILLED in killed
    facts = RecipientOutcome.objects.filter(kind="delivered", source__startswith="event:")
    assert facts.count() == len(set(facts.values_list("send_id", "address")))
    check(desk, cells, "C12")


def test_a_worker_killed_in_the_middle_of_its_post_is_never_repeated(desk: Desk) -> None:
    # Without a trace of the mail nothing but the committed attempt keeps the next worker from posting again.
    desk.sandbox.post("faults", route="send", action="hide_sent_copy")
    send = desk.approved(desk.mailbox())
    assert desk.start_dispatch(send, failpoint="C7:1").wait() == KILLED
    desk.come_to_rest()

    send.refresh_from_db()
    assert send.state == SendState.UNKNOWN
    assert len(desk.sandbox.get("arrivals")["arrivals"]) == 1
    assert desk.compare().wrong() == {}


def test_a_report_that_is_there_before_the_reply_is_enough(desk: Desk, settings: Any, tmp_path: Any) -> None:
    desk.sandbox.control("PATCH", "switches", webhook_timing="before_with_outcome")
    with site.running(desk.sandbox, settings, tmp_path):
        send = desk.approved(desk.mailbox())
        child = desk.start_dispatch(send, failpoint="C8:1:stop")
        child.wait_until_stopped()
        for event in ProviderEvent.objects.all():
            outcomes.process(event.pk)
        send.refresh_from_db()
        assert send.state == SendState.ACCEPTED
        child.go_on()
        assert child.wait() == 0
    desk.come_to_rest()

    assert desk.compare().wrong() == {}
    assert send.attempts.get().state == "accepted"
