"""Whether another send of the same thread is under way."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _

from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.models import Send
from approvals.states import IN_FLIGHT_SEND_STATES


def thread_gate(facts: Facts) -> Verdict:
    if not facts.draft.thread_id:
        return Verdict("thread", Standing.PASSED, _("Starts a thread of its own."))
    others = Send.objects.filter(grant_id=facts.draft.grant_id, thread_id=facts.draft.thread_id).filter(
        Q(state__in=IN_FLIGHT_SEND_STATES)
    )
    other = others.exclude(draft_id=facts.draft.pk).only("state").first()
    if other is None:
        return Verdict("thread", Standing.PASSED, _("Nothing else of this thread is under way."))
    sentence = (
        _("Waits for an unknown send in the same thread.")
        if other.state == "unknown"
        else _("Waits for another send of the same thread.")
    )
    return Verdict("thread", Standing.REFUSED, sentence, "blocked_duplicate", Consequence.WAIT)
