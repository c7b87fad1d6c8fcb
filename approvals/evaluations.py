"""Which evaluation by the provider's rules refused a send. The refusal itself does not say."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from agentmail import mirror
from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from agentmail.models import Mailbox, RuleEvaluation
from agentmail.types import ReplyClass
from approvals.models import Attempt, Send
from approvals.states import SendState
from audit.clock import database_now
from audit.record import SYSTEM, record

logger = logging.getLogger(__name__)

STAGE = "outbound_send"
# The provider's clock and ours may differ by this much.
SLACK_SECONDS = 120
LATE_WITHIN = timedelta(days=2)


def explain(attempt_id: int) -> RuleEvaluation | None:
    """Fetch the mailbox's evaluations and keep the one that refused an attempt with it; None when there is none.

    A blocked mail has no message id, so it is told by stage, recipients and time (nylas-v3 sections 7.6 and 8).
    """
    send = Send.objects.select_related("mailbox").get(attempts=attempt_id)
    try:
        snapshots = configured_client().list_rule_evaluations(send.grant_id)
        mirror.store_rule_evaluations(send.mailbox, snapshots)
    except ProviderError:
        logger.warning("the rule evaluations of mailbox %s are left to the next poll", send.mailbox_id)
        return None
    return _link(attempt_id)


def explain_earlier(mailbox: Mailbox) -> int:
    """Keep evaluations that came later than the refusal of the last days with the attempts they refused; how many."""
    unexplained = Attempt.objects.filter(
        send__mailbox=mailbox,
        send__state=SendState.FAILED,
        send__state_changed_at__gte=database_now() - LATE_WITHIN,
        reply_class=ReplyClass.BLOCKED.value,
        rule_evaluation__isnull=True,
    ).order_by("request_started_at")
    return sum(_link(attempt_id) is not None for attempt_id in unexplained.values_list("pk", flat=True)[:100])


def _link(attempt_id: int) -> RuleEvaluation | None:
    attempt = Attempt.objects.select_related("send__mailbox", "send__draft", "decision__revision").get(
        pk=attempt_id
    )
    send = attempt.send
    found = _refusal_of(attempt)
    if found is None:
        return None
    with transaction.atomic():
        changed = Attempt.objects.filter(pk=attempt.pk, rule_evaluation__isnull=True).update(
            rule_evaluation=found
        )
        if changed:
            record(
                "approvals.send.explained",
                actor=SYSTEM,
                mailbox_id=send.mailbox_id,
                draft_id=send.draft_id,
                send_id=send.pk,
                thread_id=send.thread_id,
                outcome="blocked_rule",
                provider_id=found.provider_id,
                rule_ids=found.matched_rule_ids,
                data={"attempt": attempt.number, "evaluation": found.provider_id, "stage": found.stage},
            )
    return found


def _refusal_of(attempt: Attempt) -> RuleEvaluation | None:
    recipients = {address.casefold() for address in attempt.decision.revision.recipients()}
    since = int(attempt.request_started_at.timestamp()) - SLACK_SECONDS
    rows = RuleEvaluation.objects.filter(
        mailbox=attempt.send.mailbox, stage=STAGE, evaluated_at__gte=since
    ).order_by("evaluated_at", "id")
    for row in rows[:200]:
        given = row.evaluation_input.get("recipient_addresses")
        asked = {str(address).casefold() for address in given} if isinstance(given, list) else set()
        is_taken = Attempt.objects.filter(rule_evaluation=row).exists()
        if row.applied_actions.get("blocked") and asked == recipients and not is_taken:
            return row
    return None
