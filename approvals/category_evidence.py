"""How people decided about the drafts of each category: what was approved untouched, changed, and turned down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from approvals.models import Decision, DecisionKind, OutcomeKind, RecipientOutcome
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere
from policies.evidence import Share, Threshold, category_thresholds, suggests_auto


@dataclass(frozen=True, slots=True)
class CategoryEvidence:
    """`untouched` counts approvals of the agent's first wording; `wrong` counts rejections and complaints."""

    untouched: Share
    compared: int
    wrong: int
    days: int

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return category_thresholds(days=self.days, compared=self.compared, wrong=self.wrong)

    @property
    def suggests_auto(self) -> bool:
        return suggests_auto(self.thresholds)


NOTHING = CategoryEvidence(Share(0, 0), 0, 0, 0)


def evidence_by_category(person: Person, now: datetime) -> dict[str, CategoryEvidence]:
    """By the key of the category, over the mailboxes that the person sees; drafts of no category under ""."""
    decisions = Decision.objects.filter(voided_at__isnull=True)
    complaints = RecipientOutcome.objects.filter(kind=OutcomeKind.COMPLAINT)
    if not may_everywhere(person, Right.SEE):
        seen = mailbox_ids_with(person, Right.SEE)
        decisions = decisions.filter(draft__mailbox_id__in=seen)
        complaints = complaints.filter(send__mailbox_id__in=seen)
    complained = dict(
        complaints.values_list("send__draft__category").annotate(count=Count("send_id", distinct=True))
    )
    approved = Q(kind=DecisionKind.APPROVE)
    rows = decisions.values("draft__category").annotate(
        approved=Count("pk", filter=approved),
        untouched=Count("pk", filter=approved & Q(revision__number=1)),
        rejected=Count("pk", filter=Q(kind=DecisionKind.REJECT)),
        compared=Count("pk"),
        first=Min("made_at"),
    )
    return {
        row["draft__category"]: CategoryEvidence(
            untouched=Share(row["untouched"], row["approved"]),
            compared=row["compared"],
            wrong=row["rejected"] + complained.get(row["draft__category"], 0),
            days=(now - row["first"]).days,
        )
        for row in rows
    }
