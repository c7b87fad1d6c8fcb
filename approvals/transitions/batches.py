"""What can happen to a batch and its items. Each function is one transaction: conditional updates and audit entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from approvals import people
from approvals.models import Batch, BatchItem, BatchKind, Decision
from approvals.states import BATCH_ITEM_MOVES, BATCH_MOVES, BatchItemState, BatchState
from approvals.transitions.moves import IllegalMove, LostRace
from audit.clock import database_now
from audit.record import Actor, record


def begin(
    batch_id: int,
    *,
    kind: BatchKind,
    reason: str,
    waiting: Collection[int],
    left_out: Mapping[int, str],
) -> Batch:
    """Take a person's word about a batch: the items `waiting` are to be decided, those `left_out` are not, with why.

    Together they are all items of the batch. Raises LostRace when it was decided before.
    """
    with transaction.atomic():
        batch = _locked(batch_id)
        now = database_now()
        _move_batch(batch, BatchState.RUNNING, kind=kind.value, reason=reason, decided_at=now)
        items = {item.pk: item for item in batch.items.select_related("draft")}
        if set(items) != {*waiting, *left_out}:
            raise IllegalMove(f"batch {batch.pk}: not every item is named once")
        for item_id in waiting:
            _move_item(items[item_id], BatchItemState.WAITING)
        for item_id, sentence in left_out.items():
            _move_item(items[item_id], BatchItemState.LEFT_OUT, sentence=sentence[:1000], done_at=now)
        drafts = [str(items[item_id].draft.public_id) for item_id in waiting]
        _record(
            "approvals.batch.decided",
            batch,
            people.actor_for(batch.person),
            outcome=kind.value,
            reason=reason,
            data={"drafts": drafts, "left_out": len(left_out)},
        )
        return batch


def note_decided(item_id: int, *, state: BatchItemState, result: str, sentence: str) -> None:
    """Write down that an item was decided, in the transaction of its decision, which is found by the item's form id.

    Raises LostRace when the item does not wait any more; the decision is undone then.
    """
    item = BatchItem.objects.select_related("batch__person", "draft").get(pk=item_id)
    decision = Decision.objects.get(form_id=item.form_id)
    now = database_now()
    _move_item(item, state, result=result, sentence=sentence[:1000], decision=decision, done_at=now)
    _record_item(item, outcome=result)


def refuse(item_id: int, *, result: str, sentence: str) -> None:
    """Write down that nothing was decided about an item, and why. Raises LostRace."""
    with transaction.atomic():
        item = BatchItem.objects.select_related("batch__person", "draft").get(pk=item_id)
        _move_item(
            item, BatchItemState.REFUSED, result=result, sentence=sentence[:1000], done_at=database_now()
        )
        _record_item(item, outcome=result, reason=sentence)


def stop(batch_id: int) -> bool:
    """Ask whoever works on a running batch to leave out what still waits; False when it was asked before."""
    with transaction.atomic():
        asked = Batch.objects.filter(pk=batch_id, state=BatchState.RUNNING, stopped_at__isnull=True)
        if not asked.update(stopped_at=database_now()):
            return False
        batch = Batch.objects.select_related("person").get(pk=batch_id)
        _record("approvals.batch.stopped", batch, people.actor_for(batch.person), data={})
        return True


def leave_out_waiting(batch_id: int, *, sentence: str) -> int:
    """Leave out every item that still waits; how many. Only whoever holds the lock of the batch may."""
    waiting = BatchItem.objects.filter(batch_id=batch_id, state=BatchItemState.WAITING)
    return waiting.update(state=BatchItemState.LEFT_OUT, sentence=sentence[:1000], done_at=database_now())


def end_when_done(batch_id: int) -> bool:
    """End a batch of which nothing waits any more; whether it was ended now."""
    with transaction.atomic():
        batch = _locked(batch_id)
        if batch.state != BatchState.RUNNING or batch.items.filter(state=BatchItemState.WAITING).exists():
            return False
        _move_batch(batch, BatchState.ENDED, ended_at=database_now())
        counts: dict[str, int] = {}
        for state in batch.items.values_list("state", flat=True):
            counts[state] = counts.get(state, 0) + 1
        _record("approvals.batch.ended", batch, people.actor_for(batch.person), data=counts)
        return True


def forget_unread(before: datetime) -> int:
    """Remove the batches opened before a time about which nothing was ever decided; how many."""
    rows = Batch.objects.filter(state=BatchState.READING, opened_at__lt=before)
    found = list(rows.values_list("pk", flat=True)[:100])
    with transaction.atomic():
        rows.filter(pk__in=found).delete()
    return len(found)


def record_opened(batch: Batch, count: int) -> None:
    _record("approvals.batch.opened", batch, people.actor_for(batch.person), data={"count": count})


def _locked(batch_id: int) -> Batch:
    return Batch.objects.select_for_update(of=("self",)).select_related("person").get(pk=batch_id)


def _move_batch(batch: Batch, to: BatchState, **fields: Any) -> None:
    if to not in BATCH_MOVES[BatchState(batch.state)]:
        raise LostRace(f"batch {batch.pk}: {batch.state} to {to}")
    changed = Batch.objects.filter(pk=batch.pk, state=batch.state).update(state=to.value, **fields)
    if changed != 1:
        raise LostRace(f"batch {batch.pk}")
    batch.refresh_from_db()


def _move_item(item: BatchItem, to: BatchItemState, **fields: Any) -> None:
    if to not in BATCH_ITEM_MOVES[BatchItemState(item.state)]:
        raise LostRace(f"item {item.pk}: {item.state} to {to}")
    changed = BatchItem.objects.filter(pk=item.pk, state=item.state).update(state=to.value, **fields)
    if changed != 1:
        raise LostRace(f"item {item.pk}")
    item.state = to.value


def _record(action: str, batch: Batch, actor: Actor, *, data: Mapping[str, Any], **fields: Any) -> None:
    record(action, actor=actor, data={"batch": str(batch.public_id)} | dict(data), **fields)


def _record_item(item: BatchItem, *, outcome: str, reason: str = "") -> None:
    record(
        "approvals.batch.item_done",
        actor=people.actor_for(item.batch.person),
        mailbox_id=item.draft.mailbox_id,
        draft_id=item.draft_id,
        content_sha256=item.content_sha256,
        thread_id=item.draft.thread_id,
        outcome=outcome,
        reason=reason,
        data={"batch": str(item.batch.public_id)},
    )
