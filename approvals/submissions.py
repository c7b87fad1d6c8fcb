"""What agents hand in: kept once, then held by the provider as a draft and taken into the queue."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail.addresses import AddressError, parse_address
from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import NotFound, ProviderError, RequestRefused, Unauthenticated
from agentmail.models import Mailbox, Message
from agentmail.types import Address, DraftSnapshot
from approvals import dispatch, inbound, intake, marks, recipients
from approvals.characters import has_control
from approvals.content import JSON_REQUEST_BYTES, RECIPIENT_LIMIT
from approvals.models import Draft, Send, Submission, SubmissionState
from approvals.recipients import Recipient
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from approvals.transitions import drafts
from approvals.transitions import submissions as machine
from approvals.transitions.drafts import DecisionRefused
from approvals.transitions.moves import LostRace
from approvals.transitions.submissions import NotCancellable
from audit.clock import database_now
from audit.record import Actor, record
from policies import locks, modes
from policies.locks import LocksUnavailable
from policies.recipients import Outcome

logger = logging.getLogger(__name__)

KEY_CHARACTERS = 256
SUBJECT_CHARACTERS = 998
NOTE_CHARACTERS = 4000
CATEGORY_CHARACTERS = 100
SOURCES, SOURCE_CHARACTERS = 50, 2000
# After the first, second … failed try, and between all later ones.
RETRY_SECONDS = (5, 30, 120, 600, 1800)
DUE_AT_ONCE = 200
_PEOPLE = ("to", "cc", "bcc", "reply_to")


class SubmissionRefused(Exception):
    """Nothing was kept. `field` names what was wrong, the text says why and what the limit is."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class KeyReused(SubmissionRefused):
    """The agent's idempotency key stands for another mail already."""


class Blocked(Exception):
    """The gate would refuse the mail whatever a person says. `result` is the gate's, as in the contract."""

    def __init__(self, result: str, sentence: str, judged: Sequence[Recipient] = ()) -> None:
        super().__init__(sentence)
        self.result = result
        self.judged = judged


@dataclass(frozen=True, slots=True)
class Mail:
    """What an agent wants to send. `attachments` are mappings of filename, content_type and content (base64).

    None for them leaves those of a draft that gets this wording as they are. `plain_part` is a plain text that came
    beside HTML; it is not sent.
    """

    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    body: str = ""
    is_plaintext: bool = False
    parent_message_id: str = ""
    attachments: tuple[Mapping[str, str], ...] | None = ()
    plain_part: str = ""

    def addresses(self) -> list[str]:
        return [one.email for one in (*self.to, *self.cc, *self.bcc, *self.reply_to)]


@dataclass(frozen=True, slots=True)
class Says:
    """What an agent says about its mail to the reviewers. It can only make the desk stricter."""

    note: str = ""
    sources: tuple[str, ...] = field(default_factory=tuple)
    category: str = ""
    confidence: float | None = None


def receive(
    mailbox: Mailbox,
    mail: Mail,
    says: Says,
    *,
    agent: Actor,
    owner: User,
    key: str = "",
    revises: Draft | None = None,
    is_awaited: bool = False,
) -> tuple[Submission, list[Recipient]]:
    """Keep a mail that an agent hands in, once for a `key` of the agent; with what the lists say about each recipient.

    Once it returns the mail is not lost, whatever ends; the draft follows within moments. With `revises`, an open draft
    of the same agent gets this wording. With `is_awaited` no worker is told, because the caller goes on with
    `take_through`. Raises SubmissionRefused for a field out of its limits, KeyReused for a key
    that stands for another mail, and Blocked when the mode or a deny list refuses it: nothing is kept then but the
    record of the attempt.
    """
    _check_key(key)
    payload = _digest(mailbox, mail, says, revises)
    known = _known(agent, key, payload)
    if known is not None:
        return known, _judged(mailbox, mail)
    judged = ask(mailbox, mail, agent=agent)
    _check(mailbox, mail, says)
    if revises is not None:
        _check_revisable(revises, mailbox, agent)
    try:
        row = machine.keep(
            agent=agent,
            owner=owner,
            recipients=mail.addresses(),
            is_awaited=is_awaited,
            mailbox=mailbox,
            draft=revises,
            is_revision=revises is not None,
            content=_provider_fields(mail, is_revision=revises is not None),
            plain_part=mail.plain_part,
            note=says.note,
            sources=list(says.sources),
            category=says.category,
            confidence=says.confidence,
            client_key=key,
            payload_sha256=payload,
        )
    except IntegrityError:
        # The same key at the same moment: the other one is the one.
        known = _known(agent, key, payload)
        if known is None:
            raise
        return known, judged
    return row, judged


def ask(mailbox: Mailbox, mail: Mail, *, agent: Actor) -> list[Recipient]:
    """What the lists say about each recipient of a mail now.

    Raises Blocked, and records it, when the mode or a deny list refuses the mail whatever a person says, and
    SubmissionRefused for an address that is none.
    """
    _check_mode(mailbox, mail, agent)
    judged = _judged(mailbox, mail)
    denied = [one for one in judged if one.match.outcome is Outcome.DENIED]
    if denied:
        sentence = recipients.denied_sentence(denied[0])
        _record_blocked(mailbox, agent, "blocked_recipient", sentence, [one.address for one in denied])
        raise Blocked("blocked_recipient", sentence, judged)
    return judged


def wording(submission: Submission | None, draft: Draft | None) -> Mail:
    """What a mail says now: what its agent handed in last while that is on its way, else its draft."""
    waiting = _revisions_on_their_way(draft).order_by("-pk").first() if draft is not None else submission
    if waiting is None and draft is not None and draft.current_revision is not None:
        revision = draft.current_revision
        fields: dict[str, Any] = {
            name: getattr(revision, name) for name in (*_PEOPLE, "subject", "body", "is_plaintext")
        }
        parent = draft.parent_message_id
    else:
        fields = waiting.content if waiting is not None else {}
        parent = fields.get("reply_to_message_id", "")
    people: dict[str, Any] = {
        name: tuple(Address.from_json(one) for one in fields.get(name, ())) for name in _PEOPLE
    }
    return Mail(
        **people,
        subject=fields.get("subject", ""),
        body=fields.get("body", ""),
        is_plaintext=bool(fields.get("is_plaintext")),
        parent_message_id=parent,
        attachments=None,
    )


def hand_over(submission_id: int) -> Draft | None:
    """Let the provider hold the draft of a submission and take it into the queue; None when that is not done now.

    Safe to call at any time, any number of times. Each try after the first looks first whether an earlier one made
    the draft. A provider that is silent is asked again later; one that refuses the mail ends the submission.
    """
    with locks.hold(f"submission:{submission_id}") as lock:
        if lock is None:
            return None
        row = Submission.objects.select_related("mailbox", "draft").get(pk=submission_id)
        if row.state != SubmissionState.RECEIVED or row.next_try_at is None:
            return None
        if row.next_try_at > database_now():
            return None
        if row.is_revision and _revisions_on_their_way(row.draft).filter(pk__lt=row.pk).exists():
            # The last wording is to stay, and it may leave the attachments to the one before.
            machine.put_off(row.pk, seconds=RETRY_SECONDS[0], why="")
            return None
        is_first = row.tries == 0
        machine.begin_try(row.pk)
        try:
            client = configured_client()
            if row.is_revision:
                _put_wording(row, client)
            else:
                _put(row, client, is_first=is_first)
        except RequestRefused as error:
            machine.refuse(row, why=str(error))
            return None
        except ProviderError as error:
            _later(row, error)
            return None
    return Draft.objects.filter(submissions=row.pk, submissions__state=SubmissionState.DRAFTED).first()


def said_of(draft: Draft) -> Submission | None:
    """The latest submission of a draft if its agent said something about it, or None."""
    row = machine.latest_of(draft) if draft.agent_id else None
    says_something = row is not None and (
        row.note or row.category or row.sources or row.confidence is not None
    )
    return row if says_something else None


def take_through(submission: Submission) -> None:
    """Hand a submission over, and its mail if no person need decide, at once; what that does not do the workers do.

    Waits for the provider as long as its calls may take.
    """
    try:
        draft = hand_over(submission.pk)
        send = Send.objects.filter(draft=draft, state=SendState.QUEUED).first() if draft is not None else None
        if send is not None:
            dispatch.dispatch(send.pk)
    except (ProviderError, DecisionRefused, LostRace, LocksUnavailable, DatabaseError):
        logger.warning("submission %s is left to the workers", submission.pk, exc_info=True)


def due(limit: int = DUE_AT_ONCE) -> list[int]:
    """The submissions that are to be handed over now."""
    rows = Submission.objects.filter(next_try_at__lte=database_now()).order_by("next_try_at", "pk")
    return list(rows.values_list("pk", flat=True)[:limit])


def cancel(submission: Submission, *, agent: Actor) -> None:
    """End a submission of an agent that no draft came of yet. Raises NotCancellable when one did meanwhile."""
    with locks.hold(f"submission:{submission.pk}") as lock:
        if lock is None:
            raise NotCancellable(
                "handing_over", _("It is being taken into the queue; try again in a moment.")
            )
        machine.cancel(submission, agent=agent)


def withdraw(draft: Draft) -> None:
    """Take back a draft that an agent handed in, and delete it at the provider.

    Raises NotCancellable when its mail left, or may have, and for one that ended otherwise.
    """
    if not drafts.withdraw(draft.pk):
        draft.refresh_from_db()
        if draft.state == DraftState.WITHDRAWN:
            return
        state = draft.state if draft.state != DraftState.APPROVED else "sent"
        raise NotCancellable(
            state, _("It left, or is about to, or was decided about: nothing was taken back.")
        )
    try:
        configured_client().delete_draft(draft.grant_id, draft.provider_draft_id)
    except ProviderError as error:
        logger.warning("the draft of %s stays at the provider: %s", draft.public_id, error)


def _revisions_on_their_way(draft: Draft | None) -> QuerySet[Submission]:
    return Submission.objects.filter(draft=draft, is_revision=True, state=SubmissionState.RECEIVED)


def _put(row: Submission, client: NylasClient, *, is_first: bool) -> None:
    grant = row.mailbox.grant_id
    made = None if is_first else _made_before(row, client)
    if made is None:
        made = client.create_draft(
            grant, row.content | {"metadata": {marks.SUBMISSION_KEY: marks.of_submission(row)}}
        )
    intake.observe(row.mailbox, client.get_draft(grant, made.id), client)
    draft = Draft.objects.filter(grant_id=grant, provider_draft_id=made.id).first()
    if draft is not None:
        machine.note_drafted(row.pk, draft)


def _put_wording(row: Submission, client: NylasClient) -> None:
    """Give the provider's draft a new wording, unless its mail is being sent or it ended meanwhile."""
    draft_id = row.draft_id
    if draft_id is None:
        raise RuntimeError("a revision names its draft")
    with locks.hold(dispatch.draft_lock_name(draft_id)) as lock:
        if lock is None:
            machine.put_off(row.pk, seconds=RETRY_SECONDS[0], why="")
            return
        draft = Draft.objects.get(pk=draft_id)
        if obstacle := _obstacle_to_revising(draft):
            machine.refuse(row, why=obstacle)
            return
        try:
            client.update_draft(draft.grant_id, draft.provider_draft_id, row.content)
            snapshot = client.get_draft(draft.grant_id, draft.provider_draft_id)
        except NotFound:
            machine.refuse(row, why=_("The provider no longer has this draft."))
            return
        intake.observe(row.mailbox, snapshot, client)
        machine.note_drafted(row.pk, draft)


def _made_before(row: Submission, client: NylasClient) -> DraftSnapshot | None:
    mark = marks.of_submission(row)
    listed = client.list_drafts(row.mailbox.grant_id)
    return next((one for one in listed if one.metadata.get(marks.SUBMISSION_KEY) == mark), None)


def _later(row: Submission, error: ProviderError) -> None:
    logger.warning("submission %s could not be handed over: %s", row.pk, error)
    pause = RETRY_SECONDS[min(row.tries, len(RETRY_SECONDS) - 1)]
    if isinstance(error, Unauthenticated):
        pause = RETRY_SECONDS[-1]
    machine.put_off(row.pk, seconds=pause, why=str(error))


def _known(agent: Actor, key: str, payload: str) -> Submission | None:
    if not key:
        return None
    row = Submission.objects.filter(agent_id=agent.id, client_key=key).first()
    if row is not None and row.payload_sha256 != payload:
        with transaction.atomic():
            record(
                "approvals.submission.key_reused",
                actor=agent,
                mailbox_id=row.mailbox_id,
                idempotency_key=key,
                data={"submission": str(row.public_id), "payload_sha256": payload},
            )
        raise KeyReused(
            "Idempotency-Key", _("This key stands for another mail already; a new mail needs a new key.")
        )
    return row


def _check_key(key: str) -> None:
    if len(key) > KEY_CHARACTERS:
        raise SubmissionRefused(
            "Idempotency-Key", _("At most %(limit)d characters.") % {"limit": KEY_CHARACTERS}
        )
    if not key.isprintable():
        raise SubmissionRefused("Idempotency-Key", _("Printable characters only."))


def _check_mode(mailbox: Mailbox, mail: Mail, agent: Actor) -> None:
    # Asked anew: whoever brings the mail may have read the mailbox before the mode changed.
    mode = Mailbox.objects.values_list("mode", flat=True).get(pk=mailbox.pk)
    action = modes.REPLY_EMAIL if mail.parent_message_id else modes.SEND_EMAIL
    ruling = modes.ruling(mode, action)
    if ruling.answer is modes.Answer.BLOCKED:
        _record_blocked(mailbox, agent, "blocked_mode", str(ruling.sentence), mail.addresses())
        raise Blocked("blocked_mode", str(ruling.sentence))


def _record_blocked(
    mailbox: Mailbox, agent: Actor, result: str, sentence: str, addresses: Sequence[str]
) -> None:
    with transaction.atomic():
        record(
            "approvals.submission.blocked",
            actor=agent,
            mailbox_id=mailbox.pk,
            recipients=addresses,
            outcome=result,
            reason=sentence,
        )


def _judged(mailbox: Mailbox, mail: Mail) -> list[Recipient]:
    count = len(mail.to) + len(mail.cc) + len(mail.bcc)
    if count > RECIPIENT_LIMIT:
        raise SubmissionRefused(
            "to",
            _("%(count)d recipients; at most %(limit)d in to, cc and bcc together.")
            % {"count": count, "limit": RECIPIENT_LIMIT},
        )
    if len(mail.reply_to) > RECIPIENT_LIMIT:
        raise SubmissionRefused("reply_to", _("At most %(limit)d addresses.") % {"limit": RECIPIENT_LIMIT})
    for name in _PEOPLE:
        for place, address in enumerate(getattr(mail, name)):
            try:
                parse_address(address.email)
            except AddressError as error:
                raise SubmissionRefused(f"{name}.{place}", str(error)) from error
    own = mailbox.address.casefold()
    elsewhere = [address for address in mail.addresses() if address.casefold() != own]
    return recipients.judged(mailbox, elsewhere)


def _check(mailbox: Mailbox, mail: Mail, says: Says) -> None:
    if not mail.to:
        raise SubmissionRefused("to", _("A mail needs somebody to go to."))
    for name, text in (("subject", mail.subject), *_names(mail)):
        if has_control(text):
            raise SubmissionRefused(name, _("No line breaks or control characters here."))
    if len(mail.subject) > SUBJECT_CHARACTERS:
        raise SubmissionRefused("subject", _("At most %(limit)d characters.") % {"limit": SUBJECT_CHARACTERS})
    if len(json.dumps(_provider_fields(mail)).encode()) > JSON_REQUEST_BYTES:
        raise SubmissionRefused(
            "body",
            _("Larger than %(limit)d MB with its attachments.") % {"limit": JSON_REQUEST_BYTES // 1_000_000},
        )
    if mail.parent_message_id:
        _check_parent(mailbox, mail.parent_message_id)
    _check_says(says)


def _names(mail: Mail) -> list[tuple[str, str]]:
    people = [
        (f"{name}.{place}", address.name)
        for name in _PEOPLE
        for place, address in enumerate(getattr(mail, name))
    ]
    files = [
        (f"attachments.{place}.{name}", part.get(name, ""))
        for place, part in enumerate(mail.attachments or ())
        for name in ("filename", "content_type", "content_id")
    ]
    return people + files


def _check_parent(mailbox: Mailbox, message_id: str) -> None:
    message = Message.objects.filter(mailbox=mailbox, provider_id=message_id, is_deleted=False).first()
    if message is None or not inbound.is_released(message):
        raise SubmissionRefused("reply_to_message_id", _("This mailbox holds no such message for the agent."))


def _check_says(says: Says) -> None:
    if len(says.note) > NOTE_CHARACTERS:
        raise SubmissionRefused("note", _("At most %(limit)d characters.") % {"limit": NOTE_CHARACTERS})
    if len(says.category) > CATEGORY_CHARACTERS:
        raise SubmissionRefused(
            "category", _("At most %(limit)d characters.") % {"limit": CATEGORY_CHARACTERS}
        )
    if says.confidence is not None and not 0 <= says.confidence <= 1:
        raise SubmissionRefused("confidence", _("Between 0 and 1."))
    if len(says.sources) > SOURCES or any(len(one) > SOURCE_CHARACTERS for one in says.sources):
        raise SubmissionRefused(
            "sources",
            _("At most %(count)d, each of at most %(limit)d characters.")
            % {"count": SOURCES, "limit": SOURCE_CHARACTERS},
        )


def _check_revisable(draft: Draft, mailbox: Mailbox, agent: Actor) -> None:
    if draft.mailbox_id != mailbox.pk or draft.agent_id != agent.id:
        raise SubmissionRefused("revises", _("There is no such draft of this agent."))
    if obstacle := _obstacle_to_revising(draft):
        raise SubmissionRefused("revises", obstacle)


def _obstacle_to_revising(draft: Draft) -> str:
    """Why a draft gets no new wording now, or nothing."""
    if draft.state == DraftState.APPROVED:
        is_queued = Send.objects.filter(draft=draft, state=SendState.QUEUED).exists()
        return "" if is_queued else _("This mail left, or is about to, or was ended: hand in a new one.")
    if draft.state not in OPEN_DRAFT_STATES:
        return _("This draft is %(state)s.") % {"state": DraftState(draft.state).label.lower()}
    return ""


def _provider_fields(mail: Mail, *, is_revision: bool = False) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: [address.to_json() for address in getattr(mail, name)] for name in ("to", "cc", "bcc")
    } | {"subject": mail.subject, "body": mail.body}
    # A field that a change of a draft does not name stays as it was.
    if mail.reply_to or is_revision:
        fields["reply_to"] = [address.to_json() for address in mail.reply_to]
    if mail.is_plaintext:
        fields["is_plaintext"] = True
    if mail.parent_message_id:
        fields["reply_to_message_id"] = mail.parent_message_id
    if mail.attachments or (is_revision and mail.attachments is not None):
        fields["attachments"] = [dict(part) for part in mail.attachments]
    return fields


def _digest(mailbox: Mailbox, mail: Mail, says: Says, revises: Draft | None) -> str:
    fields = _provider_fields(mail, is_revision=revises is not None)
    parts = [mailbox.pk, fields, asdict(says), revises.pk if revises is not None else None]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
