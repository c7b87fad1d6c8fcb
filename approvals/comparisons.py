"""What a dry run has shown: how long it lasts, how many mails people compared, how many would have been wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from approvals import people
from approvals.models import Comparison, Draft, Send, WrongKind
from approvals.people import Right
from approvals.states import SendState
from audit.clock import database_now
from audit.record import record
from policies import mailbox_settings
from policies.models import Delivery

DAYS_NEEDED = 14
COMPARED_NEEDED = 100
WRONG_ALLOWED = 0
NOTE_CHARACTERS = 2000


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
    def missing(self) -> list[str]:
        """What keeps the mailbox from being ready, as sentences; none when it is."""
        found = []
        if self.days < DAYS_NEEDED:
            found.append(
                _("%(days)d of %(needed)d days in dry run.") % {"days": self.days, "needed": DAYS_NEEDED}
            )
        if self.compared < COMPARED_NEEDED:
            found.append(
                _("%(count)d of %(needed)d mails compared.")
                % {"count": self.compared, "needed": COMPARED_NEEDED}
            )
        if self.wrong > WRONG_ALLOWED:
            found.append(
                _("%(count)d would have been wrong; %(allowed)d may be.")
                % {"count": self.wrong, "allowed": WRONG_ALLOWED}
            )
        return found

    @property
    def is_ready(self) -> bool:
        return not self.missing


def of(mailbox_id: int, *, now: datetime) -> Evidence:
    """The evidence of a mailbox's dry run, or of its last one when it sends live by now."""
    settings = mailbox_settings.of(mailbox_id)
    since = settings.dry_run_since
    if since is None:
        return Evidence(None, 0, 0, 0)
    until = now
    if settings.delivery == Delivery.LIVE and settings.live_since is not None:
        until = min(now, settings.live_since)
    compared = Comparison.objects.filter(draft__mailbox_id=mailbox_id, made_at__gte=since)
    return Evidence(
        since,
        max(0, (until - since).days),
        compared.values("draft_id").distinct().count(),
        compared.filter(would_send=False).values("draft_id").distinct().count(),
    )


def compare(
    draft_id: int, *, person: User, would_send: bool, wrong_kind: str = "", note: str = ""
) -> Comparison:
    """Keep what a person would have done with a mail that the dry run would have sent; a later word replaces it.

    Raises ComparisonRefused for a draft that did not end so, for a wrong one without its kind, and for somebody who
    may not decide about the mailbox.
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
        draft = Draft.objects.get(pk=draft_id)
        if not people.is_still_allowed(person.pk, Right.DECIDE, draft.mailbox_id):
            raise ComparisonRefused(_("You may not decide drafts of this mailbox."))
        send = Send.objects.filter(draft=draft, state=SendState.DRY_RUN).first()
        if send is None:
            raise ComparisonRefused(_("Only a mail that would have been sent in a dry run is compared."))
        made, _is_new = Comparison.objects.update_or_create(
            draft=draft,
            person=person,
            defaults={
                "would_send": would_send,
                "wrong_kind": wrong_kind,
                "note": note,
                "made_at": database_now(),
            },
        )
        record(
            "approvals.draft.compared",
            actor=people.actor_for(person),
            mailbox_id=draft.mailbox_id,
            draft_id=draft.pk,
            send_id=send.pk,
            outcome="would_send" if would_send else wrong_kind,
            reason=note,
        )
    return made
