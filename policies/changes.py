"""The only writer of policy rows. Every change is one transaction: the row, its number, its audit entry.

An editor names the version of the row that was on the screen. When somebody else was faster nothing is written and
`Conflict` carries the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import models, transaction
from django.forms.models import model_to_dict

from audit.clock import database_now
from audit.record import Actor, record
from policies.models import Change, Versioned

Row = TypeVar("Row", bound=Versioned)

ROWS_PER_ENTRY = 1000


class Conflict(Exception):
    """Somebody changed or removed the row meanwhile. `current` is it now, or None.

    `differences` maps each field that differs to what is stored now and what was to be written.
    """

    def __init__(self, current: Versioned | None, differences: Mapping[str, tuple[Any, Any]]) -> None:
        super().__init__("the row was changed by somebody else")
        self.current = current
        self.differences = dict(differences)


def current_version() -> int:
    """The number of the last policy change, 0 before the first: what an evaluation used."""
    return Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def create(kind: type[Row], /, *, actor: Actor, reason: str = "", **fields: Any) -> Row:
    """Add a row. Raises `django.db.IntegrityError` for one that is there already."""
    with transaction.atomic():
        row = kind(**fields)
        row.save(force_insert=True)
        _record("policies.row.created", row, actor, reason, before={}, after=_plain(row))
        return row


def create_many(
    kind: type[Row], rows: Sequence[Mapping[str, Any]], *, actor: Actor, reason: str = ""
) -> list[Row]:
    """Add rows, all or none: a change each, an audit entry for every thousand. Raises `django.db.IntegrityError`."""
    made: list[Row] = []
    with transaction.atomic():
        for start in range(0, len(rows), ROWS_PER_ENTRY):
            some = [kind(**fields) for fields in rows[start : start + ROWS_PER_ENTRY]]
            made += kind._default_manager.bulk_create(some)
        at = database_now()
        for start in range(0, len(made), ROWS_PER_ENTRY):
            _record_many(made[start : start + ROWS_PER_ENTRY], actor, reason, at)
    return made


def change(
    kind: type[Row], pk: int, /, *, version: int, actor: Actor, reason: str = "", **fields: Any
) -> Row:
    """Write fields of a row whose `version` the editor saw; writing what is there already changes nothing.

    Raises `Conflict` when the row has another version by now, or is gone.
    """
    with transaction.atomic():
        row = _locked(kind, pk)
        if row is None:
            raise Conflict(None, {})
        if row.version != version:
            raise Conflict(row, _differences(row, fields))
        before = _plain(row)
        for name, value in fields.items():
            setattr(row, name, value)
        after = _plain(row)
        if after == before:
            return row
        row.version += 1
        row.save()
        _record("policies.row.changed", row, actor, reason, before=before, after=after)
        return row


def remove(kind: type[Row], pk: int, /, *, version: int, actor: Actor, reason: str = "") -> None:
    """Remove a row whose `version` the editor saw; the change keeps what it said. Raises `Conflict`."""
    with transaction.atomic():
        row = _locked(kind, pk)
        if row is None or row.version != version:
            raise Conflict(row, {})
        before = _plain(row)
        _record("policies.row.removed", row, actor, reason, before=before, after={})
        row.delete()


def change_parts(
    kind: type[Row],
    pk: int,
    *,
    actor: Actor,
    reason: str = "",
    write: Callable[[Row], tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> Row:
    """Change what belongs to a row without being a field of it, such as the values of a list: one version more.

    `write` is called with the locked row and gives what was there before and what is there now; nothing is recorded
    when both are empty. No version is asked for: adding and taking values cannot overwrite anybody's work. Raises
    `Conflict` when the row is gone.
    """
    with transaction.atomic():
        row = _locked(kind, pk)
        if row is None:
            raise Conflict(None, {})
        before, after = write(row)
        if before or after:
            row.version += 1
            row.save(update_fields=["version"])
            _record("policies.row.changed", row, actor, reason, before=dict(before), after=dict(after))
        return row


def _locked(kind: type[Row], pk: int) -> Row | None:
    found: Row | None = kind._default_manager.select_for_update().filter(pk=pk).first()
    return found


def _differences(row: Versioned, fields: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    stored = {name: getattr(row, name) for name in fields}
    return {name: (stored[name], value) for name, value in fields.items() if stored[name] != value}


def _plain(row: Versioned) -> dict[str, Any]:
    fields = model_to_dict(row, exclude=["id", "version"]) | row.in_record()
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields.items()
    }


def _record(
    action: str, row: Versioned, actor: Actor, reason: str, *, before: dict[str, Any], after: dict[str, Any]
) -> None:
    kind = type(row)._meta.model_name or ""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    number = Change.objects.create(
        at=database_now(),
        kind=kind,
        object_id=row.pk,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        reason=reason,
        before=before,
        after=after,
    ).pk
    record(
        action,
        actor=actor,
        reason=reason,
        mailbox_id=_mailbox_id(row),
        data={
            "kind": kind,
            "id": row.pk,
            "version": number,
            "before": {name: before[name] for name in names if name in before},
            "after": {name: after[name] for name in names if name in after},
        },
    )


def _record_many(rows: Sequence[Versioned], actor: Actor, reason: str, at: datetime) -> None:
    kind = type(rows[0])._meta.model_name or ""
    after = [_plain(row) for row in rows]
    numbers = [
        one.pk
        for one in Change.objects.bulk_create(
            Change(
                at=at,
                kind=kind,
                object_id=row.pk,
                actor_kind=actor.kind,
                actor_id=actor.id,
                actor_name=actor.name,
                reason=reason,
                before={},
                after=fields,
            )
            for row, fields in zip(rows, after, strict=True)
        )
    ]
    mailbox_ids = {_mailbox_id(row) for row in rows}
    record(
        "policies.rows.created",
        actor=actor,
        reason=reason,
        mailbox_id=mailbox_ids.pop() if len(mailbox_ids) == 1 else None,
        data={
            "kind": kind,
            "count": len(rows),
            "version": max(numbers),
            "rows": [{"id": row.pk, **fields} for row, fields in zip(rows, after, strict=True)],
        },
    )


def _mailbox_id(row: models.Model) -> int | None:
    mailbox_id = getattr(row, "mailbox_id", None)
    if mailbox_id is None:
        scope = str(getattr(row, "scope", ""))
        mailbox_id = scope.removeprefix("mailbox:") if scope.startswith("mailbox:") else None
    return int(mailbox_id) if mailbox_id is not None else None
