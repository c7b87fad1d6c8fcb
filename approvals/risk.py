"""How much attention a draft asks for, told without a model from its notes and category, and its place in the queue.

It decides nothing: no gate asks here. It orders what waits and says why in a few words.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from agentmail.models import Message
from approvals import bulk, contacts, expiry
from approvals.classification import classification_of
from approvals.models import Draft, Revision, Risk
from approvals.notes import Note, compared_domains, notes_on
from approvals.queries import Conversation, conversation
from approvals.states import DraftState
from policies.classifier import Classification, Reason
from policies.classifier import Risk as CategoryRisk

logger = logging.getLogger(__name__)

# A draft of high risk stands where it would stand with this share of its time less to go.
ADVANCE = 0.75
REASONS_SHOWN = 2

# The keys of notes, see `approvals.notes`, and what only the category and the reading of the draft can say.
WORDS: dict[str, str | Promise] = {
    "untold": _("its risk could not be told"),
    "escalated": _("escalated"),
    "instructions": _("text that speaks to machines"),
    "hidden_text": _("hidden text"),
    "secret": _("may hold a secret"),
    "look_alike": _("look-alike domain"),
    "false_name": _("misleading name"),
    "bcc": _("reader in Bcc"),
    "reply_to": _("answers go elsewhere"),
    "misleading_link": _("misleading link"),
    "wrong_thread": _("maybe the wrong conversation"),
    "hidden_inbound": _("hidden text in a message"),
    "received_parts_differ": _("plain text of a message says something else"),
    "first_contact": _("first contact"),
    "new_domain": _("new domain"),
    "new_recipient": _("new address"),
    "program": _("file can run programs"),
    "other_kind": _("file of another kind"),
    "parts_differ": _("plain text says something else"),
    "risky_words": _("words of high risk"),
    "category": _("category of high risk"),
    "doubtful": _("doubtful category"),
    "new_amount": _("new amount"),
    "new_link": _("new link"),
    "invisible": _("invisible characters"),
    "not_attached": _("no file attached"),
    "too_long": _("very long"),
    "incomplete": _("not read in full"),
    "unknown_thread": _("answered message not known"),
    "bulk": _("bulk mail"),
    "no_category": _("no category"),
    "attachments": _("carries files"),
    "compose": _("answers nothing"),
}
_HIGH = frozenset(
    (
        "untold",
        "escalated",
        "instructions",
        "hidden_text",
        "secret",
        "look_alike",
        "false_name",
        "bcc",
        "reply_to",
        "misleading_link",
        "wrong_thread",
        "first_contact",
        "program",
        "other_kind",
        "parts_differ",
        "risky_words",
        "category",
        "doubtful",
    )
)
_HARMLESS = frozenset(("attachments",))
# True of so many drafts that a row need not say it.
_UNSAID = frozenset(("no_category", "attachments", "compose"))
_RANKS = {key: rank for rank, key in enumerate(WORDS)}


@dataclass(frozen=True, slots=True)
class Assessment:
    """A level, and the keys of everything that was found, the most consequential first.

    What is about categories says after a colon which: "risky_words:Legal, Money".
    """

    level: Risk
    reasons: tuple[str, ...] = ()


def level_of(reasons: Collection[str]) -> Risk:
    """High where one reason is; low where nothing was found but files, so that doubt is never low."""
    if not _HIGH.isdisjoint(reasons):
        return Risk.HIGH
    return Risk.LOW if _HARMLESS.issuperset(reasons) else Risk.NORMAL


def place_of(expires_at: datetime, life: timedelta, level: Risk | None) -> datetime:
    """Where a draft stands in the queue: at its expiry, or for high risk earlier by `ADVANCE` of its time.

    No draft that arrives after this moment stands before it, whatever its risk, so nothing is overtaken for ever.
    """
    return expires_at - life * ADVANCE if level == Risk.HIGH else expires_at


def assess(draft: Draft, revision: Revision) -> Assessment:
    """Tell the risk of one revision of a draft, from what is stored; a defect in that is high risk."""
    try:
        with transaction.atomic():
            talk = conversation(draft, None)
            found = classification_of(draft, revision)
            keys = [note.key for note in notes_about(draft, revision, talk.messages, found.reasons)]
            if bulk.judge(draft, revision) is not None:
                keys.append("bulk")
            return weigh(draft, talk, found, keys)
    except (OperationalError, InterfaceError):
        # A database that does not answer says nothing about the draft; whoever brings it tries again.
        raise
    except Exception:
        # The draft is shown and decided by the gates either way.
        logger.exception("the risk of draft %s cannot be told", draft.pk)
        return _of_reasons(["untold"])


def weigh(draft: Draft, talk: Conversation, found: Classification, keys: Collection[str]) -> Assessment:
    """As `assess`, of what the caller has read already; `keys` are those of the notes on the revision."""
    reasons = [*keys, *(["escalated"] if draft.escalated_at is not None else []), *_of_reading(draft, talk)]
    if "incomplete" not in reasons:
        reasons += _of_category(found, has_words="risky_words" in reasons)
    told = _of_reasons(reasons)
    return replace(told, reasons=tuple(_naming(key, found) for key in told.reasons))


def keep(draft: Draft) -> None:
    """Tell the risk of a draft's current revision, and keep it with its place in the queue.

    Not when the draft has another wording by now, which is told for itself.
    """
    if draft.current_revision is None:
        return
    found = assess(draft, draft.current_revision)
    fields = {
        "risk": found.level,
        "risk_reasons": list(found.reasons),
        "queue_at": place_of(draft.expires_at, expiry.life_of(draft), found.level),
    }
    same = Draft.objects.filter(pk=draft.pk, current_revision=draft.current_revision)
    if same.filter(expires_at=draft.expires_at).update(**fields):
        for name, value in fields.items():
            setattr(draft, name, value)


def untold(limit: int) -> list[int]:
    """The drafts that wait and whose risk was never told, as those that came before there was any."""
    # Without an order: it would have SQLite walk all rows instead of the short index.
    found = Draft.objects.filter(state=DraftState.PENDING, risk__isnull=True)
    return list(found.values_list("pk", flat=True)[:limit])


def keep_of(draft_id: int) -> bool:
    """As `keep`, for a draft by its key; whether there is one."""
    draft = Draft.objects.select_related("mailbox", "current_revision").filter(pk=draft_id).first()
    if draft is None:
        return False
    keep(draft)
    return True


def notes_about(
    draft: Draft, revision: Revision, messages: Sequence[Message], reasons: Sequence[Reason]
) -> list[Note]:
    """The notes on a draft, compared with its conversation and with whom its mailbox wrote to before."""
    domains = compared_domains(revision, messages, draft.mailbox.address)
    known = contacts.acquaintances(draft.mailbox_id, domains) if domains else contacts.Acquaintances()
    return notes_on(
        revision,
        messages,
        mailbox_address=draft.mailbox.address,
        contacts=known.sent_to,
        wrote=known.wrote,
        reasons=reasons,
    )


def words_of(reasons: Iterable[str]) -> list[str]:
    """Each reason in two or three words, or about which categories it is."""
    return [
        _("about %(categories)s") % {"categories": names} if names else str(WORDS[key])
        for key, names in map(_parted, reasons)
        if key in WORDS
    ]


def key_of(reason: str) -> str:
    """The key of a kept reason, without what it is about."""
    return _parted(reason)[0]


def said_in_row(draft: Draft) -> tuple[list[str], int]:
    """The most consequential reasons of a draft in words, and how many more there are."""
    said = words_of(reason for reason in draft.risk_reasons if key_of(reason) not in _UNSAID)
    return said[:REASONS_SHOWN], max(0, len(said) - REASONS_SHOWN)


def _of_reasons(reasons: Collection[str]) -> Assessment:
    ordered = sorted(set(reasons), key=lambda key: _RANKS.get(key, 0))
    return Assessment(level_of(ordered), tuple(ordered))


def _naming(key: str, found: Classification) -> str:
    if key == "risky_words":
        names = [reason.name for reason in found.reasons if reason.is_risky]
    elif key == "category":
        names = [found.name]
    else:
        return key
    return f"{key}:{', '.join(dict.fromkeys(names))}"


def _parted(reason: str) -> tuple[str, str]:
    key, _colon, names = reason.partition(":")
    return key, names


def _of_reading(draft: Draft, talk: Conversation) -> list[str]:
    keys = []
    if not _is_read(draft, talk):
        keys.append("incomplete")
    if draft.parent_message_id and talk.answered is None:
        keys.append("unknown_thread")
    return keys


def _of_category(found: Classification, *, has_words: bool) -> list[str]:
    if found.risk == CategoryRisk.HIGH and not has_words:
        return ["category" if found.category is not None and found.category.is_high_risk else "doubtful"]
    return [] if found.category is not None else ["no_category"]


def _is_read(draft: Draft, talk: Conversation) -> bool:
    return draft.is_complete and (talk.answered is None or talk.answered.is_complete)
