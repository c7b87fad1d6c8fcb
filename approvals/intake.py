"""From the provider's drafts to rows of the queue. Seeing a draft twice, or late, changes nothing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import DataError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail import mirror
from agentmail.client import NylasClient
from agentmail.exceptions import (
    NotFound,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    RequestRefused,
    TooLarge,
    Unauthenticated,
)
from agentmail.mail_html import to_text
from agentmail.models import Mailbox, Message, Thread
from agentmail.types import Address, DraftSnapshot, MessageSnapshot
from approvals import arrival, copies, first_sync, freshness, inbound_rules, marks
from approvals.content import MESSAGE_BYTES, content_of_draft
from approvals.file_kinds import kind_of
from approvals.models import AttachmentBlob, Draft, Origin, Revision, Submission
from approvals.states import OPEN_DRAFT_STATES, DraftState
from approvals.transitions import drafts, submissions
from approvals.transitions.moves import LostRace
from audit.clock import database_now

logger = logging.getLogger(__name__)

CATEGORY_KEY, CONFIDENCE_KEY = "category", "confidence"
# How many objects in a row may find the provider silent before the rest of a poll is left to the next one.
TROUBLES_BORNE = 3
# How many threads of waiting drafts a poll reads again, though nothing says that they moved.
THREADS_READ_AGAIN = 5
LONGEST_ID = 255


@dataclass(slots=True)
class Polled:
    """What one pass over a mailbox found."""

    arrived: int = 0
    revised: int = 0
    withdrawn: int = 0
    stale: int = 0
    messages: int = 0
    troubles: list[str] = field(default_factory=list)
    silences: int = 0


def observe(mailbox: Mailbox, snapshot: DraftSnapshot, client: NylasClient) -> Draft | Revision | None:
    """Take a draft as the provider returned it: a new row, a new revision, or None when nothing is new.

    Reads its thread and attachments from the provider first; raises ProviderError, with nothing written.
    """
    known = (
        Draft.objects.filter(grant_id=mailbox.grant_id, provider_draft_id=snapshot.id)
        .select_related("mailbox", "current_revision")
        .first()
    )
    if known is not None and known.state not in (*OPEN_DRAFT_STATES, DraftState.APPROVED):
        return None
    submission = marks.submitted(mailbox, snapshot)
    if known is None and submission is not None and submission.draft_id is not None:
        # Made twice, because somebody died between making it and writing that down.
        client.delete_draft(mailbox.grant_id, snapshot.id)
        return None
    digests, incomplete_reason = _freeze_attachments(mailbox, snapshot, client, known)
    messages = _thread_messages(mailbox, snapshot, client)
    parent_id = (
        known.parent_message_id if known is not None else _answered_message(mailbox, snapshot, messages)
    )
    content = content_of_draft(
        snapshot,
        mailbox=Address(mailbox.address, mailbox.display_name),
        parent_message_id=parent_id,
        digests=digests,
        kinds=_kinds_of(digests.values()),
    )
    thread_id = known.thread_id if known is not None else snapshot.thread_id
    thread = freshness.look_at_thread(client, mailbox.grant_id, thread_id, parent_id)
    if thread.thread is not None:
        mirror.store_thread(mailbox, thread.thread)
        # What came between the two readings is covered by the fingerprint, so a person must be able to see it.
        fetch_messages(mailbox, thread.thread.message_ids, client)
    if known is not None:
        revision = drafts.revise(
            known.pk,
            content=content,
            thread=thread,
            incomplete_reason=incomplete_reason,
            agent_says=_agent_says(snapshot, submissions.latest_of(known) or submission),
        )
        if revision is not None:
            arrival.judge(known.pk)
        return revision
    correction = marks.corrected(snapshot)
    draft = drafts.arrive(
        mailbox,
        provider_draft_id=snapshot.id,
        content=content,
        thread_id=thread_id,
        thread=thread,
        incomplete_reason=incomplete_reason,
        origin=Origin.CORRECTION if correction is not None else Origin.AGENT,
        linked_from=correction[0].send.draft if correction is not None else None,
        author=correction[1] if correction is not None else None,
        agent_says=_agent_says(snapshot, submission),
        submission=submission,
    )
    newer = [m.id for m in messages if snapshot.date is not None and (m.date or 0) > snapshot.date]
    if draft is not None and newer:
        reason = _moved_by(mailbox, [m for m in messages if m.id in newer])
        drafts.mark_stale(draft.pk, freshness.Staleness(reason, tuple(newer)))
    if draft is not None:
        arrival.judge(draft.pk)
    return draft


def poll(mailbox: Mailbox, client: NylasClient) -> Polled:
    """Bring a mailbox up to date: messages, drafts, what vanished, what became stale.

    One draft or thread that cannot be read does not keep the others away: it is a trouble of the mailbox until the
    next poll. Raises ProviderError when the provider gives no usable answer; what was read before is kept.
    """
    result = Polled()
    teller = first_sync.Teller(mailbox)
    mirror.find_folders(mailbox, client)
    for message in mirror.sync_messages(mailbox, client):
        result.messages += 1
        teller.read(messages=1)
        with _tolerated(result):
            copies.note(message, client, source="poll")
    for message in copies.unsettled(mailbox):
        with _tolerated(result):
            copies.note(message, client, source="poll")
    inbound_rules.judge_new(mailbox)
    for thread_id in dict.fromkeys([*_moved_threads(mailbox), *_some_threads(mailbox)]):
        with _tolerated(result):
            result.stale += check_thread(mailbox, thread_id, client)
    listed: set[str] = set()
    for snapshot in client.list_drafts(mailbox.grant_id):
        listed.add(snapshot.id)
        teller.read(drafts=1)
        if len(snapshot.id) > LONGEST_ID or len(snapshot.thread_id) > LONGEST_ID:
            result.troubles.append(_("A draft has an id that is too long to be kept here."))
        elif not _is_known(mailbox, snapshot):
            with _tolerated(result):
                seen = observe(mailbox, snapshot, client)
                result.arrived += isinstance(seen, Draft)
                result.revised += isinstance(seen, Revision)
    result.withdrawn = _withdraw_missing(mailbox, listed, client)
    trouble = " ".join(dict.fromkeys(result.troubles))[:500]
    Mailbox.objects.filter(pk=mailbox.pk).update(synced_at=database_now(), trouble=trouble)
    teller.ended()
    return result


@contextmanager
def _tolerated(result: Polled) -> Iterator[None]:
    """Note that one object could not be read; the third silence in a row is the provider's trouble, not the object's.

    What an agent can write into a draft, such as an id that nobody can ask for, counts for that draft alone.
    """
    try:
        yield
        result.silences = 0
    except (Unauthenticated, ProviderNotConfigured):
        raise
    except ProviderUnavailable as error:
        result.troubles.append(str(error))
        result.silences += 1
        if result.silences >= TROUBLES_BORNE:
            raise
    except (ProviderError, drafts.DecisionRefused) as error:
        result.troubles.append(str(error))
    except (DataError, LostRace) as error:
        logger.warning("an object of a mailbox could not be kept: %s", type(error).__name__)
        result.troubles.append(_("Something of the mailbox could not be kept here; it is tried again."))


def _moved_threads(mailbox: Mailbox) -> list[str]:
    """The threads of waiting drafts that hold a message which their draft was not written for.

    Asked of what is stored, not of what is new to this poll: a process may end between storing and checking.
    """
    waiting = _waiting(mailbox).exclude(thread_id="")
    pinned: dict[str, list[set[str]]] = {}
    for thread_id, facts in waiting.values_list("thread_id", "thread_pinned"):
        pinned.setdefault(thread_id, []).append(set(facts.get("messages", ())))
    stored = Message.objects.filter(
        mailbox=mailbox, is_deleted=False, thread_id__in=waiting.values("thread_id")
    )
    moved = [
        thread_id
        for thread_id, provider_id in stored.values_list("thread_id", "provider_id")
        if any(provider_id not in messages for messages in pinned.get(thread_id, ()))
    ]
    return list(dict.fromkeys(moved))


def _some_threads(mailbox: Mailbox) -> list[str]:
    """A few threads of waiting drafts, read again because a deletion shows in no list of messages.

    At random, so that one that cannot be read keeps no other from its turn.
    """
    waiting = _waiting(mailbox).exclude(thread_id="").values("thread_id")
    threads = Thread.objects.filter(mailbox=mailbox, provider_id__in=waiting).order_by("?")
    return list(threads.values_list("provider_id", flat=True)[:THREADS_READ_AGAIN])


def _waiting(mailbox: Mailbox) -> QuerySet[Draft]:
    return Draft.objects.filter(mailbox=mailbox, state__in=[DraftState.PENDING, DraftState.APPROVED]).exclude(
        send__state__in=["dispatched", "accepted", "unknown", "failed", "closed_sent", "closed_not_sent"]
    )


def observe_by_id(mailbox: Mailbox, provider_draft_id: str, client: NylasClient) -> None:
    """Read one draft again and take what it says; a draft that is gone is withdrawn."""
    try:
        snapshot = client.get_draft(mailbox.grant_id, provider_draft_id)
    except NotFound:
        for draft_id in Draft.objects.filter(
            grant_id=mailbox.grant_id, provider_draft_id=provider_draft_id
        ).values_list("pk", flat=True):
            drafts.withdraw(draft_id)
        return
    observe(mailbox, snapshot, client)


def check_thread(mailbox: Mailbox, thread_id: str, client: NylasClient) -> int:
    """Mark the waiting drafts of a thread stale if it moved; how many were."""
    marked = 0
    for draft in _waiting(mailbox).filter(thread_id=thread_id):
        look = freshness.look_at_thread(client, draft.grant_id, draft.thread_id, draft.parent_message_id)
        stale = freshness.staleness(draft.thread_pinned, look)
        if stale is not None:
            marked += note_stale(draft, stale, look, client)
    return marked


def note_stale(
    draft: Draft, stale: freshness.Staleness, look: freshness.ThreadLook, client: NylasClient
) -> bool:
    """Fetch what is new in the thread, so that it can be shown, and mark the draft stale."""
    fetch_news(draft, stale, look, client)
    return drafts.mark_stale(draft.pk, stale)


def fetch_news(
    draft: Draft, stale: freshness.Staleness, look: freshness.ThreadLook, client: NylasClient
) -> None:
    """Store what is new in a thread that moved, so that it can be shown. Raises ProviderError."""
    if look.thread is not None:
        mirror.store_thread(draft.mailbox, look.thread)
    fetch_messages(draft.mailbox, stale.message_ids, client)


def fetch_messages(
    mailbox: Mailbox, message_ids: Sequence[str], client: NylasClient, *, read_timeout: float | None = None
) -> None:
    """Store the messages that are not stored in full yet; one that is gone again is passed over."""
    known = set(
        Message.objects.filter(mailbox=mailbox, provider_id__in=message_ids, is_complete=True).values_list(
            "provider_id", flat=True
        )
    )
    for message_id in message_ids:
        if message_id not in known:
            try:
                found = client.get_message(
                    mailbox.grant_id, message_id, with_headers=True, read_timeout=read_timeout
                )
                mirror.store_message(mailbox, found)
            except NotFound:
                logger.info("message %s of mailbox %s is gone again", message_id, mailbox.pk)
    inbound_rules.judge_new(mailbox)


def _is_known(mailbox: Mailbox, snapshot: DraftSnapshot) -> bool:
    row = (
        Draft.objects.filter(grant_id=mailbox.grant_id, provider_draft_id=snapshot.id)
        .values_list("upstream_sha256", "is_complete", "state", "pk")
        .first()
    )
    if row is None:
        return False
    upstream_sha256, is_complete, state, draft_id = row
    if state not in (*OPEN_DRAFT_STATES, DraftState.APPROVED):
        return True
    content = content_of_draft(
        snapshot,
        mailbox=Address(mailbox.address, mailbox.display_name),
        parent_message_id="",
        digests=_known_digests(draft_id),
    )
    return bool(is_complete) and upstream_sha256 == content.upstream_sha256


def _kinds_of(digests: Collection[str]) -> dict[str, str]:
    if not digests:
        return {}
    return dict(AttachmentBlob.objects.filter(sha256__in=list(digests)).values_list("sha256", "kind"))


def _known_digests(draft_id: int) -> dict[str, str]:
    lists = Revision.objects.filter(draft_id=draft_id, author_kind="agent").values_list(
        "attachments", flat=True
    )
    return {part["id"]: part["sha256"] for parts in lists for part in parts}


def _freeze_attachments(
    mailbox: Mailbox, snapshot: DraftSnapshot, client: NylasClient, known: Draft | None
) -> tuple[dict[str, str], str]:
    digests = _known_digests(known.pk) if known is not None else {}
    digests = {part.id: digests[part.id] for part in snapshot.attachments if digests.get(part.id)}
    if sum(part.size for part in snapshot.attachments) + len(snapshot.body.encode()) > MESSAGE_BYTES:
        return digests, _("Too large to send: the provider takes %(limit)d MB in all.") % {
            "limit": MESSAGE_BYTES // 1_000_000
        }
    for part in snapshot.attachments:
        if part.id in digests:
            continue
        try:
            data = client.download_attachment(
                mailbox.grant_id, part.id, parent_id=snapshot.id, limit=MESSAGE_BYTES
            )
        except TooLarge:
            return digests, _("An attachment is larger than %(limit)d MB.") % {
                "limit": MESSAGE_BYTES // 1_000_000
            }
        except (NotFound, RequestRefused):
            return digests, _("An attachment could not be read from the provider.")
        digests[part.id] = hashlib.sha256(data).hexdigest()
        AttachmentBlob.objects.get_or_create(
            sha256=digests[part.id], defaults={"size": len(data), "content": data, "kind": kind_of(data)}
        )
    return digests, ""


def _thread_messages(mailbox: Mailbox, snapshot: DraftSnapshot, client: NylasClient) -> list[MessageSnapshot]:
    if not snapshot.thread_id:
        return []
    messages = list(client.list_messages(mailbox.grant_id, thread_id=snapshot.thread_id, with_headers=True))
    mirror.store_new(mailbox, messages)
    inbound_rules.judge_new(mailbox)
    return messages


def _answered_message(mailbox: Mailbox, snapshot: DraftSnapshot, messages: list[MessageSnapshot]) -> str:
    if snapshot.reply_to_message_id:
        return snapshot.reply_to_message_id
    before = [m for m in messages if snapshot.date is None or (m.date or 0) <= snapshot.date] or messages
    inbound = [m for m in before if not mirror.is_in_its_name(mailbox, m)] or before
    newest = max(inbound, key=lambda message: (message.date or 0, message.id), default=None)
    return newest.id if newest is not None else ""


def _moved_by(mailbox: Mailbox, newer: list[MessageSnapshot]) -> freshness.StaleReason:
    only_own = all(mirror.is_in_its_name(mailbox, message) for message in newer)
    return freshness.StaleReason.ANSWERED if only_own else freshness.StaleReason.NEW_INBOUND


def _agent_says(snapshot: DraftSnapshot, submission: Submission | None) -> drafts.AgentSays:
    """What the agent said about its draft, here or in the draft's metadata; it can only make the desk stricter."""
    if submission is not None:
        # Beside another text than the one that was handed in it would say nothing.
        is_its_own = submission.plain_part and to_text(submission.content.get("body", "")) == to_text(
            snapshot.body
        )
        plain_part = submission.plain_part if is_its_own else ""
        return drafts.AgentSays(submission.category, submission.confidence, plain_part)
    try:
        confidence: float | None = float(snapshot.metadata.get(CONFIDENCE_KEY, ""))
    except ValueError:
        confidence = None
    if confidence is not None and not 0 <= confidence <= 1:
        confidence = None
    return drafts.AgentSays(str(snapshot.metadata.get(CATEGORY_KEY, ""))[:100], confidence)


def _withdraw_missing(mailbox: Mailbox, listed: set[str], client: NylasClient) -> int:
    waiting = Draft.objects.filter(
        mailbox=mailbox, state__in=[*OPEN_DRAFT_STATES, DraftState.APPROVED]
    ).exclude(
        send__state__in=["dispatched", "accepted", "unknown", "failed", "closed_sent", "closed_not_sent"]
    )
    withdrawn = 0
    # Read to the end first: SQLite refuses to write beside a reading that began before another process wrote.
    for draft_id, provider_draft_id in list(waiting.values_list("pk", "provider_draft_id")):
        if provider_draft_id in listed:
            continue
        try:
            client.get_draft(mailbox.grant_id, provider_draft_id)
        except NotFound:
            withdrawn += drafts.withdraw(draft_id)
    return withdrawn
