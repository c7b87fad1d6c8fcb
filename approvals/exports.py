"""Files that people take out of the desk, written while they are downloaded or, when that may last, by a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from approvals import oversight_report as reports
from approvals import people, recipient_files, recipients
from approvals.models import JobKind
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from approvals.recipients import EntryFilter
from audit.clock import database_now
from policies.models import RecipientEntry

# So many rows are written within a few seconds even by a machine at its limit: they are downloaded at once. What has
# more is left to a worker, so that no request lasts and a page shows how far it is.
AT_ONCE_ROWS = 1000
# Rows of the lists that are read from the database together.
CHUNK = 500

CONTENT_TYPES: Mapping[JobKind, str] = {
    JobKind.OVERSIGHT_REPORT: "application/json",
    JobKind.RECIPIENTS: "text/csv; charset=utf-8",
}


class ExportRefused(Exception):
    """There is nothing to export; the message says why."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file to write: `parts` gives its text and tells of each row; `covers` is for `may_have`."""

    file_name: str
    rows: int
    covers: Sequence[Any]
    parts: Callable[[Callable[[], None]], Iterator[str]]


def is_short(rows: QuerySet[Any]) -> bool:
    """Whether so few rows are sure to be written at once."""
    return rows[: AT_ONCE_ROWS + 1].count() <= AT_ONCE_ROWS


def export_of(person: Person, kind: JobKind, asked: Mapping[str, Any]) -> Export:
    """What a person may take out now of what they asked for. Raises ExportRefused when that is nothing.

    `asked` holds the fields of the page: `from`, `to` (days) and `mailbox` (a public id or "") of a report; `kind`,
    `scope` and `q` of the lists.
    """
    return _EXPORTS[kind](person, asked)


def may_have(person: Person, kind: JobKind, covers: Sequence[Any]) -> bool:
    """Whether a person may read, at this moment, all that a file speaks of: mailboxes by number, scopes of lists."""
    if kind is JobKind.OVERSIGHT_REPORT:
        return set(covers) <= set(people.mailbox_ids_with(person, Right.AUDIT))
    visible = recipients.visible_scopes(person)
    return recipients.may_see(person) and (visible is None or set(covers) <= set(visible))


def _oversight_report(person: Person, asked: Mapping[str, Any]) -> Export:
    mailboxes = visible_mailboxes(person, Right.AUDIT)
    if asked["mailbox"]:
        mailboxes = mailboxes.filter(public_id=asked["mailbox"])
    if not (found := list(mailboxes)):
        raise ExportRefused(_("You may not read the record of what you asked for any more."))
    period = reports.Period(date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"]))
    report = reports.oversight_report(found, period, made_at=database_now())
    return Export(
        reports.file_name(period),
        reports.row_count(report),
        list(report.mailboxes),
        lambda on_row: reports.json_parts(report, on_row),
    )


def _recipients(person: Person, asked: Mapping[str, Any]) -> Export:
    if not recipients.may_see(person):
        raise ExportRefused(_("You may not see the lists of recipients any more."))
    chosen = EntryFilter(kind=asked["kind"], scope=asked["scope"], text=asked["q"])
    found = recipients.visible_entries(person, chosen)
    scopes = list(found.order_by().values_list("scope", flat=True).distinct())
    return Export(
        recipient_files.FILE_NAME,
        found.count(),
        scopes,
        lambda on_row: recipient_files.written(_told(_entries(person, chosen, scopes), on_row)),
    )


def _entries(person: Person, chosen: EntryFilter, scopes: Sequence[str]) -> Iterator[RecipientEntry]:
    """The entries of a filter in parts: on SQLite a cursor that stays open is in the way of writing."""
    after: tuple[str, int] | None = None
    while True:
        found = recipients.visible_entries(person, replace(chosen, after=after)).filter(scope__in=scopes)
        rows = list(found[:CHUNK])
        yield from rows
        if len(rows) < CHUNK:
            return
        after = (rows[-1].pattern, rows[-1].pk)


def _told(entries: Iterator[RecipientEntry], on_row: Callable[[], None]) -> Iterator[RecipientEntry]:
    for entry in entries:
        yield entry
        on_row()


_EXPORTS: Mapping[JobKind, Callable[[Person, Mapping[str, Any]], Export]] = {
    JobKind.OVERSIGHT_REPORT: _oversight_report,
    JobKind.RECIPIENTS: _recipients,
}
