"""Keeping what the gate chain said, so that "why was this blocked" has an answer."""

from __future__ import annotations

from collections.abc import Sequence

from approvals import gates
from approvals.gates import Facts, Standing, Verdict
from approvals.models import Judgement, JudgementRule, Stage
from policies import changes

PASSED, PENDING = "passed", "pending"


def keep(facts: Facts, verdicts: Sequence[Verdict], stage: Stage) -> Judgement:
    """Write one run of the chain down, every verdict of it, in the caller's transaction."""
    deciding = gates.first_refusal(verdicts) or next(
        (verdict for verdict in verdicts if verdict.standing is Standing.OPEN), None
    )
    if deciding is None:
        result = PASSED
    elif deciding.standing is Standing.REFUSED:
        result = deciding.result
    else:
        result = PENDING
    rules = list(dict.fromkeys(rule for verdict in verdicts for rule in verdict.rules))
    judgement = Judgement.objects.create(
        mailbox_id=facts.mailbox.pk,
        draft_id=facts.draft.pk,
        revision_id=facts.revision.pk,
        stage=stage,
        at=facts.now,
        policy_version=changes.current_version(),
        result=result,
        gate=deciding.gate if deciding is not None else "",
        sentence=deciding.sentence if deciding is not None else "",
        verdicts=[verdict.to_json() for verdict in verdicts],
        rules=rules,
    )
    if rules:
        JudgementRule.objects.bulk_create(
            JudgementRule(judgement=judgement, rule=name, version=version)
            for name, version in map(named_version, rules)
        )
    return judgement


def named_version(rule: str) -> tuple[str, int]:
    """Split "kind:id:version", as verdicts name policy rows, into "kind:id" and the version."""
    name, _colon, version = rule.rpartition(":")
    return name[:64], int(version)
