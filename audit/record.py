from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from django.db import connection

from audit.actions import ACTIONS
from audit.chain import GENESIS, JSON_FIELDS, canonical, hash_of, plain
from audit.context import request_id
from audit.models import Entry

ActorKind = Literal["person", "agent", "system", "provider", "operator_command"]

# Any fixed number will do; it only has to differ from the keys of policies.locks, which are hashes.
APPEND_LOCK = 0x436F756E74657273


class RecordError(Exception):
    """The entry was refused by the record itself, before anything was written."""


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    id: str
    name: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(ActorKind):
            raise ValueError(f"unknown kind of actor: {self.kind}")


SYSTEM = Actor("system", "system", "Countersign")


def record(
    action: str,
    *,
    actor: Actor,
    mailbox_id: int | None = None,
    draft_id: int | None = None,
    send_id: int | None = None,
    content_sha256: str = "",
    inbound_message_id: str = "",
    thread_id: str = "",
    recipients: Sequence[str] = (),
    gates: Sequence[Mapping[str, str]] = (),
    rule_ids: Sequence[str] = (),
    idempotency_key: str = "",
    outcome: str = "",
    provider_id: str = "",
    reason: str = "",
    data: Mapping[str, Any] | None = None,
) -> Entry:
    """Append one entry to the chain, in the caller's transaction: both are kept or neither is.

    Every writer waits here for the end of the transaction that appended before it. Take the locks of the
    rows you change first and record last, or two transactions may wait for each other. Never hand over
    secrets, bodies or subjects: what is written here stays. `gates` holds mappings of gate, standing
    (passed, refused, open, not_asked), result and sentence. Raises `RecordError` outside a transaction
    and for an action that is not in `ACTIONS`.
    """
    if action not in ACTIONS:
        raise RecordError(f"{action} is not an action of audit.actions")
    if not connection.in_atomic_block:
        raise RecordError("an entry is recorded in the transaction of the change it is about")
    fields: dict[str, Any] = plain(
        {
            "action": action,
            "actor_kind": actor.kind,
            "actor_id": str(actor.id)[:200],
            "actor_name": actor.name,
            "mailbox_id": mailbox_id,
            "draft_id": draft_id,
            "send_id": send_id,
            "content_sha256": content_sha256,
            "inbound_message_id": inbound_message_id,
            "thread_id": thread_id,
            "recipients": list(recipients),
            "gates": [dict(gate) for gate in gates],
            "rule_ids": list(rule_ids),
            "idempotency_key": idempotency_key,
            "outcome": outcome,
            "provider_id": provider_id,
            "reason": reason,
            "request_id": request_id.get(),
            "data": dict(data or {}),
        }
    )
    last_sequence, prev_hash, at = _head()
    sequence = last_sequence + 1
    body = canonical({**fields, "sequence": sequence, "at": at.isoformat(timespec="microseconds")})
    chained = {"sequence": sequence, "body": body, "prev_hash": prev_hash, "hash": hash_of(prev_hash, body)}
    _insert({**fields, **chained, "at": connection.ops.adapt_datetimefield_value(at)})
    stored = {**fields, **chained, "at": at}
    return Entry.from_db(connection.alias, _COLUMNS, [stored[name] for name in _COLUMNS])


# Every other writer waits until this one is done, and save() takes longer than all the rest together.
_COLUMNS = [field.attname for field in Entry._meta.concrete_fields]
_INSERT = (
    f"INSERT INTO audit_entry ({', '.join(_COLUMNS)}) "  # noqa: S608 - the names of our own columns
    f"VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
)


def _insert(values: dict[str, Any]) -> None:
    texts = {name: canonical(values[name]) for name in JSON_FIELDS}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [texts.get(name, values[name]) for name in _COLUMNS])


_HEAD = "SELECT sequence, hash FROM audit_entry ORDER BY sequence DESC LIMIT 1"
_CLOCK_AND_HEAD = (
    f"SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), head.* FROM (SELECT 1) LEFT JOIN ({_HEAD}) head"  # noqa: S608 - constants
)


def _head() -> tuple[int, str, datetime]:
    """Wait for the turn to append, then read the newest entry and the database clock (UTC)."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One round trip of three statements. The lock must be one of its own: a statement that waited
            # for it would go on with what it saw before. The lock falls with the transaction.
            cursor.execute(f"SELECT pg_advisory_xact_lock({APPEND_LOCK}); SELECT clock_timestamp(); {_HEAD}")
            cursor.nextset()
            at = cursor.fetchone()[0].astimezone(UTC)
            cursor.nextset()
            row = cursor.fetchone()
        else:
            # Transactions are immediate here: whoever is in one is the only writer.
            cursor.execute(_CLOCK_AND_HEAD)
            now, *last = cursor.fetchone()
            at = datetime.fromisoformat(now)
            row = tuple(last) if last[0] is not None else None
    return (*row, at) if row else (0, GENESIS, at)
