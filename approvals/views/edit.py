from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from approvals import contacts, decisions, difference, previews, risk, unsaved, wording
from approvals.contacts import domains_of
from approvals.content import content_of_revision, edited
from approvals.forms import REASON_CHARACTERS, EditForm, ReasonForm, fields_for, seen_initial
from approvals.gates import Standing
from approvals.models import Draft, Revision, UnsavedEdit
from approvals.notes import Note
from approvals.people import Right
from approvals.previews import Preview
from approvals.queries import Conversation, conversation
from approvals.recipients import Addressee, Said
from approvals.states import DraftState
from approvals.templatetags.times import clock_text
from approvals.transitions import claims
from approvals.transitions.drafts import DecisionRefused, DraftChanged, NotAllowed
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.draft import (
    beside_context,
    draft_address,
    mark_messages,
    place_in_queue,
    seen_by,
    shown_verdict,
    with_typed,
)
from approvals.views.writing import NotWritable, nothing_changed
from audit.clock import database_now

FIELD_WORDS: Mapping[str, Any] = {
    "to": _lazy("To"),
    "cc": _lazy("Cc"),
    "bcc": _lazy("Bcc"),
    "reply_to": _lazy("Reply to"),
}
# The word, the shape and the tone of what is said about an address.
SAID_MARKS: Mapping[Said, tuple[Any, str, str]] = {
    Said.BAD: (_lazy("no address"), "x", "look"),
    Said.DENIED: (_lazy("denied"), "x", "look"),
    Said.UNLISTED: (_lazy("not allowed here"), "x", "look"),
    Said.ASKED: (_lazy("on no list"), "ring", ""),
    Said.ALLOWED: (_lazy("allowed"), "check", ""),
    Said.OWN: (_lazy("this mailbox"), "check", ""),
}
# The notes that an address says itself, beside what the lists say about it.
POINTED_OUT = ("look_alike", "false_name")
# The name for the script, the word, the rest of it that is only heard, the keys while the editor has the focus, whether
# it is on or off at a place.
TOOLS: Sequence[tuple[str, Any, Any, str, bool]] = (
    ("bold", _lazy("Bold"), "", "Ctrl+B", True),
    ("italic", _lazy("Italic"), "", "Ctrl+I", True),
    ("underline", _lazy("Underline"), "", "Ctrl+U", True),
    ("strike", _lazy("Strike"), "", "Ctrl+Shift+7", True),
    ("bullets", _lazy("Bullets"), "", "Ctrl+Shift+8", True),
    ("numbers", _lazy("Numbers"), "", "Ctrl+Shift+9", True),
    ("quote", _lazy("Quote"), "", "Ctrl+]", False),
    ("unquote", _lazy("Unquote"), "", "Ctrl+[", False),
    ("link", _lazy("Link"), "", "Ctrl+K", True),
    ("clear", _lazy("Clear"), _lazy("formatting"), "", False),
    ("undo", _lazy("Undo"), _lazy("typing"), "Ctrl+Z", False),
    ("redo", _lazy("Redo"), _lazy("typing"), "Ctrl+Y", False),
)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    revision = _revision_of(draft)
    initial = _initial(request, draft, revision)
    if request.method != "POST":
        if draft.state != DraftState.PENDING:
            return redirect(draft_address(draft, place_in_queue(request)))
        kept = unsaved.edit_of(draft, person_of(request))
        if kept is None or kept.revision is None:
            return _page(request, draft, EditForm(revision=revision, initial=initial))
        asked = request.GET.get("as", "")
        typed = fields_for(
            revision, kept.fields, kept.revision, asked=asked if asked in EditForm.BODY_FORMS else ""
        )
        form = EditForm(revision=revision, initial=initial, typed=typed)
        return _page(request, draft, form, kept=kept, base=kept.revision)
    form = EditForm(request.POST, revision=revision, initial=initial)
    if not form.is_valid():
        return _page(request, draft, form, status=422)
    try:
        if request.POST.get("take_over"):
            claims.take_over(draft.pk, person=person_of(request))
        made = decisions.edit(draft, person=person_of(request), seen=seen_by(form), changes=form.changes())
    except DraftChanged as refusal:
        return _beside_the_new_version(request, draft, form, str(refusal))
    except DecisionRefused as refusal:
        status = 403 if isinstance(refusal, NotAllowed) else 409
        return _page(request, draft, form, status=status, problem=str(refusal))
    except NotWritable:
        return _page(request, draft, form, status=503, problem=nothing_changed())
    if made.pk == revision.pk:
        messages.info(request, _("Nothing was different, so there is no new version."))
    else:
        messages.success(
            request, _("Version %(number)d is kept. Approve it when it is right.") % {"number": made.number}
        )
    return redirect(draft_address(draft, place_in_queue(request)))


@require_POST
@signed_in
def keep_unsaved(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """Keep what is typed for this person alone: a reason, or the edit form. Its script gets the time of it."""
    draft = draft_or_404(request, public_id, Right.DECIDE)
    try:
        said = _kept(request, draft)
    except unsaved.TooLong as refusal:
        said = _("This is too long to be kept unsaved: %(limit)d characters at most.") % {
            "limit": refusal.limit
        }
        status = 422
    except unsaved.NotKept:
        said, status = _("This was not kept: the draft is no longer open."), 409
    except NotWritable:
        said, status = nothing_changed(), 503
    else:
        status = 200
    if request.headers.get("HX-Request") == "true" or request.headers.get("Sec-Fetch-Mode") == "no-cors":
        return HttpResponse(said, status=status, content_type="text/plain; charset=utf-8")
    if status == 200:
        messages.success(request, said)
        return redirect(draft_address(draft, place_in_queue(request)))
    if "body" not in request.POST:
        problem = {"heading": _("Your note was not kept"), "text": said}
        return with_typed(request, draft, status=status, problem=problem)
    revision = _revision_of(draft)
    form = EditForm(request.POST, revision=revision, initial=_initial(request, draft, revision))
    form.full_clean()
    return _page(request, draft, form, status=status, problem=said)


@require_POST
@signed_in
def discard_unsaved(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    unsaved.discard_edit(draft.pk, person_of(request))
    messages.success(request, _("Your unsaved edit is discarded."))
    return redirect(draft_address(draft, place_in_queue(request), "edit"))


def _kept(request: HttpRequest, draft: Draft) -> str:
    person = person_of(request)
    if "body" not in request.POST:
        note = ReasonForm(request.POST)
        if not note.is_valid():
            raise unsaved.TooLong(REASON_CHARACTERS)
        at = unsaved.keep_reason(draft, person, note.cleaned_data["reason"]).kept_at
        return _("Your note is kept for you, %(time)s.") % {"time": clock_text(at)}
    revision = _revision_of(draft)
    form = EditForm(request.POST, revision=revision, initial=_initial(request, draft, revision))
    form.full_clean()
    number = form.cleaned_data.get("revision") or 0
    if number == revision.number and not form.is_touched:
        unsaved.discard_edit(draft.pk, person)
        return _("Nothing is changed yet.")
    at = unsaved.keep_edit(draft, person, number=number, fields=_typed(request)).kept_at
    return _("Kept for you alone, %(time)s. It is no version yet.") % {"time": clock_text(at)}


def _typed(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "") for name in unsaved.EDITED_FIELDS}


def _revision_of(draft: Draft) -> Revision:
    if draft.current_revision is None:
        raise Http404
    return draft.current_revision


def _beside_the_new_version(request: HttpRequest, draft: Draft, form: EditForm, problem: str) -> HttpResponse:
    """What was typed against an older version, kept and shown beside the one that came meanwhile."""
    now = draft_or_404(request, draft.public_id, Right.DECIDE)
    base = Revision.objects.filter(draft=now, number=form.cleaned_data["revision"]).first()
    if now.state != DraftState.PENDING or base is None:
        return _page(request, draft, form, status=409, problem=problem)
    typed = _typed(request)
    with suppress(unsaved.NotKept, *NotWritable):
        unsaved.keep_edit(now, person_of(request), number=base.number, fields=typed)
    revision = _revision_of(now)
    shown = EditForm(
        revision=revision,
        initial=_initial(request, now, revision),
        typed=fields_for(revision, typed, base),
    )
    return _page(request, now, shown, status=409, problem=problem, base=base)


@require_POST
@signed_in
def check(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """Ask the chain about what is typed and keep nothing: the part of the page for its script, else the page."""
    draft = draft_or_404(request, public_id, Right.DECIDE)
    revision = _revision_of(draft)
    form = EditForm(request.POST, revision=revision, initial=_initial(request, draft, revision))
    form.full_clean()
    if request.headers.get("HX-Request") != "true":
        return _page(request, draft, form)
    talk = conversation(draft, None)
    return render(request, "components/edit-preview.html", {"preview": _preview(request, draft, form, talk)})


def _initial(request: HttpRequest, draft: Draft, revision: Revision) -> dict[str, Any]:
    return seen_initial(draft, revision, uuid.uuid4()) | {"body_form": request.GET.get("as", "")}


def _page(
    request: HttpRequest,
    draft: Draft,
    form: EditForm,
    *,
    status: int = 200,
    problem: str = "",
    kept: UnsavedEdit | None = None,
    base: Revision | None = None,
) -> HttpResponse:
    revision = _revision_of(draft)
    chosen = place_in_queue(request)
    talk = conversation(draft, None)
    preview = _preview(request, draft, form, talk)
    mark_messages(talk, preview["notes"])
    context: dict[str, Any] = {
        **beside_context(request, draft, timezone.now()),
        "here": "queue",
        "draft": draft,
        "revision": revision,
        "form": form,
        "problem": problem,
        "kept": kept,
        "meanwhile": _meanwhile(base, revision, form)
        if base is not None and base.pk != revision.pk
        else None,
        "tools": [
            {"name": name, "word": word, "rest": rest, "keys": keys, "is_toggle": is_toggle}
            for name, word, rest, keys, is_toggle in TOOLS
        ],
        "talk": talk,
        "preview": preview,
        "known": contacts.addresses_known(draft.mailbox_id, talk.messages, own=draft.mailbox.address),
        "action": draft_address(draft, chosen, "edit"),
        "check_address": draft_address(draft, chosen, "edit_check"),
        "keep_address": draft_address(draft, chosen, "unsaved_keep"),
        "discard_address": draft_address(draft, chosen, "unsaved_discard"),
        "draft_address": draft_address(draft, chosen),
        "source_address": draft_address(draft, chosen, "edit", **{"as": "html"}),
        "other_form_address": draft_address(
            draft, chosen, "edit", **{"as": "text" if form.shown_form == "html" else "html"}
        ),
    }
    return render(request, "approvals/edit.html", context, status=status)


def _meanwhile(base: Revision, revision: Revision, form: EditForm) -> dict[str, Any]:
    """What somebody else changed since a version was typed against, and what was typed against it."""
    before, now = content_of_revision(base), content_of_revision(revision)
    typed = edited(now, form.supposed())
    return {
        "base": base.number,
        "author": revision.author_name,
        "theirs": difference.between(before, base.body_text, now, revision.body_text),
        "yours": difference.between(before, base.body_text, typed, wording.text_of(typed)),
    }


def _preview(request: HttpRequest, draft: Draft, form: EditForm, talk: Conversation) -> dict[str, Any]:
    content = edited(content_of_revision(_revision_of(draft)), form.supposed())
    preview = previews.of_wording(
        draft, content, talk.messages, person=person_of(request), now=database_now()
    )
    meanwhile = _changed_meanwhile(form, _revision_of(draft)) if form.is_bound else ""
    return {
        "summary": " ".join(filter(None, [meanwhile, _summary(preview)])),
        "is_meanwhile": bool(meanwhile),
        "faults": form.errors.get("body", []) if form.is_bound else [],
        "difference": preview.revision.difference,
        "verdicts": [shown_verdict(verdict) for verdict in preview.verdicts],
        "notes": preview.notes,
        "addressees": [_shown_addressee(one, preview.notes) for one in preview.addressees],
    }


def _changed_meanwhile(form: EditForm, now: Revision) -> str:
    """Who kept another version since the one that is typed against; empty where nobody did."""
    number = form.cleaned_data.get("revision")
    if number is None or number == now.number:
        return ""
    return _(
        "%(name)s kept version %(number)d while you wrote, and what you changed is told against it. "
        "Keep yours to see both beside each other first."
    ) % {"name": now.author_name, "number": now.number}


def _summary(preview: Preview) -> str:
    refused = sum(verdict.standing is Standing.REFUSED for verdict in preview.verdicts)
    notes = len(preview.notes)
    said = [
        ngettext("%(count)d check refuses it.", "%(count)d checks refuse it.", refused) % {"count": refused}
        if refused
        else _("No check refuses it."),
        ngettext("%(count)d note.", "%(count)d notes.", notes) % {"count": notes} if notes else "",
        _("Nothing is kept by asking."),
    ]
    return " ".join(filter(None, said))


def _shown_addressee(one: Addressee, notes: Sequence[Note]) -> dict[str, Any]:
    word, shape, tone = SAID_MARKS[one.said]
    warnings = risk.words_of(note.key for note in notes if note.key in POINTED_OUT and _is_about(note, one))
    if one.said not in (Said.BAD, Said.OWN):
        if one.is_first_contact:
            warnings.append(_("first contact"))
        elif not one.is_in_thread:
            warnings.append(_("not in the conversation"))
    return {
        "said": one,
        "entry": {"email": one.email, "name": one.name},
        "field": FIELD_WORDS[one.part],
        "word": word,
        "shape": shape,
        "tone": tone,
        "warnings": warnings,
    }


def _is_about(note: Note, one: Addressee) -> bool:
    """Whether a note points at an address; of a domain that reads like another it names one address for all."""
    domains = domains_of([one.email])
    return any(
        (place.part, place.index) == (one.part, one.place)
        or (note.key == "look_alike" and place.part in FIELD_WORDS and domains_of([place.text]) == domains)
        for place in note.places
    )
