from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from approvals.models import Decision, DecisionKind, Draft
from approvals.states import SendState


class Command(BaseCommand):
    help = "Write one JSON object per draft: what was approved, what was sent, what became of it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="the grant of one mailbox")

    def handle(self, *args: Any, mailbox: str | None, **options: Any) -> None:
        rows = Draft.objects.select_related("send").prefetch_related("send__attempts", "send__outcomes")
        if mailbox is not None:
            rows = rows.filter(grant_id=mailbox)
        for draft in rows.order_by("pk").iterator(chunk_size=200):
            self.stdout.write(json.dumps(_entry(draft), ensure_ascii=False, sort_keys=True))


def _entry(draft: Draft) -> dict[str, Any]:
    send = getattr(draft, "send", None)
    decision = (
        draft.decisions.filter(kind=DecisionKind.APPROVE, voided_at__isnull=True)
        .select_related("revision")
        .first()
    )
    return {
        "grant_id": draft.grant_id,
        "provider_draft_id": draft.provider_draft_id,
        "draft_state": draft.state,
        "send_state": send.state if send is not None else None,
        "would_have_been_sent_to": (
            decision.revision.recipients()
            if decision is not None and send is not None and send.state == SendState.DRY_RUN
            else None
        ),
        "attempts": [
            {
                "number": attempt.number,
                "state": attempt.state,
                "reply_class": attempt.reply_class,
                "status_code": attempt.status_code,
                "idempotency_key": attempt.idempotency_key,
            }
            for attempt in (
                sorted(send.attempts.all(), key=lambda row: row.number) if send is not None else []
            )
        ],
        "provider_message_id": send.provider_message_id if send is not None else None,
        "outcomes": [
            {"address": fact.address, "kind": fact.kind, "code": fact.code}
            for fact in (send.outcomes.all() if send is not None else [])
        ],
        "approved": _approved(decision) if decision is not None else None,
    }


def _approved(decision: Decision) -> dict[str, Any]:
    revision = decision.revision
    return {
        "from": revision.sender,
        "to": revision.to,
        "cc": revision.cc,
        "bcc": revision.bcc,
        "reply_to": revision.reply_to,
        "subject": revision.subject,
        "body": revision.body,
        "is_plaintext": revision.is_plaintext,
        "reply_to_message_id": revision.parent_message_id,
        "attachments": [
            {"filename": part["filename"], "sha256": part["sha256"], "size": part["size"]}
            for part in revision.attachments
        ],
        "content_sha256": decision.content_sha256,
        "person": decision.person_name,
    }
