"""What other policies would have made of the drafts that were. Nothing is changed and nobody is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import gates
from approvals.gates import Standing, Verdict
from approvals.models import Draft
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from audit.clock import database_now
from policies import exchange, modes
from policies.faults import Invalid
from policies.in_force import InForce
from policies.models import Rule

SIMULATED_LIMIT = 500
# So many drafts that would be treated differently are kept by name; the others are counted.
NAMED_LIMIT = 100
# Drafts that are read from the database together, with their wordings.
CHUNK = 50
# The gates that speak of the mail and the policies; the others speak of this moment.
POLICY_GATES = frozenset({"mode", "recipients", "content", "rules", "tier"})

# Told after each draft: how many are done, of how many.
Tell = Callable[[int, int], None]


class SimulationRefused(Exception):
    """There is nothing to simulate; `sentences` say why."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


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
    """What becomes of a draft, named by its public id, now and with the change."""

    draft: UUID
    before: Judged
    after: Judged


@dataclass(frozen=True, slots=True)
class Simulation:
    """How many drafts of those looked at have which fate before and after, and the `named` of the `different`."""

    count: int
    before: Mapping[Fate, int]
    after: Mapping[Fate, int]
    different: int
    named: Sequence[Compared]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"named": [asdict(one) | {"draft": str(one.draft)} for one in self.named]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Simulation:
        """Read what `to_json` wrote."""
        return cls(
            said["count"],
            {Fate(fate): count for fate, count in said["before"].items()},
            {Fate(fate): count for fate, count in said["after"].items()},
            said["different"],
            [
                Compared(UUID(one["draft"]), _judged_from(one["before"]), _judged_from(one["after"]))
                for one in said["named"]
            ],
        )


def mailboxes_to_simulate(person: Person) -> Any:
    """The mailboxes whose drafts and policies a person may see both."""
    return visible_mailboxes(person).filter(pk__in=visible_mailboxes(person, Right.READ_POLICIES))


def rules_in(text: str) -> list[Rule] | None:
    """The rules of a pasted file, not kept anywhere; None for an empty text. Raises SimulationRefused."""
    if not text.strip():
        return None
    try:
        plan = exchange.planned(text)
    except Invalid as error:
        raise SimulationRefused(
            *(_("%(path)s: %(why)s") % {"path": fault.path, "why": fault.sentence} for fault in error.faults)
        ) from error
    if any(one.known_id is None for one in plan.lists):
        raise SimulationRefused(
            _("The file brings lists that are not here yet. Import the lists first, then simulate the rules.")
        )
    return [Rule(**fields) for fields in plan.rules]


def simulate(
    mailbox: Mailbox, *, mode: str = "", rules: Sequence[Rule] | None = None, last: int, tell: Tell
) -> Simulation:
    """Judge the last drafts of a mailbox as it is set now, and again with another mode or other rules of our own.

    `rules` are the whole set to be in force instead, None for those of now. Each draft is judged by its present
    wording as if it arrived at this moment, at most SIMULATED_LIMIT of them, newest first. No transaction is held.
    """
    newest = Draft.objects.filter(mailbox=mailbox, current_revision__isnull=False).order_by(
        "-arrived_at", "-pk"
    )
    ids = list(newest.values_list("pk", flat=True)[: min(last, SIMULATED_LIMIT)])
    now, supposed = InForce(mailbox.pk), InForce(mailbox.pk, supposed=rules)
    before: Counter[Fate] = Counter()
    after: Counter[Fate] = Counter()
    different: list[Compared] = []
    tell(0, len(ids))
    for draft in _read(ids):
        one = Compared(
            draft.public_id, _judge(draft, mailbox.mode, now), _judge(draft, mode or mailbox.mode, supposed)
        )
        before[one.before.fate] += 1
        after[one.after.fate] += 1
        if one.before.fate is not one.after.fate:
            different.append(one)
        tell(before.total(), len(ids))
    return Simulation(before.total(), dict(before), dict(after), len(different), different[:NAMED_LIMIT])


def _read(ids: Sequence[int]) -> Any:
    for begin in range(0, len(ids), CHUNK):
        part = ids[begin : begin + CHUNK]
        found = Draft.objects.select_related("mailbox", "current_revision").in_bulk(part)
        yield from (found[pk] for pk in part if pk in found)


def _judged_from(said: Mapping[str, str]) -> Judged:
    return Judged(Fate(said["fate"]), said["gate"], said["sentence"])


def _judge(draft: Draft, mode: str, policies: InForce) -> Judged:
    refused = _deciding(draft, mode, policies, is_reviewed=True)
    if refused is not None and refused.standing is Standing.REFUSED:
        return Judged(Fate.BLOCKED, refused.gate, str(refused.sentence))
    if modes.needs_person(mode):
        return Judged(Fate.WAITS, "mode", str(modes.ruling(mode, modes.SEND_EMAIL).sentence))
    obstacle = _deciding(draft, mode, policies, is_reviewed=False)
    if obstacle is not None:
        return Judged(Fate.WAITS, obstacle.gate, str(obstacle.sentence))
    return Judged(Fate.LEAVES)


def _deciding(draft: Draft, mode: str, policies: InForce, *, is_reviewed: bool) -> Verdict | None:
    """The first policy gate that says no, else the first that asks a person."""
    supposed, mailbox = copy(draft), copy(draft.mailbox)
    supposed.mode = mailbox.mode = mode
    supposed.mailbox = mailbox
    revision = draft.current_revision
    if revision is None:
        raise ValueError(f"draft {draft.pk} has no content")
    facts = gates.facts_about(
        supposed, revision, now=database_now(), is_reviewed=is_reviewed, policies=policies
    )
    verdicts = [one for one in gates.evaluate(facts) if one.gate in POLICY_GATES]
    return gates.first_refusal(verdicts) or next(
        (one for one in verdicts if one.standing is Standing.OPEN), None
    )
