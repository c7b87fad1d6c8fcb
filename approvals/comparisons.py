"""What people say of a mail beside the desk's own verdict: of one in a dry run, and of one that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Mailbox
from approvals import oversight, people
from approvals.models import Comparison, Draft, ModeChange, Send, WrongKind
from approvals.people import Right
from approvals.states import SendState
from audit.clock import database_now
from audit.record import SYSTEM, record
from policies import categories, mailbox_settings, modes
from policies.evidence import LEAVING_DRY_RUN, Threshold, are_met, thresholds
from policies.models import Category, Delivery, MailboxSettings, Tier

NOTE_CHARACTERS = 2000
COMPARED_STATES = (SendState.DRY_RUN, SendState.ACCEPTED)

_MISSING: Mapping[str, Any] = {
    "days": _lazy("%(found)d of %(needed)d days in dry run."),
    "compared": _lazy("%(found)d of %(needed)d mails compared."),
    "wrong": _lazy("%(found)d would have been wrong; %(needed)d may be."),
}


class ComparisonRefused(Exception):
    """Nothing was kept; the message says why, and `field` names what was wrong, if one field was."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one mailbox since its dry run began. `since` is empty for one that never rehearsed.

    `compared` and `wrong` count drafts; one that any person found wrong is wrong.
    """

    since: datetime | None
    days: int
    compared: int
    wrong: int

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return thresholds(LEAVING_DRY_RUN, days=self.days, compared=self.compared, wrong=self.wrong)

    @property
    def missing(self) -> list[str]:
        """What keeps the mailbox from being ready, as sentences; none when it is."""
        return [
            _MISSING[one.name] % {"found": one.found, "needed": one.needed}
            for one in self.thresholds
            if not one.is_met
        ]

    @property
    def is_ready(self) -> bool:
        return are_met(self.thresholds)


@dataclass(frozen=True, slots=True)
class Kept:
    """A person's word, and what it took back: a category that was automatic, a mode that asked nobody."""

    comparison: Comparison
    category: Category | None = None
    mode: ModeChange | None = None


def of(mailbox_id: int, *, now: datetime) -> Evidence:
    """The evidence of a mailbox's dry run, or of its last one when it sends live by now."""
    return of_each({mailbox_id: mailbox_settings.of(mailbox_id)}, now=now)[mailbox_id]


def of_each(settings: Mapping[int, MailboxSettings], *, now: datetime) -> dict[int, Evidence]:
    """The same for several mailboxes, whose settings are given by their ids, in one question."""
    found = {pk: Evidence(None, 0, 0, 0) for pk in settings}
    begun = {pk: row.dry_run_since for pk, row in settings.items() if row.dry_run_since is not None}
    if not begun:
        return found
    since = [Q(draft__mailbox_id=pk, made_at__gte=at) for pk, at in begun.items()]
    counts = {
        row["draft__mailbox_id"]: (row["compared"], row["wrong"])
        for row in Comparison.objects.filter(reduce(or_, since), draft__send__state=SendState.DRY_RUN)
        .order_by()
        .values("draft__mailbox_id")
        .annotate(
            compared=Count("draft", distinct=True),
            wrong=Count("draft", distinct=True, filter=Q(would_send=False)),
        )
    }
    for pk, at in begun.items():
        row, until = settings[pk], now
        if row.delivery == Delivery.LIVE and row.live_since is not None:
            until = min(now, row.live_since)
        found[pk] = Evidence(at, max(0, (until - at).days), *counts.get(pk, (0, 0)))
    return found


def compare(draft_id: int, *, person: User, would_send: bool, wrong_kind: str = "", note: str = "") -> Kept:
    """Keep what a person says of a mail that was sent, or that the dry run would have sent; a later word replaces it.

    The first word that a sent mail was wrong takes back what let its kind leave without a person: its category goes
    from automatic to approval and, if nobody had decided about it, its mailbox to gated_send (K19). Raises
    ComparisonRefused for a draft that did not end so, for a wrong one without its kind, and for somebody who may not
    decide about the mailbox.
    """
    if would_send:
        wrong_kind = ""
    elif wrong_kind not in WrongKind.values:
        raise ComparisonRefused(_("Say what was wrong with it."), "wrong_kind")
    if len(note) > NOTE_CHARACTERS:
        raise ComparisonRefused(
            _("A note has %(limit)d characters at most.") % {"limit": NOTE_CHARACTERS}, "note"
        )
    with transaction.atomic():
        kept = _keep(draft_id, person, {"would_send": would_send, "wrong_kind": wrong_kind, "note": note})
    if kept.mode is not None:
        oversight.return_undecided(kept.mode.mailbox_id)
    return kept


def _keep(draft_id: int, person: User, word: dict[str, Any]) -> Kept:
    draft = Draft.objects.get(pk=draft_id)
    # The mode's lock also puts two people's words about one mail in an order.
    Mailbox.objects.select_for_update(no_key=True).get(pk=draft.mailbox_id)
    if not people.is_still_allowed(person.pk, Right.DECIDE, draft.mailbox_id):
        raise ComparisonRefused(_("You may not decide drafts of this mailbox."))
    send = Send.objects.filter(draft=draft, state__in=COMPARED_STATES).select_related("decision").first()
    if send is None:
        raise ComparisonRefused(
            _("Only a mail that was sent, or would have been in a dry run, can be compared.")
        )
    was_sent = send.state == SendState.ACCEPTED
    is_news = was_sent and not word["would_send"] and not _is_wrong(draft)
    # Locked before anything is recorded, as everything that is recorded is.
    category = _automatic_category(draft) if is_news else None
    made, _is_new = Comparison.objects.update_or_create(
        draft=draft, person=person, defaults=word | {"made_at": database_now()}
    )
    record(
        "approvals.send.judged" if was_sent else "approvals.draft.compared",
        actor=people.actor_for(person),
        mailbox_id=draft.mailbox_id,
        draft_id=draft.pk,
        send_id=send.pk,
        outcome=word["wrong_kind"] or "would_send",
        reason=word["note"],
    )
    return _take_back(made, send, category) if is_news else Kept(made)


def _is_wrong(draft: Draft) -> bool:
    return Comparison.objects.filter(draft=draft, would_send=False).exists()


def _automatic_category(draft: Draft) -> Category | None:
    return Category.objects.select_for_update().filter(key=draft.category, tier=Tier.AUTO).first()


def _take_back(word: Comparison, send: Send, category: Category | None) -> Kept:
    draft = word.draft
    reason = _("%(name)s confirmed that a mail was wrong: %(kind)s. Draft %(draft)s.") % {
        "name": people.name_of(word.person),
        "kind": word.get_wrong_kind_display(),
        "draft": draft.public_id,
    }
    if category is not None:
        category = categories.demote(category.pk, actor=SYSTEM, reason=reason)
    mode = None
    if send.decision.person_id is None:
        mode = oversight.fall_back(draft.mailbox_id, leaves=modes.WITHOUT_PERSON, reason=reason)
    return Kept(word, category, mode)
