"""The gate chain: one function, one order, asked as a preview and again in the claim.

A gate reads facts and gives a verdict. It writes nothing, and an error in it is a "no".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from agentmail.addresses import AddressError, parse_address
from agentmail.models import GrantState, Mailbox, Message
from approvals import instance, people
from approvals.content import MESSAGE_BYTES, RECIPIENT_LIMIT, Content, content_of_revision
from approvals.freshness import Look, staleness
from approvals.models import Decision, DecisionKind, Draft, Revision, Send, StaleReason
from approvals.states import IN_FLIGHT_SEND_STATES, DraftState
from policies import switch

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

logger = logging.getLogger(__name__)

# The longest line that mail allows (RFC 5322 section 2.1.1; security.md section 3.5).
HEADER_CHARACTERS = 998


class Standing(StrEnum):
    PASSED = "passed"
    REFUSED = "refused"
    OPEN = "open"  # waits for a person, which is what a preview of a pending draft shows
    NOT_ASKED = "not_asked"  # could not be asked in this preview


class Consequence(StrEnum):
    """What a refusal means for a queued send."""

    HOLD = "hold"  # kept, until a person resumes it
    WAIT = "wait"  # kept, asked again by itself
    STOP = "stop"  # the approval is void; the draft goes back to pending
    STALE = "stale"  # the approval is void; the draft no longer answers its thread
    CHANGED = "changed"  # the approval is void; the draft is another one
    WITHDRAW = "withdraw"  # the draft is gone


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's answer; `result` is a code of the contract when it refused, `sentence` is for people."""

    gate: str
    standing: Standing
    sentence: str
    result: str = ""
    consequence: Consequence | None = None

    def to_json(self) -> dict[str, str]:
        return {
            "gate": self.gate,
            "standing": self.standing.value,
            "result": self.result,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gates are asked about. Without a decision, and without a look, it is a preview."""

    draft: Draft
    mailbox: Mailbox
    revision: Revision
    content: Content
    now: datetime
    decision: Decision | None = None
    send: Send | None = None
    look: Look | None = None
    trouble: str = ""
    is_claim: bool = False


def facts_about(
    draft: Draft,
    revision: Revision,
    *,
    now: datetime,
    decision: Decision | None = None,
    send: Send | None = None,
    look: Look | None = None,
    trouble: str = "",
    is_claim: bool = False,
) -> Facts:
    return Facts(
        draft=draft,
        mailbox=draft.mailbox,
        revision=revision,
        content=content_of_revision(revision),
        now=now,
        decision=decision,
        send=send,
        look=look,
        trouble=trouble,
        is_claim=is_claim,
    )


def evaluate(facts: Facts) -> list[Verdict]:
    """Ask every gate in the fixed order, those behind a refusal too; an error in a gate is a refusal."""
    return [_asked(name, gate, facts) for name, gate in GATES]


def first_refusal(verdicts: Sequence[Verdict]) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.standing is Standing.REFUSED), None)


def may_leave(verdicts: Sequence[Verdict]) -> bool:
    """Whether every gate passed. Open and unasked gates do not pass."""
    return all(verdict.standing is Standing.PASSED for verdict in verdicts)


def _asked(name: str, gate: Callable[[Facts], Verdict], facts: Facts) -> Verdict:
    try:
        return gate(facts)
    except Exception:
        logger.exception("gate %s failed for draft %s", name, facts.draft.pk)
        return Verdict(
            name,
            Standing.REFUSED,
            _("This check could not be made, so nothing may leave. Operators find the reason in the log."),
            result="rule_engine_error",
            consequence=Consequence.HOLD,
        )


def _switch(facts: Facts) -> Verdict:
    reading = switch.read([switch.GLOBAL, facts.mailbox.scope], lock=facts.is_claim)
    if reading.is_open:
        return Verdict("switch", Standing.PASSED, _("Sending is on."))
    return Verdict("switch", Standing.REFUSED, reading.sentence, "blocked_kill_switch", Consequence.HOLD)


def _restore(facts: Facts) -> Verdict:
    trouble = instance.trouble()
    if not trouble:
        return Verdict("restore", Standing.PASSED, _("The database is the one that was last sent from."))
    return Verdict("restore", Standing.REFUSED, trouble, "blocked_kill_switch", Consequence.HOLD)


def _grant(facts: Facts) -> Verdict:
    state = facts.mailbox.grant_state
    if state == GrantState.VALID:
        return Verdict("grant", Standing.PASSED, _("The provider knows this mailbox."))
    sentence = (
        _("The mailbox was removed at the provider.")
        if state == GrantState.REMOVED
        else _("The mailbox needs to be authenticated again at the provider.")
    )
    return Verdict("grant", Standing.REFUSED, sentence, "blocked_grant", Consequence.HOLD)


def _mailbox(facts: Facts) -> Verdict:
    if facts.mailbox.is_enabled:
        return Verdict("mailbox", Standing.PASSED, _("The mailbox is enabled."))
    return Verdict(
        "mailbox", Standing.REFUSED, _("The mailbox is disabled here."), "blocked_grant", Consequence.HOLD
    )


def _decision(facts: Facts) -> Verdict:
    decision = facts.decision
    if decision is None:
        if facts.draft.state == DraftState.PENDING and not facts.is_claim:
            return Verdict("decision", Standing.OPEN, _("Waits for a person."))
        return _no_decision(_("There is no approval."), Consequence.STOP)
    if decision.kind != DecisionKind.APPROVE or decision.voided_at is not None:
        return _no_decision(_("There is no approval."), Consequence.STOP)
    if decision.revision_id != facts.revision.pk or decision.content_sha256 != facts.content.sha256:
        return _no_decision(_("The approval was for another version of the draft."), Consequence.CHANGED)
    if _valid_until(facts, decision) <= facts.now:
        return _no_decision(_("The approval ran out."), Consequence.STOP)
    if not people.is_still_allowed(decision.person_id, people.Right.DECIDE, facts.mailbox.pk):
        return _no_decision(
            _("The person who approved may no longer decide here; another approval is needed."),
            Consequence.STOP,
        )
    return Verdict("decision", Standing.PASSED, _("Approved by %(name)s.") % {"name": decision.person_name})


def _valid_until(facts: Facts, decision: Decision) -> datetime:
    # A resend is a named person's fresh yes to the same content, so its time counts from there.
    until = decision.valid_until or decision.made_at
    if facts.send is not None and facts.send.resend_at is not None:
        until = max(until, facts.send.resend_at + timedelta(minutes=facts.mailbox.approval_minutes))
    return until


def _no_decision(sentence: str, consequence: Consequence) -> Verdict:
    return Verdict("decision", Standing.REFUSED, sentence, "blocked_decision", consequence)


def _recipients(facts: Facts) -> Verdict:
    content = facts.content
    recipients = content.recipients()
    problem = ""
    if not content.to:
        problem = _("There is nobody in To.")
    elif len(recipients) > RECIPIENT_LIMIT:
        problem = _("There are %(count)d recipients; the provider takes %(limit)d.") % {
            "count": len(recipients),
            "limit": RECIPIENT_LIMIT,
        }
    elif [address.email.casefold() for address in content.sender] != [facts.mailbox.address.casefold()]:
        problem = _("The sender is not the address of this mailbox.")
    else:
        for email in [*recipients, *(address.email for address in content.reply_to)]:
            try:
                parse_address(email)
            except AddressError as error:
                problem = _("%(address)s is not an address that can be written to: %(reason)s") % {
                    "address": email,
                    "reason": error,
                }
                break
    if problem:
        return Verdict("recipients", Standing.REFUSED, problem, "blocked_recipient", Consequence.STOP)
    count = len(recipients)
    return Verdict(
        "recipients",
        Standing.PASSED,
        ngettext("%(count)d address, well formed.", "%(count)d addresses, all well formed.", count)
        % {"count": count},
    )


def _content(facts: Facts) -> Verdict:
    problem = ""
    if has_unread_mail(facts.draft):
        # It is being fetched, so a send waits; a person cannot judge a thread that is not there in full.
        return Verdict(
            "content",
            Standing.REFUSED,
            _("A message of this thread has not been read in full yet; it is being fetched."),
            "blocked_rule",
            Consequence.WAIT if facts.is_claim else Consequence.STOP,
        )
    if not facts.draft.is_complete:
        problem = facts.draft.incomplete_reason or _("Not everything of this draft has been read yet.")
    elif facts.revision.content_sha256 != facts.content.sha256:
        problem = _("The stored draft does not match its digest; do not send it, and tell an operator.")
    elif _has_control(facts.content.subject):
        problem = _("The subject holds a line break or a control character.")
    elif len(facts.content.subject) > HEADER_CHARACTERS:
        problem = _("The subject is longer than %(limit)d characters.") % {"limit": HEADER_CHARACTERS}
    elif any(_has_control(name) for name in _names(facts.content)):
        problem = _("The name of a person or of a file holds a line break or a control character.")
    elif "\0" in facts.content.body:
        problem = _("The body holds a NUL character.")
    elif (
        len(facts.content.body.encode()) + sum(part.size for part in facts.content.attachments)
        > MESSAGE_BYTES
    ):
        problem = _("The message is larger than %(limit)d MB.") % {"limit": MESSAGE_BYTES // 1_000_000}
    if problem:
        return Verdict("content", Standing.REFUSED, problem, "blocked_rule", Consequence.STOP)
    return Verdict("content", Standing.PASSED, _("Read in full, unchanged since it was stored."))


def _names(content: Content) -> Iterator[str]:
    """What ends up in headers besides the subject: of the mail, and of its parts."""
    for field in (content.sender, content.to, content.cc, content.bcc, content.reply_to):
        yield from (address.name for address in field)
    for part in content.attachments:
        yield from (part.filename, part.content_type, part.content_id)


def _has_control(text: str) -> bool:
    return any(character < " " or "\x7f" <= character <= "\x9f" for character in text)


def has_unread_mail(draft: Draft) -> bool:
    """Whether a message of the draft's thread is known and not read in full: nothing can be decided then."""
    unread = Message.objects.filter(mailbox_id=draft.mailbox_id, thread_id=draft.thread_id, is_complete=False)
    return bool(draft.thread_id) and unread.filter(is_deleted=False).exists()


STALE_SENTENCES: Mapping[StaleReason, str | _StrPromise] = {
    StaleReason.NEW_INBOUND: gettext_lazy("A new message arrived in the thread."),
    StaleReason.ANSWERED: gettext_lazy("Somebody already answered in this thread."),
    StaleReason.MESSAGE_GONE: gettext_lazy("A message of the thread was deleted."),
    StaleReason.PARENT_CHANGED: gettext_lazy("The answered message is gone or has changed."),
    StaleReason.THREAD_GONE: gettext_lazy("The thread is gone or was merged into another."),
}


def _fresh(facts: Facts) -> Verdict:
    if facts.draft.state == DraftState.STALE:
        return _stale(StaleReason(facts.draft.stale_reason or StaleReason.NEW_INBOUND))
    if facts.look is None:
        if facts.is_claim:
            return Verdict(
                "fresh",
                Standing.REFUSED,
                facts.trouble or _("The thread could not be read again."),
                "blocked_stale",
                Consequence.WAIT,
            )
        return Verdict(
            "fresh", Standing.NOT_ASKED, facts.trouble or _("Will be read again when you approve.")
        )
    if facts.is_claim and facts.look.age_seconds() > settings.APPROVAL_FRESHNESS_SECONDS:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The last look at the thread is too old."),
            "blocked_stale",
            Consequence.WAIT,
        )
    if facts.look.draft is None:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The agent withdrew this draft."),
            "blocked_stale",
            Consequence.WITHDRAW,
        )
    if facts.look.upstream_sha256 != facts.draft.upstream_sha256:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The agent changed this draft after it was read."),
            "blocked_stale",
            Consequence.CHANGED,
        )
    stale = staleness(facts.draft.thread_pinned, facts.look.thread)
    if stale is not None:
        return _stale(stale.reason)
    if facts.decision is not None and facts.decision.thread_fingerprint != facts.look.thread.fingerprint:
        return _stale(StaleReason.NEW_INBOUND)
    return Verdict("fresh", Standing.PASSED, _("No mail in the thread since the draft."))


def _stale(reason: StaleReason) -> Verdict:
    return Verdict(
        "fresh", Standing.REFUSED, str(STALE_SENTENCES[reason]), "blocked_stale", Consequence.STALE
    )


def _thread(facts: Facts) -> Verdict:
    if not facts.draft.thread_id:
        return Verdict("thread", Standing.PASSED, _("Starts a thread of its own."))
    others = Send.objects.filter(grant_id=facts.draft.grant_id, thread_id=facts.draft.thread_id).filter(
        Q(state__in=IN_FLIGHT_SEND_STATES)
    )
    other = others.exclude(draft_id=facts.draft.pk).only("state").first()
    if other is None:
        return Verdict("thread", Standing.PASSED, _("Nothing else of this thread is under way."))
    sentence = (
        _("Waits for an unknown send in the same thread.")
        if other.state == "unknown"
        else _("Waits for another send of the same thread.")
    )
    return Verdict("thread", Standing.REFUSED, sentence, "blocked_duplicate", Consequence.WAIT)


# The order is part of the product: shown on the draft page, kept by a test.
GATES: tuple[tuple[str, Callable[[Facts], Verdict]], ...] = (
    ("switch", _switch),
    ("restore", _restore),
    ("grant", _grant),
    ("mailbox", _mailbox),
    ("decision", _decision),
    ("recipients", _recipients),
    ("content", _content),
    ("fresh", _fresh),
    ("thread", _thread),
)
