"""How people decided about the drafts of each category: what was approved untouched, changed, and turned down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from approvals.evidence import TURNED_OUT_WRONG
from approvals.models import Decision, DecisionKind, Draft
from approvals.people import Person, Right, mailbox_ids_with, may_everywhere
from policies.evidence import AUTOMATIC_CATEGORY, Share, Threshold, are_met, thresholds
from policies.models import Category, Tier

CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class CategoryEvidence:
    """`untouched` counts approvals of the agent's first wording, `wrong` what was rejected or turned out wrong."""

    untouched: Share
    compared: int
    wrong: int
    days: int

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return thresholds(AUTOMATIC_CATEGORY, days=self.days, compared=self.compared, wrong=self.wrong)

    @property
    def suggests_auto(self) -> bool:
        return are_met(self.thresholds)


NOTHING = CategoryEvidence(Share(0, 0), 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A category that might become automatic; without a known template nothing of it would leave by itself."""

    category: Category
    evidence: CategoryEvidence
    templates: int


def candidates(record: Mapping[str, CategoryEvidence]) -> list[Candidate]:
    """Of the routine categories that wait for an approval the `CANDIDATES` with the best record, the best first.

    The one that meets more of the thresholds is better; then the one whose share approved untouched is surer.
    """
    rows = Category.objects.filter(
        is_enabled=True, tier=Tier.APPROVE, is_high_risk=False, never_automate=False, key__in=record.keys()
    ).annotate(templates=Count("families", filter=Q(families__is_enabled=True)))
    found = [Candidate(row, record[row.key], row.templates) for row in rows]
    return sorted(found, key=_standing, reverse=True)[:CANDIDATES]


def _standing(one: Candidate) -> tuple[int, float, int]:
    met = sum(threshold.is_met for threshold in one.evidence.thresholds)
    interval = one.evidence.untouched.interval
    return met, interval[0] if interval is not None else 0.0, one.evidence.compared


def evidence_by_category(person: Person, now: datetime) -> dict[str, CategoryEvidence]:
    """By the key of the category, over the mailboxes that the person sees; drafts of no category under ""."""
    decisions = Decision.objects.filter(voided_at__isnull=True)
    wrong = Draft.objects.filter(TURNED_OUT_WRONG)
    if not may_everywhere(person, Right.SEE):
        seen = mailbox_ids_with(person, Right.SEE)
        decisions = decisions.filter(draft__mailbox_id__in=seen)
        wrong = wrong.filter(mailbox_id__in=seen)
    turned_out_wrong = dict(wrong.values_list("category").annotate(count=Count("pk", distinct=True)))
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
            wrong=row["rejected"] + turned_out_wrong.get(row["draft__category"], 0),
            days=(now - row["first"]).days,
        )
        for row in rows
    }
