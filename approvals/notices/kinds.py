"""What each kind of notice is: who is told, how unless they wish otherwise, and whether channels carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from approvals.notices.models import How, NoticeKind
from approvals.people import Right


@dataclass(frozen=True, slots=True)
class Kind:
    """`right` on the mailbox opens it. `is_information`: there is nothing to settle, so it is read and done."""

    right: Right
    how: How
    is_for_channels: bool = True
    is_information: bool = False


KINDS: Mapping[NoticeKind, Kind] = {
    NoticeKind.WAITING: Kind(Right.DECIDE, How.AT_ONCE),
    NoticeKind.ASSIGNED: Kind(Right.SEE, How.AT_ONCE, is_for_channels=False),
    NoticeKind.EXPIRING: Kind(Right.DECIDE, How.AT_ONCE),
    NoticeKind.FOLLOW_UP: Kind(Right.FOLLOW_UP, How.DIGEST),
    NoticeKind.UNKNOWN: Kind(Right.RESOLVE, How.AT_ONCE),
    NoticeKind.NEEDS_PERSON: Kind(Right.FOLLOW_UP, How.DIGEST),
    NoticeKind.SENT_ELSEWHERE: Kind(Right.RESOLVE, How.AT_ONCE),
    NoticeKind.STOPPED: Kind(Right.SEE, How.AT_ONCE),
    NoticeKind.RESUMED: Kind(Right.SEE, How.DIGEST, is_information=True),
    NoticeKind.DIGEST: Kind(Right.SEE, How.AT_ONCE, is_for_channels=False, is_information=True),
}
# What a person chooses how to be told of; the digest has a rhythm of its own.
CHOSEN = tuple(kind for kind in NoticeKind if kind is not NoticeKind.DIGEST)
ON_CHANNELS = tuple(kind for kind in NoticeKind if KINDS[kind].is_for_channels)
