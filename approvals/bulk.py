"""Mail that looks as if it went to many, and what such mail has to say about its sender.

A judgement from plain words and counts, in one pass over the text and without a model. It only ever warns: no gate
asks here. The lists and numbers below are the whole rule; a word is added by adding a line, see `policies.words` for
what a line may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.mail_html import links
from agentmail.models import Mailbox
from approvals.content import Content
from approvals.models import Draft, Revision
from approvals.states import OPEN_DRAFT_STATES, DraftState
from policies.words import REPLY_PREFIXES, Words

# More recipients of one mail than this.
RECIPIENTS = 10
# Mail of one family, from one mailbox, to this many different recipients within this time before or after.
SIMILAR = 5
WINDOW = timedelta(hours=24)
WORDS = (
    "unsubscribe",
    "opt out",
    "newsletter*",
    "mailing list",
    "email preferences",
    "view in browser",
    "view this email in your browser",
    "you are receiving this",
    "you received this email because",
    "no longer wish to receive",
    "special offer*",
    "limited time offer*",
    "abbestellen",
    "vom newsletter abmelden",
    "desabonner",
    "darse de baja",
)
SIMILAR_COUNTED = 100
_BODY_CHARACTERS = 500
_COUNTED_STATES = (*OPEN_DRAFT_STATES, DraftState.APPROVED)
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Bulk:
    """`signs` say why a mail looks like bulk mail, `missing` what it then lacks: sentences, of which the second may
    be none. `is_set` is false while the settings of its mailbox lack something.
    """

    signs: tuple[str, ...]
    missing: tuple[str, ...]
    is_set: bool


def judge(draft: Draft, revision: Revision) -> Bulk | None:
    """What is to be said about a wording of a draft that looks like bulk mail; None when it does not."""
    text = revision.body_text or revision.body
    signs = signs_in(revision.subject, text, len(revision.recipients()))
    similar = _similar_recipients(draft)
    if similar >= SIMILAR:
        signs.append(
            _("Within a day mail of this subject goes to %(count)s different recipients.")
            % {"count": similar if similar < SIMILAR_COUNTED else f"{SIMILAR_COUNTED}+"}
        )
    if not signs:
        return None
    mailbox = draft.mailbox
    return Bulk(
        tuple(signs),
        tuple(_missing(mailbox, revision, text)),
        is_set=all((mailbox.sender_name, mailbox.postal_address, mailbox.unsubscribe)),
    )


def signs_in(subject: str, text: str, recipients: int) -> list[str]:
    """What makes a mail look like bulk mail by itself, without regard to others; nothing for most mail."""
    signs = []
    if recipients > RECIPIENTS:
        signs.append(
            ngettext("It goes to %(count)d recipient.", "It goes to %(count)d recipients.", recipients)
            % {"count": recipients}
        )
    words = Words.of(f"{subject}\n{text}")
    found = list(filter(None, map(words.find, WORDS)))
    if found:
        signs.append(_("It says %(words)s.") % {"words": ", ".join(f"“{word}”" for word in found[:_LISTED])})
    return signs


def family_of(content: Content, text: str) -> str:
    """A digest that mail to different people has in common when its subject is the same; empty for an answer.

    Numbers count as one, and the names and addresses of the recipients do not count. Without a subject the beginning
    of the text stands for it.
    """
    if content.parent_message_id:
        return ""
    theirs = set(Words.of("\n".join(f"{to.name} {to.email}" for to in content.to)).words)
    words = Words.of(content.subject if content.subject.strip() else text[:_BODY_CHARACTERS]).words
    kept = ["#" if word[0].isdigit() else word for word in words if word not in theirs]
    while kept and kept[0] in REPLY_PREFIXES:
        kept.pop(0)
    return _digest(kept) if kept else ""


def audience_of(content: Content) -> str:
    """A digest of everybody who would receive a mail."""
    return _digest(sorted({address.casefold() for address in content.recipients()}))


def noted(drafts: QuerySet[Draft]) -> QuerySet[Draft]:
    """The drafts, each with `is_bulk_like`: what `judge` finds, without reading any text."""
    like_it = _of_family(
        mailbox_id=OuterRef("mailbox_id"),
        family=OuterRef("family"),
        arrived_at__gte=OuterRef("arrived_at") - WINDOW,
        arrived_at__lte=OuterRef("arrived_at") + WINDOW,
    )
    # Whether there is one more after the others, which asks the index for no more rows than it takes.
    is_family = Exists(like_it[SIMILAR - 1 : SIMILAR])
    return drafts.annotate(
        is_bulk_like=ExpressionWrapper(Q(looks_bulk=True) | Q(is_family), output_field=BooleanField())
    )


def _similar_recipients(draft: Draft) -> int:
    if not draft.family:
        return 0
    found = _of_family(
        mailbox_id=draft.mailbox_id,
        family=draft.family,
        arrived_at__gte=draft.arrived_at - WINDOW,
        arrived_at__lte=draft.arrived_at + WINDOW,
    )
    return found[:SIMILAR_COUNTED].count()


def _of_family(**where: Any) -> QuerySet[Draft, Any]:
    """The different audiences of mail of one family that waits or was approved."""
    found = Draft.objects.filter(~Q(family=""), state__in=_COUNTED_STATES, **where)
    return found.order_by().values("audience").distinct()


def _missing(mailbox: Mailbox, revision: Revision, text: str) -> list[str]:
    missing = []
    if not mailbox.sender_name:
        missing.append(_("Its mailbox does not say who the sender is."))
    if not mailbox.postal_address:
        missing.append(_("Its mailbox has no postal address."))
    elif not _says(text, mailbox.postal_address):
        missing.append(_("The text lacks the postal address of the sender."))
    if not mailbox.unsubscribe:
        missing.append(_("Its mailbox does not say how to unsubscribe."))
    elif not _leads_to(mailbox.unsubscribe, revision, text):
        missing.append(
            _("The text has no link to unsubscribe; it is %(address)s.") % {"address": mailbox.unsubscribe}
        )
    return missing


def _says(text: str, wanted: str) -> bool:
    """Whether the words of one text stand together in another, whatever stands between the words."""
    there, sought = (" ".join(["", *Words.of(one).words, ""]) for one in (text, wanted))
    return sought in there


def _leads_to(address: str, revision: Revision, text: str) -> bool:
    targets = [target for _text, target in links(revision.body)] if revision.body_html else []
    wanted = address.casefold()
    # A text may name the mail address alone; a link may add to the address who unsubscribes.
    return any(
        wanted.removeprefix("mailto:").partition("?")[0] in place.casefold()
        if wanted.startswith("mailto:")
        else wanted in place.casefold()
        for place in [text, *targets]
    )


def _digest(words: Sequence[str]) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:16]
