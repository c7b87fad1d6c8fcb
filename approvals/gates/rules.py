"""Whether our rules let the mail leave: a block refuses it, a hold asks a person."""

from __future__ import annotations

from django.utils.translation import gettext as _

from approvals import subjects
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from policies import engine, rules
from policies.engine import Match, Outcome, Subject
from policies.lists import StoredLists

STAGE = "outbound_send"
COMPOSE = "compose"


def rules_gate(facts: Facts) -> Verdict:
    if not facts.draft.is_complete:
        return Verdict(
            "rules",
            Standing.REFUSED,
            _("Not everything of this draft has been read, so no rule judges it by the rest."),
            "blocked_rule",
            Consequence.STOP,
        )
    subject, outcome = judged(facts)
    named = outcome.references
    evaluation = as_evaluation(subject, outcome)
    if outcome.block is not None:
        sentence = _("The rule “%(name)s” blocks it: %(why)s.") % _told(outcome.block)
        return Verdict(
            "rules",
            Standing.REFUSED,
            sentence,
            "blocked_rule",
            Consequence.STOP,
            rules=named,
            evaluation=evaluation,
        )
    if not facts.is_reviewed and subject.outbound_type == COMPOSE and not outcome.may_compose:
        # Also while no rule that holds a compose is enabled: only an explicit permission lets one pass.
        return Verdict(
            "rules",
            Standing.REFUSED,
            _("It answers no message; only replies leave without a person, unless a rule allows it."),
            "blocked_rule",
            Consequence.STOP,
            rules=named,
            evaluation=evaluation,
        )
    if outcome.holds:
        told = [_("“%(name)s” (%(why)s)") % _told(match) for match in outcome.holds]
        return Verdict(
            "rules",
            Standing.OPEN,
            _("Held for a person by %(rules)s.") % {"rules": ", ".join(told)},
            "blocked_rule",
            asks=tuple(match.reference for match in outcome.holds),
            rules=named,
            evaluation=evaluation,
        )
    sentence = _("No rule holds it.") if named else _("No rule matches it.")
    return Verdict("rules", Standing.PASSED, sentence, rules=named, evaluation=evaluation)


def judged(facts: Facts) -> tuple[Subject, Outcome]:
    """What the rules in force say about a mail, and the mail as they saw it. Raises when they cannot be evaluated."""
    asked = facts.policies.outbound_rules
    subject = subjects.outbound(facts.draft, facts.revision, facts.content, rules.fields_of(asked))
    return subject, engine.evaluate(subject, asked, StoredLists())


def as_evaluation(subject: Subject, outcome: Outcome) -> dict[str, object]:
    """An evaluation under the keys of the provider's records."""
    return {
        "evaluation_stage": STAGE,
        "evaluation_input": subject.to_json(),
        "applied_actions": outcome.applied_actions(),
        "matched_rule_ids": [str(match.rule.pk) for match in outcome.matches],
    }


def _told(match: Match) -> dict[str, str]:
    return {"name": match.rule.name, "why": f"{match.field} “{match.text}”" if match.text else match.field}
