"""What a person does with a draft. Each function reads the provider first, outside any transaction, and then
makes one transition. Refusals are `DecisionRefused`; nothing is written then, and nothing typed is lost."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import NotFound, ProviderError
from agentmail.failpoints import reach
from agentmail.models import Mailbox
from approvals import arrival, freshness, intake, marks, people, recipients
from approvals.content import JSON_ATTACHMENT_BYTES, Content, content_of_revision, edited, json_attachment
from approvals.freshness import Look
from approvals.models import AttachmentBlob, Decision, DecisionKind, Draft, FollowUp, Revision
from approvals.states import DraftState
from approvals.transitions import drafts, follow_ups
from approvals.transitions.drafts import (
    AlreadyDecided,
    DecisionRefused,
    DraftChanged,
    GateRefused,
    NotAllowed,
    NotOpen,
    Seen,
    ThreadMoved,
)
from policies import changes
from policies.models import RecipientKind
from policies.recipients import NewEntry

logger = logging.getLogger(__name__)

# A person waits for these reads, so they give up sooner than a sender does.
APPROVAL_READ_SECONDS = 10.0
OPENING_READ_SECONDS = 3.0


class ProviderSilent(DecisionRefused):
    """The thread could not be read again, so nothing can be decided about a reply to it."""


def open_draft(draft: Draft) -> tuple[Look | None, str]:
    """Look at a draft and its thread as a person opens it, and note what moved.

    Gives the look, or None and a sentence when the provider did not answer in time. Only waiting drafts are
    looked at.
    """
    if draft.state != DraftState.PENDING:
        return None, ""
    try:
        client = configured_client()
        look = freshness.look(draft, client, verify_attachments=False, read_timeout=OPENING_READ_SECONDS)
        _note(draft, look, client)
    except ProviderError as error:
        return None, _("The provider did not answer, so the thread was not read again: %(why)s") % {
            "why": error
        }
    return look, ""


def approve(
    draft: Draft,
    *,
    person: User,
    seen: Seen,
    form_id: uuid.UUID | None,
    also: Callable[[], object] | None = None,
) -> Decision:
    """Approve what was seen; the mail leaves after the undo hold, through every gate again.

    Reads draft and thread again first; `also` is done in the transaction of the approval. Raises AlreadyDecided,
    NotOpen, DraftExpired, DraftChanged, ThreadMoved, NotAllowed, GateRefused or ProviderSilent.
    """
    reach("C0")
    _refuse_decided(draft)
    if draft.state != DraftState.PENDING:
        raise NotOpen(draft.state)
    try:
        client = configured_client()
        look = freshness.look(draft, client, verify_attachments=False, read_timeout=APPROVAL_READ_SECONDS)
        moved = _note(draft, look, client)
    except ProviderError as error:
        raise ProviderSilent(
            _("The thread could not be read again, so nothing was approved. Try again in a moment. (%(why)s)")
            % {"why": error}
        ) from error
    if moved is not None:
        raise moved
    try:
        return drafts.approve(draft.pk, person=person, seen=seen, look=look, form_id=form_id, also=also)
    except GateRefused as refusal:
        if refusal.verdict.gate == "tier":
            # Its category was changed while it waited.
            arrival.categorise(draft.pk)
        raise


def approve_and_allow(draft: Draft, *, person: User, seen: Seen, form_id: uuid.UUID | None) -> Decision:
    """Approve, and allow the recipients on no list, which the person was asked about, for this mailbox from now on.

    Both are kept or neither is. Raises as `approve`; NotAllowed without the right to edit the lists.
    """

    def allow() -> None:
        _check_may_edit_lists(draft, person)
        found = recipients.judged(draft.mailbox, _addressed_by(draft))
        unknown = [one.address for one in recipients.unknown_among(found)]
        shown = [address for address in unknown if recipients.ask_about(address) in seen.asks]
        _add_to_lists(draft, RecipientKind.ALLOW, shown, person=person)

    return approve(draft, person=person, seen=seen, form_id=form_id, also=allow)


def reject_and_deny(
    draft: Draft, *, person: User, seen: Seen, reason: str, domain: str, form_id: uuid.UUID | None
) -> Decision:
    """Reject, and deny a domain that the draft is addressed to for this mailbox from now on.

    Both are kept or neither is. Raises as `reject`; NotAllowed without the right to edit the lists, DecisionRefused
    for a domain that is none of the draft's or is the mailbox's own.
    """

    def deny() -> None:
        _check_may_edit_lists(draft, person)
        if domain not in recipients.deniable_domains(draft.mailbox, _addressed_by(draft)):
            raise DecisionRefused(_("The draft is not addressed to %(domain)s.") % {"domain": domain[:253]})
        _add_to_lists(draft, RecipientKind.DENY, [domain], person=person)

    _refuse_decided(draft)
    return drafts.reject(draft.pk, person=person, seen=seen, reason=reason, form_id=form_id, also=deny)


def _check_may_edit_lists(draft: Draft, person: User) -> None:
    if not people.is_still_allowed(person.pk, people.Right.EDIT_LISTS, draft.mailbox_id):
        raise NotAllowed(_("You may not edit the lists of this mailbox."))


def _addressed_by(draft: Draft) -> list[str]:
    # Inside the transaction of the decision, which has locked the row: the revision decided about.
    now = Draft.objects.select_related("current_revision", "mailbox").get(pk=draft.pk)
    if now.current_revision is None:
        raise DraftChanged(_("This draft has no content yet."))
    return recipients.addressed_by(content_of_revision(now.current_revision), now.mailbox)


def _add_to_lists(draft: Draft, kind: RecipientKind, patterns: Sequence[str], *, person: User) -> None:
    note = _("From a draft, with the decision about it")
    entries = [NewEntry(kind, draft.mailbox.scope, pattern, note) for pattern in patterns]
    try:
        recipients.add(entries, person=person)
    except changes.Conflict as conflict:
        raise DecisionRefused(
            _("Somebody changed the lists at the same moment, so nothing was decided. Try again.")
        ) from conflict


def edit(draft: Draft, *, person: User, seen: Seen, changes: Mapping[str, Any]) -> Revision:
    """Keep a person's wording as a new revision of a pending draft. `changes` are fields of `Content`."""
    if draft.current_revision is None:
        raise DraftChanged(_("This draft has no content yet."))
    content = edited(content_of_revision(draft.current_revision), changes)
    revision = drafts.edit(draft.pk, person=person, seen=seen, content=content)
    arrival.name_category(draft.pk)
    return revision


def reject(
    draft: Draft,
    *,
    person: User,
    seen: Seen,
    reason: str,
    form_id: uuid.UUID | None,
    also: Callable[[], object] | None = None,
) -> Decision:
    """Reject a pending or stale draft. The draft upstream is deleted soon after; its content stays here.

    `also` is done in the transaction of the decision.
    """
    _refuse_decided(draft)
    return drafts.reject(draft.pk, person=person, seen=seen, reason=reason, form_id=form_id, also=also)


def request_changes(
    draft: Draft, *, person: User, seen: Seen, note: str, form_id: uuid.UUID | None
) -> Decision:
    """Send a pending or stale draft back to the agent with a note."""
    _refuse_decided(draft)
    return drafts.request_changes(draft.pk, person=person, seen=seen, note=note, form_id=form_id)


def look_again(draft: Draft, *, person: User) -> Draft:
    """Return a stale draft to pending, pinned to the thread as it is now; a fresh approval is needed."""
    try:
        client = configured_client()
        look = freshness.look(draft, client, verify_attachments=False, read_timeout=APPROVAL_READ_SECONDS)
        if look.draft is None:
            drafts.withdraw(draft.pk)
            raise NotOpen(DraftState.WITHDRAWN)
        if look.upstream_sha256 != draft.upstream_sha256:
            intake.observe(draft.mailbox, look.draft, client)
            raise DraftChanged(
                _("The agent changed this draft meanwhile; it waits again in its new wording.")
            )
        if look.thread.thread is not None:
            # The fingerprint covers them all, so the next approval must be able to see them all.
            intake.fetch_messages(draft.mailbox, look.thread.thread.message_ids, client)
    except ProviderError as error:
        raise ProviderSilent(_("The thread could not be read again: %(why)s") % {"why": error}) from error
    return drafts.return_to_pending(draft.pk, person=person, thread=look.thread)


def correct_address(follow_up: FollowUp, *, person: User, changes: Mapping[str, Any]) -> Draft:
    """Write a new draft with corrected recipients from a mail that came back, and close its follow-up.

    The new draft is linked to the old one and goes through review like any other. Raises DecisionRefused when
    the provider does not take the draft, the person has no right, or somebody else closed the follow-up first.
    """
    try:
        follow_ups.check_open(follow_up.pk, person=person)
    except follow_ups.FollowUpRefused as error:
        raise DecisionRefused(str(error)) from error
    original = follow_up.send.draft
    content = edited(content_of_revision(follow_up.send.decision.revision), changes)
    fields: dict[str, Any] = {
        "to": [address.to_json() for address in content.to],
        "cc": [address.to_json() for address in content.cc],
        "bcc": [address.to_json() for address in content.bcc],
        "subject": content.subject,
        "body": content.body,
        "metadata": {marks.CORRECTION_KEY: marks.of_correction(follow_up, person)},
    }
    if content.is_plaintext:
        fields["is_plaintext"] = True
    if content.reply_to:
        fields["reply_to"] = [address.to_json() for address in content.reply_to]
    if content.parent_message_id:
        fields["reply_to_message_id"] = content.parent_message_id
    if content.attachments:
        fields["attachments"] = _frozen_attachments(content)
    try:
        client = configured_client()
        snapshot = client.create_draft(original.grant_id, fields)
        intake.observe(original.mailbox, client.get_draft(original.grant_id, snapshot.id), client)
    except ProviderError as error:
        raise ProviderSilent(
            _("The provider did not take the corrected draft, so nothing changed: %(why)s") % {"why": error}
        ) from error
    correction = Draft.objects.get(grant_id=original.grant_id, provider_draft_id=snapshot.id)
    try:
        follow_ups.correct(follow_up.pk, person=person, correction=correction)
    except follow_ups.FollowUpRefused as error:
        # Somebody else was faster: one correction goes to review, not two.
        drafts.withdraw(correction.pk)
        try:
            discard_upstream(correction, client)
        except ProviderError:
            logger.warning("the second correction of follow-up %s stays at the provider", follow_up.pk)
        raise DecisionRefused(str(error)) from error
    return correction


def _frozen_attachments(content: Content) -> list[dict[str, Any]]:
    if sum(part.size for part in content.attachments) > JSON_ATTACHMENT_BYTES:
        raise DecisionRefused(
            _("The attachments are larger than %(limit)d MB together; ask the agent for a new draft.")
            % {"limit": JSON_ATTACHMENT_BYTES // 1_000_000}
        )
    blobs = dict(
        AttachmentBlob.objects.filter(sha256__in=[part.sha256 for part in content.attachments]).values_list(
            "sha256", "content"
        )
    )
    return [json_attachment(part, bytes(blobs[part.sha256])) for part in content.attachments]


def is_repeat(decision: Decision, kind: DecisionKind) -> bool:
    """Whether a decision repeats the one that was made before: a quiet no-op, not a conflict."""
    return decision.kind == kind


def discard_upstream(draft: Draft, client: NylasClient) -> None:
    """Delete a rejected or expired draft at the provider; a draft that is gone is fine."""
    try:
        client.delete_draft(draft.grant_id, draft.provider_draft_id)
    except NotFound:
        return


def _refuse_decided(draft: Draft) -> None:
    decision = drafts.live_decision(draft)
    if decision is not None:
        raise AlreadyDecided(decision)


def _note(draft: Draft, look: Look, client: NylasClient) -> DecisionRefused | None:
    mailbox: Mailbox = draft.mailbox
    if look.draft is None:
        drafts.withdraw(draft.pk)
        return NotOpen(DraftState.WITHDRAWN)
    if look.upstream_sha256 != draft.upstream_sha256:
        intake.observe(mailbox, look.draft, client)
        return DraftChanged(_("The agent changed this draft meanwhile; look at it again."))
    stale = freshness.staleness(draft.thread_pinned, look.thread)
    if stale is not None:
        intake.note_stale(draft, stale, look.thread, client)
        return ThreadMoved(_("The thread moved after this draft was written; look at it again."))
    return None
