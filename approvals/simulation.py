"""What other policies would have made of the drafts that were. Nothing is written and nobody is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from enum import StrEnum

from agentmail.models import Mailbox
from approvals import gates
from approvals.gates import Standing, Verdict
from approvals.models import Draft
from audit.clock import database_now
from policies import modes
from policies.models import Rule

SIMULATED_LIMIT = 500
# The gates that speak of the mail and the policies; the others speak of this moment.
POLICY_GATES = frozenset({"mode", "recipients", "content", "rules", "tier"})


class Fate(StrEnum):
    """What becomes of a mail: it leaves by itself, waits for a person, or cannot leave at all."""

    LEAVES = "leaves"
    WAITS = "waits"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Judged:
    """A fate and the gate that decided it, with its sentence."""

    fate: Fate
    gate: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    draft: Draft
    before: Judged
    after: Judged

    @property
    def differs(self) -> bool:
        return self.before.fate is not self.after.fate


@dataclass(frozen=True, slots=True)
class Simulation:
    """Every draft that was looked at, newest first, and how many have which fate before and after."""

    compared: Sequence[Compared]
    before: Mapping[Fate, int]
    after: Mapping[Fate, int]

    @property
    def different(self) -> list[Compared]:
        return [one for one in self.compared if one.differs]


def simulate(
    mailbox: Mailbox, *, mode: str = "", rules: Sequence[Rule] | None = None, last: int
) -> Simulation:
    """Judge the last drafts of a mailbox as it is set now, and again with another mode or other rules of our own.

    `rules` are the whole set to be in force instead, None for those of now. Each draft is judged by its present
    wording as if it arrived at this moment, at most SIMULATED_LIMIT of them.
    """
    drafts = (
        Draft.objects.filter(mailbox=mailbox, current_revision__isnull=False)
        .select_related("mailbox", "current_revision")
        .order_by("-arrived_at", "-pk")[: min(last, SIMULATED_LIMIT)]
    )
    compared = [
        Compared(draft, _judge(draft, mailbox.mode, None), _judge(draft, mode or mailbox.mode, rules))
        for draft in drafts
    ]
    return Simulation(
        compared,
        Counter(one.before.fate for one in compared),
        Counter(one.after.fate for one in compared),
    )


def _judge(draft: Draft, mode: str, rules: Sequence[Rule] | None) -> Judged:
    refused = _deciding(draft, mode, rules, is_reviewed=True)
    if refused is not None and refused.standing is Standing.REFUSED:
        return Judged(Fate.BLOCKED, refused.gate, refused.sentence)
    if modes.needs_person(mode):
        return Judged(Fate.WAITS, "mode", str(modes.ruling(mode, modes.SEND_EMAIL).sentence))
    obstacle = _deciding(draft, mode, rules, is_reviewed=False)
    if obstacle is not None:
        return Judged(Fate.WAITS, obstacle.gate, obstacle.sentence)
    return Judged(Fate.LEAVES)


def _deciding(draft: Draft, mode: str, rules: Sequence[Rule] | None, *, is_reviewed: bool) -> Verdict | None:
    """The first policy gate that says no, else the first that asks a person."""
    supposed, mailbox = copy(draft), copy(draft.mailbox)
    supposed.mode = mailbox.mode = mode
    supposed.mailbox = mailbox
    revision = draft.current_revision
    if revision is None:
        raise ValueError(f"draft {draft.pk} has no content")
    facts = gates.facts_about(supposed, revision, now=database_now(), is_reviewed=is_reviewed, rules=rules)
    verdicts = [one for one in gates.evaluate(facts) if one.gate in POLICY_GATES]
    return gates.first_refusal(verdicts) or next(
        (one for one in verdicts if one.standing is Standing.OPEN), None
    )
