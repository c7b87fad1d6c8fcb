"""What happens to a draft as it arrives, or arrives in a new wording: the chain is asked and its answer kept."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import F

from approvals import autopilot, gates, judgements
from approvals.classification import classification_of
from approvals.models import Draft, Revision, Stage
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
        _act_on(facts.revision, facts.classification)
    except Exception:
        # The draft is in the queue already. The gate asks again and refuses while it cannot tell.
        logger.exception("the category of draft %s cannot be told", draft_id)
    autopilot.consider(draft_id)


def categorise(draft_id: int) -> None:
    """Keep the category of the current revision; a waiting draft that only a person may write is turned away."""
    revision = _current_revision(draft_id)
    if revision is not None:
        _act_on(revision, classification_of(revision.draft, revision))


def name_category(draft_id: int) -> None:
    """Keep the category of the current revision, as the rules are now."""
    revision = _current_revision(draft_id)
    if revision is not None:
        _keep(revision, classification_of(revision.draft, revision))


def _current_revision(draft_id: int) -> Revision | None:
    return (
        Revision.objects.select_related("draft")
        .filter(draft_id=draft_id, draft__current_revision=F("pk"))
        .first()
    )


def _act_on(revision: Revision, found: Classification) -> None:
    if _keep(revision, found) and found.tier == Tier.HUMAN_ONLY:
        needs_person.turn_away(revision.draft_id, found)


def _keep(revision: Revision, found: Classification) -> bool:
    """Keep the category; not when the draft has another wording by now, which is judged for itself."""
    current = Draft.objects.filter(pk=revision.draft_id, current_revision=revision)
    return current.update(category=found.key) == 1
