"""Whether the category of the mail leaves it to the agent, to a person who approves, or to people alone."""

from __future__ import annotations

from django.utils.translation import gettext as _

from approvals.classification import sentence_of
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from policies.classifier import Classification
from policies.models import Tier


def tier_gate(facts: Facts) -> Verdict:
    found = facts.classification
    sentence = _sentence_about(found)
    if found.tier == Tier.HUMAN_ONLY:
        return Verdict(
            "tier",
            Standing.REFUSED,
            _("Only a person may answer this (human_only); a text of an agent cannot be approved.")
            + " "
            + sentence,
            "blocked_rule",
            Consequence.STOP,
            rules=found.rules,
            reasons=found.reasons,
        )
    if found.tier == Tier.APPROVE and not facts.is_reviewed:
        return Verdict(
            "tier",
            Standing.REFUSED,
            _("It waits for a person, whatever the mode.") + " " + sentence,
            "blocked_decision",
            Consequence.STOP,
            rules=found.rules,
            reasons=found.reasons,
        )
    return Verdict("tier", Standing.PASSED, sentence, rules=found.rules, reasons=found.reasons)


def _sentence_about(found: Classification) -> str:
    reasons = sentence_of(found.reasons)
    if found.category is None:
        return reasons
    about = {"category": found.name, "tier": Tier(found.tier).label.lower()}
    return f"{_('%(category)s, %(tier)s.') % about} {reasons}"
