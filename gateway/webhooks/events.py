"""What the record says, as the events that programs are told of; and whom each concerns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from agentmail.models import Mailbox
from approvals.models import Draft, OutcomeKind, Revision, Send, Submission
from approvals.states import DraftState
from audit.models import Entry
from gateway.models import Token
from policies import scopes, webhooks
from policies.models import Workspace

TYPES: Mapping[str, Any] = {
    "email.approved": _("A mail was approved"),
    "email.rejected": _("A mail was rejected"),
    "email.changes_requested": _("Changes to a mail were asked for"),
    "email.expired": _("Nobody decided about a mail in time"),
    "email.cancelled": _("A mail was taken back, or its draft is gone at the provider"),
    "email.stale": _("A mail no longer answers its conversation"),
    "email.sent": _("A mail was sent"),
    "email.unknown": _("It is not known whether a mail left"),
    "email.delivered": _("A mail was delivered to a recipient"),
    "email.bounced": _("A mail came back from a recipient"),
    "email.failed": _("A mail was not taken"),
    "mailbox.mode_changed": _("The oversight mode of a mailbox changed"),
    "sending.stopped": _("Sending was stopped"),
    "sending.resumed": _("Sending was allowed again"),
}
TEST = "webhook.test"

BODY_BYTES = 1_000_000
# What a payload beyond the limit keeps of each text and each list.
_KEPT_CHARACTERS, _KEPT_ITEMS = 1000, 100


@dataclass(frozen=True, slots=True)
class Event:
    """`mailbox_ids` are the mailboxes that it concerns, None for all; `agent_id` is whose mail it is about, None for
    what is about no mail. `kept_from_agents` are fields whose words people wrote for each other.
    """

    type: str
    at: datetime
    data: dict[str, Any]
    mailbox_ids: frozenset[int] | None
    agent_id: str | None = None
    is_for_agents: bool = True
    kept_from_agents: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Whom an endpoint stands for: its mailboxes, None for all, and its agent, None for people."""

    types: frozenset[str]
    mailbox_ids: frozenset[int] | None
    agent_id: str | None

    def concerns(self, event: Event) -> bool:
        if event.type not in self.types:
            return False
        if None not in (event.mailbox_ids, self.mailbox_ids) and not event.mailbox_ids & self.mailbox_ids:  # type: ignore[operator]
            return False
        if self.agent_id is None:
            return True
        return event.agent_id == self.agent_id if event.agent_id is not None else event.is_for_agents

    def told(self, event: Event) -> dict[str, Any]:
        kept = event.kept_from_agents if self.agent_id is not None else frozenset()
        return {name: "" if name in kept else value for name, value in event.data.items()}


def body_of(kind: str, at: datetime, data: Mapping[str, Any], *, event_id: UUID) -> str:
    """The JSON that is posted, at most BODY_BYTES long; `truncated` says that texts and lists were cut for it."""
    whole = webhooks.envelope(str(event_id), kind, at, data, truncated=False)
    text = _json(whole)
    if len(text.encode()) <= BODY_BYTES:
        return text
    return _json(whole | {"truncated": True, "data": _cut(data)})


def event_of(entry: Entry) -> Event | None:
    """The event that an entry of the record means to programs, or None."""
    reader = _READERS.get(entry.action)
    return reader(entry) if reader is not None else None


def _mail(kind: str, **more: Callable[[Entry], Any]) -> Callable[[Entry], Event | None]:
    def read(entry: Entry) -> Event | None:
        draft = (
            Draft.objects.select_related("mailbox", "current_revision").filter(pk=entry.draft_id or 0).first()
        )
        if draft is None:
            return None
        revision = _wording(entry, draft)
        data = {
            "id": str(draft.public_id),
            "mailbox": draft.mailbox.address,
            "subject": revision.subject if revision is not None else draft.subject,
            "to": [one["email"] for one in revision.to] if revision is not None else [],
        } | {name: found(entry) for name, found in more.items()}
        return Event(kind, entry.at, data, frozenset({draft.mailbox_id}), draft.agent_id)

    return read


def _submission(kind: str, **more: Callable[[Entry], Any]) -> Callable[[Entry], Event | None]:
    """Of a mail that ended before it had a draft. A new wording for an older draft ends nothing."""

    def read(entry: Entry) -> Event | None:
        row = (
            Submission.objects.select_related("mailbox")
            .filter(public_id=entry.data["submission"], is_revision=False)
            .first()
        )
        if row is None:
            return None
        data = {
            "id": str(row.public_id),
            "mailbox": row.mailbox.address,
            "subject": row.content["subject"],
            "to": [one["email"] for one in row.content["to"]],
        } | {name: found(entry) for name, found in more.items()}
        return Event(kind, entry.at, data, frozenset({row.mailbox_id}), row.agent_id)

    return read


def _wording(entry: Entry, draft: Draft) -> Revision | None:
    """What the mail said when the entry was made."""
    if entry.send_id is not None:
        send = Send.objects.select_related("decision__revision").filter(pk=entry.send_id).first()
        if send is not None:
            return send.decision.revision
    same = draft.revisions.filter(content_sha256=entry.content_sha256) if entry.content_sha256 else None
    return (same.order_by("-number").first() if same is not None else None) or draft.current_revision


def _reason(entry: Entry) -> str:
    return entry.reason


def _stale_reason(entry: Entry) -> str:
    return Draft.objects.filter(pk=entry.draft_id or 0).values_list("stale_reason", flat=True).first() or ""


def _closed(entry: Entry) -> str:
    # What the person wrote is for colleagues.
    return "closed_not_sent"


def _recipient(entry: Entry) -> str:
    return entry.recipients[0] if entry.recipients else ""


def _outcome(entry: Entry) -> str:
    return entry.outcome


def _provider_id(entry: Entry) -> str:
    return entry.provider_id


def _is_proven(entry: Entry) -> bool:
    return not entry.action.startswith("approvals.send.closed_")


_KINDS_OF_OUTCOME: Mapping[str, str] = {
    OutcomeKind.DELIVERED: "email.delivered",
    OutcomeKind.SOFT_BOUNCE: "email.bounced",
    OutcomeKind.HARD_BOUNCE: "email.bounced",
    OutcomeKind.REJECTED: "email.failed",
    OutcomeKind.SEND_FAILED: "email.failed",
}


def _of_outcome(entry: Entry) -> Event | None:
    kind = _KINDS_OF_OUTCOME.get(entry.outcome)
    if kind is None:
        return None
    return _mail(kind, recipient=_recipient, outcome=_outcome, code=_reason)(entry)


def _of_stop(entry: Entry) -> Event | None:
    # The last look before a send finds a draft stale, and says so in this entry alone; a sweep records it by itself.
    is_stale = entry.data.get("draft_state") == DraftState.STALE and bool(entry.gates)
    return _mail("email.stale", reason=_stale_reason)(entry) if is_stale else None


def _of_mode(entry: Entry) -> Event | None:
    mailbox = Mailbox.objects.filter(pk=entry.mailbox_id or 0).first()
    if mailbox is None:
        return None
    data = {
        "mailbox": mailbox.address,
        "before": entry.data.get("before", ""),
        "after": entry.data.get("after", ""),
    }
    return Event("mailbox.mode_changed", entry.at, data, frozenset({mailbox.pk}))


def _of_switch(kind: str) -> Callable[[Entry], Event]:
    def read(entry: Entry) -> Event:
        scope = str(entry.data.get("scope", ""))
        what, _colon, name = scope.partition(":")
        told, mailbox_ids, agent_id = scope, None, None
        if what == "mailbox":
            mailbox_ids = frozenset({int(name)})
            address = Mailbox.objects.filter(pk=int(name)).values_list("address", flat=True).first()
            told = f"mailbox:{address}" if address is not None else scope
        elif what == "workspace":
            mailbox_ids = frozenset(scopes.mailboxes_of(int(name)))
            found = Workspace.objects.filter(pk=int(name)).first()
            told = f"workspace:{found.name}" if found is not None else scope
        elif what == "agent":
            agent_id = name
            mailbox_ids = _mailboxes_of_agent(name)
        return Event(
            kind,
            entry.at,
            {"scope": told, "reason": entry.reason},
            mailbox_ids,
            agent_id,
            is_for_agents=what != "domain",
            kept_from_agents=frozenset({"reason"}),
        )

    return read


def _mailboxes_of_agent(agent_id: str) -> frozenset[int]:
    try:
        rows = Token.objects.filter(public_id=UUID(agent_id))
    except ValueError:
        return frozenset()
    return frozenset(pk for pk in rows.values_list("mailboxes", flat=True) if pk is not None)


_READERS: Mapping[str, Callable[[Entry], Event | None]] = {
    "approvals.draft.approved": _mail("email.approved"),
    "approvals.submission.refused": _submission("email.failed", reason=_reason),
    "approvals.submission.cancelled": _submission("email.cancelled"),
    "approvals.draft.rejected": _mail("email.rejected", reason=_reason),
    "approvals.draft.cancelled": _mail("email.rejected", reason=_reason),
    "approvals.draft.withdrawn": _mail("email.cancelled"),
    "approvals.draft.changes_requested": _mail("email.changes_requested", reason=_reason),
    "approvals.draft.expired": _mail("email.expired"),
    "approvals.draft.stale": _mail("email.stale", reason=_reason),
    "approvals.send.stopped": _of_stop,
    "approvals.send.accepted": _mail("email.sent", provider_message_id=_provider_id, is_proven=_is_proven),
    "approvals.send.found": _mail("email.sent", provider_message_id=_provider_id, is_proven=_is_proven),
    "approvals.send.closed_sent": _mail("email.sent", provider_message_id=_provider_id, is_proven=_is_proven),
    "approvals.send.unknown": _mail("email.unknown", reason=_reason),
    "approvals.send.failed": _mail("email.failed", reason=_reason),
    "approvals.send.closed_not_sent": _mail("email.failed", reason=_closed),
    "approvals.outcome.recorded": _of_outcome,
    "approvals.mode.changed": _of_mode,
    "policies.switch.engaged": _of_switch("sending.stopped"),
    "policies.switch.released": _of_switch("sending.resumed"),
}
ACTIONS = tuple(_READERS)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_KEPT_CHARACTERS]
    if isinstance(value, list):
        return [_cut(one) for one in value[:_KEPT_ITEMS]]
    if isinstance(value, Mapping):
        return {name: _cut(one) for name, one in value.items()}
    return value
