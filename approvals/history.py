"""What our gates, our rules for arriving mail and the provider's rules decided, as one list, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import RuleEvaluation
from approvals.inbound_rules import STAGE as INBOUND_STAGE
from approvals.judgements import PASSED, PENDING
from approvals.models import Attempt, Draft, InboundJudgement, Judgement, JudgementRule, Stage
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes

HISTORY_ROWS = 50
HIGHEST_ID = 10**18 - 1
OURS, PROVIDER = "ours", "provider"
BLOCKED = "blocked"
PROVIDER_STAGES: Mapping[str, str | Promise] = {
    "smtp_rcpt": _lazy("Before a message is taken in"),
    INBOUND_STAGE: _lazy("Arrival of a message"),
    "outbound_send": _lazy("Sending of a message"),
}


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """Where a page begins: below this (time, id) of ours, of arriving mail, and this (second, id) of the provider's."""

    ours: tuple[datetime, int] | None = None
    provider: tuple[int, int] | None = None
    inbound: tuple[datetime, int] | None = None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """`rule` is "kind:id" of ours or an id of the provider's; `result` a gate result, passed, pending or blocked."""

    mailbox: UUID | None = None
    draft: UUID | None = None
    rule: str = ""
    stage: str = ""
    result: str = ""
    source: str = ""
    after: HistoryPlace = field(default_factory=HistoryPlace)

    @property
    def is_narrow(self) -> bool:
        return bool(self.mailbox or self.draft or self.rule or self.stage or self.result or self.source)


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One evaluation: of our chain (`judgement`), of mail that arrived (`inbound`) or the provider's (`evaluation`)."""

    at: datetime
    judgement: Judgement | None = None
    evaluation: RuleEvaluation | None = None
    inbound: InboundJudgement | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    lines: Sequence[HistoryLine]
    following: HistoryPlace | None


def history_page(person: Person, chosen: HistoryFilter) -> HistoryPage:
    """One page of both lists for the mailboxes whose policies a person may read.

    What is written meanwhile lands above and moves nothing.
    """
    ours = list(_ours(person, chosen)[: HISTORY_ROWS + 1]) if chosen.source != PROVIDER else []
    arrived = list(_inbound(person, chosen)[: HISTORY_ROWS + 1]) if chosen.source != PROVIDER else []
    theirs = list(_theirs(person, chosen)[: HISTORY_ROWS + 1]) if chosen.source != OURS else []
    lines = [
        *(HistoryLine(row.at, judgement=row) for row in ours),
        *(HistoryLine(row.at, inbound=row) for row in arrived),
        *(HistoryLine(datetime.fromtimestamp(row.evaluated_at, UTC), evaluation=row) for row in theirs),
    ]
    # Both are sorted already, and sorting keeps the order of equals.
    lines.sort(key=lambda line: line.at, reverse=True)
    shown = lines[:HISTORY_ROWS]
    return HistoryPage(shown, _following(chosen.after, shown) if len(lines) > HISTORY_ROWS else None)


def judgement_for(person: Person, judgement_id: int) -> Judgement | None:
    """One judgement with its draft, when the person may read the policies of its mailbox."""
    return (
        Judgement.objects.select_related("draft", "mailbox", "revision")
        .filter(pk=judgement_id, mailbox__in=visible_mailboxes(person, Right.READ_POLICIES))
        .first()
    )


def why(judgement: Judgement) -> str:
    """Why a mail was blocked, or was not, in one sentence."""
    stage = Stage(judgement.stage).label.lower()
    if judgement.result == PASSED:
        return _("Every gate passed (%(stage)s).") % {"stage": stage}
    if judgement.result == PENDING:
        return _("Waits for a person (%(stage)s): %(sentence)s") % {
            "stage": stage,
            "sentence": judgement.sentence,
        }
    return _("Blocked by the gate %(gate)s (%(stage)s, %(result)s): %(sentence)s") % {
        "gate": judgement.gate,
        "stage": stage,
        "result": judgement.result,
        "sentence": judgement.sentence,
    }


def last_refusal(draft_id: int) -> Judgement | None:
    """The judgement that last said no to a draft, when nothing passed since."""
    last = Judgement.objects.filter(draft_id=draft_id).exclude(result=PENDING).order_by("-pk").first()
    return last if last is not None and last.result != PASSED else None


def _ours(person: Person, chosen: HistoryFilter) -> QuerySet[Judgement]:
    found = Judgement.objects.select_related("draft", "mailbox").filter(
        mailbox__in=visible_mailboxes(person, Right.READ_POLICIES)
    )
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    if chosen.draft is not None:
        found = found.filter(draft__public_id=chosen.draft)
    if chosen.rule:
        found = found.filter(pk__in=JudgementRule.objects.filter(rule=chosen.rule).values("judgement"))
    if chosen.stage:
        found = found.filter(stage=chosen.stage)
    if chosen.result == BLOCKED:
        found = found.exclude(result__in=[PASSED, PENDING])
    elif chosen.result:
        found = found.filter(result=chosen.result)
    if chosen.after.ours is not None:
        at, judgement_id = chosen.after.ours
        found = found.filter(at__lte=at).filter(Q(at__lt=at) | Q(pk__lt=judgement_id))
    return found.order_by("-at", "-pk")


def _inbound(person: Person, chosen: HistoryFilter) -> QuerySet[InboundJudgement]:
    # Nothing of ours refuses mail that is here already: every one of these passed.
    if chosen.result not in ("", PASSED) or chosen.stage not in ("", INBOUND_STAGE):
        return InboundJudgement.objects.none()
    found = InboundJudgement.objects.select_related("message", "mailbox").filter(
        mailbox__in=visible_mailboxes(person, Right.READ_POLICIES)
    )
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    if chosen.draft is not None:
        # The provider's ids are unique within a mailbox only.
        found = found.filter(
            Exists(
                Draft.objects.filter(
                    public_id=chosen.draft,
                    mailbox=OuterRef("mailbox"),
                    parent_message_id=OuterRef("message__provider_id"),
                )
            )
        )
    if chosen.rule:
        found = found.annotate(rules_text=Cast("rules", TextField())).filter(
            rules_text__contains=f'"{chosen.rule}:'
        )
    if chosen.after.inbound is not None:
        at, judgement_id = chosen.after.inbound
        found = found.filter(at__lte=at).filter(Q(at__lt=at) | Q(pk__lt=judgement_id))
    return found.order_by("-at", "-pk")


def _theirs(person: Person, chosen: HistoryFilter) -> QuerySet[RuleEvaluation]:
    if chosen.result not in ("", BLOCKED, PASSED, "blocked_rule"):
        return RuleEvaluation.objects.none()
    found = RuleEvaluation.objects.select_related("mailbox").filter(
        mailbox__in=visible_mailboxes(person, Right.READ_POLICIES)
    )
    if chosen.mailbox is not None:
        found = found.filter(mailbox__public_id=chosen.mailbox)
    if chosen.draft is not None:
        found = _about_draft(found, chosen.draft)
    if chosen.rule:
        found = found.annotate(rules_text=Cast("matched_rule_ids", TextField())).filter(
            rules_text__contains=f'"{chosen.rule}"'
        )
    if chosen.stage:
        found = found.filter(stage=chosen.stage)
    if chosen.result in (BLOCKED, "blocked_rule"):
        found = found.filter(applied_actions__blocked=True)
    elif chosen.result == PASSED:
        found = found.exclude(applied_actions__blocked=True)
    if chosen.after.provider is not None:
        at, evaluation_id = chosen.after.provider
        found = found.filter(evaluated_at__lte=at).filter(Q(evaluated_at__lt=at) | Q(pk__lt=evaluation_id))
    return found.order_by("-evaluated_at", "-pk")


def _about_draft(found: QuerySet[RuleEvaluation], public_id: UUID) -> QuerySet[RuleEvaluation]:
    """The evaluations of the mail that a draft became, and the one that refused it."""
    sent = Q(mailbox__sends__draft__public_id=public_id) & Q(
        mailbox__sends__provider_message_id=F("provider_message_id")
    )
    return found.filter((sent & ~Q(provider_message_id="")) | Q(pk__in=_refusing(public_id))).distinct()


def _refusing(public_id: UUID) -> QuerySet[Attempt, int | None]:
    return Attempt.objects.filter(
        send__draft__public_id=public_id, rule_evaluation__isnull=False
    ).values_list("rule_evaluation", flat=True)


def _following(before: HistoryPlace, shown: Sequence[HistoryLine]) -> HistoryPlace:
    # A list that has not been begun is begun at the time of the last line: what is written meanwhile stays above.
    last = shown[-1].at
    ours = before.ours or (last, HIGHEST_ID)
    provider = before.provider or (int(last.timestamp()), HIGHEST_ID)
    inbound = before.inbound or (last, HIGHEST_ID)
    for line in shown:
        if line.judgement is not None:
            ours = (line.judgement.at, line.judgement.pk)
        elif line.evaluation is not None:
            provider = (line.evaluation.evaluated_at, line.evaluation.pk)
        elif line.inbound is not None:
            inbound = (line.inbound.at, line.inbound.pk)
    return HistoryPlace(ours, provider, inbound)


def stages() -> list[tuple[str, str]]:
    """The stages of ours with their words, and those of the provider that are in use."""
    known = RuleEvaluation.objects.order_by("stage").values_list("stage", flat=True).distinct()
    ours = {stage.value: str(stage.label) for stage in Stage}
    theirs = {stage: stage_word(stage) for stage in [*known, INBOUND_STAGE]}
    return list((ours | theirs).items())


def stage_word(stage: str) -> str:
    """The words for a stage of the provider's rules; a stage that is not known here names itself."""
    return str(PROVIDER_STAGES.get(stage, stage))
