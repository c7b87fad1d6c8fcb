"""The gates every mail passes before it may leave, and the chain that asks them."""

from approvals.gates.chain import (
    GATES,
    as_approved,
    evaluate,
    first_refusal,
    lasting_refusal,
    may_leave,
    questions,
)
from approvals.gates.content import has_unread_mail
from approvals.gates.fresh import STALE_SENTENCES
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict, facts_about

__all__ = [
    "GATES",
    "STALE_SENTENCES",
    "Consequence",
    "Facts",
    "Standing",
    "Verdict",
    "as_approved",
    "evaluate",
    "facts_about",
    "first_refusal",
    "has_unread_mail",
    "lasting_refusal",
    "may_leave",
    "questions",
]
