"""What happens to a draft as it arrives, or arrives in a new wording: the chain is asked and its answer kept."""

from __future__ import annotations

from django.db import transaction

from approvals import autopilot, gates, judgements
from approvals.models import Draft, Stage
from audit.clock import database_now


def judge(draft_id: int) -> None:
    """Ask every gate about a draft that waits, so that the record tells how it stood before anybody decided.

    In a mode that needs no person it leaves then, if it may.
    """
    with transaction.atomic():
        draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft_id)
        if draft.current_revision is None:
            return
        facts = gates.facts_about(draft, draft.current_revision, now=database_now())
        judgements.keep(facts, gates.evaluate(facts), Stage.ARRIVAL)
    autopilot.consider(draft_id)
