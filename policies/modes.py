"""The five oversight modes, in order, and what each lets an agent do. One table; every door of the agent asks it.

Pure: nothing here reads a row or a message, so nothing that a mail or an agent says can change an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

READ_ONLY = "read_only"
GATED_ALL = "gated_all"
GATED_SEND = "gated_send"
MONITORED = "monitored"
AUTONOMOUS = "autonomous"

# The strictest first.
LADDER = (READ_ONLY, GATED_ALL, GATED_SEND, MONITORED, AUTONOMOUS)
DEFAULT = GATED_SEND
# The modes in which mail may leave that no person decided.
WITHOUT_PERSON = frozenset({MONITORED, AUTONOMOUS})

CHECK_INBOX = "check_inbox"
READ_EMAIL = "read_email"
MANAGE_CONTACTS = "manage_contacts"
SEND_EMAIL = "send_email"
REPLY_EMAIL = "reply_email"
DRAFT = "draft"
TAG = "tag"
LIST_PENDING = "list_pending"
CANCEL_MESSAGE = "cancel_message"
CHANGE_MODE = "change_mode"
DECIDE_EMAIL = "decide_email"

ACTIONS = (
    CHECK_INBOX,
    READ_EMAIL,
    MANAGE_CONTACTS,
    TAG,
    DRAFT,
    SEND_EMAIL,
    REPLY_EMAIL,
    LIST_PENDING,
    CANCEL_MESSAGE,
    CHANGE_MODE,
    DECIDE_EMAIL,
)

ACTION_WORDS: Mapping[str, str | Promise] = {
    CHECK_INBOX: _("Check the inbox"),
    READ_EMAIL: _("Read a message"),
    MANAGE_CONTACTS: _("Manage contacts"),
    TAG: _("Tag a message"),
    DRAFT: _("Write a draft"),
    SEND_EMAIL: _("Send a new mail"),
    REPLY_EMAIL: _("Reply"),
    LIST_PENDING: _("List what waits"),
    CANCEL_MESSAGE: _("Cancel what waits"),
    CHANGE_MODE: _("Change the mode"),
    DECIDE_EMAIL: _("Decide about mail"),
}


class Answer(StrEnum):
    """What an agent is told."""

    EXECUTED = "executed"
    PENDING = "pending"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Ruling:
    answer: Answer
    sentence: str | Promise


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change of the mode changes about one action of the agent."""

    action: str
    word: str | Promise
    before: Ruling
    after: Ruling


_AT_ONCE = Ruling(Answer.EXECUTED, _("Done at once."))
_READS = Ruling(Answer.EXECUTED, _("Reads every message at once."))
_READ_ONLY = Ruling(Answer.BLOCKED, "oversight_mode is read_only")
_HELD = Ruling(Answer.PENDING, _("Waits until a person decides."))
_OWN = Ruling(Answer.BLOCKED, _("An agent cannot change its own oversight mode."))
_NO_DECISION = Ruling(Answer.BLOCKED, _("An agent cannot decide about its own mail."))
_TOLD = Ruling(Answer.EXECUTED, _("Leaves at once when every check passes; a person is told of each send."))
_ALONE = Ruling(Answer.EXECUTED, _("Leaves at once when every check passes; nobody is told."))
_NEW_MAIL = Ruling(
    Answer.EXECUTED,
    _("Like a reply, except that a mail which answers nothing waits for a person."),
)


_ALWAYS = {LIST_PENDING: _AT_ONCE, CANCEL_MESSAGE: _AT_ONCE, CHANGE_MODE: _OWN, DECIDE_EMAIL: _NO_DECISION}
_OPEN = {CHECK_INBOX: _READS, READ_EMAIL: _READS, MANAGE_CONTACTS: _AT_ONCE, TAG: _AT_ONCE}

MATRIX: Mapping[str, Mapping[str, Ruling]] = {
    READ_ONLY: {
        **_ALWAYS,
        CHECK_INBOX: _READS,
        READ_EMAIL: _READS,
        MANAGE_CONTACTS: _AT_ONCE,
        TAG: _READ_ONLY,
        DRAFT: _READ_ONLY,
        SEND_EMAIL: _READ_ONLY,
        REPLY_EMAIL: _READ_ONLY,
    },
    GATED_ALL: {
        **_ALWAYS,
        CHECK_INBOX: Ruling(Answer.EXECUTED, _("Lists only the messages that a person released.")),
        READ_EMAIL: Ruling(Answer.PENDING, _("Waits until a person releases the message.")),
        MANAGE_CONTACTS: _AT_ONCE,
        TAG: Ruling(Answer.EXECUTED, _("Done at once, for messages that a person released.")),
        DRAFT: _HELD,
        SEND_EMAIL: _HELD,
        REPLY_EMAIL: _HELD,
    },
    GATED_SEND: {**_ALWAYS, **_OPEN, DRAFT: _HELD, SEND_EMAIL: _HELD, REPLY_EMAIL: _HELD},
    MONITORED: {**_ALWAYS, **_OPEN, DRAFT: _TOLD, SEND_EMAIL: _NEW_MAIL, REPLY_EMAIL: _TOLD},
    AUTONOMOUS: {**_ALWAYS, **_OPEN, DRAFT: _ALONE, SEND_EMAIL: _NEW_MAIL, REPLY_EMAIL: _ALONE},
}


def ruling(mode: str, action: str) -> Ruling:
    """What an agent may do in a mode; blocked for a mode or an action that is not in the table."""
    found = MATRIX.get(mode, {}).get(action)
    return found or Ruling(Answer.BLOCKED, _("This desk knows no such action or mode."))


def differences(before: str, after: str) -> list[Difference]:
    """What an agent would notice of a change, action by action, in the order of `ACTIONS`."""
    return [
        Difference(action, ACTION_WORDS[action], ruling(before, action), ruling(after, action))
        for action in ACTIONS
        if ruling(before, action) != ruling(after, action)
    ]


def is_looser(mode: str, than: str) -> bool:
    """Whether one mode lets an agent do more than another. Raises ValueError for an unknown mode."""
    return LADDER.index(mode) > LADDER.index(than)


def strictest(*modes: str) -> str:
    """The strictest of some modes. Raises ValueError for an unknown one."""
    return min(modes, key=LADDER.index)


def needs_person(mode: str) -> bool:
    """Whether mail leaves only when a person decided; also so for a mode that is not known."""
    return mode not in WITHOUT_PERSON


def holds_inbound(mode: str) -> bool:
    """Whether the agent sees an incoming message only once a person released it."""
    return mode == GATED_ALL
