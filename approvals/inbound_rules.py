"""Judging mail as it arrives: each message once, by the rules in force at that moment."""

from __future__ import annotations

import logging

from django.db import IntegrityError, transaction

from agentmail.models import Mailbox, Message
from approvals import subjects
from approvals.models import InboundJudgement
from audit.clock import database_now
from policies import changes, engine, rules
from policies.lists import StoredLists
from policies.models import Trigger
from policies.scopes import scopes_of

logger = logging.getLogger(__name__)
STAGE = "inbox_processing"
JUDGED_AT_ONCE = 500


def judge(message: Message) -> InboundJudgement | None:
    """Ask the inbound rules about a message and keep the answer, that none matched included; once per message.

    None for mail that is ours or not read in full. An error in the rules is raised: the message has no category then,
    and a rule that needs one refuses the mail.
    """
    if message.is_outbound or not message.is_complete or message.is_deleted:
        return None
    known = InboundJudgement.objects.filter(message=message).first()
    if known is not None:
        return known
    asked = rules.in_force(scopes_of(message.mailbox_id), Trigger.INBOUND)
    subject = subjects.inbound(message)
    outcome = engine.evaluate(subject, asked, StoredLists())
    try:
        with transaction.atomic():
            return InboundJudgement.objects.create(
                message=message,
                mailbox_id=message.mailbox_id,
                at=database_now(),
                policy_version=changes.current_version(),
                rules=list(outcome.references),
                evaluation_input=subject.to_json(),
                applied_actions=outcome.applied_actions(),
                category=outcome.category,
            )
    except IntegrityError:
        return InboundJudgement.objects.filter(message=message).first()


def judge_new(mailbox: Mailbox) -> int:
    """Judge what arrived and was not judged yet; how many were. One that fails is tried again at the next call."""
    waiting = Message.objects.filter(
        mailbox=mailbox, is_outbound=False, is_complete=True, is_deleted=False, inbound_judgement__isnull=True
    )
    judged = 0
    for message in list(waiting.order_by("pk")[:JUDGED_AT_ONCE]):
        try:
            judged += judge(message) is not None
        except Exception:
            logger.exception("message %s could not be judged", message.pk)
    return judged


def as_evaluation(judgement: InboundJudgement) -> dict[str, object]:
    """A judgement under the keys of the provider's records of evaluations."""
    return {
        "message_id": judgement.message.provider_id,
        "evaluated_at": int(judgement.at.timestamp()),
        "evaluation_stage": STAGE,
        "evaluation_input": judgement.evaluation_input,
        "applied_actions": judgement.applied_actions,
        "matched_rule_ids": [rule.split(":")[1] for rule in judgement.rules],
    }
