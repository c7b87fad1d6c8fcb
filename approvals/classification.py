"""What the classifier says about a draft: the facts it is asked about come from the draft and its thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from agentmail.addresses import AddressError, ascii_form
from agentmail.models import Message
from approvals import subjects
from approvals.content import content_of_revision
from approvals.models import Draft, Revision
from policies import engine
from policies import rules as rules_of_ours
from policies.classifier import Classification, Mail, Reason, classify
from policies.in_force import InForce
from policies.lists import StoredLists


def classification_of(draft: Draft, revision: Revision, in_force: InForce | None = None) -> Classification:
    """Judge one revision of a draft by the categories, and by the rules that set one; those in force unless given."""
    in_force = in_force or InForce(draft.mailbox_id)
    return classify(mail_of(draft, revision, in_force), in_force.rulebook)


def mail_of(draft: Draft, revision: Revision, in_force: InForce) -> Mail:
    """The draft as the classifier sees it; it is incomplete while it, or what it answers, is not read in full."""
    answered = (
        Message.objects.filter(mailbox_id=draft.mailbox_id, provider_id=draft.parent_message_id).first()
        if draft.parent_message_id
        else None
    )
    is_answered_read = answered.is_complete if answered is not None else not draft.parent_message_id
    return Mail(
        subject=revision.subject,
        body=revision.body_text or revision.body,
        inbound_subject=answered.subject if answered is not None else "",
        inbound_body=answered.body_text if answered is not None else "",
        domains=_domains([*revision.recipients(), *(str(entry["email"]) for entry in revision.reply_to)]),
        agent_category=draft.agent_category,
        agent_confidence=draft.agent_confidence,
        rule_category=_category_by_rules(draft, revision, in_force) if draft.is_complete else "",
        is_complete=draft.is_complete and is_answered_read,
    )


def sentence_of(reasons: Sequence[Reason]) -> str:
    """The reasons in one line, each with the words that caused it."""
    return " ".join(
        reason.sentence
        + (" " + ", ".join(f"“{word}”" for word in reason.words) + "." if reason.words else "")
        for reason in reasons
    )


def _category_by_rules(draft: Draft, revision: Revision, in_force: InForce) -> str:
    asked = [rule for rule in in_force.outbound_rules if rules_of_ours.sets_category(rule)]
    if not asked:
        return ""
    fields = rules_of_ours.fields_of(asked)
    subject = subjects.outbound(draft, revision, content_of_revision(revision), fields)
    return engine.evaluate(subject, asked, StoredLists()).category


def _domains(emails: Sequence[str]) -> tuple[str, ...]:
    found = []
    for email in emails:
        written = email
        with suppress(AddressError):
            written = ascii_form(email)
        found.append(written.rpartition("@")[2].casefold())
    return tuple(dict.fromkeys(found))
