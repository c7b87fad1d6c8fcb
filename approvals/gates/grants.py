"""Whether the mailbox can be sent from: its grant at the provider, and its place here."""

from __future__ import annotations

from django.utils.translation import gettext as _

from agentmail.models import GrantState
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict


def grant_gate(facts: Facts) -> Verdict:
    state = facts.mailbox.grant_state
    if state == GrantState.VALID:
        return Verdict("grant", Standing.PASSED, _("The provider knows this mailbox."))
    sentence = (
        _("The mailbox was removed at the provider.")
        if state == GrantState.REMOVED
        else _("The mailbox needs to be authenticated again at the provider.")
    )
    return Verdict("grant", Standing.REFUSED, sentence, "blocked_grant", Consequence.HOLD)


def mailbox_gate(facts: Facts) -> Verdict:
    if facts.mailbox.is_enabled:
        return Verdict("mailbox", Standing.PASSED, _("The mailbox is enabled."))
    return Verdict(
        "mailbox", Standing.REFUSED, _("The mailbox is disabled here."), "blocked_grant", Consequence.HOLD
    )
