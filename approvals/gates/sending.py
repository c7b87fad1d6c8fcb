"""Whether anything may leave this desk at all: the kill switch and the restore guard."""

from __future__ import annotations

from django.utils.translation import gettext as _

from approvals import instance, switch_scopes
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from policies import switch


def switch_gate(facts: Facts) -> Verdict:
    recipients = facts.content.recipients()
    scopes = switch_scopes.scopes_of(facts.draft, recipients, within=facts.policies.scopes)
    reading = switch.read(scopes, lock=facts.is_claim, is_preview=not facts.is_claim)
    if reading.is_open:
        return Verdict("switch", Standing.PASSED, _("Sending is on."))
    return Verdict("switch", Standing.REFUSED, reading.sentence, "blocked_kill_switch", Consequence.HOLD)


def restore_gate(facts: Facts) -> Verdict:
    trouble = instance.trouble()
    if not trouble:
        return Verdict("restore", Standing.PASSED, _("The database is the one that was last sent from."))
    return Verdict("restore", Standing.REFUSED, trouble, "blocked_kill_switch", Consequence.HOLD)
