"""The gate chain: one function, one order, asked as a preview and again in the claim.

A gate reads facts and gives a verdict. It writes nothing, and an error in it is a "no".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.utils.translation import gettext as _

from approvals.gates.caps import caps_gate
from approvals.gates.content import content_gate
from approvals.gates.decision import decision_gate
from approvals.gates.dry_run import dry_run_gate
from approvals.gates.fresh import fresh_gate
from approvals.gates.grants import grant_gate, mailbox_gate
from approvals.gates.mode import mode_gate
from approvals.gates.recipients import recipients_gate
from approvals.gates.rules import rules_gate
from approvals.gates.sending import restore_gate, switch_gate
from approvals.gates.thread import thread_gate
from approvals.gates.tier import tier_gate
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict

logger = logging.getLogger(__name__)

Gate = Callable[[Facts], Verdict]

# The order is part of the product: shown on the draft page, kept by a test.
GATES: tuple[tuple[str, Gate], ...] = (
    ("switch", switch_gate),
    ("restore", restore_gate),
    ("grant", grant_gate),
    ("mailbox", mailbox_gate),
    ("mode", mode_gate),
    ("decision", decision_gate),
    ("recipients", recipients_gate),
    ("content", content_gate),
    ("rules", rules_gate),
    ("tier", tier_gate),
    ("thread", thread_gate),
    ("fresh", fresh_gate),
    ("caps", caps_gate),
    ("dry_run", dry_run_gate),
)


def evaluate(facts: Facts) -> list[Verdict]:
    """Ask every gate in the fixed order, those behind a refusal too; an error in a gate is a refusal."""
    return [_asked(name, gate, facts) for name, gate in GATES]


def first_refusal(verdicts: Sequence[Verdict]) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.standing is Standing.REFUSED), None)


def lasting_refusal(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The first refusal that would waste an approval: what is held or waits can leave yet, so those do not count."""
    can_leave_yet = (Consequence.HOLD, Consequence.WAIT)
    return next(
        (
            verdict
            for verdict in verdicts
            if verdict.standing is Standing.REFUSED and verdict.consequence not in can_leave_yet
        ),
        None,
    )


def may_leave(verdicts: Sequence[Verdict]) -> bool:
    """Whether every gate passed. Open and unasked gates do not pass."""
    return all(verdict.standing is Standing.PASSED for verdict in verdicts)


def questions(verdicts: Sequence[Verdict]) -> frozenset[str]:
    """What an approval of these verdicts would answer, by the names that a decision keeps."""
    return frozenset(ask for verdict in verdicts if verdict.standing is Standing.OPEN for ask in verdict.asks)


def as_approved(verdicts: Sequence[Verdict], name: str) -> list[Verdict]:
    """The verdicts of a preview as they stand once a person has said yes to every open one."""
    return [
        replace(
            verdict,
            standing=Standing.PASSED,
            result="",
            sentence=_knowing(verdict, name) if verdict.asks else _("Approved by %(name)s.") % {"name": name},
        )
        if verdict.standing is Standing.OPEN
        else verdict
        for verdict in verdicts
    ]


def _asked(name: str, gate: Gate, facts: Facts) -> Verdict:
    try:
        return _answered(gate(facts), facts)
    except Exception:
        logger.exception("gate %s failed for draft %s", name, facts.draft.pk)
        return Verdict(
            name,
            Standing.REFUSED,
            _("This check could not be made, so nothing may leave. Operators find the reason in the log."),
            result="rule_engine_error",
            consequence=Consequence.HOLD,
        )


def _answered(verdict: Verdict, facts: Facts) -> Verdict:
    """A question as it stands for these facts: answered by the approval, still open, or a "no"."""
    if verdict.standing is not Standing.OPEN or not verdict.asks:
        return verdict
    decision = facts.decision
    if decision is not None and facts.is_reviewed and set(verdict.asks) <= set(decision.answers):
        sentence = _knowing(verdict, decision.person_name)
        return replace(verdict, standing=Standing.PASSED, sentence=sentence, result="")
    if decision is None and facts.is_reviewed and not facts.is_claim:
        return verdict
    return replace(verdict, standing=Standing.REFUSED, consequence=Consequence.STOP)


def _knowing(verdict: Verdict, name: str) -> str:
    return _("%(sentence)s %(name)s approved knowing this.") % {"sentence": verdict.sentence, "name": name}
