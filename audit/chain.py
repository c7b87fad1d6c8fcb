"""The chain of the record: the bytes an entry is hashed over, and whether the stored chain still holds.

hash = sha256(previous hash as 64 hexadecimal digits, then the body). The body is stored as it was hashed,
so that verifying never has to guess how it was once written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from audit.models import Entry

GENESIS = "0" * 64

# What the body repeats, in the order in which the table is read.
TEXT_FIELDS = (
    "action",
    "actor_kind",
    "actor_id",
    "actor_name",
    "mailbox_id",
    "draft_id",
    "send_id",
    "content_sha256",
    "inbound_message_id",
    "thread_id",
    "idempotency_key",
    "outcome",
    "provider_id",
    "reason",
    "request_id",
)
JSON_FIELDS = ("recipients", "gates", "rule_ids", "data")

_texts_of = itemgetter(*TEXT_FIELDS)
_json_of = itemgetter(*JSON_FIELDS)
# Where the moment stands in a row that is read to be verified; the JSON columns follow it.
_AT = 4 + len(TEXT_FIELDS)

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Verification:
    """`count` is the number of entries found good. `problem` is empty when `ok`."""

    ok: bool
    count: int
    head_hash: str
    first_bad_sequence: int | None
    problem: str


def canonical(value: Any) -> str:
    """Write a value as JSON in one way only: sorted keys, no spaces, ASCII. Raises on what JSON cannot
    hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def hash_of(prev_hash: str, body: str) -> str:
    return hashlib.sha256(prev_hash.encode("ascii") + body.encode("utf-8", "surrogatepass")).hexdigest()


def plain(value: Any) -> Any:
    """Turn a value into what both databases store in JSON unchanged.

    NUL and lone surrogates become U+FFFD, because PostgreSQL stores neither; moments become ISO 8601 in UTC.
    Raises `TypeError` on objects of other kinds.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str() | Promise():
            return _UNSTORABLE.sub("\ufffd", str(value))
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date() | UUID():
            return str(value)
        case dict():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            items = sorted(value) if isinstance(value, set | frozenset) else value
            return [plain(item) for item in items]
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def verify(*, known_head: str | None = None, chunk: int = 2000) -> Verification:
    """Read the whole record in order and check numbers, links, hashes and columns; memory does not grow
    with it.

    `known_head` is the hash of an entry noted down earlier, outside the database; only with one can a cut
    tail or a wholly rewritten chain be found. Entries added while this runs are checked too, as far as it
    gets.
    """
    count = 0
    head = GENESIS
    is_head_known = known_head is None or known_head == GENESIS
    for row in _rows(chunk):
        expected = count + 1
        problem = _problem(row, expected, head)
        if problem:
            return Verification(False, count, head, min(row[0], expected), problem)
        count, head = expected, row[2]
        is_head_known = is_head_known or head == known_head
    if not is_head_known:
        problem = _("The known head is not in the record: its end was cut off, or it was written anew.")
        return Verification(False, count, head, count + 1, problem)
    return Verification(True, count, head, None, "")


_Row = tuple[Any, ...]


def _rows(chunk: int) -> Iterator[_Row]:
    # As text, because a converter would fail on a column that was tampered with instead of reporting it.
    as_text = {f"{name}_text": Cast(name, TextField()) for name in ("at", *JSON_FIELDS)}
    query = Entry.objects.order_by("sequence").annotate(**as_text)
    columns = query.values_list("sequence", "prev_hash", "hash", "body", *TEXT_FIELDS, *as_text)
    last: int | None = None
    while True:
        page = columns if last is None else columns.filter(sequence__gt=last)
        try:
            rows = list(page[:chunk])
        except DatabaseError:
            # One entry cannot be decoded: go on one by one, so that the good ones before it are counted.
            if chunk == 1:
                yield ((last or 0) + 1, None)
                return
            chunk = 1
            continue
        yield from rows
        if len(rows) < chunk:
            return
        last = rows[-1][0]


def _problem(row: _Row, expected: int, head: str) -> str:
    if len(row) == 2:
        return _("Entry %(sequence)s cannot be read.") % {"sequence": row[0]}
    sequence, prev_hash, stored_hash, body = row[:4]
    named = {"sequence": sequence, "expected": expected}
    if sequence > expected:
        return _("Entry %(expected)s is missing; the next one is %(sequence)s.") % named
    if sequence < expected:
        return _("Entry %(sequence)s has a number that was never given out.") % named
    if prev_hash != head:
        return _("Entry %(sequence)s does not follow the entry before it.") % named
    if not isinstance(body, str) or hash_of(head, body) != stored_hash:
        return _("The hash of entry %(sequence)s does not match its body.") % named
    try:
        fields = _decoded(body)
    except ValueError:
        return _("The body of entry %(sequence)s is not JSON.") % named
    if _is_repeated(row, fields):
        return ""
    name = _differing_column(row, fields)
    return _("Column %(column)s of entry %(sequence)s differs from its body.") % {**named, "column": name}


_decode = json.JSONDecoder().raw_decode


_EMPTY: dict[str, Any] = {"[]": [], "{}": {}}


def _decoded(text: str) -> Any:
    """Parse text without spaces around it; json.loads spends as long again looking for them."""
    value, end = _decode(text)
    if end != len(text):
        raise ValueError("something follows the JSON")
    return value


def _is_repeated(row: _Row, fields: Any) -> bool:
    """Say whether the columns repeat the body. For the million good rows, so it is written to be quick."""
    try:
        texts = _texts_of(fields)
        values = _json_of(fields)
        at = fields["at"]
        is_numbered = fields["sequence"] == row[0]
        stored_values = [_EMPTY[text] if text in _EMPTY else _decoded(text) for text in row[_AT + 1 :]]
    except (KeyError, TypeError, ValueError):
        return False
    at_stored = row[_AT]
    at_written = f"{at[:10]} {at[11:26]}"
    is_at_equal = (
        at_stored == at_written or at_stored == at_written + "+00" or _moment(at_stored) == _moment(at)
    )
    return is_numbered and row[4:_AT] == texts and is_at_equal and stored_values == list(values)


def _differing_column(row: _Row, fields: Any) -> str:
    if not isinstance(fields, dict) or fields.get("sequence") != row[0]:
        return "sequence"
    for name, stored in zip(TEXT_FIELDS, row[4:_AT], strict=True):
        if fields.get(name) != stored:
            return name
    if _moment(row[_AT]) != _moment(fields.get("at")):
        return "at"
    for name, text in zip(JSON_FIELDS, row[_AT + 1 :], strict=True):
        try:
            if json.loads(text) != fields.get(name):
                return name
        except (TypeError, ValueError):
            return name
    return "body"


def _moment(text: object) -> str:
    # PostgreSQL writes 01:10:04.12+00, SQLite 01:10:04.120000, the body 01:10:04.120000+00:00.
    day_and_time = str(text).replace("T", " ").partition("+")[0]
    return day_and_time.rstrip("0").rstrip(".") if "." in day_and_time else day_and_time
