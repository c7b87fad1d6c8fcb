"""Whether somebody who may has approved exactly this."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from approvals import people
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.models import Decision, DecisionKind
from approvals.states import DraftState


def decision_gate(facts: Facts) -> Verdict:
    decision = facts.decision
    if decision is None:
        if facts.draft.state == DraftState.PENDING and not facts.is_claim:
            return Verdict("decision", Standing.OPEN, _("Waits for a person."))
        return _no_decision(_("There is no approval."), Consequence.STOP)
    if decision.kind != DecisionKind.APPROVE or decision.voided_at is not None:
        return _no_decision(_("There is no approval."), Consequence.STOP)
    if decision.revision_id != facts.revision.pk or decision.content_sha256 != facts.content.sha256:
        return _no_decision(_("The approval was for another version of the draft."), Consequence.CHANGED)
    if _valid_until(facts, decision) <= facts.now:
        return _no_decision(_("The approval ran out."), Consequence.STOP)
    if decision.person_id is None:
        return Verdict(
            "decision", Standing.PASSED, _("Decided by %(name)s.") % {"name": decision.person_name}
        )
    if not people.is_still_allowed(decision.person_id, people.Right.DECIDE, facts.mailbox.pk):
        return _no_decision(
            _("The person who approved may no longer decide here; another approval is needed."),
            Consequence.STOP,
        )
    if facts.send is not None and facts.send.resend_at is not None:
        resend_by = facts.send.resend_by_id
        if resend_by is None or not people.is_still_allowed(
            resend_by, people.Right.RESOLVE, facts.mailbox.pk
        ):
            return _no_decision(
                _("The person who authorised the resend may no longer do that here."), Consequence.STOP
            )
    return Verdict("decision", Standing.PASSED, _("Approved by %(name)s.") % {"name": decision.person_name})


def _valid_until(facts: Facts, decision: Decision) -> datetime:
    # A resend is a named person's fresh yes to the same content, so its time counts from there.
    until = decision.valid_until or decision.made_at
    if facts.send is not None and facts.send.resend_at is not None:
        until = max(until, facts.send.resend_at + timedelta(minutes=facts.mailbox.approval_minutes))
    if facts.send is not None and facts.send.valid_until is not None:
        until = max(until, facts.send.valid_until)
    return until


def _no_decision(sentence: str, consequence: Consequence) -> Verdict:
    return Verdict("decision", Standing.REFUSED, sentence, "blocked_decision", consequence)
