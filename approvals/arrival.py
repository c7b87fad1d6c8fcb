"""What happens to a draft as it arrives, or arrives in a new wording: the chain is asked and its answer kept."""

from __future__ import annotations

import logging

from django.db import transaction

from approvals import autopilot, gates, judgements
from approvals.classification import classification_of
from approvals.models import Draft, Stage
from approvals.transitions import needs_person
from audit.clock import database_now
from policies.classifier import Classification
from policies.models import Tier

logger = logging.getLogger(__name__)


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
    try:
        categorise(draft_id)
    except Exception:
        # The draft is in the queue already. The gate asks again and refuses while it cannot tell.
        logger.exception("the category of draft %s cannot be told", draft_id)
    autopilot.consider(draft_id)


def categorise(draft_id: int) -> None:
    """Keep the category of the current revision; a waiting draft that only a person may write is turned away."""
    found = name_category(draft_id)
    if found is not None and found.tier == Tier.HUMAN_ONLY:
        needs_person.turn_away(draft_id, found)


def name_category(draft_id: int) -> Classification | None:
    """Keep the category of the current revision, as the rules are now; what the classifier said."""
    draft = Draft.objects.select_related("current_revision").get(pk=draft_id)
    if draft.current_revision is None:
        return None
    found = classification_of(draft, draft.current_revision)
    Draft.objects.filter(pk=draft.pk).update(category=found.key)
    return found
