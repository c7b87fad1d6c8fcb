"""A notice in words, the same on every page, mail and card. Text of mails is quoted: made visible, on one line, cut."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from approvals.characters import is_deceiving, one_line
from approvals.notices.models import Notice, NoticeKind

QUOTED_CHARACTERS = 120

_SETTLED: Mapping[str, tuple[Any, Any]] = {
    # Without and with a name.
    "draft_approved": (_lazy("Approved"), _lazy("Approved by %(name)s")),
    "draft_rejected": (_lazy("Rejected"), _lazy("Rejected by %(name)s")),
    "draft_changes_requested": (_lazy("Changes requested"), _lazy("Changes requested by %(name)s")),
    "draft_stale": (_lazy("Stale: the conversation moved"), ""),
    "draft_superseded": (_lazy("Superseded by another draft"), ""),
    "draft_withdrawn": (_lazy("Withdrawn"), ""),
    "draft_expired": (_lazy("Expired: nobody decided in time"), ""),
    "draft_sent_elsewhere": (_lazy("Sent without this desk"), ""),
    "risk_fell": (_lazy("Not of high risk any more"), ""),
    "send_accepted": (_lazy("Found: it was sent"), _lazy("Resolved by %(name)s: it was sent")),
    "send_queued": (_lazy("It waits to be sent"), ""),
    "send_dispatched": (_lazy("It is sent again"), _lazy("Sent again by %(name)s")),
    "send_failed": (_lazy("It was not sent"), ""),
    "send_stopped": (_lazy("It was not sent"), ""),
    "send_closed_sent": (_lazy("Taken as sent"), _lazy("Taken as sent by %(name)s")),
    "send_closed_not_sent": (_lazy("Taken as not sent"), _lazy("Taken as not sent by %(name)s")),
    "closed": (_lazy("Closed"), _lazy("Closed by %(name)s")),
    "passed_on": (_lazy("Passed on"), _lazy("Passed on by %(name)s")),
    "acknowledged": (_lazy("Acknowledged"), _lazy("Acknowledged by %(name)s")),
    "resumed": (_lazy("Allowed again"), _lazy("Allowed again by %(name)s")),
    "stopped_anew": (_lazy("Stopped anew"), _lazy("Stopped anew by %(name)s")),
    "newer": (_lazy("Told anew"), ""),
    "escalation_ended": (_lazy("Escalation ended"), _lazy("Escalation ended by %(name)s")),
    "escalated": (_lazy("Others are asked for help"), _lazy("%(name)s asked others for help")),
    "unassigned": (_lazy("Given to somebody else"), _lazy("Given to somebody else by %(name)s")),
}


def quoted(text: object) -> str:
    """Words of a mail as they may stand among ours: each character that could deceive is named, and the end is cut."""
    plain = "".join(f"[U+{ord(c):04X}]" if is_deceiving(c) else c for c in one_line(str(text)))
    return plain if len(plain) <= QUOTED_CHARACTERS else plain[: QUOTED_CHARACTERS - 1] + "…"


def title_of(notice: Notice) -> str:
    """What happened, in our own words alone: nothing in it was written by a stranger."""
    facts = notice.facts
    if notice.kind == NoticeKind.DIGEST:
        count = int(facts.get("waiting", 0))
        if not count:
            return _("What happened since the last digest")
        said = str(count) if count < int(facts.get("limit", 10**9)) else f"{count - 1}+"
        return ngettext("%(count)s draft waits for you", "%(count)s drafts wait for you", count) % {
            "count": said
        }
    if notice.kind == NoticeKind.ASSIGNED and facts.get("is_escalated"):
        return _("You are asked for help with a draft")
    if notice.kind == NoticeKind.STOPPED and not facts.get("by"):
        return _("The desk stopped sending by itself")
    return str(NoticeKind(notice.kind).label)


def lines_of(notice: Notice) -> list[tuple[str, str]]:
    """What there is to say about a notice, as label and value; values are quoted."""
    facts = notice.facts
    lines = []
    if notice.mailbox is not None:
        lines.append((_("Mailbox"), quoted(notice.mailbox.address)))
    if facts.get("subject"):
        lines.append((_("Subject"), quoted(facts["subject"])))
    if facts.get("counterpart"):
        lines.append((_("To"), quoted(facts["counterpart"])))
    if facts.get("why"):
        lines.append((_("Why"), quoted(facts["why"])))
    if facts.get("what"):
        # Of a follow-up it is a code; anything else is a name as people gave it.
        what = str(facts["what"])
        is_code = notice.kind == NoticeKind.FOLLOW_UP
        lines.append((_("What"), quoted(what.replace("_", " ") if is_code else what)))
    if facts.get("by"):
        lines.append((_("By"), quoted(facts["by"])))
    if facts.get("reason"):
        lines.append((_("Reason"), quoted(facts["reason"])))
    if notice.kind == NoticeKind.DIGEST and facts.get("new"):
        lines.append((_("New since the last digest"), str(facts["new"])))
    return lines


def expires_at_of(notice: Notice) -> datetime | None:
    """When the draft of an open notice expires, where that is part of what is told."""
    if notice.kind not in (NoticeKind.WAITING, NoticeKind.EXPIRING, NoticeKind.ASSIGNED, NoticeKind.DIGEST):
        return None
    text = notice.facts.get("expires_at")
    return datetime.fromisoformat(text) if text else None


def expires_word(notice: Notice) -> str:
    """What the time of `expires_at_of` is called: of a digest it is that of the first draft."""
    return _("First expires") if notice.kind == NoticeKind.DIGEST else _("Expires")


def settled_of(notice: Notice) -> str:
    """How a closed notice was settled: "Approved by Bob". Empty while it is open."""
    if notice.closed_at is None:
        return ""
    plain, named = _SETTLED.get(notice.settled, (_("Settled"), _("Settled by %(name)s")))
    if notice.closed_by and named:
        return str(named) % {"name": quoted(notice.closed_by)}
    return str(plain)
