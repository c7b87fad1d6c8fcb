"""What an agent hands in, changes and takes back in the provider's shapes. Nothing here sends: the gate does."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from pydantic import Field, StrictBool, ValidationError

from agentmail import parsing
from agentmail.client import configured_client
from agentmail.exceptions import RequestRefused
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import intake, submissions
from approvals.content import RECIPIENT_LIMIT
from approvals.models import Draft, Submission
from approvals.states import OPEN_DRAFT_STATES
from approvals.submissions import Blocked, Mail, Says, SubmissionRefused
from approvals.transitions.submissions import NotCancellable
from audit.record import record
from gateway import schemas, standing
from gateway.models import Scope
from gateway.nylas import reads, shapes
from gateway.nylas.door import Call, Unusable, answer, done
from gateway.schemas import Line, Strict, Text
from policies import modes
from policies.modes import Answer

# The provider takes these; a reviewer would not see them, or the mail would not leave as it was seen.
NOT_HELD = frozenset(
    {
        "send_at",
        "use_draft",
        "schedule_id",
        "tracking_options",
        "template",
        "signature_id",
        "custom_headers",
        "starred",
        "unread",
        "folders",
    }
)
# A message that stands there counts as the mailbox's own.
_OWN_FOLDERS = frozenset({"sent", "drafts"})


class Party(Strict):
    email: Line
    name: Line | None = None


class Attachment(schemas.Attachment):
    content_id: Line | None = None
    is_inline: StrictBool | None = None
    content_disposition: Literal["attachment", "inline"] | None = None
    size: int | None = None


class Metadata(Strict):
    """What the agent tells the reviewers. `sources` has one a line."""

    note: Text = ""
    category: Text = ""
    confidence: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    sources: Text = ""


Parties = Annotated[list[Party], Field(max_length=RECIPIENT_LIMIT)]


class MailIn(Strict):
    from_: Annotated[Parties, Field(alias="from", max_length=1)] = []
    to: Parties = []
    cc: Parties = []
    bcc: Parties = []
    reply_to: Parties = []
    subject: Line = ""
    body: Annotated[Text, Field(max_length=schemas.BODY_CHARACTERS)] = ""
    is_plaintext: StrictBool = False
    reply_to_message_id: Line = ""
    attachments: Annotated[list[Attachment], Field(max_length=50)] = []
    metadata: Metadata = Metadata()


class MarksIn(Strict):
    unread: StrictBool | None = None
    starred: StrictBool | None = None
    folders: Annotated[list[Line] | None, Field(min_length=1, max_length=50)] = None


class Nothing(Strict):
    pass


def create_draft(call: Call) -> HttpResponse:
    call.caller.need(Scope.SEND, mailbox=call.mailbox)
    submission = _handed_in(call, _read(call, MailIn))
    return answer(shapes.mail(submission, submission.draft))


def send_message(call: Call) -> HttpResponse:
    call.caller.need(Scope.SEND, mailbox=call.mailbox)
    submission = _handed_in(call, _read(call, MailIn))
    return _sent(submission, submission.draft)


def send_draft(call: Call, draft_id: str) -> HttpResponse:
    """A draft waits for a decision since it was made; to send it is to ask how it stands, of the gate as it is now."""
    call.caller.need(Scope.SEND, mailbox=call.mailbox)
    _read(call, Nothing)
    submission, draft = call.mail(draft_id)
    if draft is None or draft.state in OPEN_DRAFT_STATES:
        submissions.ask(call.mailbox, submissions.wording(submission, draft), agent=call.caller.actor)
    return _sent(submission, draft)


def update_draft(call: Call, draft_id: str) -> HttpResponse:
    """Give a draft another wording; fields that are left out stay as they are. It is reviewed anew."""
    call.caller.need(Scope.SEND, mailbox=call.mailbox)
    given = _read(call, MailIn)
    submission, draft = call.mail(draft_id)
    if draft is None and submission is not None:
        submissions.hand_over(submission.pk)
        submission, draft = call.mail(draft_id)
    if draft is None:
        raise NotCancellable("handing_over", _("It is being taken into the queue; try again in a moment."))
    submission = _handed_in(call, given, revises=draft)
    draft.refresh_from_db()
    return answer(shapes.mail(submission, draft))


def delete_draft(call: Call, draft_id: str) -> HttpResponse:
    call.need(Scope.SEND, modes.CANCEL_MESSAGE)
    reads.query(call, frozenset())
    submission, draft = call.mail(draft_id)
    if draft is not None:
        submissions.withdraw(draft)
    elif submission is not None:
        submissions.cancel(submission, agent=call.caller.actor)
    return done()


def update_message(call: Call, message_id: str) -> HttpResponse:
    """Mark a message that the agent may read, or move it to another folder."""
    call.need(Scope.SEND, modes.TAG)
    marks = _read(call, MarksIn).model_dump(exclude_none=True)
    if not marks:
        raise Unusable("unread", _("One of unread, starred and folders is needed."))
    message = reads.message(call, message_id, {})
    client, grant_id = configured_client(), call.mailbox.grant_id
    if "folders" in marks:
        _check_folders(call, marks["folders"], before=message.get("folders"))
    provider_id = parsing.text(message.get("id"))
    with transaction.atomic():
        record(
            "gateway.message.marked",
            actor=call.caller.actor,
            mailbox_id=call.mailbox.pk,
            inbound_message_id=provider_id,
            data={"fields": sorted(marks)},
        )
    changed = client.update_message(grant_id, provider_id, marks, read_timeout=reads.READ_SECONDS)
    return answer(shapes.shown(changed))


def _handed_in(call: Call, given: MailIn, *, revises: Draft | None = None) -> Submission:
    _check_sender(call.mailbox, given.from_)
    mail = _mail(given) if revises is None else _changed(submissions.wording(None, revises), given)
    if revises is None and mail.parent_message_id:
        _take_in(call, mail.parent_message_id)
    told = given.metadata
    sources = tuple(line.strip() for line in told.sources.splitlines() if line.strip())
    submission, _judged = submissions.receive(
        call.mailbox,
        mail,
        Says(told.note, sources, told.category, told.confidence),
        agent=call.caller.actor,
        owner=call.caller.token.owner,
        key=call.request.headers.get("Idempotency-Key", ""),
        revises=revises,
    )
    submission.refresh_from_db()
    return submission


def _take_in(call: Call, message_id: str) -> None:
    """Store the message that is answered: an agent may read it here before the next poll brings it to the desk."""
    if len(message_id) > intake.LONGEST_ID:
        return
    # What the provider does not take for an id is no message; `submissions` says so.
    with suppress(RequestRefused):
        intake.fetch_messages(
            call.mailbox, [message_id], configured_client(), read_timeout=reads.READ_SECONDS
        )


def _sent(submission: Submission | None, draft: Draft | None) -> HttpResponse:
    found = standing.standing(submission, draft)
    if found.status is Answer.BLOCKED:
        raise Blocked(found.code, found.reason or found.code)
    shape = shapes.mail(submission, draft, "message")
    status = 200 if found.status is Answer.EXECUTED else 202
    return answer(shape, status=status, grant_id=shape["grant_id"])


def _mail(given: MailIn) -> Mail:
    return Mail(
        to=_addresses(given.to),
        cc=_addresses(given.cc),
        bcc=_addresses(given.bcc),
        reply_to=_addresses(given.reply_to),
        subject=given.subject,
        body=given.body,
        is_plaintext=given.is_plaintext,
        parent_message_id=given.reply_to_message_id,
        attachments=tuple(_part(part) for part in given.attachments),
    )


def _changed(now: Mail, given: MailIn) -> Mail:
    named = given.model_fields_set
    for name, value, before in (
        ("is_plaintext", given.is_plaintext, now.is_plaintext),
        ("reply_to_message_id", given.reply_to_message_id, now.parent_message_id),
    ):
        if name in named and value != before:
            raise Unusable(name, _("This stays as it was when the draft was made."))
    people: dict[str, Any] = {
        name: _addresses(getattr(given, name)) if name in named else getattr(now, name)
        for name in ("to", "cc", "bcc", "reply_to")
    }
    return Mail(
        **people,
        subject=given.subject if "subject" in named else now.subject,
        body=given.body if "body" in named else now.body,
        is_plaintext=now.is_plaintext,
        parent_message_id=now.parent_message_id,
        attachments=tuple(_part(part) for part in given.attachments) if "attachments" in named else None,
    )


def _part(given: Attachment) -> dict[str, str]:
    part = {"filename": given.filename, "content_type": given.content_type, "content": given.content}
    return part | ({"content_id": given.content_id} if given.content_id else {})


def _addresses(parties: Parties) -> tuple[Address, ...]:
    return tuple(Address(one.email.strip(), one.name or "") for one in parties)


def _check_sender(mailbox: Mailbox, given: Parties) -> None:
    for one in given:
        if one.email.strip().casefold() != mailbox.address.casefold():
            raise SubmissionRefused("from.0.email", _("Mail of this grant has the address of its mailbox."))
        if one.name and one.name != mailbox.display_name:
            raise SubmissionRefused("from.0.name", _("Mail of this grant has the name of its mailbox."))


def _check_folders(call: Call, wanted: list[str], *, before: Any) -> None:
    now = before if isinstance(before, list) else []
    folders = configured_client().list_folders(call.mailbox.grant_id, read_timeout=reads.READ_SECONDS)
    free = {one.id for one in folders if one.role not in _OWN_FOLDERS}
    for place, folder_id in enumerate(wanted):
        if folder_id not in free and folder_id not in now:
            raise Unusable(f"folders.{place}", _("No folder that a message can be moved to here."))
    if any(folder_id not in free and folder_id not in wanted for folder_id in now):
        raise Unusable("folders", _("What was sent stays in its folder."))


S = TypeVar("S", bound=Strict)


def _read(call: Call, schema: type[S]) -> S:
    """The JSON object of a request. Raises Unusable with the name of the first field that is not as it must be."""
    reads.query(call, frozenset())
    request = call.request
    if request.body and request.content_type != "application/json":
        raise Unusable("Content-Type", _("JSON only; a mail with its attachments has 3 MB at most."))
    try:
        content = parsing.json_content(request.body or b"{}")
    except ValueError as error:
        raise Unusable("body", _("The request holds no JSON that can be read.")) from error
    if not isinstance(content, dict):
        raise Unusable("body", _("The request holds a JSON object."))
    given = {name: value for name, value in content.items() if value is not None}
    if schema is not MarksIn:
        for name in sorted(given.keys() & NOT_HELD):
            raise Unusable(name, _("The desk cannot hold this for review; leave it out."))
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = parsing.storable(".".join(str(part) for part in first["loc"]))[:200]
        raise Unusable(field or "body", first["msg"]) from error
