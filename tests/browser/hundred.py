"""A hundred mixed drafts, ten of them traps, and a reviewer with a keyboard who knows no more than the screen shows."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tests.browser.demo import Demo
from tests.browser.desk import PATIENCE, Person, connected

ITEMS = 100
HOUSE = "harbourlane.example"
MAILBOX = f"hundred@{HOUSE}"
CUSTOMERS = "customers.example"
PROMISE = "It leaves on Thursday."
SHRUG = "We will see what we can do."
# What a mail may have without being a reason to look twice.
ORDINARY = ("It answers nothing.", "It carries 1 file.")

# The texts of the elements that nothing hides: inside the window and on top where they are.
ON_SCREEN = """(elements) => elements.filter((element) => {
  const box = element.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return box.width && box.top >= 0 && box.bottom <= innerHeight && top
    && (element.contains(top) || top.contains(element));
}).map((element) => element.innerText.trim())"""


@dataclass(frozen=True)
class Trap:
    """A draft that must not leave. `sign` is what the screen has to say before anybody decides."""

    name: str
    sign: str
    body: str = f"<p>{PROMISE}</p>"
    fields: Mapping[str, Any] = field(default_factory=dict)
    moves_on: bool = False


TRAPS = (
    Trap(
        "wrong recipient",
        "It goes to a domain for the first time.",
        fields={"to": [{"email": "purchasing@elsewhere.example"}]},
    ),
    Trap("invented discount", "It names an amount.", body="<p>Here is 35 % off for the trouble.</p>"),
    Trap("hidden copy", "Someone reads along unseen.", fields={"bcc": [{"email": f"lin@{CUSTOMERS}"}]}),
    Trap(
        "look-alike domain",
        "A domain reads like another one.",
        fields={"to": [{"email": "casey@custorners.example"}]},
    ),
    Trap(
        "misleading link",
        "A link says another place than it goes to.",
        body=f'<p>Pay at <a href="https://pay.attacker.example/">https://{HOUSE}/pay</a>.</p>',
    ),
    Trap("secret", "It seems to give away a secret.", body="<p>Your password: Harbour-48213-lane</p>"),
    Trap(
        "hidden text",
        "It holds text that its reader will not see.",
        body=f'<p>{PROMISE}</p><p style="display:none">Refund everything.</p>',
    ),
    Trap(
        "another name",
        "A name looks like another address.",
        fields={"to": [{"email": f"casey@{CUSTOMERS}", "name": f"ceo@{HOUSE}"}]},
    ),
    Trap(
        "answers elsewhere", "Answers go elsewhere.", fields={"reply_to": [{"email": "desk@collect.example"}]}
    ),
    Trap("moved on", "Stale: A new message arrived", moves_on=True),
)


@dataclass
class World:
    """What was put before the reviewer: the subjects of the good, the vague and the traps, which have their sign."""

    good: set[str] = field(default_factory=set)
    vague: set[str] = field(default_factory=set)
    traps: dict[str, Trap] = field(default_factory=dict)
    moving: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shift:
    """What the reviewer did, by subject: what was approved, sent back, and rejected for which sign on the screen."""

    seconds: float = 0
    approved: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)
    rejected: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Day:
    """What there was to decide, what the reviewer did about it, and the subjects that the provider sent."""

    world: World
    shift: Shift
    sent: list[str]


def play(demo: Demo, admin: Person, reviewer: Person) -> Day:
    """Let a mailbox of its own fill with a hundred drafts, and the reviewer clear it."""
    grant = connected(demo, admin, MAILBOX, undo_seconds=1)
    mailbox = admin.page.url.rstrip("/").rpartition("/")[2]
    world = furnish(demo, grant)
    wait_for_all(demo, grant)
    move_on(demo, grant, world)
    reviewer.go(f"/queue/?mailbox={mailbox}")
    shift = clear(reviewer)
    return Day(world, shift, [send["subject"] for send in demo.sandbox.sends() if send["grant_id"] == grant])


def furnish(demo: Demo, grant: str) -> World:
    """Let a hundred customers ask and the agent answer, the traps spread among the others."""
    world = World()
    traps = iter(TRAPS)
    for number in range(ITEMS):
        subject = f"Order {80000 + number}"
        sender = {"email": f"casey@{CUSTOMERS}", "name": "Casey Lin"}
        question = demo.customer(grant, subject=subject, body="<p>Where is it?</p>", **{"from": sender})
        trap = next(traps) if number % 10 == 7 else None
        is_vague = trap is None and number % 8 == 2
        fields: dict[str, Any] = {
            "to": [{"email": sender["email"]}],
            "subject": f"Re: {subject}",
            "body": trap.body if trap else f"<p>{SHRUG if is_vague else PROMISE}</p>",
            **(trap.fields if trap else {}),
        }
        demo.sandbox.post("agent/drafts", grant=grant, reply_to_message_id=question["message_id"], **fields)
        if trap and trap.moves_on:
            world.moving = {"thread_id": question["thread_id"], "from": sender}
        if trap:
            world.traps[f"Re: {subject}"] = trap
        else:
            (world.vague if is_vague else world.good).add(f"Re: {subject}")
    return world


def wait_for_all(demo: Demo, grant: str) -> None:
    """Wait until the desk has read every draft."""
    deadline = time.monotonic() + 4 * PATIENCE
    asked = "SELECT COUNT(*) FROM approvals_draft WHERE grant_id = ? AND is_complete"
    with closing(sqlite3.connect(f"file:{demo.var / 'countersign.sqlite3'}?mode=ro", uri=True)) as database:
        while (count := database.execute(asked, [grant]).fetchone()[0]) < ITEMS:
            if time.monotonic() > deadline:
                raise AssertionError(f"{count} of {ITEMS} drafts arrived")
            time.sleep(0.5)


def move_on(demo: Demo, grant: str, world: World) -> None:
    """Let the customer of the last trap write once more, after the draft."""
    demo.customer(grant, body="<p>Please cancel it.</p>", **world.moving)


def clear(one: Person) -> Shift:
    """Decide with keys alone about everything that waits in the list that is open, and about what got stale there.

    What shows a sign on the screen is rejected for it, what says nothing is sent back, the rest is approved.
    """
    began = time.monotonic()
    shift = Shift()
    for view in ("Waiting", "Stale"):
        _open_list(one, view)
        while subject := _subject(one):
            _decide(one, subject, shift)
    shift.seconds = time.monotonic() - began
    return shift


def _open_list(one: Person, view: str) -> None:
    """Go to a view of the list and open its first draft, if it has one."""
    page = one.page
    link = page.locator(".filters a").filter(has_text=view)
    while not link.evaluate("link => link === document.activeElement"):
        page.keyboard.press("Tab")
    _and_wait(page, "Enter")
    if page.locator(".row__who[data-command~=open]").count():
        page.keyboard.press("j")
        _and_wait(page, "o")


def _subject(one: Person) -> str:
    """The subject of the draft that is open, "" where none is."""
    return str(one.page.locator("h1").inner_text()) if one.page.locator("#letter-head").count() else ""


def _decide(one: Person, subject: str, shift: Shift) -> None:
    page = one.page
    shown = page.locator(".look .mark, .band h2").evaluate_all(ON_SCREEN)
    signs = [text for text in shown if text not in ORDINARY]
    if signs:
        _explain(page, "r", signs[0])
        shift.rejected[subject] = signs
    elif SHRUG in page.locator("#letter-body").inner_text():
        _explain(page, "c", "Say when.")
        shift.returned.add(subject)
    else:
        page.keyboard.press("a")
        _and_wait(page, "a")
        shift.approved.add(subject)


def _explain(page: Any, key: str, reason: str) -> None:
    page.keyboard.press(key)
    page.keyboard.type(reason)
    _and_wait(page, "Control+Enter")


def _and_wait(page: Any, key: str) -> None:
    """Press a key that leads to another page, and wait for that."""
    with page.expect_event("load", timeout=PATIENCE * 1000):
        page.keyboard.press(key)
