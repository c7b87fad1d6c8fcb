"""Which scopes of the kill switch a mail is in: everywhere, its workspace, mailbox and agent, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentmail.addresses import AddressError, parse_address
from approvals.models import Draft, Send
from approvals.states import SendState
from policies import scopes, switch

# A filter with more ids than this is asked in parts.
IDS_AT_ONCE = 5000
# What a stop can still hold, hold back or name.
_STOPPABLE = (SendState.QUEUED, SendState.DISPATCHED, SendState.UNKNOWN)


def scopes_of(draft: Draft, recipients: Iterable[str], *, within: Sequence[str] | None = None) -> list[str]:
    """Every scope in which a stop keeps this draft from leaving to these addresses, the widest first.

    `within` are the scopes of its mailbox, where the caller has read them.
    """
    return _scopes(draft.mailbox_id, draft.agent_id, recipients, within)


def scopes_of_draft(draft_id: int) -> list[str]:
    """As `scopes_of`, for what the draft says now; nothing is locked."""
    mailbox_id, agent_id, *fields = Draft.objects.values_list(
        "mailbox_id", "agent_id", "current_revision__to", "current_revision__cc", "current_revision__bcc"
    ).get(pk=draft_id)
    return _scopes(mailbox_id, agent_id, _addresses(fields))


def scopes_of_send(send_id: int) -> list[str]:
    """As `scopes_of`, for what was approved last; nothing is locked."""
    mailbox_id, agent_id, *fields = Send.objects.values_list(
        "mailbox_id",
        "draft__agent_id",
        "decision__revision__to",
        "decision__revision__cc",
        "decision__revision__bcc",
    ).get(pk=send_id)
    return _scopes(mailbox_id, agent_id, _addresses(fields))


def sends_in(scope: str) -> list[dict[str, Any]]:
    """Filters that together find the sends of a scope that a stop still concerns, each once.

    Sends to a domain are looked for among those that are queued, under way or unknown, so ask anew when the switch
    is locked.
    """
    kind, _colon, name = scope.partition(":")
    if kind == "global":
        return [{}]
    if kind == "mailbox":
        return [{"mailbox_id": int(name)}]
    if kind == "workspace":
        return [{"mailbox_id__in": scopes.mailboxes_of(int(name))}]
    if kind == "agent":
        return [{"draft__agent_id": name}]
    found = []
    rows = Send.objects.filter(state__in=_STOPPABLE).values_list(
        "pk", "decision__revision__to", "decision__revision__cc", "decision__revision__bcc"
    )
    for send_id, *fields in rows.order_by("pk").iterator(chunk_size=1000):
        if scope in _domain_scopes(_addresses(fields)):
            found.append(send_id)
    parts = range(0, max(1, len(found)), IDS_AT_ONCE)
    return [{"pk__in": found[start : start + IDS_AT_ONCE]} for start in parts]


def _scopes(
    mailbox_id: int, agent_id: str, recipients: Iterable[str], within: Sequence[str] | None = None
) -> list[str]:
    found = list(scopes.scopes_of(mailbox_id) if within is None else within)
    if agent_id:
        found.append(switch.agent_scope(agent_id))
    return found + _domain_scopes(recipients)


def _domain_scopes(recipients: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for email in recipients:
        try:
            domain = parse_address(email).rpartition("@")[2]
        except AddressError:
            # The gate of the recipients refuses it.
            continue
        labels = domain.split(".")
        for start in range(len(labels) - 1):
            found[switch.domain_scope(".".join(labels[start:]))] = None
    return list(found)


def _addresses(fields: Sequence[Any]) -> list[str]:
    return [str(entry["email"]) for field in fields for entry in field or ()]
