"""What the page of the caps reads: a page of mailboxes, each with its limits and the evidence of its dry run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from agentmail.models import Mailbox
from approvals import comparisons, people
from approvals.comparisons import Evidence
from approvals.people import Person, Right
from policies import cap_usage, mailbox_settings
from policies.cap_usage import Answer
from policies.models import MailboxSettings, Workspace

ROWS = 50


@dataclass(frozen=True, slots=True)
class CapRow:
    mailbox: Mailbox
    settings: MailboxSettings
    answer: Answer
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class CapPage:
    """`following` is the (address, id) behind which the next page begins; None on the last one."""

    rows: list[CapRow]
    following: tuple[str, int] | None


def page(person: Person, *, now: datetime, after: tuple[str, int] | None = None) -> CapPage:
    """The mailboxes whose policies a person may read, by address, beyond the last one of the page before."""
    found = Mailbox.objects.filter(pk__in=people.mailbox_ids_with(person, Right.READ_POLICIES))
    if after is not None:
        address, pk = after
        found = found.filter(Q(address__gt=address) | Q(address=address, pk__gt=pk))
    mailboxes = list(found.order_by("address", "pk")[: ROWS + 1])
    shown = mailboxes[:ROWS]
    settings = mailbox_settings.of_many([one.pk for one in shown])
    answers = cap_usage.ask_each(settings, now=now)
    evidence = comparisons.of_each(settings, now=now)
    rows = [CapRow(one, settings[one.pk], answers[one.pk], evidence[one.pk]) for one in shown]
    return CapPage(rows, (shown[-1].address, shown[-1].pk) if len(mailboxes) > ROWS else None)


def workspaces(person: Person) -> QuerySet[Workspace]:
    """The workspaces that a person may see, with their policies."""
    found = Workspace.objects.select_related("policy")
    if people.may_everywhere(person, Right.READ_POLICIES):
        return found
    mine = people.mailbox_ids_with(person, Right.READ_POLICIES)
    return found.filter(members__mailbox_id__in=mine).distinct()
