"""What really happened against what the desk says: the provider's log on one side, our database on the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User

from agentmail.models import Transport
from approvals import queries
from approvals.models import Decision, DecisionKind, Revision, Send
from approvals.states import SendState

SENT = frozenset({SendState.ACCEPTED, SendState.CLOSED_SENT})
NOT_SENT = frozenset({SendState.QUEUED, SendState.FAILED, SendState.STOPPED, SendState.CLOSED_NOT_SENT})


@dataclass(slots=True)
class Findings:
    """The counts that must be zero, each as the list of what was found, and the numbers beside them."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    false_sent: list[str] = field(default_factory=list)
    false_not_sent: list[str] = field(default_factory=list)
    wrong_content: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    sends: int = 0
    accepted_by_provider: int = 0
    unknown: int = 0
    found: int = 0
    states: Counter[str] = field(default_factory=Counter)

    def faults(self) -> dict[str, list[str]]:
        """What must be empty, by name."""
        return {
            "duplicates": self.duplicates,
            "lost": self.lost,
            "false sent": self.false_sent,
            "false not sent": self.false_not_sent,
            "wrong content": self.wrong_content,
            "unknown and not on the page": self.unlisted,
        }

    def wrong(self) -> dict[str, list[str]]:
        return {name: found for name, found in self.faults().items() if found}


def compare(log: list[dict[str, Any]], viewer: User) -> Findings:
    """Compare the provider's log of accepted sends with every send of the database, at rest.

    `viewer` may see every mailbox: an unknown send that this person's list does not show is a finding. A send
    that waits to leave although nothing holds it, or is still under way, is lost when this is called at rest.
    """
    findings = Findings()
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in log:
        if line["by"] == "api":
            lines[line["token"] or f"draft {line['draft_id']}"].append(line)
    findings.accepted_by_provider = sum(map(len, lines.values()))
    listed = set(queries.visible_sends(viewer).filter(state=SendState.UNKNOWN).values_list("pk", flat=True))
    sends = Send.objects.select_related("draft", "mailbox", "decision__revision")
    for send in sends:
        findings.sends += 1
        findings.states[send.state] += 1
        mine = lines.pop(send.token, [])
        name = f"send {send.pk} ({send.state}, held {send.held!r})"
        if len(mine) > 1:
            findings.duplicates.append(f"{name}: {len(mine)} times")
        if _is_stuck(send):
            findings.lost.append(name)
        if send.state in SENT and not _is_the_line(send, mine):
            findings.false_sent.append(name)
        if send.state in NOT_SENT and mine:
            findings.false_not_sent.append(name)
        for line in mine:
            differences = _differences(line, _approved(send, line), send)
            if differences and not send.alarm:
                findings.wrong_content.append(f"{name}: {', '.join(differences)}")
        if send.state == SendState.UNKNOWN:
            findings.unknown += 1
            if send.pk not in listed:
                findings.unlisted.append(name)
        elif send.state == SendState.ACCEPTED and (send.evidence or {}).get("source") != "reply":
            findings.found += 1
    for token, extra in lines.items():
        findings.wrong_content.append(f"nobody approved {token} ({len(extra)} times)")
    orphans = Decision.objects.filter(kind=DecisionKind.APPROVE, voided_at__isnull=True, draft__send=None)
    findings.lost.extend(f"decision {decision.pk} without a send" for decision in orphans)
    return findings


def _is_stuck(send: Send) -> bool:
    return send.state == SendState.DISPATCHED or (send.state == SendState.QUEUED and not send.held)


def _is_the_line(send: Send, mine: list[dict[str, Any]]) -> bool:
    return any(send.provider_message_id in ("", line["message_id"]) for line in mine)


def _approved(send: Send, line: dict[str, Any]) -> Revision:
    attempt = (
        send.attempts.filter(idempotency_key=line["idempotency_key"])
        .select_related("decision__revision")
        .last()
        if line["idempotency_key"]
        else None
    )
    return attempt.decision.revision if attempt is not None else send.decision.revision


def _differences(line: dict[str, Any], approved: Revision, send: Send) -> list[str]:
    pairs: dict[str, tuple[Any, Any]] = {
        name: (_people(line[name]), _people(getattr(approved, name)))
        for name in ("to", "cc", "bcc", "reply_to")
    }
    pairs |= {
        "from": (_people(line["from"]), _people(approved.sender)),
        "subject": (line["subject"], approved.subject),
        "body": (line["body"], approved.body),
        "attachments": (
            sorted((part["filename"], part["sha256"]) for part in line["attachments"]),
            sorted((part["filename"], part["sha256"]) for part in approved.attachments),
        ),
    }
    if send.mailbox.transport == Transport.FROZEN_MESSAGE:
        pairs |= {
            "plain text": (bool(line["is_plaintext"]), approved.is_plaintext),
            "answered message": (line["reply_to_message_id"] or "", approved.parent_message_id),
        }
    return [name for name, (sent, wanted) in pairs.items() if sent != wanted]


def _people(entries: list[dict[str, str]] | None) -> list[tuple[str, str]]:
    return sorted((entry["email"], entry.get("name") or "") for entry in entries or [])
