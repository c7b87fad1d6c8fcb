"""The oversight mode of a mailbox is the ceiling; the tier of a mail may only tighten it."""

from __future__ import annotations

from enum import StrEnum

from policies import modes
from policies.models import Tier

# Modes in which nobody decides about mail before it leaves, and those in which a person does.
WITHOUT_A_PERSON = modes.WITHOUT_PERSON
WITH_A_PERSON = frozenset(modes.LADDER) - WITHOUT_A_PERSON - {modes.READ_ONLY}


class Effect(StrEnum):
    """What becomes of a mail that an agent wants to send."""

    SENDS = "sends"
    APPROVE = "approve"
    HUMAN_ONLY = "human_only"
    REFUSED = "refused"


def effective(mode: str, tier: str) -> Effect:
    """What a mode and a tier come to together; whatever is not known is refused."""
    if tier == Tier.HUMAN_ONLY:
        return Effect.HUMAN_ONLY
    if tier not in (Tier.AUTO, Tier.APPROVE):
        return Effect.REFUSED
    if mode in WITH_A_PERSON:
        return Effect.APPROVE
    if mode in WITHOUT_A_PERSON:
        return Effect.SENDS if tier == Tier.AUTO else Effect.APPROVE
    return Effect.REFUSED
