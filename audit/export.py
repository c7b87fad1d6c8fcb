"""The record as files for others: JSON lines, exact, and CSV that a spreadsheet program takes for text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from audit.chain import JSON_FIELDS, TEXT_FIELDS
from audit.models import Entry

CHUNK = 2000

COLUMNS = ("sequence", "at", *TEXT_FIELDS, *JSON_FIELDS, "allowed", "rate_ok", "prev_hash", "hash")

# A cell, or what a program splits off one, that begins like a formula: also behind spaces, and in the
# full-width forms that some programs read like the ASCII ones.
_FORMULA = re.compile(r"""(^|[,;|\t\r\n"'])([ \u00a0\u3000]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])""")
_CONTROLS = ("\t", "\r", "\n", "\0")


def selected(
    *, since: datetime | None = None, until: datetime | None = None, mailbox_id: int | None = None
) -> Iterator[Entry]:
    """Yield entries oldest first, from `since` on and before `until`; memory does not grow with their
    number.
    """
    found = _matching(since, until, mailbox_id).order_by("sequence")
    last: int | None = None
    while page := list((found if last is None else found.filter(sequence__gt=last))[:CHUNK]):
        yield from page
        last = page[-1].sequence


def count(
    *, since: datetime | None = None, until: datetime | None = None, mailbox_id: int | None = None
) -> int:
    """How many entries `selected` yields for the same choice, as of now."""
    return _matching(since, until, mailbox_id).count()


def _matching(since: datetime | None, until: datetime | None, mailbox_id: int | None) -> QuerySet[Entry]:
    found = Entry.objects.all()
    if since is not None:
        found = found.filter(at__gte=since)
    if until is not None:
        found = found.filter(at__lt=until)
    if mailbox_id is not None:
        found = found.filter(mailbox_id=mailbox_id)
    return found


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a line of JSON for each entry: what the guardrails ask for, then every field of ours.

    `ts` is in Unix seconds. `allowed` and `rate_ok` are null where no gate, or no rate gate, was asked.
    `body` is the text that was hashed.
    """
    for entry in entries:
        yield json.dumps(_line(entry), ensure_ascii=False) + "\n"


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield CSV with a byte order mark and a header, every cell quoted and none that could start a
    formula.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    buffer.write("\ufeff")
    writer.writerow(COLUMNS)
    yield buffer.getvalue()
    for entry in entries:
        buffer.seek(0)
        buffer.truncate()
        line = _line(entry)
        writer.writerow([_cell(line[column]) for column in COLUMNS])
        yield buffer.getvalue()


def guarded(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet program could read as a formula."""
    text = _FORMULA.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(_CONTROLS) else text


def _line(entry: Entry) -> dict[str, Any]:
    standings = {gate.get("gate"): gate.get("standing") for gate in entry.gates}
    rate = [standing for gate, standing in standings.items() if gate in ("rate", "cap", "rate_cap")]
    return {
        "ts": round(entry.at.timestamp(), 6),
        "message_id": entry.inbound_message_id,
        "to": entry.recipients,
        "action": entry.action,
        "allowed": "refused" not in standings.values() if standings else None,
        "rate_ok": rate[0] == "passed" if rate else None,
        "key": entry.idempotency_key,
        "result": entry.outcome,
        "sequence": entry.sequence,
        "at": entry.at.isoformat(),
        **{name: getattr(entry, name) for name in (*TEXT_FIELDS, *JSON_FIELDS)},
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
        "body": entry.body,
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return guarded(", ".join(value))
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else str(value)
    return guarded(text)
