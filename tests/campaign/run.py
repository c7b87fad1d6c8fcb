"""A long bad day, chosen by a seed: approvals under faults, kills, freezes, edits, stops and forged events.

The seed chooses what is done to which mail; what the processes make of it at the same time is theirs.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentmail.exceptions import ProviderError
from agentmail.models import GrantState, Mailbox, ProviderEvent, Transport
from approvals import decisions, sweeps, switchboard
from approvals.models import Draft, Send
from approvals.states import DraftState, SendState
from approvals.transitions import sends
from approvals.transitions.drafts import AlreadyDecided, DecisionRefused
from policies import switch
from tests.campaign import processes, site
from tests.campaign.comparison import Findings
from tests.campaign.desk import READ_ATTEMPTS, Desk, seen
from tests.campaign.processes import Child
from tests.campaign.replies import Reply, replies_for

WORKERS = 3
WAITING_LIMIT = 25
LONGEST_FREEZE_SECONDS = 0.6
# How long a worker waits for a provider that may never answer.
PATIENCE_SECONDS = 2.0
MAILBOXES_OF_A_TRANSPORT = 4
ROUNDS_OF_REPAIR = 4
WORKER_POINTS = tuple(f"C{number}" for number in range(3, 13))
DECIDED_BEFORE, REFUSED = 3, 4
APPROVAL_POINTS = ("C0", "C1", "C2")
FAULTY_READS = ("get_draft", "get_thread", "list_messages", "get_message", "delete_draft")


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one mail."""

    transport: str
    mailbox: int
    fields: dict[str, Any]
    reply: Reply | None
    is_edited: bool
    approval: str  # once, twice at the same time, or the crash point at which it dies
    read_fault: dict[str, Any] | None
    disturbance: str  # what agent or customer do before the mail leaves
    storm: str  # what happens to workers and switch after this approval


@dataclass(slots=True)
class Tally:
    """What was done in a run, and what was found."""

    findings: Findings = field(default_factory=Findings)
    done: Counter[str] = field(default_factory=Counter)
    forged_taken: int = 0
    seconds: float = 0.0

    def is_clean(self) -> bool:
        return not self.findings.wrong() and not self.forged_taken


def plans(count: int, seed: int) -> Iterator[Plan]:
    """The plan of every mail of a run: the same for the same seed."""
    choice = random.Random(seed)
    for number in range(count):
        transport = Transport.PROVIDER_DRAFT if choice.random() < 0.25 else Transport.FROZEN_MESSAGE
        usable = [reply for reply in replies_for(transport) if not reply.is_refused_connection]
        fields: dict[str, Any] = {}
        if choice.random() < 0.3:
            fields["cc"] = [{"email": f"copy{number}@example.org", "name": "Copy"}]
        if choice.random() < 0.2:
            fields["bcc"] = [{"email": f"blind{number}@example.org"}]
        reply = choice.choice(usable) if choice.random() < 0.6 else None
        if reply is not None and reply.recipient:
            fields["to"] = [{"email": f"{reply.recipient}+{number}@example.net"}]
        yield Plan(
            transport=transport,
            mailbox=choice.randrange(MAILBOXES_OF_A_TRANSPORT),
            fields=fields,
            reply=reply,
            is_edited=choice.random() < 0.2,
            approval=choice.choices(("once", "twice", *APPROVAL_POINTS), (70, 15, 5, 5, 5))[0],
            read_fault=_read_fault(choice) if choice.random() < 0.15 else None,
            disturbance=choice.choices(
                (
                    "nothing",
                    "agent edits",
                    "customer writes",
                    "customer writes during the send",
                    "agent deletes",
                ),
                (72, 8, 8, 10, 2),
            )[0],
            storm=choice.choices(("nothing", "kill", "freeze", "stop and resume"), (60, 22, 14, 4))[0],
        )


def _read_fault(choice: random.Random) -> dict[str, Any]:
    action = choice.choice(("reset", "reply", "wrong_json", "delay"))
    options = {"reply": {"status": choice.choice((429, 500, 503))}, "delay": {"ms": 200}}.get(action, {})
    when = "after" if action == "wrong_json" else "before"
    route = choice.choice(FAULTY_READS)
    return {"route": route, "nth": choice.randint(1, 3), "action": action, "when": when, "options": options}


class Crew:
    """Workers that are armed to die somewhere, and are replaced when they do."""

    def __init__(self, desk: Desk, seed: int, tally: Tally) -> None:
        self._desk = desk
        self._choice = random.Random(seed)
        self._tally = tally
        self._freezer: Child | None = None
        self.running: list[Child] = [self._start() for _ in range(WORKERS)]

    def replace_the_dead(self) -> None:
        for place, child in enumerate(self.running):
            ended = child.poll()
            if ended is not None:
                self._tally.done["kills" if ended == -9 else "workers that failed"] += 1
                self.running[place] = self._start()

    def kill_one(self) -> None:
        self._choice.choice(self.running).kill()

    def freeze_one(self) -> None:
        """Stop a worker and let it go on after a while, whatever it was in the middle of."""
        if self._freezer is not None:
            self._freezer.wait()
        frozen = self._choice.choice(self.running)
        seconds = self._choice.uniform(0.05, LONGEST_FREEZE_SECONDS)
        # By a process of its own: a worker frozen inside a transaction would keep this one from going on.
        self._freezer = processes.start(lambda: frozen.freeze(seconds))
        self._tally.done["freezes"] += 1

    def dismiss(self) -> None:
        if self._freezer is not None:
            self._freezer.wait()
        for child in self.running:
            child.kill()

    def _start(self) -> Child:
        point = f"{self._choice.choice(WORKER_POINTS)}:{self._choice.randint(1, 4)}"
        return self._desk.start_worker(self._choice.randrange(1 << 30), failpoint=point)


def run(desk: Desk, settings: Any, directory: Path, *, count: int, seed: int) -> Tally:
    """Put `count` mails through a bad day and compare the provider's log with the desk afterwards."""
    began = time.monotonic()
    settings.SEND_READ_SECONDS = PATIENCE_SECONDS
    tally = Tally()
    mailboxes = {
        transport: [desk.mailbox(transport) for _ in range(MAILBOXES_OF_A_TRANSPORT)]
        for transport in Transport.values
    }
    with _events(desk, settings, directory):
        crew = Crew(desk, seed, tally)
        try:
            for plan in plans(count, seed):
                _one(desk, plan, mailboxes[plan.transport][plan.mailbox], tally)
                _storm(desk, plan.storm, crew, tally)
                crew.replace_the_dead()
                _repair(desk, tally)
                _wait_for_room(crew)
        finally:
            crew.dismiss()
        desk.sandbox.control("DELETE", "faults")
        _settle(desk, tally)
        desk.sandbox.get("idle?timeout=20")
        ProviderEvent.objects.update(next_attempt_at=None)
        _settle(desk, tally)
        tally.forged_taken = _forged_taken(desk)
    tally.findings = desk.compare()
    tally.seconds = time.monotonic() - began
    return tally


@contextmanager
def _events(desk: Desk, settings: Any, directory: Path) -> Iterator[None]:
    with site.running(desk.sandbox, settings, directory):
        for action, probability in (("duplicate", 0.2), ("shuffle", 0.3), ("drop", 0.2), ("forge", 0.1)):
            desk.sandbox.post("faults", event="*", times=0, action=action, probability=probability)
        yield


def _one(desk: Desk, plan: Plan, mailbox: Mailbox, tally: Tally) -> None:
    draft = desk.draft(mailbox, **plan.fields)
    marks = {"route": "send", "contains": _mark_of(draft, plan)}
    for fault in plan.reply.faults if plan.reply is not None else ():
        # A request that is reset while it is read has no body yet to be recognised by.
        where = {"grant": mailbox.grant_id} if "after_bytes" in fault["options"] else marks
        desk.sandbox.post("faults", **{**fault, **where})
    if plan.disturbance == "customer writes during the send":
        message = {"from": {"email": "hasty@example.net"}, "body": "Never mind!"}
        options = {"message": message, "thread_id": draft.thread_id}
        desk.sandbox.post("faults", **marks, action="insert_message", options=options)
    if plan.is_edited:
        changes = {"body": f"<p>Reworded by a person: {draft.pk}.</p>", "subject": f"Edited {draft.pk}"}
        decisions.edit(draft, person=desk.alice, seen=seen(draft), changes=changes)
        tally.done["edits"] += 1
    _approve(desk, draft, plan.approval, tally)
    if plan.read_fault is not None:
        desk.sandbox.post("faults", grant=mailbox.grant_id, **plan.read_fault)
    _disturb(desk, draft, plan.disturbance, tally)


def _mark_of(draft: Draft, plan: Plan) -> str:
    if plan.transport == Transport.PROVIDER_DRAFT:
        return draft.provider_draft_id
    return sends.send_token(draft.grant_id, draft.provider_draft_id)


def _approve(desk: Desk, draft: Draft, manner: str, tally: Tally) -> None:
    shown = seen(draft)
    if manner == "once":
        _click_until_answered(desk, draft)
        return
    people = [desk.alice, desk.bruno] if manner == "twice" else [desk.alice]
    failpoint = "" if manner == "twice" else f"{manner}:1"
    approving = [
        processes.start(
            lambda person=person: _try_approval(
                lambda: decisions.approve(draft, person=person, seen=shown, form_id=None)
            ),
            failpoint=failpoint,
        )
        for person in people
    ]
    ended = [child.wait() for child in approving]
    tally.done["parallel approvals"] += manner == "twice"
    tally.done["kills"] += ended.count(-9)
    # Whoever saw no answer, or that the provider was silent, clicks again.
    _click_until_answered(desk, draft)


def _click_until_answered(desk: Desk, draft: Draft) -> None:
    for _ in range(READ_ATTEMPTS):
        draft.refresh_from_db()
        shown = seen(draft)
        code = _try_approval(lambda: decisions.approve(draft, person=desk.alice, seen=shown, form_id=None))  # noqa: B023
        if code != REFUSED:
            return


def _try_approval(approve: Callable[[], object]) -> int:
    try:
        approve()
    except AlreadyDecided:
        return DECIDED_BEFORE
    except (DecisionRefused, ProviderError):
        return REFUSED
    return 0


def _disturb(desk: Desk, draft: Draft, disturbance: str, tally: Tally) -> None:
    """Let agent or customer do something to a mail that may be on its way, or away, already."""
    if disturbance in ("nothing", "customer writes during the send"):
        return
    tally.done[disturbance] += 1
    grant, path = draft.grant_id, f"agent/drafts/{draft.provider_draft_id}"
    if disturbance == "customer writes":
        writer = {"email": "late@example.net"}
        desk.sandbox.post(
            "customer", grant=grant, **{"from": writer}, thread_id=draft.thread_id, body="One more thing"
        )
        return
    method, fields = (
        ("DELETE", {}) if disturbance == "agent deletes" else ("PUT", {"body": "<p>Rewritten</p>"})
    )
    answer = desk.sandbox.session.request(
        method, f"{desk.sandbox.url}/_sandbox/{path}", json=fields or None, timeout=30
    )
    # Gone when the mail was faster.
    assert answer.ok or answer.status_code == 404, answer.text


def _storm(desk: Desk, storm: str, crew: Crew, tally: Tally) -> None:
    if storm == "kill":
        crew.kill_one()
    elif storm == "freeze":
        crew.freeze_one()
    elif storm == "stop and resume":
        switchboard.stop(switch.GLOBAL, person=desk.alice, reason="Storm")
        switchboard.release(switch.GLOBAL, person=desk.olga, reason="Over")
        _resume(desk)
        tally.done["stops"] += 1


def _resume(desk: Desk) -> None:
    held = Send.objects.filter(state=SendState.QUEUED).exclude(held="")
    switchboard.resume_held(list(held.values_list("pk", flat=True)), person=desk.olga)


def _repair(desk: Desk, tally: Tally) -> None:
    """What people do meanwhile: authenticate a mailbox again, resume, look again at what became stale."""
    for mailbox in Mailbox.objects.filter(grant_state=GrantState.INVALID):
        sweeps.poll_mailbox(mailbox.pk)
        _resume(desk)
        tally.done["mailboxes that came back"] += 1
    again = Draft.objects.filter(
        state__in=[DraftState.STALE, DraftState.PENDING], send__state=SendState.STOPPED
    )
    for draft in again.select_related("mailbox", "current_revision")[:3]:
        try:
            if draft.state == DraftState.STALE:
                decisions.look_again(draft, person=desk.bruno)
            decisions.approve(draft, person=desk.bruno, seen=seen(draft), form_id=None)
            tally.done["approved again"] += 1
        except (DecisionRefused, ProviderError):
            tally.done["refused again"] += 1


def _wait_for_room(crew: Crew) -> None:
    queued = Send.objects.filter(state=SendState.QUEUED, held="")
    while queued.filter(waiting_for="").count() > WAITING_LIMIT:
        crew.replace_the_dead()
        time.sleep(0.02)


def _settle(desk: Desk, tally: Tally) -> None:
    for _ in range(ROUNDS_OF_REPAIR):
        # Switches that a payload mismatch engaged stay shut: that mailbox is for a person to look at.
        desk.come_to_rest()
        _repair(desk, tally)
        _resume(desk)
    desk.come_to_rest()


def _forged_taken(desk: Desk) -> int:
    tried = desk.sandbox.get("events")["attempts"]
    forged = {attempt["event_id"] for attempt in tried if attempt["forged"]}
    return ProviderEvent.objects.filter(notification_id__in=forged).count()
