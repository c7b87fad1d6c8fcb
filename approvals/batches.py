"""Deciding about several letters together: what was shown is written down, decided item by item, and can be left.

A batch is read on one page that shows every letter whole. What can be approved there is of one category and low risk;
whatever else was chosen stands there with its reason. A decision names exactly the wordings that the page showed. It is
then made item by item, each as if it were made alone, by whoever holds the lock of the batch: the rows are the record,
so that a process that dies loses nothing and decides nothing twice.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.failpoints import reach
from approvals import decisions, gates, people, previews, risk, together, wake
from approvals.gates import Verdict
from approvals.models import Batch, BatchItem, BatchKind, Draft, Revision, Risk, Send
from approvals.notes import Note
from approvals.people import Right
from approvals.queries import conversation, visible_drafts
from approvals.risk import Assessment
from approvals.states import DECIDABLE_STATES, BatchItemState, BatchState, DraftState, SendState
from approvals.transitions import batches, drafts
from approvals.transitions.drafts import (
    AlreadyDecided,
    Claimed,
    DecisionRefused,
    DraftChanged,
    DraftExpired,
    GateRefused,
    NotAllowed,
    NotOpen,
    QuestionsChanged,
    Seen,
    ThreadMoved,
)
from approvals.transitions.moves import LostRace
from audit.clock import database_now
from policies import locks
from policies.classifier import Classification, Tier
from policies.classifier import Risk as CategoryRisk
from policies.in_force import InForce

logger = logging.getLogger(__name__)

LIMIT = 50
# Above this many a person is asked for the password again.
ASKED_AGAIN_ABOVE = 20
# A longer letter is read by itself, so that a page of fifty stays one that a browser shows.
LETTER_CHARACTERS = 30_000
REASONS_NAMED = 3
# What was shown longer ago than this is shown again before anything is decided.
READ_MINUTES = 60
# What is not decided within this time of the word is not decided at all.
DECIDE_MINUTES = 15
# How long one process works on a batch before it lets others have a turn.
WORK_SECONDS = 60.0


_UNTOLD = Classification(None, Tier.APPROVE, CategoryRisk.HIGH)


class BatchRefused(Exception):
    """Nothing was begun; the message says why."""


class Result(StrEnum):
    """What became of one item."""

    APPROVED = "approved"
    HELD = "held"  # approved, and held by a stop or a grant
    REJECTED = "rejected"
    ALREADY_DECIDED = "already_decided"
    CLAIMED = "claimed"  # somebody else is deciding about it
    NOT_OPEN = "not_open"
    EXPIRED = "expired"
    CHANGED = "changed"
    STALE = "stale"
    REFUSED = "refused"  # by a gate, or for want of a right
    SILENT = "silent"  # the provider did not answer
    RAN_OUT = "ran_out"  # nobody got to it in time
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A draft as it is put on the page."""

    draft: Draft
    verdicts: Sequence[Verdict]
    notes: Sequence[Note]
    classification: Classification
    obstacle: str


def open_batch(person: User, chosen: Sequence[UUID]) -> Batch:
    """Write down what a person is about to read: each draft with its current wording, the chain and the notes on it.

    At most LIMIT drafts, in the order given; what the person may not decide about does not exist here. Raises
    BatchRefused when nothing is left or when they are too many.
    """
    wanted = list(dict.fromkeys(chosen))
    if len(wanted) > LIMIT:
        raise BatchRefused(
            _("You chose %(count)d drafts; %(limit)d can be read together.")
            % {"count": len(wanted), "limit": LIMIT}
        )
    found = {
        draft.public_id: draft
        for draft in visible_drafts(person, Right.DECIDE)
        .filter(public_id__in=wanted, current_revision__isnull=False)
        .select_related("mailbox", "current_revision", "claim__person")
    }
    rows = [found[one] for one in wanted if one in found]
    if not rows:
        raise BatchRefused(_("Choose at least one draft about which you may decide."))
    shown = _with_one_category(_look_at(rows, person))
    with transaction.atomic():
        batch = Batch.objects.create(person=person, opened_at=database_now())
        BatchItem.objects.bulk_create(
            BatchItem(
                batch=batch,
                draft=one.draft,
                revision=_wording_of(one.draft),
                place=place,
                content_sha256=_wording_of(one.draft).content_sha256,
                thread_fingerprint=one.draft.thread_fingerprint,
                asks=sorted(gates.questions(one.verdicts)),
                category=one.classification.key,
                verdicts=[verdict.to_json() for verdict in one.verdicts],
                notes=[_note_json(note) for note in one.notes],
                obstacle=one.obstacle[:500],
            )
            for place, one in enumerate(shown, start=1)
        )
        batches.record_opened(batch, len(shown))
    return batch


def batch_of(person: User, public_id: UUID) -> Batch | None:
    """A person's own batch; nobody else has it."""
    return Batch.objects.filter(person_id=person.pk, public_id=public_id).first()


def items_of(batch: Batch, person: User) -> list[BatchItem]:
    """The items of a batch in their order with all that is shown of them; of mailboxes that the person may see."""
    return list(
        batch.items.filter(draft__in=visible_drafts(person).values("pk"))
        .select_related(
            "batch", "draft__mailbox", "revision", "decision", "draft__send__decision", "draft__claim__person"
        )
        .defer("draft__search_text", "draft__thread_pinned")
        .order_by("place")
    )


def changed_since(item: BatchItem) -> str:
    """Why an item cannot be decided any more as it was shown, as far as the rows tell; empty when it can."""
    draft = item.draft
    if draft.state not in DECIDABLE_STATES:
        return _("This draft is %(state)s by now.") % {"state": DraftState(draft.state).label.lower()}
    if draft.current_revision_id != item.revision_id:
        return _("It has another wording by now.")
    return _claimed_by_another(draft, item.batch.person_id)


def obstacle_now(item: BatchItem) -> str:
    """Why an item cannot be approved with the others; empty when it can."""
    moved = changed_since(item)
    if moved:
        return moved
    if item.draft.state == DraftState.STALE or item.thread_fingerprint != item.draft.thread_fingerprint:
        return _("Its conversation moved.")
    return item.obstacle


def line_of(item: BatchItem) -> str:
    """An item as the page sends it back: which draft, which version, which digest."""
    return f"{item.draft.public_id}:{item.revision.number}:{item.content_sha256}"


def proof_of(batch: Batch, lines: Sequence[str]) -> str:
    """What only a page has on which this desk rendered exactly these wordings, in this order."""
    said = "\n".join([str(batch.public_id), *lines])
    return salted_hmac("countersign.batch", said, algorithm="sha256").hexdigest()


def decide(
    batch: Batch,
    *,
    person: User,
    kind: BatchKind,
    lines: Sequence[str],
    proof: str,
    left_out: Collection[str] = (),
    reason: str = "",
) -> Batch:
    """Take a person's word about the wordings that their page showed; they are then decided one by one.

    `lines` are all that the page showed, `proof` shows that it did, `left_out` are those that the person took out.
    For an approval what cannot be approved together is left out, with its reason. Raises BatchRefused.
    """
    if batch.state != BatchState.READING:
        raise BatchRefused(_("This batch was decided before."))
    if batch.opened_at < database_now() - timedelta(minutes=READ_MINUTES):
        raise BatchRefused(_("These letters were shown more than an hour ago. Choose them again."))
    items = items_of(batch, person)
    known = set(map(line_of, items))
    if not constant_time_compare(proof, proof_of(batch, lines)) or not set(lines) <= known:
        raise BatchRefused(_("This is not the list that your page showed. Look at it again."))
    waiting, sentences = sorted_out(items, kind=kind, lines=lines, left_out=left_out)
    hidden = batch.items.exclude(pk__in=[item.pk for item in items]).values_list("pk", flat=True)
    sentences |= {item_id: _("You may not see its mailbox any more.") for item_id in hidden}
    if not waiting:
        raise BatchRefused(_("Nothing is left in the list that can be decided together."))
    try:
        with transaction.atomic():
            begun = batches.begin(batch.pk, kind=kind, reason=reason, waiting=waiting, left_out=sentences)
            wake.batch_on_commit(batch.pk)
    except LostRace as error:
        raise BatchRefused(_("This batch was decided before.")) from error
    return begun


def sorted_out(
    items: Sequence[BatchItem], *, kind: BatchKind, lines: Collection[str], left_out: Collection[str]
) -> tuple[list[int], dict[int, str]]:
    """Which items a person's word is about, and why the others are left out, by their keys."""
    waiting: list[int] = []
    sentences: dict[int, str] = {}
    for item in items:
        line = line_of(item)
        obstacle = obstacle_now(item) if kind is BatchKind.APPROVE else changed_since(item)
        if line in left_out:
            sentences[item.pk] = _("You took it out.")
        elif obstacle:
            sentences[item.pk] = obstacle
        elif line not in lines:
            sentences[item.pk] = _("Your page did not show it.")
        else:
            waiting.append(item.pk)
    return waiting, sentences


def stop(batch: Batch) -> bool:
    """Leave out what still waits; what is being decided at this moment is decided. Whether it was asked first."""
    done = batches.stop(batch.pk)
    wake.batch(batch.pk)
    return done


def running() -> list[int]:
    """The batches that are not through yet."""
    return list(
        Batch.objects.filter(state=BatchState.RUNNING).order_by("pk").values_list("pk", flat=True)[:100]
    )


def work(batch_id: int) -> int:
    """Decide what waits in a batch, one after another, for WORK_SECONDS at most; how many were done.

    Nothing happens while another process works on it, which holds its lock as long as it lives.
    """
    with locks.hold(f"batch:{batch_id}") as lock:
        if lock is None:
            return 0
        done = _work(batch_id)
    if Batch.objects.filter(pk=batch_id, state=BatchState.RUNNING, stopped_at__isnull=True).exists():
        wake.batch(batch_id)
    return done


def _work(batch_id: int) -> int:
    began = time.monotonic()
    done = 0
    waiting = BatchItem.objects.filter(batch_id=batch_id, state=BatchItemState.WAITING)
    for item_id in list(waiting.order_by("place").values_list("pk", flat=True)):
        if time.monotonic() - began > WORK_SECONDS:
            return done
        if Batch.objects.filter(pk=batch_id, stopped_at__isnull=False).exists():
            batches.leave_out_waiting(batch_id, sentence=_("You stopped the batch before its turn."))
            break
        _work_on(item_id)
        reach("B1")
        done += 1
    batches.end_when_done(batch_id)
    return done


def _work_on(item_id: int) -> None:
    try:
        result, sentence = _decided(item_id)
    except LostRace:
        logger.info("item %s moved while it was decided", item_id)
        return
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # An error while deciding is a "no", and must not come back for ever.
        logger.exception("item %s of a batch could not be decided", item_id)
        result = Result.FAULT
        sentence = _("It could not be decided; operators find the reason in the log.")
    if result is not None:
        batches.refuse(item_id, result=result.value, sentence=sentence)


def _decided(item_id: int) -> tuple[Result | None, str]:
    """Decide about an item; what kept it from that, or None when it was decided."""
    item = BatchItem.objects.select_related(
        "batch__person", "draft__mailbox", "draft__current_revision", "revision"
    ).get(pk=item_id)
    batch, draft = item.batch, item.draft
    if batch.decided_at is None or batch.decided_at < database_now() - timedelta(minutes=DECIDE_MINUTES):
        return Result.RAN_OUT, _("Nobody got to it within %(limit)d minutes, so nothing was decided.") % {
            "limit": DECIDE_MINUTES
        }
    seen = Seen(
        item.revision.number, item.content_sha256, item.thread_fingerprint, frozenset(map(str, item.asks))
    )
    try:
        if batch.kind == BatchKind.APPROVE:
            decisions.approve(
                draft, person=batch.person, seen=seen, form_id=item.form_id, also=lambda: _note_approved(item)
            )
        else:
            decisions.reject(
                draft,
                person=batch.person,
                seen=seen,
                reason=batch.reason,
                form_id=item.form_id,
                also=lambda: _note_rejected(item),
            )
    except DecisionRefused as refusal:
        return _result_of(refusal), str(refusal)
    return None, ""


def _note_approved(item: BatchItem) -> None:
    held = Send.objects.filter(draft_id=item.draft_id).exclude(held="").exists()
    result = Result.HELD if held else Result.APPROVED
    batches.note_decided(item.pk, state=BatchItemState.APPROVED, result=result.value, sentence="")


def _note_rejected(item: BatchItem) -> None:
    batches.note_decided(item.pk, state=BatchItemState.REJECTED, result=Result.REJECTED.value, sentence="")


_RESULTS: Sequence[tuple[type[DecisionRefused], Result]] = (
    (AlreadyDecided, Result.ALREADY_DECIDED),
    (Claimed, Result.CLAIMED),
    (NotOpen, Result.NOT_OPEN),
    (DraftExpired, Result.EXPIRED),
    (DraftChanged, Result.CHANGED),
    (QuestionsChanged, Result.CHANGED),
    (ThreadMoved, Result.STALE),
    (GateRefused, Result.REFUSED),
    (NotAllowed, Result.REFUSED),
    (decisions.ProviderSilent, Result.SILENT),
)


def _result_of(refusal: DecisionRefused) -> Result:
    return next((result for kind, result in _RESULTS if isinstance(refusal, kind)), Result.REFUSED)


@dataclass(frozen=True, slots=True)
class Undone:
    """How many approvals were taken back, and why others were not, each sentence once."""

    count: int
    sentences: Sequence[str]


def undo(batch: Batch, *, person: User, places: Collection[int] | None = None) -> Undone:
    """Take back the approvals of a batch whose undo hold still runs, or those at the given places; each by itself."""
    approved = batch.items.filter(
        state=BatchItemState.APPROVED,
        decision__voided_at__isnull=True,
        draft__send__state=SendState.QUEUED,
    )
    if places is not None:
        approved = approved.filter(place__in=places)
    count, sentences = 0, []
    for draft_id in list(approved.order_by("place").values_list("draft_id", flat=True)):
        try:
            drafts.undo(draft_id, person=person)
            count += 1
        except DecisionRefused as refusal:
            sentences.append(str(refusal))
    return Undone(count, list(dict.fromkeys(sentences)))


def forget_unread() -> int:
    """Remove what was opened a day ago and never decided; the record keeps that it was opened."""
    return batches.forget_unread(database_now() - timedelta(days=1))


def _look_at(rows: Sequence[Draft], person: User) -> list[_Shown]:
    """Ask the chain and look for notes, draft by draft: what a person is shown, and what an approval would answer.

    A letter that cannot be looked at is shown with that as its obstacle.
    """
    policies: dict[int, InForce] = {}
    now = database_now()
    found = []
    for draft in rows:
        in_force = policies.setdefault(draft.mailbox_id, InForce(draft.mailbox_id))
        try:
            found.append(_look_at_one(draft, person, in_force, now))
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # An error while it is told whether it can be approved is a "no", for this letter alone.
            logger.exception("draft %s could not be looked at for a batch", draft.pk)
            obstacle = _(
                "It could not be checked, so it is not approved here; operators find the reason in the log."
            )
            found.append(_Shown(draft, (), (), _UNTOLD, obstacle))
    return found


def _look_at_one(draft: Draft, person: User, policies: InForce, now: datetime) -> _Shown:
    revision = _wording_of(draft)
    facts = gates.facts_about(draft, revision, now=now, policies=policies)
    verdicts = gates.evaluate(facts)
    talk = conversation(draft, None)
    notes = previews.notes_about(draft, revision, talk.messages, verdicts, person)
    kind = facts.classification
    weighed = risk.weigh(draft, talk, kind, [note.key for note in notes])
    obstacle = _obstacle(draft, verdicts, kind, weighed, person)
    return _Shown(draft, verdicts, notes, kind, obstacle)


def _obstacle(
    draft: Draft, verdicts: Sequence[Verdict], kind: Classification, weighed: Assessment, person: User
) -> str:
    """Why a draft cannot be approved together with others, whatever they are; empty when it can."""
    if draft.state != DraftState.PENDING:
        return _("This draft is %(state)s.") % {"state": DraftState(draft.state).label.lower()}
    if owner := drafts.owner_obstacle(draft, person):
        return owner
    if (refusal := gates.lasting_refusal(verdicts)) is not None:
        return refusal.sentence
    if kind.category is None:
        return _("It has no category, so nothing says that it is like the others.")
    if weighed.level != Risk.LOW:
        why = ", ".join(risk.words_of(weighed.reasons)[:REASONS_NAMED])
        return _("Only letters of low risk are approved together: %(why)s.") % {"why": why}
    revision = _wording_of(draft)
    letters = len(revision.body_text or revision.body)
    if letters > LETTER_CHARACTERS:
        return _("It has %(count)d characters; one of more than %(limit)d is read by itself.") % {
            "count": letters,
            "limit": LETTER_CHARACTERS,
        }
    return ""


def _with_one_category(shown: Sequence[_Shown]) -> list[_Shown]:
    """Leave the approval to the category that most have, the first of several; the others say which theirs is."""
    counts = Counter(one.classification.key for one in shown if not one.obstacle)
    if len(counts) <= 1:
        return list(shown)
    common = counts.most_common(1)[0][0]
    name = next(one.classification.name for one in shown if one.classification.key == common)
    return [
        one
        if one.obstacle or one.classification.key == common
        else _Shown(
            one.draft,
            one.verdicts,
            one.notes,
            one.classification,
            _("It is of the category “%(category)s”, and most here are “%(common)s”.")
            % {"category": one.classification.name, "common": name},
        )
        for one in shown
    ]


def _claimed_by_another(draft: Draft, person_id: int) -> str:
    claim = together.shown_claim(draft, timezone.now())
    if claim is None or claim.person_id == person_id:
        return ""
    return _("%(name)s is deciding about it.") % {"name": people.name_of(claim.person)}


def _wording_of(draft: Draft) -> Revision:
    if draft.current_revision is None:
        raise ValueError(f"draft {draft.pk} has no content")
    return draft.current_revision


def _note_json(note: Note) -> dict[str, Any]:
    return {
        "key": note.key,
        "heading": note.heading,
        "text": note.text,
        "quotes": [place.text for place in note.places],
        "left": note.left,
    }


def counted(items: Sequence[BatchItem]) -> Mapping[str, int]:
    """How many items have which state."""
    return Counter(item.state for item in items)


def summary(items: Sequence[BatchItem]) -> str:
    """What became of a batch, in one sentence."""
    counts = counted(items)
    parts = [
        ngettext("%(count)d approved", "%(count)d approved", counts.get("approved", 0)),
        ngettext("%(count)d rejected", "%(count)d rejected", counts.get("rejected", 0)),
        ngettext("%(count)d not decided", "%(count)d not decided", counts.get("refused", 0)),
        ngettext("%(count)d left out", "%(count)d left out", counts.get("left_out", 0)),
    ]
    names = ("approved", "rejected", "refused", "left_out")
    said = [
        part % {"count": counts[name]} for part, name in zip(parts, names, strict=True) if counts.get(name)
    ]
    return ", ".join(said) + "." if said else ""
