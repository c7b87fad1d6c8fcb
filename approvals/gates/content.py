"""Whether the mail was read in full, is what was stored, and can be written as a message."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from agentmail.models import Message
from approvals.characters import has_control
from approvals.content import MESSAGE_BYTES, Content
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.models import Draft

# The longest line that mail allows (RFC 5322 section 2.1.1; security.md section 3.5).
HEADER_CHARACTERS = 998


def content_gate(facts: Facts) -> Verdict:
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
    elif has_control(facts.content.subject):
        problem = _("The subject holds a line break or a control character.")
    elif len(facts.content.subject) > HEADER_CHARACTERS:
        problem = _("The subject is longer than %(limit)d characters.") % {"limit": HEADER_CHARACTERS}
    elif any(has_control(name) for name in _names(facts.content)):
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


def has_unread_mail(draft: Draft) -> bool:
    """Whether a message of the draft's thread is known and not read in full: nothing can be decided then."""
    unread = Message.objects.filter(mailbox_id=draft.mailbox_id, thread_id=draft.thread_id, is_complete=False)
    return bool(draft.thread_id) and unread.filter(is_deleted=False).exists()
