"""The provider's objects in our vocabulary: frozen, parsed once at the boundary."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of a header field: `email` as the provider wrote it (case kept), `name` may be empty."""

    email: str
    name: str = ""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Address:
        return cls(email=str(raw.get("email") or ""), name=str(raw.get("name") or ""))

    def to_json(self) -> dict[str, str]:
        return {"email": self.email, "name": self.name} if self.name else {"email": self.email}


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """Metadata of an attachment; the bytes are fetched apart. `size` in bytes."""

    id: str
    filename: str
    content_type: str
    size: int
    content_id: str = ""
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class DraftSnapshot:
    """A draft as the provider returned it now. It carries no version and no update time.

    `reply_to_message_id` is empty when the provider does not give it back, which is usual.
    """

    id: str
    grant_id: str
    thread_id: str
    from_: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    attachments: tuple[AttachmentInfo, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    reply_to_message_id: str = ""
    date: int | None = None


@dataclass(frozen=True, slots=True)
class MessageSnapshot:
    """A message as the provider returned it now. `date` in seconds since the epoch.

    `headers` is empty unless they were asked for; names keep their case and may repeat.
    """

    id: str
    grant_id: str
    thread_id: str
    from_: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    date: int | None
    snippet: str = ""
    folders: tuple[str, ...] = ()
    attachments: tuple[AttachmentInfo, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadSnapshot:
    """A thread as the provider returned it now. Dates in seconds since the epoch, None when absent."""

    id: str
    grant_id: str
    subject: str
    participants: tuple[Address, ...]
    message_ids: tuple[str, ...]
    draft_ids: tuple[str, ...]
    latest_message_received_date: int | None
    latest_message_sent_date: int | None


@dataclass(frozen=True, slots=True)
class GrantSnapshot:
    id: str
    email: str
    name: str
    provider: str
    is_valid: bool
    is_blocked: bool
    workspace_id: str = ""


@dataclass(frozen=True, slots=True)
class FolderSnapshot:
    """`role` is one of inbox, sent, drafts, trash, junk, archive, or empty for a folder of the user's own."""

    id: str
    name: str
    role: str


RawKind = Literal["messages", "threads", "folders", "contacts"]


@dataclass(frozen=True, slots=True)
class RawPage:
    """Objects of one page of a list in the provider's own shape; `cursor` is empty when no page follows."""

    objects: tuple[dict[str, Any], ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class RuleEvaluationSnapshot:
    """One rule evaluation by the provider; `evaluated_at` in seconds since the epoch (nylas-v3 section 8)."""

    id: str
    grant_id: str
    message_id: str
    evaluated_at: int
    stage: str
    evaluation_input: dict[str, Any]
    applied_actions: dict[str, Any]
    matched_rule_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """Limits and spam detection as the provider applies them: sizes in bytes, periods in days, -1 unlimited.

    They are the effective ones, which the plan may have changed from what was written (nylas-v3 section 7.1).
    """

    id: str
    name: str
    limits: dict[str, Any]
    spam_detection: dict[str, Any]
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class RuleSnapshot:
    """A rule of the provider. `match` has `operator` and `conditions`; lower `priority` runs first."""

    id: str
    name: str
    description: str
    priority: int
    is_enabled: bool
    trigger: str
    match: dict[str, Any]
    actions: tuple[dict[str, str], ...]
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class ListSnapshot:
    """A list of the provider without its values. `type` is domain, tld or address."""

    id: str
    name: str
    description: str
    type: str
    items_count: int
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceSnapshot:
    """A workspace of the provider, which carries the policy and the rules of the grants in it."""

    id: str
    name: str
    domain: str
    is_default: bool
    is_auto_grouped: bool
    policy_id: str
    rule_ids: tuple[str, ...]
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class SendActivity:
    """What became of one sent message for one recipient; `at` in seconds since the epoch.

    `status` is the provider's word (accepted, delivered, bounced, complaint, rejected); `kind` the same with
    bounces told apart as hard_bounce and soft_bounce. `code` is the status code found, if any.
    """

    message_id: str
    grant_id: str
    recipient: str
    status: str
    at: int | None
    kind: str = ""
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WebhookSnapshot:
    """A destination registered at the provider. `secret` is given only when it was just made."""

    id: str
    url: str
    trigger_types: tuple[str, ...]
    status: str
    secret: str = field(default="", repr=False)


class ReplyClass(StrEnum):
    """What a reply to a send proves. The table is closed: whatever is not in it is AMBIGUOUS."""

    ACCEPTED = "accepted"  # 200 with a message id
    NOT_STARTED = "not_started"  # failed before the first byte of the request left
    RATE_LIMITED = "rate_limited"  # 429: nothing was sent; the key is burnt
    REFUSED = "refused"  # 400, 413, 422 with an error of the API: nothing was sent, final
    UNAUTHENTICATED = "unauthenticated"  # 401: nothing was sent; the grant is no longer valid
    BLOCKED = "blocked"  # 403: nothing was sent; an outbound rule, a scope or a plan limit
    GONE = "gone"  # 404 when sending a draft: withdrawn, or already sent by an earlier attempt
    PAYLOAD_MISMATCH = "payload_mismatch"  # 409: the key was used with another payload
    AMBIGUOUS = "ambiguous"  # everything else: the mail may have gone


@dataclass(frozen=True, slots=True)
class SendReply:
    """The classified reply to one POST that sends. `detail` is a sentence without addresses or content."""

    reply_class: ReplyClass
    detail: str
    status_code: int | None = None
    message: MessageSnapshot | None = None
    request_id: str = ""
    is_replay: bool = False
    retry_after_seconds: int | None = None
    error_type: str = ""
    error_message: str = ""
