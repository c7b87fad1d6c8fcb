"""The lists of recipients as a CSV file: kind, scope, pattern, note. What is exported can be imported again."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.people import Person
from approvals.recipients import LinesRefused, PatternError, line_fault, may_edit, parse_pattern
from policies import recipients as lists
from policies import scopes
from policies.models import RecipientEntry, RecipientKind, Workspace
from policies.recipients import NewEntry

COLUMNS = ("kind", "scope", "pattern", "note")
FILE_NAME = "recipients.csv"
FILE_BYTES = 2_000_000
FILE_LINES = 10_000

# What a spreadsheet program would take for a formula, behind the marks that were put before it.
_FORMULA = re.compile(r"\'*[=+\-@\t\r]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def written(entries: Iterable[RecipientEntry]) -> Iterator[str]:
    """The lines of the file for these entries, column names first. No cell is a formula."""
    yield _line(COLUMNS)
    for entry in entries:
        yield _line([entry.kind, entry.scope, entry.pattern, entry.note])


def read(data: bytes, *, person: Person) -> list[NewEntry]:
    """Read a file of entries that the person may add. Raises `LinesRefused` with what is wrong, by line."""
    if len(data) > FILE_BYTES:
        raise LinesRefused(
            [
                _("The file has %(count)d bytes; at most %(limit)d can be imported.")
                % {"count": len(data), "limit": FILE_BYTES}
            ]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LinesRefused([_("The file is not UTF-8 text; save it as CSV in UTF-8.")]) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _entries(reader, person)
    except csv.Error as error:
        raise LinesRefused(
            [_("Line %(number)d cannot be read as CSV: %(why)s") % {"number": reader.line_num, "why": error}]
        ) from error


def _entries(reader: Iterator[list[str]], person: Person) -> list[NewEntry]:
    names = [name.strip().lower() for name in next(reader, [])]
    if names not in (list(COLUMNS), list(COLUMNS[:3])):
        raise LinesRefused(
            [_("The first line must name the columns, with commas between them: kind,scope,pattern,note")]
        )
    known = _Scopes(person)
    found: list[NewEntry] = []
    faults: list[str] = []
    lines = 0
    for number, row in enumerate(reader, start=2):
        if not any(cell.strip() for cell in row):
            continue
        lines += 1
        if lines > FILE_LINES:
            raise LinesRefused(
                [_("The file has more than %(limit)d lines; import it in parts.") % {"limit": FILE_LINES}]
            )
        try:
            found.append(_entry([_unmarked(cell) for cell in row], len(names), known))
        except PatternError as error:
            faults.append(line_fault(number, ",".join(row), str(error)))
    if not lines:
        faults = [_("The file has no entry below the names of the columns.")]
    if faults:
        raise LinesRefused(faults)
    return found


def _entry(row: Sequence[str], columns: int, known: _Scopes) -> NewEntry:
    if len(row) != columns:
        raise PatternError(
            _("The line has %(count)d cells; it needs %(wanted)d.") % {"count": len(row), "wanted": columns}
        )
    kind, scope, pattern = row[0].strip().lower(), row[1].strip(), row[2]
    note = row[3].strip() if columns == len(COLUMNS) else ""
    if kind not in RecipientKind.values:
        raise PatternError(_("The kind is allow or deny."))
    if len(note) > lists.NOTE_CHARACTERS:
        raise PatternError(
            _("The note has %(count)d characters; at most %(limit)d.")
            % {"count": len(note), "limit": lists.NOTE_CHARACTERS}
        )
    if _CONTROL.search(note):
        raise PatternError(_("The note holds a line break or a control character."))
    return NewEntry(kind, known.read(scope), parse_pattern(pattern, kind), note)


class _Scopes:
    """The scopes a file may name: `global`, `workspace:` and `mailbox:` with the number or the name."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._named: dict[str, list[str]] = {scopes.GLOBAL: [scopes.GLOBAL]}
        for pk, name in Workspace.objects.values_list("pk", "name"):
            self._add(scopes.workspace_scope(pk), f"workspace:{name}")
        for pk, address in Mailbox.objects.values_list("pk", "address"):
            self._add(scopes.mailbox_scope(pk), f"mailbox:{address}")

    def _add(self, scope: str, name: str) -> None:
        self._named.setdefault(scope, []).append(scope)
        self._named.setdefault(name.casefold(), []).append(scope)

    def read(self, text: str) -> str:
        found = self._named.get(text.casefold(), [])
        # What a person may not edit is not told apart from what does not exist.
        mine = [scope for scope in found if may_edit(self._person, scope)]
        if not mine:
            raise PatternError(
                _("You cannot add entries for the scope %(scope)s.") % {"scope": text[:80] or _("(empty)")}
            )
        if len(mine) > 1:
            raise PatternError(
                _("More than one scope is called %(scope)s; use its number.") % {"scope": text[:80]}
            )
        return mine[0]


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells])
    return buffer.getvalue()


def _unmarked(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
