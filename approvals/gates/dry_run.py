"""Whether the mailbox only rehearses: everything is asked for real, and the last call is not made."""

from __future__ import annotations

from django.utils.translation import gettext as _

from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from policies.models import Delivery


def dry_run_gate(facts: Facts) -> Verdict:
    is_live = facts.policies.settings.delivery == Delivery.LIVE
    if is_live and facts.is_rehearsal:
        # The provider's draft was not made ready, because the mailbox rehearsed when this run began.
        sentence = _("The mailbox left the dry run a moment ago; everything is asked again.")
        return Verdict("dry_run", Standing.REFUSED, sentence, "dry_run", Consequence.WAIT)
    if is_live:
        return Verdict("dry_run", Standing.PASSED, _("The mailbox sends live."))
    if facts.is_claim:
        sentence = _("Dry run: it would have been sent.")
        return Verdict("dry_run", Standing.REFUSED, sentence, "dry_run", Consequence.REHEARSED)
    # A preview passes: the mail may go all the way to the claim, which ends it.
    sentence = _("Dry run: it ends as would have been sent, and nothing leaves.")
    return Verdict("dry_run", Standing.PASSED, sentence)
