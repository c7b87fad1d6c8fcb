from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.models import Message
from approvals import batches, kept_reasons, people
from approvals.batches import ASKED_AGAIN_ABOVE, LETTER_CHARACTERS
from approvals.forms import read_ids
from approvals.forms_batch import BatchForm, read_lines
from approvals.models import Batch, BatchItem, BatchKind
from approvals.notes import letter_subject, letter_text, links_in
from approvals.page_version import page_version
from approvals.people import Right
from approvals.progress import Progress
from approvals.queries import hold_of
from approvals.states import BatchItemState, BatchState, DraftState
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS
from approvals.views.kept_reasons import offered
from approvals.views.writing import NotWritable, nothing_changed

BATCHES_SHOWN = 20
FIRST_WORDS = 2000


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def batches_of_a_person(request: HttpRequest) -> HttpResponseBase:
    """The person's own batches; a POST opens one of the drafts that the queue had chosen."""
    person = person_of(request)
    if request.method != "POST":
        rows = Batch.objects.filter(person=person).exclude(state=BatchState.READING).order_by("-pk")
        # Not what the letters said: twenty batches can hold a thousand of them.
        states = Prefetch("items", BatchItem.objects.only("batch_id", "state", "place"))
        context = {
            "here": "queue",
            "now": timezone.now(),
            "rows": [
                {"batch": batch, "summary": batches.summary(list(batch.items.all()))}
                for batch in rows.prefetch_related(states)[:BATCHES_SHOWN]
            ],
        }
        return render(request, "approvals/batches.html", context)
    if not people.may(person, Right.DECIDE):
        raise PermissionDenied
    chosen = request.POST.getlist("draft")
    try:
        batch = batches.open_batch(person, read_ids(chosen, len(chosen)))
    except batches.BatchRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("approvals:queue")
    except NotWritable:
        messages.error(request, nothing_changed())
        return redirect("approvals:queue")
    return redirect("approvals:batch", batch.public_id)


@require_safe
@signed_in
def batch(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    if found.state == BatchState.READING:
        return _reading(request, found)
    items = batches.items_of(found, person_of(request))
    version = _version(found, items)
    if request.GET.get("seen"):
        if request.GET["seen"] == version:
            return HttpResponse(status=204)
        return render(
            request, "approvals/batch_results.html#results", _results(request, found, items, version)
        )
    return render(request, "approvals/batch_results.html", _results(request, found, items, version))


@require_POST
@signed_in
def approve(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _decided(request, public_id, BatchKind.APPROVE)


@require_POST
@signed_in
def reject(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    return _decided(request, public_id, BatchKind.REJECT)


@require_POST
@signed_in
def stop(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    found = _found(request, public_id)
    try:
        if found.state == BatchState.RUNNING and batches.stop(found):
            messages.success(request, _("Stopped. What had its turn stays as it is, the rest is left alone."))
        else:
            messages.info(request, _("Nothing waits there any more."))
    except NotWritable:
        messages.error(request, nothing_changed())
    return redirect("approvals:batch", public_id)


@require_POST
@signed_in
def undo(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """Take back all approvals of the batch that can be, or the one at a place."""
    found = _found(request, public_id)
    place = request.POST.get("place", "")
    if place and not (place.isascii() and place.isdigit()):
        raise Http404
    try:
        done = batches.undo(found, person=person_of(request), places=[int(place[:4])] if place else None)
    except NotWritable:
        messages.error(request, nothing_changed())
        return redirect("approvals:batch", public_id)
    if done.count:
        said = ngettext(
            "%(count)d approval taken back. Nothing of it was sent; the draft waits again.",
            "%(count)d approvals taken back. Nothing of them was sent; the drafts wait again.",
            done.count,
        )
        messages.success(request, said % {"count": done.count})
    for sentence in done.sentences:
        messages.warning(request, sentence)
    if not done.count and not done.sentences:
        messages.info(request, _("Nothing of it can be taken back any more."))
    return redirect("approvals:batch", public_id)


def _decided(request: HttpRequest, public_id: UUID, kind: BatchKind) -> HttpResponseBase:
    person = person_of(request)
    found = _found(request, public_id)
    if found.state != BatchState.READING:
        messages.info(request, _("This batch was decided before; here is what became of it."))
        return redirect("approvals:batch", public_id)
    lines, left_out = read_lines(request.POST, "line"), read_lines(request.POST, "leave_out")
    items = batches.items_of(found, person)
    waiting, _others = batches.sorted_out(items, kind=kind, lines=lines, left_out=left_out)
    form = BatchForm(request.POST, request=request, count=len(waiting), is_rejection=kind is BatchKind.REJECT)
    if not form.is_valid():
        return _reading(request, found, form=form, left_out=left_out, status=422)
    try:
        batches.decide(
            found,
            person=person,
            kind=kind,
            lines=lines,
            proof=form.cleaned_data["proof"],
            left_out=left_out,
            reason=form.cleaned_data["reason"] if kind is BatchKind.REJECT else "",
        )
    except batches.BatchRefused as refusal:
        return _reading(request, found, form=form, left_out=left_out, problem=str(refusal), status=409)
    except NotWritable:
        return _reading(request, found, form=form, left_out=left_out, problem=nothing_changed(), status=503)
    if kind is BatchKind.REJECT:
        kept_reasons.note_use(person, form.cleaned_data["reason"])
    return redirect("approvals:batch", public_id)


def _found(request: HttpRequest, public_id: UUID) -> Batch:
    found = batches.batch_of(person_of(request), public_id)
    if found is None:
        raise Http404
    return found


def _reading(
    request: HttpRequest,
    found: Batch,
    *,
    form: BatchForm | None = None,
    left_out: Sequence[str] = (),
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    items = batches.items_of(found, person_of(request))
    answered = _answered(items)
    letters = [
        _letter(item, answered.get((item.draft.mailbox_id, item.draft.parent_message_id)), left_out)
        for item in items
    ]
    lines = [batches.line_of(item) for item in items]
    approvable = [letter for letter in letters if not letter["obstacle"]]
    context = {
        "here": "queue",
        "now": timezone.now(),
        "batch": found,
        "letters": letters,
        "approvable": len(approvable),
        "alone": len(letters) - len(approvable),
        "category": next((letter["category"] for letter in approvable), ""),
        "form": form or BatchForm(request=request, count=len(items)),
        # Of what is rendered now, whatever the form was sent with.
        "proof": batches.proof_of(found, lines),
        "kept_reasons": offered(person_of(request)),
        "problem": problem,
        "asked_again_above": ASKED_AGAIN_ABOVE,
    }
    return render(request, "approvals/batch.html", context, status=status)


def _letter(item: BatchItem, answered: Message | None, left_out: Sequence[str]) -> dict[str, Any]:
    revision = item.revision
    text = letter_text(revision)
    line = batches.line_of(item)
    verdicts = [
        {
            "word": GATE_WORDS.get(one["gate"], one["gate"]),
            "standing": one["standing"],
            "sentence": one["sentence"],
        }
        for one in item.verdicts
    ]
    is_cut = len(text) > LETTER_CHARACTERS
    return {
        "item": item,
        "draft": item.draft,
        "revision": revision,
        "subject": letter_subject(revision),
        "text": text[:FIRST_WORDS] if is_cut else text,
        "is_cut": is_cut,
        "links": links_in(revision),
        "notes": item.notes,
        "open_verdicts": [one for one in verdicts if one["standing"] != "passed"],
        "passed_verdicts": [one for one in verdicts if one["standing"] == "passed"],
        "answered": answered,
        "obstacle": batches.obstacle_now(item),
        "line": line,
        "is_left_out": line in left_out,
        "category": item.category,
    }


def _answered(items: Sequence[BatchItem]) -> dict[tuple[int, str], Message]:
    """The messages that the letters answer, read at once."""
    found = Message.objects.filter(
        mailbox_id__in={item.draft.mailbox_id for item in items},
        provider_id__in={item.draft.parent_message_id for item in items if item.draft.parent_message_id},
    )
    return {(message.mailbox_id, message.provider_id): message for message in found}


def _version(found: Batch, items: Sequence[BatchItem]) -> str:
    """A short text that changes when anything shown of the results does, except ages."""
    parts: list[object] = [found.state, found.stopped_at]
    for item in items:
        send = getattr(item.draft, "send", None)
        parts += [item.state, item.draft.state, item.decision.voided_at if item.decision else ""]
        parts += [send.state, send.held, send.not_before > timezone.now()] if send is not None else [""]
    return page_version(*parts)


def _results(request: HttpRequest, found: Batch, items: Sequence[BatchItem], version: str) -> dict[str, Any]:
    now = timezone.now()
    rows = [_result(item, now) for item in items]
    taken = [item for item in items if item.state != BatchItemState.LEFT_OUT]
    done = [item for item in taken if item.state != BatchItemState.WAITING]
    address = reverse("approvals:batch", args=[found.public_id])
    is_over = found.state == BatchState.ENDED
    undoable = sum(1 for row in rows if row["hold"])
    is_moving = not is_over or any(row["is_moving"] for row in rows)
    word = _("Rejecting") if found.kind == BatchKind.REJECT else _("Approving")
    progress = Progress(
        word=word,
        unit=_("letters"),
        done=len(done),
        total=len(taken),
        began_at=found.decided_at,
        is_over=is_over,
        ended_at=found.ended_at,
        next_step=batches.summary(items)
        if is_over
        else _("You can leave this page; the rest has its turn all the same."),
        address=address,
    )
    return {
        "here": "queue",
        "now": now,
        "batch": found,
        "rows": rows,
        "progress": progress,
        "undoable": undoable,
        "may_stop": found.state == BatchState.RUNNING and found.stopped_at is None,
        "is_over": is_over,
        "refresh_address": f"{address}?seen={version}" if is_moving else "",
    }


def _result(item: BatchItem, now: Any) -> dict[str, Any]:
    draft, decision = item.draft, item.decision
    send = getattr(draft, "send", None)
    is_live = (
        decision is not None
        and decision.voided_at is None
        and send is not None
        and send.decision_id == decision.pk
        and draft.state == DraftState.APPROVED
    )
    hold = hold_of(send, now) if is_live and send is not None else None
    sentence = item.sentence
    if decision is not None and decision.voided_at is not None:
        sentence = str(decision.get_void_reason_display())
    elif not sentence and item.state == BatchItemState.WAITING:
        sentence = _("Has its turn soon.")
    return {
        "item": item,
        "draft": draft,
        "send": send if is_live else None,
        "hold": hold,
        "sentence": sentence,
        "is_moving": item.state == BatchItemState.WAITING
        or (is_live and send is not None and not send.held and send.state in ("queued", "dispatched")),
        "shape": _SHAPES[BatchItemState(item.state)],
        "word": _("taken back") if decision is not None and decision.void_reason == "undone" else "",
    }


_SHAPES: Mapping[BatchItemState, tuple[str, str]] = {
    BatchItemState.LISTED: ("ring", ""),
    BatchItemState.WAITING: ("clock", ""),
    BatchItemState.APPROVED: ("check", ""),
    BatchItemState.REJECTED: ("x", ""),
    BatchItemState.REFUSED: ("flag", "look"),
    BatchItemState.LEFT_OUT: ("dash", ""),
}
