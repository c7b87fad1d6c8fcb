"""What programs send and get under /api/v1/. Names as in the contract; a field that is not here is refused."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator

from agentmail.types import Address
from approvals.content import RECIPIENT_LIMIT
from approvals.submissions import SOURCES

REASON_CHARACTERS = 4000
BODY_CHARACTERS = 1_000_000
DECISIONS = 100
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def _no_nul(text: str) -> str:
    # No database keeps these, and no mail means one: JSON can write half of a character alone.
    if _NO_TEXT.search(text):
        raise ValueError("no NUL characters and no lone surrogates here")
    return text


def _in_utc(at: datetime) -> datetime:
    # Without an offset it is in UTC, as for export_audit. PostgreSQL takes fewer offsets than a date in JSON may have.
    try:
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no time between the years 1 and 9999") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Text = Annotated[str, AfterValidator(_no_nul)]
Line = Annotated[str, Field(max_length=998), AfterValidator(_no_nul)]
Mode = Literal["read_only", "gated_all", "gated_send", "monitored", "autonomous"]


class Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class Party(Strict):
    email: Line
    name: Line = ""


def _listed(given: Any) -> Any:
    many = given if isinstance(given, list) else [given]
    return [{"email": one} if isinstance(one, str) else one for one in many]


Parties = Annotated[
    list[Party],
    Field(max_length=RECIPIENT_LIMIT),
    BeforeValidator(_listed, json_schema_input_type=Line | Party | list[Line | Party]),
]


class Attachment(Strict):
    filename: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_no_nul)]
    content_type: Annotated[str, Field(max_length=255), AfterValidator(_no_nul)] = "application/octet-stream"
    content: Annotated[str, Field(description="The bytes in base64.")]

    @field_validator("content")
    @classmethod
    def _is_base64(cls, text: str) -> str:
        b64decode(text, validate=True)
        return text


class Wording(Strict):
    """What a mail says, and what its agent says about it to the reviewers. Recipients never see the latter."""

    subject: Line = ""
    body: Annotated[str, Field(max_length=BODY_CHARACTERS), AfterValidator(_no_nul)] = ""
    is_plaintext: bool = False
    cc: Parties = []
    bcc: Parties = []
    reply_to: Parties = []
    attachments: Annotated[list[Attachment], Field(max_length=50)] = []
    note: Text = ""
    category: Text = ""
    confidence: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    sources: Annotated[list[Text], Field(max_length=SOURCES)] = []
    revises: Annotated[
        UUID | None, Field(description="An open mail of this agent that gets this wording.")
    ] = None


class SendIn(Wording):
    from_: Annotated[Line, Field(alias="from", description="The address of the mailbox.")]
    to: Parties


class ReplyIn(Wording):
    from_: Annotated[Line, Field(alias="from", description="The address of the mailbox.")]
    message_id: Annotated[Line, Field(min_length=1, description="The message that is answered.")]
    to: Annotated[Parties | None, Field(description="Left out: whoever wrote the message.")] = None


class RecipientOut(Schema):
    address: str
    verdict: Literal["allowed", "denied", "unknown"]


class StatusOut(Schema):
    """`status` is executed, pending or blocked; `code` says why."""

    id: UUID
    message_id: UUID
    status: Literal["executed", "pending", "blocked"]
    code: str
    reason: str | None = None
    estimated_review_time: Annotated[int | None, Field(description="Seconds, the median of this mailbox.")]
    estimate_reason: str | None = None


class AcceptedOut(StatusOut):
    recipients: list[RecipientOut]


class MailOut(StatusOut):
    mailbox: str
    to: list[str]
    subject: str
    revision: int | None
    provider_message_id: str | None
    arrived_at: datetime
    expires_at: datetime | None
    outcomes: list[dict[str, str]]


class PendingOut(Schema):
    id: UUID
    to: list[str]
    subject: str
    body_preview: str
    state: str
    arrived_at: datetime
    expires_at: datetime


class PendingPageOut(Schema):
    messages: list[PendingOut]
    next_cursor: str | None


class DecideIn(Strict):
    action: Literal["approve", "reject", "request_changes"]
    reason: Annotated[
        str | None, Field(max_length=REASON_CHARACTERS), AfterValidator(lambda v: v and _no_nul(v))
    ] = None


class DecideOneIn(DecideIn):
    id: UUID


class DecideManyIn(Strict):
    decisions: Annotated[list[DecideOneIn], Field(min_length=1, max_length=DECISIONS)]

    @field_validator("decisions")
    @classmethod
    def _names_each_once(cls, decisions: list[DecideOneIn]) -> list[DecideOneIn]:
        if len({one.id for one in decisions}) < len(decisions):
            raise ValueError("a mail is decided about once in a request; an id is here twice")
        return decisions


class DecidedOut(StatusOut):
    decided_by: str


class MailboxIn(Strict):
    address: Line
    display_name: Annotated[
        str | None, Field(max_length=256, description="Kept at the provider; only checked here.")
    ] = None
    oversight_mode: Mode = "gated_send"
    approval_webhook: Annotated[Line | None, Field(description="Is told of every decision and send.")] = None
    expiry_hours: Annotated[int, Field(ge=1, le=720)] = 72


class MailboxPatchIn(Strict):
    oversight_mode: Mode | None = None
    seen_mode: Annotated[
        Mode | None,
        Field(
            description="The mode that you saw: when it is another by now, nothing changes and that is a 409."
        ),
    ] = None
    expiry_hours: Annotated[int | None, Field(ge=1, le=720)] = None
    change_reason: Annotated[str, Field(max_length=REASON_CHARACTERS), AfterValidator(_no_nul)] = ""


class MailboxOut(Schema):
    id: UUID
    address: str
    display_name: str
    oversight_mode: str
    expiry_hours: int
    undo_seconds: int
    updated_at: datetime | None


class ConnectedOut(MailboxOut):
    """The secrets sign what `approval_webhook` is told, that of the channel the sends of a monitored mailbox."""

    webhook_secret: str | None
    channel_secret: str | None


class ErrorOut(Schema):
    """`error` is a code for programs; `reason` names the field and the limit where there is one."""

    model_config = ConfigDict(extra="allow")

    error: str
    reason: str


class NotDecidedOut(ErrorOut):
    id: UUID


class DecidedManyOut(Schema):
    """One result for each decision, in their order: how the mail stands, or why it was not decided about."""

    results: list[DecidedOut | NotDecidedOut]


def addresses(given: list[Party]) -> tuple[Address, ...]:
    return tuple(Address(one.email.strip(), one.name) for one in given)
