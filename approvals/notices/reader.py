"""Reading the record onwards and keeping the notices that follow from it: each entry once, none left out.

An entry of the record is written in the transaction of the change itself, so it is what was to be told, whatever ends
afterwards. What it means is asked of the rows as they are when it is read: what was settled by then is not told, and
what was told before is closed. Notices and how far was read are one transaction: a crash loses both or neither.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from agentmail.failpoints import reach
from agentmail.models import Mailbox
from approvals import policy_scopes, risk, together
from approvals.models import (
    Decision,
    Draft,
    FollowUp,
    FollowUpState,
    NeedsPerson,
    NeedsPersonState,
    Risk,
    Send,
    SentMessage,
)
from approvals.notices import keeping
from approvals.notices.models import Notice, NoticeCursor, NoticeKind
from approvals.states import DECIDABLE_STATES, DraftState, SendState
from audit.models import Entry
from policies import scopes

logger = logging.getLogger(__name__)

# Few at once: on SQLite nobody else writes meanwhile, and a send must not wait for a notice.
BATCH = 50
BATCHES_AT_ONCE = 100

OF_DRAFT = (NoticeKind.WAITING, NoticeKind.EXPIRING, NoticeKind.ASSIGNED)


def read_on() -> int:
    """Keep the notices of everything recorded by now; how many entries were read."""
    read = 0
    for _batch in range(BATCHES_AT_ONCE):
        more = _read_batch()
        read += more
        if more < BATCH:
            break
    return read


def _read_batch() -> int:
    known = NoticeCursor.objects.filter(pk=1).values_list("sequence", flat=True).first() or 0
    if not Entry.objects.filter(sequence__gt=known).exists():
        return 0
    with transaction.atomic():
        cursor, _is_new = NoticeCursor.objects.select_for_update().get_or_create(pk=1)
        entries = list(Entry.objects.filter(sequence__gt=cursor.sequence).order_by("sequence")[:BATCH])
        if not entries:
            return 0
        for settle, entry in _due(entries):
            try:
                with transaction.atomic():
                    settle(entry)
            except (OperationalError, InterfaceError):
                # The database itself: everything is read again.
                raise
            except Exception:
                # One entry that cannot be told must not keep all others from being told.
                logger.exception("entry %s of the record could not be made a notice", entry.sequence)
        reach("N1")
        NoticeCursor.objects.filter(pk=cursor.pk).update(sequence=entries[-1].sequence)
    return len(entries)


def _due(entries: list[Entry]) -> list[tuple[Callable[[Entry], None], Entry]]:
    """What is to be asked after, each thing once for the last entry about it, in the order of the record."""
    last: dict[tuple[object, ...], tuple[Callable[[Entry], None], Entry]] = {}

    def note(key: tuple[object, ...], settle: Callable[[Entry], None], entry: Entry) -> None:
        last.pop(key, None)
        last[key] = (settle, entry)

    for entry in entries:
        if entry.draft_id is not None and entry.action.startswith(("approvals.draft.", "approvals.send.")):
            note(("draft", entry.draft_id), settle_draft, entry)
        if entry.action in ("approvals.draft.assigned", "approvals.draft.escalated"):
            note(("given", entry.draft_id), settle_given, entry)
        if entry.action == "approvals.draft.escalation_ended":
            note(("escalation_ended", entry.draft_id), settle_escalation_ended, entry)
        if entry.send_id is not None and entry.action.startswith("approvals.send."):
            note(("send", entry.send_id), settle_send, entry)
        if "follow_up" in entry.data:
            note(("follow_up", entry.data["follow_up"]), settle_follow_up, entry)
        if entry.action.startswith("approvals.needs_person."):
            note(("needs_person", entry.data["item"]), settle_needs_person, entry)
        if entry.action in ("approvals.message.sent_elsewhere", "approvals.message.acknowledged"):
            note(("sent_elsewhere", entry.data["item"]), settle_sent_elsewhere, entry)
        if entry.action in ("policies.switch.engaged", "policies.switch.released"):
            note(("switch", entry.sequence), settle_switch, entry)
    return list(last.values())


def settle_draft(entry: Entry) -> None:
    """Tell of a draft that waits and is of high risk; close what was told of one that is so no more."""
    draft = (
        Draft.objects.select_related("mailbox", "current_revision", "send")
        .filter(pk=entry.draft_id or 0)
        .first()
    )
    if draft is None:
        return
    if draft.state != DraftState.PENDING:
        by, settled = _end_of(draft)
        # One that is stale is still to be looked at by whom it was given to.
        kinds = OF_DRAFT if draft.state != DraftState.STALE else (NoticeKind.WAITING, NoticeKind.EXPIRING)
        keeping.close(Notice.objects.filter(draft=draft, kind__in=kinds), by=by, settled=settled)
    elif not is_high_risk(draft):
        keeping.close(Notice.objects.filter(draft=draft, kind=NoticeKind.WAITING), by="", settled="risk_fell")
    else:
        keeping.notify(
            NoticeKind.WAITING,
            key=f"waiting:{draft.pk}",
            path=path_of_draft(draft),
            mailbox_id=draft.mailbox_id,
            draft=draft,
            is_urgent=True,
            facts=facts_of_draft(draft),
        )


def settle_given(entry: Entry) -> None:
    """Tell the person a draft was given to, or those who are asked for help; close what others were told of it."""
    draft = Draft.objects.select_related("mailbox").filter(pk=entry.draft_id or 0).first()
    if draft is None or draft.state not in DECIDABLE_STATES:
        return
    is_escalated = draft.escalated_at is not None
    told = [draft.assigned_to_id] if draft.assigned_to_id is not None else []
    if is_escalated and not told:
        told = list(together.seniors_of(draft).values_list("pk", flat=True))
    begin, end = f"given:{draft.pk}:", "escalated" if is_escalated else "assigned"
    keys = {person_id: f"{begin}{person_id}:{end}" for person_id in told}
    before = Notice.objects.filter(key__startswith=begin).exclude(key__in=keys.values())
    by = _person_of(entry)
    keeping.close(before.filter(person__in=told), by="", settled="newer")
    keeping.close(before, by=by, settled="escalated" if is_escalated else "unassigned")
    for person_id, key in keys.items():
        if (entry.actor_kind, entry.actor_id) == ("person", str(person_id)):
            continue
        keeping.notify(
            NoticeKind.ASSIGNED,
            key=key,
            path=path_of_draft(draft),
            mailbox_id=draft.mailbox_id,
            draft=draft,
            person_id=person_id,
            is_urgent=draft.risk == Risk.HIGH,
            facts=facts_of_draft(draft)
            | {"by": by, "reason": draft.escalation_reason, "is_escalated": is_escalated},
        )


def settle_escalation_ended(entry: Entry) -> None:
    """Close what those were told who were asked for help; whom the draft is given to keeps it, and the notice."""
    draft = Draft.objects.filter(pk=entry.draft_id or 0).first()
    if draft is None or draft.escalated_at is not None or draft.assigned_to_id is not None:
        return
    told = Notice.objects.filter(key__startswith=f"given:{draft.pk}:")
    keeping.close(told, by=_person_of(entry), settled="escalation_ended")


def settle_send(entry: Entry) -> None:
    send = Send.objects.select_related("draft", "mailbox").filter(pk=entry.send_id or 0).first()
    if send is None:
        return
    key = f"unknown:{send.pk}"
    if send.state != SendState.UNKNOWN:
        rows = Notice.objects.filter(key=key)
        keeping.close(rows, by=_person_of(entry), settled=f"send_{send.state}")
        return
    keeping.notify(
        NoticeKind.UNKNOWN,
        key=key,
        path=reverse("approvals:unknown_send", args=[send.draft.public_id]),
        mailbox_id=send.mailbox_id,
        draft=send.draft,
        is_urgent=True,
        facts=facts_of_draft(send.draft),
    )


def settle_follow_up(entry: Entry) -> None:
    """Tell the person a follow-up is with, or everybody of the mailbox; close what others were told of it."""
    row = FollowUp.objects.select_related("send__draft").filter(public_id=entry.data["follow_up"]).first()
    if row is None:
        return
    begin = f"follow_up:{row.pk}:"
    told = Notice.objects.filter(key__startswith=begin)
    if row.state != FollowUpState.OPEN:
        keeping.close(told, by=_person_of(entry), settled="closed")
        return
    key = f"{begin}{row.assigned_to_id or 'all'}"
    keeping.close(told.exclude(key=key), by=_person_of(entry), settled="passed_on")
    keeping.notify(
        NoticeKind.FOLLOW_UP,
        key=key,
        path=reverse("approvals:follow_up", args=[row.public_id]),
        mailbox_id=row.mailbox_id,
        draft=row.send.draft,
        person_id=row.assigned_to_id,
        facts=facts_of_draft(row.send.draft) | {"what": row.kind},
    )


def settle_needs_person(entry: Entry) -> None:
    item = NeedsPerson.objects.filter(public_id=entry.data["item"]).first()
    if item is None:
        return
    key = f"needs_person:{item.pk}"
    if item.state != NeedsPersonState.OPEN:
        keeping.close(Notice.objects.filter(key=key), by=_person_of(entry), settled="closed")
        return
    keeping.notify(
        NoticeKind.NEEDS_PERSON,
        key=key,
        path=reverse("approvals:needs_person_item", args=[item.public_id]),
        mailbox_id=item.mailbox_id,
        facts={"what": item.category_name},
    )


def settle_sent_elsewhere(entry: Entry) -> None:
    item = SentMessage.objects.select_related("message").filter(public_id=entry.data["item"]).first()
    if item is None:
        return
    key = f"sent_elsewhere:{item.pk}"
    if item.send_id is not None or item.acknowledged_at is not None:
        keeping.close(Notice.objects.filter(key=key), by=_person_of(entry), settled="acknowledged")
        return
    keeping.notify(
        NoticeKind.SENT_ELSEWHERE,
        key=key,
        path=reverse("approvals:sent_elsewhere_item", args=[item.public_id]),
        mailbox_id=item.mailbox_id,
        is_urgent=True,
        facts={"subject": item.message.subject},
    )


def settle_switch(entry: Entry) -> None:
    """Tell of a stop and of its end, in every mailbox that it concerns."""
    scope = str(entry.data.get("scope", ""))
    is_stop = entry.action == "policies.switch.engaged"
    kind = NoticeKind.STOPPED if is_stop else NoticeKind.RESUMED
    open_ones = Notice.objects.filter(kind=NoticeKind.STOPPED, key__startswith=f"stopped:{scope}:")
    keeping.close(open_ones, by=_person_of(entry), settled="stopped_anew" if is_stop else "resumed")
    what = policy_scopes.word_of(scope)
    for mailbox_id in _mailboxes_in(scope):
        keeping.notify(
            kind,
            key=f"{kind}:{scope}:{entry.sequence}:{mailbox_id or 'all'}",
            event=f"{kind}:{entry.sequence}",
            path=reverse("approvals:operations"),
            mailbox_id=mailbox_id,
            is_urgent=is_stop,
            facts={"what": what, "reason": entry.reason, "by": _person_of(entry)},
        )


def _mailboxes_in(scope: str) -> list[int | None]:
    """The mailboxes that a scope of the switch concerns; None stands for all of them."""
    kind, _colon, name = scope.partition(":")
    if kind == "mailbox":
        return [*Mailbox.objects.filter(pk=int(name)).values_list("pk", flat=True)]
    if kind == "workspace":
        return [*scopes.mailboxes_of(int(name))]
    if kind == "agent":
        rows = Draft.objects.filter(agent_id=name).order_by("mailbox_id")
        return [*rows.values_list("mailbox_id", flat=True).distinct()]
    return [None]


def is_high_risk(draft: Draft) -> bool:
    if draft.risk is None:
        risk.keep_of(draft.pk)
        draft.refresh_from_db(fields=["risk"])
    return draft.risk == Risk.HIGH


def path_of_draft(draft: Draft) -> str:
    return reverse("approvals:draft", args=[draft.public_id])


def facts_of_draft(draft: Draft) -> dict[str, str]:
    words, more = risk.said_in_row(draft) if draft.risk == Risk.HIGH else ([], 0)
    return {
        "why": ", ".join([*words, *([_("%(count)d more") % {"count": more}] if more else [])]),
        "subject": draft.subject[:500],
        "counterpart": draft.counterpart,
        "expires_at": draft.expires_at.isoformat(),
    }


def _end_of(draft: Draft) -> tuple[str, str]:
    """Who ended the waiting of a draft, and how; nobody when it was the desk or the agent."""
    decision = Decision.objects.filter(draft=draft, voided_at__isnull=True).order_by("-pk").first()
    by = decision.person_name if decision is not None else ""
    return by, f"draft_{draft.state}"


def _person_of(entry: Entry) -> str:
    return entry.actor_name if entry.actor_kind in ("person", "operator_command") else ""
