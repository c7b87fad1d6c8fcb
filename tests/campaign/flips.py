"""The switch thrown again and again while workers send: how long each stop takes, and what began after it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from approvals import switchboard
from approvals.models import Attempt, Send
from approvals.states import SendState
from audit.record import SYSTEM
from policies import switch
from tests.campaign.desk import Desk
from tests.campaign.processes import LIMIT_SECONDS

WORKERS = 4
# How many leave before each stop, and how long a worker is watched that would go on after it.
BEFORE_A_STOP = 2
WATCH_SECONDS = 0.1
RESUMED = 8


@dataclass(slots=True)
class Flips:
    """`seconds` from the flip to its acknowledgement, one a round; the others count what must not happen."""

    seconds: list[float] = field(default_factory=list)
    claims_after: int = 0
    posts_after: int = 0
    sent: int = 0
    wrong: str = ""

    def is_clean(self) -> bool:
        return not (self.claims_after or self.posts_after or self.wrong)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def text(self) -> str:
        return (
            f"{len(self.seconds)} stops while {WORKERS} workers sent {self.sent} mails\n"
            f"claims after an acknowledgement  {self.claims_after}\n"
            f"posts after an acknowledgement   {self.posts_after}\n"
            f"acknowledged after, median       {self.percentile(0.5):.3f} s\n"
            f"acknowledged after, p99          {self.percentile(0.99):.3f} s\n"
            f"differences at the end           {self.wrong or 'none'}\n"
        )


def run(desk: Desk, *, count: int, rounds: int) -> Flips:
    """Approve `count` mails and stop sending `rounds` times while they leave; the provider's arrivals are counted."""
    mailbox = desk.mailbox()
    for _ in range(count):
        desk.approved(mailbox)
    found = Flips()
    crew = [desk.start_worker(number) for number in range(WORKERS)]
    try:
        for _ in range(rounds):
            _wait(desk, _arrived(desk) + BEFORE_A_STOP)
            began = time.monotonic()
            switchboard.stop_as(SYSTEM, switch.GLOBAL, reason="A round of stops")
            found.seconds.append(time.monotonic() - began)
            claims, posts = Attempt.objects.count(), _arrived(desk)
            time.sleep(WATCH_SECONDS)
            found.claims_after += Attempt.objects.count() - claims
            found.posts_after += _arrived(desk) - posts
            switchboard.release(switch.GLOBAL, person=desk.olga, reason="Go on")
            held = Send.objects.filter(state=SendState.QUEUED).exclude(held="").order_by("pk")
            switchboard.resume_held(list(held.values_list("pk", flat=True)[:RESUMED]), person=desk.olga)
    finally:
        for child in crew:
            child.kill()
    desk.come_to_rest()
    found.sent = len(desk.sandbox.sends())
    wrong = desk.compare().wrong()
    found.wrong = str(wrong) if wrong else ""
    return found


def _arrived(desk: Desk) -> int:
    return len(desk.sandbox.get("arrivals")["arrivals"])


def _wait(desk: Desk, count: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while _arrived(desk) < count and time.monotonic() < deadline:
        if not Send.objects.filter(state=SendState.QUEUED, held="").exists():
            return
        time.sleep(0.005)
