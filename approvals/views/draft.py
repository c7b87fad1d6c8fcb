from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from agentmail.addresses import ascii_form
from agentmail.mail_html import cleaned
from approvals import (
    comparisons,
    decisions,
    difference,
    gates,
    kept_reasons,
    people,
    previews,
    remote_images,
    submissions,
    together,
)
from approvals import keyboard as keyboards
from approvals.characters import one_line
from approvals.forms import DecisionForm, QueueFilterForm, ReasonedForm, SeenForm, filter_query, seen_initial
from approvals.forms_caps import ComparisonForm, SentMailForm
from approvals.gates import Standing, Verdict
from approvals.judgements import PASSED
from approvals.models import Decision, DecisionKind, Draft, Judgement, Origin, Revision, Send, Stage
from approvals.notes import (
    Note,
    Passage,
    anchor_of,
    letter_subject,
    letter_text,
    links_in,
    noted_entries,
    passages,
    unknown_recipients,
)
from approvals.people import Right
from approvals.policy_rows import NamedRow, named_row
from approvals.queries import (
    Conversation,
    Matter,
    QueueFilter,
    draft_for,
    draft_version,
    history_of,
    hold_of,
    matter_of,
    next_in,
)
from approvals.recipients import ask_about, deniable_domains
from approvals.states import DECIDABLE_STATES, OPEN_DRAFT_STATES, DraftState, SendState
from approvals.templatetags.times import expires_soon, remaining
from approvals.transitions import drafts
from approvals.transitions.drafts import AlreadyDecided, DecisionRefused, NotAllowed, Seen
from approvals.views.access import draft_or_404, person_of, signed_in
from approvals.views.kept_reasons import offered
from approvals.views.queue import DECIDED, is_moved_on, queue_address, queue_context
from approvals.views.writing import NotWritable, nothing_changed
from policies import modes
from policies.in_force import InForce
from policies.recipients import Outcome, normalised

logger = logging.getLogger(__name__)

GATE_WORDS: Mapping[str, Any] = {
    "switch": _lazy("Switch"),
    "restore": _lazy("Database"),
    "grant": _lazy("Grant"),
    "mailbox": _lazy("Mailbox"),
    "mode": _lazy("Mode"),
    "decision": _lazy("Decision"),
    "recipients": _lazy("Recipients"),
    "content": _lazy("Content"),
    "rules": _lazy("Rules"),
    "tier": _lazy("Tier"),
    "thread": _lazy("Thread"),
    "fresh": _lazy("Fresh"),
    "caps": _lazy("Caps"),
    "dry_run": _lazy("Dry run"),
}
DOMAINS_OFFERED = 3
LETTER_VIEWS = ("original", "changes", "sent")
# What others decide shows within two seconds. A draft that is settled changes seldom.
OPEN_REFRESH_SECONDS, SETTLED_REFRESH_SECONDS = 1.5, 4


@require_safe
@signed_in
def show(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    if request.GET.get("seen"):
        return _refreshed(request, draft)
    look, trouble = decisions.open_draft(draft)
    if look is not None:
        # The look may have made it stale, withdrawn it or brought a new wording.
        draft = draft_or_404(request, public_id)
    context = page_context(request, draft, look=look, trouble=trouble)
    return render(request, "approvals/draft.html", context | {"is_moved_on": is_moved_on(request)})


def _refreshed(request: HttpRequest, draft: Draft) -> HttpResponse:
    if request.GET["seen"] == draft_version(draft):
        return _beside_refreshed(request, draft)
    revision = draft.current_revision
    if revision is not None and request.GET.get("revision") not in ("", None, str(revision.number)):
        # What is being read must not be exchanged under the reader's eyes: the page says so and keeps still.
        context = {
            "draft": draft,
            "revision": revision,
            "has_changed": True,
            "is_out_of_band": True,
            "draft_address": draft_address(draft, place_in_queue(request)),
        }
        answer = render(request, "components/draft-changed.html", context)
        answer["HX-Reswap"] = "none"
        return answer
    return render(request, "approvals/draft.html#matter", page_context(request, draft))


def _beside_refreshed(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Who else is here and who is deciding, where that is news; the letter under the reader keeps still."""
    context = beside_context(request, draft, timezone.now())
    seen = request.GET.get("beside", "")
    if seen == context["beside_version"]:
        return HttpResponse(status=204)
    if seen.partition(".")[0] != context["beside_version"].partition(".")[0]:
        # Somebody else began to decide, or let go: the verbs are others now.
        answer = render(request, "components/rail-refresh.html", page_context(request, draft))
    else:
        answer = render(request, "components/beside-refresh.html", context)
    answer["HX-Reswap"] = "none"
    return answer


@require_POST
@signed_in
def approve(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)

    def act(seen: Seen, form: SeenForm) -> None:
        decisions.approve(draft, person=person_of(request), seen=seen, form_id=form.cleaned_data["form_id"])

    return decided(request, draft, DecisionForm(request.POST), act, DecisionKind.APPROVE)


@require_POST
@signed_in
def reject(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)

    def act(seen: Seen, form: SeenForm) -> None:
        decisions.reject(
            draft,
            person=person_of(request),
            seen=seen,
            reason=form.cleaned_data["reason"],
            form_id=form.cleaned_data["form_id"],
        )

    return decided(request, draft, ReasonedForm(request.POST), act, DecisionKind.REJECT)


@require_POST
@signed_in
def request_changes(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)

    def act(seen: Seen, form: SeenForm) -> None:
        decisions.request_changes(
            draft,
            person=person_of(request),
            seen=seen,
            note=form.cleaned_data["reason"],
            form_id=form.cleaned_data["form_id"],
        )

    return decided(request, draft, ReasonedForm(request.POST), act, DecisionKind.REQUEST_CHANGES)


@require_POST
@signed_in
def look_again(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    try:
        decisions.look_again(draft, person=person_of(request))
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, DecisionForm(request.POST))
    except NotWritable:
        return unwritten(request, draft)
    messages.success(
        request, _("Back in the queue, with the conversation as it is now. It needs a fresh approval.")
    )
    return redirect(draft_address(draft, place_in_queue(request)))


@require_POST
@signed_in
def undo(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id)
    try:
        drafts.undo(draft.pk, person=person_of(request))
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, None)
    except NotWritable:
        return unwritten(request, draft)
    messages.success(request, _("Taken back. Nothing was sent; the draft waits again."))
    return redirect(draft_address(draft, place_in_queue(request)))


@require_POST
@signed_in
def compare(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    draft = draft_or_404(request, public_id, Right.DECIDE)
    send = Send.objects.filter(draft=draft).first()
    form = _comparison_form(send)(request.POST)
    if not form.is_valid():
        return _page(request, draft, status=422, comparison_form=form)
    try:
        kept = comparisons.compare(
            draft.pk,
            person=person_of(request),
            would_send=form.cleaned_data["would_send"] == "yes",
            wrong_kind=form.cleaned_data["wrong_kind"],
            note=form.cleaned_data["note"],
        )
    except comparisons.ComparisonRefused as refusal:
        problem = {"heading": _("Nothing was kept"), "text": str(refusal)}
        return _page(request, draft, status=409, problem=problem, comparison_form=form)
    except NotWritable:
        problem = {"heading": _("Nothing was kept"), "text": nothing_changed()}
        return _page(request, draft, status=503, problem=problem, comparison_form=form)
    messages.success(request, _said_of(kept))
    return redirect(draft_address(draft, place_in_queue(request)))


def decided(
    request: HttpRequest,
    draft: Draft,
    form: DecisionForm,
    act: Callable[[Seen, SeenForm], str | None],
    kind: DecisionKind,
) -> HttpResponseBase:
    """Do what the form asks, and answer: on to the next draft, or the page as it is now with what was wrong.

    `act` gives what else is to be said of what it did.
    """
    if not form.is_valid():
        # On a phone the field is far from the verbs; the browser scrolls to what has the focus.
        form.fields["reason"].widget.attrs["autofocus"] = True
        return _page(request, draft, status=422, form=form)
    try:
        more = act(seen_by(form), form)
    except AlreadyDecided as refusal:
        if decisions.is_repeat(refusal.decision, kind):
            # The wish is fulfilled already: a second click changes nothing and says whose decision stands.
            messages.info(request, str(refusal))
            return _page(request, draft, status=200)
        return refused(request, draft, refusal, form)
    except DecisionRefused as refusal:
        return refused(request, draft, refusal, form)
    except NotWritable:
        return unwritten(request, draft, typed=form.data.get("reason", ""))
    if kind != DecisionKind.APPROVE:
        kept_reasons.note_use(person_of(request), form.cleaned_data["reason"])
    return moved_on(request, draft, " ".join(filter(None, [_said_of_decision(draft, kind), more])))


def moved_on(request: HttpRequest, draft: Draft, said: str) -> HttpResponseBase:
    """Say what was decided and open what comes next for the person: the next draft of the list they came from, the
    list when nothing is left in it, or the same draft.
    """
    person, chosen = person_of(request), place_in_queue(request)
    if not keyboards.keyboard_of(person).opens_next:
        messages.success(request, said)
        return redirect(draft_address(draft, chosen))
    messages.success(request, said, extra_tags=DECIDED)
    following = next_in(person, chosen, draft)
    return redirect(
        draft_address(following, chosen) if following else queue_address(filter_query(chosen, after=""))
    )


def _said_of_decision(draft: Draft, kind: DecisionKind) -> str:
    who = one_line(draft.counterpart) or _("nobody in To")
    if kind == DecisionKind.REJECT:
        return _("Rejected by you: %(who)s. Nothing was sent.") % {"who": who}
    if kind == DecisionKind.REQUEST_CHANGES:
        return _("Sent back to the agent by you: %(who)s.") % {"who": who}
    said = _("Approved by you: %(who)s.") % {"who": who}
    if Send.objects.filter(draft=draft).exclude(held="").exists():
        return said + " " + _("Sending is stopped, so it is held.")
    seconds = draft.mailbox.undo_seconds
    return said + " " + (_("It is sent in %(seconds)d s.") % {"seconds": seconds}) if seconds else said


def seen_by(form: SeenForm) -> Seen:
    return Seen(
        revision_number=form.cleaned_data["revision"],
        content_sha256=form.cleaned_data["content_sha256"],
        thread_fingerprint=form.cleaned_data["thread_fingerprint"],
        asks=frozenset(form.cleaned_data["asks"].split()),
    )


def refused(
    request: HttpRequest,
    draft: Draft,
    refusal: DecisionRefused,
    form: DecisionForm | None,
    *,
    typed: str = "",
) -> HttpResponseBase:
    """The draft as it is now, the reason on top, and what was typed still in the form."""
    status = 403 if isinstance(refusal, NotAllowed) else 409
    problem = {"heading": _("Nothing was decided"), "text": str(refusal)}
    typed = form.data.get("reason", "") if form is not None else typed
    return _page(request, draft, status=status, problem=problem, typed=typed)


def with_typed(
    request: HttpRequest, draft: Draft, *, status: int = 200, problem: Mapping[str, str] | None = None
) -> HttpResponseBase:
    """The draft as it is now, with what was typed into its form still there, and what was wrong."""
    return _page(request, draft, status=status, problem=problem, typed=request.POST.get("reason", ""))


def unwritten(request: HttpRequest, draft: Draft, *, typed: str = "") -> HttpResponseBase:
    """The draft as it was, because the database takes no writes, and what was typed still in the form."""
    problem = {"heading": _("Nothing was decided"), "text": nothing_changed()}
    return _page(request, draft, status=503, problem=problem, typed=typed)


def _page(
    request: HttpRequest,
    draft: Draft,
    *,
    status: int,
    form: DecisionForm | None = None,
    problem: Mapping[str, str] | None = None,
    typed: str = "",
    comparison_form: ComparisonForm | None = None,
) -> HttpResponse:
    now = draft_for(person_of(request), draft.public_id)
    if now is None:
        raise Http404
    context = page_context(
        request, now, form=form, problem=problem, typed=typed, comparison_form=comparison_form
    )
    return render(request, "approvals/draft.html", context, status=status)


def page_context(
    request: HttpRequest,
    draft: Draft,
    *,
    look: Any = None,
    trouble: str = "",
    form: DecisionForm | None = None,
    problem: Mapping[str, str] | None = None,
    typed: str = "",
    comparison_form: ComparisonForm | None = None,
) -> dict[str, Any]:
    """Everything the draft page shows."""
    person = person_of(request)
    revision = draft.current_revision
    if revision is None:
        raise Http404
    now = timezone.now()
    send: Send | None = getattr(draft, "send", None)
    matter = matter_of(draft, send)
    decision = _live_decision(draft, send)
    chosen = place_in_queue(request)
    may_decide = people.may(person, Right.DECIDE, draft.mailbox_id)
    policies = InForce(draft.mailbox_id)
    newest = next((one.sequence for one in matter.entries if one.action not in together.QUIET_ACTIONS), 0)
    verdicts = previews.verdicts_on(
        draft,
        revision,
        policies=policies,
        now=now,
        decision=decision,
        send=send,
        look=look,
        trouble=trouble,
    )
    version = draft_version(draft, newest, within=policies.scopes, is_sending_on=_is_sending_on(verdicts))
    hold = hold_of(send, now) if send is not None and draft.state == DraftState.APPROVED else None
    talk = matter.conversation
    shown = _shown_revision(request, matter, revision)
    view = _letter_view(request, shown)
    column = queue_context(request, chosen, now=now, open_id=str(draft.public_id))
    notes = previews.notes_about(draft, revision, talk.messages, verdicts, person)
    mark_messages(talk, notes)
    _note_images(draft, talk, may_decide=may_decide)
    letter_images = _letter_images(draft, shown, may_decide=may_decide)
    is_marked = shown.pk == revision.pk and not (view == "changes" and shown.difference)
    cut = _cut(shown, notes if is_marked else [])
    unknown = unknown_recipients(revision, talk.messages, draft.mailbox.address)
    parts = next((dict(verdict.parts) for verdict in verdicts if verdict.gate == "recipients"), {})
    seen = seen_initial(draft, revision, uuid.uuid4(), asks=gates.questions(verdicts))
    seen["reason"] = typed or getattr(draft, "unsaved_reason", None) or ""
    return column | {
        **beside_context(request, draft, now),
        "here": "queue",
        "draft_address": draft_address(draft, chosen),
        "revision": revision,
        "revisions": matter.revisions,
        "author": _last_by_agent(matter.revisions),
        "shown": shown,
        "links": links_in(shown),
        "letter_view": view,
        "letter_images": letter_images,
        # The one form of all buttons that load images; each names the address and the frame it is for.
        "load_images_at": reverse("approvals:revision_images", args=[draft.public_id, shown.number])
        if may_decide and not remote_images.is_off()
        else "",
        "plain_part": _plain_part(shown),
        "letter_views": _letter_views(draft, chosen, view, shown, revision),
        "talk": talk,
        "relations": _relations(draft),
        "stale_messages": _stale_messages(draft, matter),
        "noted": noted_entries(notes) if shown.pk == revision.pk else {},
        "letter_subject": cut["subject"],
        "letter_body": cut["body"],
        "notes": _shown_notes(
            notes, cut, "" if is_marked else draft_address(draft, chosen, view="sent"), bool(talk.answered)
        ),
        "said": submissions.said_of(draft),
        "unknown": unknown,
        "recipients": _recipients(revision, unknown, parts),
        "history": history_of(matter),
        "outcomes": matter.outcomes,
        "send": send if draft.state == DraftState.APPROVED else None,
        "signature": decision if decision is not None and decision.kind == DecisionKind.APPROVE else None,
        "status": _status(draft, send, decision),
        "verdicts": [shown_verdict(_as_of(draft, verdict)) for verdict in verdicts],
        "held_because": _held_because(draft, revision),
        "will_be_held": any(v.standing is Standing.REFUSED and v.gate == "switch" for v in verdicts),
        "hold": hold,
        "may_decide": may_decide,
        "verbs": _verbs(draft, verdicts, chosen, drafts.owner_obstacle(draft, person))
        if may_decide
        else None,
        "listing": _listing(draft, revision, verdicts, chosen)
        if may_decide and people.may(person, Right.EDIT_LISTS, draft.mailbox_id)
        else None,
        "form": form or DecisionForm(initial=seen),
        "typed": typed,
        "kept_reasons": offered(person) if may_decide else None,
        "comparison": _comparison(draft, send, person, comparison_form),
        "problem": problem,
        "queue_address": queue_address(column["query"]),
        "next_address": _next_address(draft, column["drafts"], chosen),
        "expiry": _expiry(draft, now),
        "refresh_address": _refresh_address(draft, chosen, version, revision, view),
        "refresh_seconds": OPEN_REFRESH_SECONDS
        if draft.state in OPEN_DRAFT_STATES or _is_moving(draft, send)
        else SETTLED_REFRESH_SECONDS,
    }


def beside_context(request: HttpRequest, draft: Draft, now: datetime) -> dict[str, Any]:
    """Who else has the draft open, and who is deciding about it."""
    person = person_of(request)
    claim = together.shown_claim(draft, now)
    here = together.others_here(draft, person, now)
    may_claim = draft.state in DECIDABLE_STATES and people.may(person, Right.DECIDE, draft.mailbox_id)
    chosen = place_in_queue(request)
    return {
        "draft": draft,
        "others_here": here,
        "claim": claim,
        "claim_is_own": claim is not None and claim.person_id == person.pk,
        "claim_is_taken": claim is not None and claim.taken_from_id == person.pk,
        "is_blocked": bool(together.blocker_of(claim, person)),
        "beside_version": together.beside_version(claim, here, person),
        "is_assigned_to_me": draft.assigned_to_id == person.pk,
        "aside": _aside(draft, chosen, may_claim=may_claim),
        "claim_verbs": {
            name: draft_address(draft, chosen, name) for name in ("claim", "release_claim", "take_over")
        }
        if may_claim
        else None,
    }


def _note_images(draft: Draft, talk: Conversation, *, may_decide: bool) -> None:
    """Give each message what there is to say of its remote images."""
    for message in talk.messages:
        if message.remote_images:
            message.images = {  # type: ignore[attr-defined]
                "count": len(message.remote_images),
                "hosts": ", ".join(remote_images.hosts_of(message.remote_images)),
                "is_off": remote_images.is_off(),
                "address": reverse("approvals:message_images", args=[draft.public_id, message.pk])
                if may_decide
                else "",
                "frame": f"message-{message.pk}-frame",
            }


def mark_messages(talk: Conversation, notes: Sequence[Note]) -> None:
    """Give each message the texts of it that notes point at."""
    for message in talk.messages:
        wanted = ("answered", "message") if message is talk.answered else ("message",)
        message.marked = [  # type: ignore[attr-defined]
            place.text
            for note in notes
            for place in note.places
            if place.part in wanted and place.index in (0, message.pk) and place.text
        ]


def _letter_images(draft: Draft, shown: Revision, *, may_decide: bool) -> dict[str, Any] | None:
    """What there is to say of the remote images of a letter; nothing when it has none."""
    if 'data-image="' not in shown.body_html:
        return None
    addresses = cleaned(shown.body).remote_images
    return {
        "count": len(addresses),
        "hosts": ", ".join(remote_images.hosts_of(addresses)),
        "is_off": remote_images.is_off(),
        "address": reverse("approvals:revision_images", args=[draft.public_id, shown.number])
        if may_decide
        else "",
        "frame": "letter-frame",
    }


def _plain_part(shown: Revision) -> Sequence[Sequence[str]]:
    """How the plain text that came beside the HTML differs from it; nothing where it has the same words."""
    if shown.plain_part.split() == shown.body_text.split():
        return []
    return difference.words(shown.body_text, shown.plain_part) if shown.plain_part else []


def _aside(draft: Draft, chosen: QueueFilter, *, may_claim: bool) -> dict[str, str]:
    """The addresses of what can be done about whose a draft is, those that the person may use now."""
    names = ["assign_to_me", "assign", "escalate"] if may_claim else []
    if may_claim and draft.escalated_at is not None:
        names.append("end_escalation")
    if draft.state == DraftState.PENDING:
        names.append("unsnooze" if getattr(draft, "snoozed_until", None) else "snooze")
    return {name: draft_address(draft, chosen, name) for name in names}


def _cut(shown: Revision, notes: Sequence[Note]) -> dict[str, list[Passage]]:
    """The texts of the letter, cut where a note points at them."""
    texts = {"subject": letter_subject(shown), "body": letter_text(shown)}
    return {part: passages(text, notes, part) for part, text in texts.items()}


def _shown_notes(
    notes: Sequence[Note], cut: Mapping[str, Sequence[Passage]], elsewhere: str, has_answered: bool
) -> list[dict[str, Any]]:
    """Each note with the addresses of its places; `elsewhere` is the page that shows them if this one does not."""
    return [
        {
            "note": note,
            "places": [
                {
                    "text": place.text,
                    "is_answered": place.part == "answered",
                    "is_earlier": place.part == "message",
                    "is_plain": place.part == "plain",
                    "address": ""
                    if place.part == "answered" and not has_answered
                    else f"{elsewhere}#{anchor_of(place, cut)}",
                }
                for place in note.places
            ],
        }
        for note in notes
    ]


def _expiry(draft: Draft, now: datetime) -> dict[str, Any] | None:
    if draft.state not in OPEN_DRAFT_STATES:
        return None
    is_soon = expires_soon(draft, now)
    word = _("Expires soon, in %(time)s") if is_soon else _("Expires in %(time)s")
    return {"word": word % {"time": remaining(draft.expires_at, now)}, "is_soon": is_soon}


def _comparison_form(send: Send | None) -> type[ComparisonForm]:
    return SentMailForm if send is not None and send.state == SendState.ACCEPTED else ComparisonForm


def _said_of(kept: comparisons.Kept) -> str:
    sentences = [_("Kept.")]
    if kept.category is not None:
        sentences.append(_("“%(name)s” waits for an approval from now on.") % {"name": kept.category.name})
    if kept.mode is not None:
        sentences.append(
            _("The mailbox is %(mode)s again: nothing leaves without a person.") % {"mode": kept.mode.after}
        )
    return " ".join(sentences)


def _comparison(
    draft: Draft, send: Send | None, person: Any, form: ComparisonForm | None
) -> dict[str, Any] | None:
    """What people say of a mail that was sent or would have been, and the form for this person's word."""
    if send is None or send.state not in comparisons.COMPARED_STATES:
        return None
    made = list(draft.comparisons.select_related("person").order_by("made_at"))
    may_say = people.may(person, Right.DECIDE, draft.mailbox_id)
    if not made and not may_say:
        return None
    if form is None:
        mine = next((one for one in made if one.person_id == person.pk), None)
        initial: dict[str, Any] = {}
        if mine is not None:
            word = "yes" if mine.would_send else "no"
            initial = {"would_send": word, "wrong_kind": mine.wrong_kind, "note": mine.note}
        form = _comparison_form(send)(initial=initial)
    return {
        "form": form if may_say else None,
        "was_sent": send.state == SendState.ACCEPTED,
        "made": [{"name": people.name_of(one.person), "comparison": one} for one in made],
    }


def place_in_queue(request: HttpRequest) -> QueueFilter:
    return QueueFilterForm(request.GET, person=person_of(request)).chosen()


def draft_address(draft: Draft, chosen: QueueFilter, name: str = "draft", **more: Any) -> str:
    """The address of a draft's page that keeps the place in the queue from which it was opened."""
    query = "&".join(filter(None, [filter_query(chosen), urlencode(more)]))
    address = reverse(f"approvals:{name}", args=[draft.public_id])
    return f"{address}?{query}" if query else address


def _refresh_address(draft: Draft, chosen: QueueFilter, version: str, revision: Revision, view: str) -> str:
    return draft_address(draft, chosen, seen=version, revision=revision.number, view=view)


def _live_decision(draft: Draft, send: Send | None) -> Decision | None:
    if draft.state == DraftState.APPROVED and send is not None:
        return send.decision
    if draft.state in (DraftState.REJECTED, DraftState.CHANGES_REQUESTED):
        return drafts.live_decision(draft)
    return None


def _is_moving(draft: Draft, send: Send | None) -> bool:
    return (
        draft.state == DraftState.APPROVED
        and send is not None
        and not send.held
        and send.state in (SendState.QUEUED, SendState.DISPATCHED)
    )


def _held_because(draft: Draft, revision: Revision) -> str:
    """Why a draft waits for a person though it arrived in a mode that needs none; empty when it needs one."""
    if draft.state != DraftState.PENDING or modes.needs_person(draft.mode):
        return ""
    asked = Judgement.objects.filter(revision=revision, stage=Stage.WITHOUT_PERSON).order_by("-pk").first()
    if asked is None:
        return _("It could not be read again when it arrived.")
    return (
        asked.sentence
        if asked.result != PASSED
        else _("Deciding took too long after it had been read again.")
    )


def _as_of(draft: Draft, verdict: Verdict) -> Verdict:
    """What a verdict means for a draft that nobody can approve as it is, or that is approved already."""
    if verdict.gate == "decision" and draft.state == DraftState.STALE:
        return Verdict(verdict.gate, Standing.OPEN, _("Needs a fresh approval."))
    if (
        verdict.gate == "fresh"
        and verdict.standing is Standing.NOT_ASKED
        and draft.state == DraftState.APPROVED
    ):
        return Verdict(verdict.gate, Standing.NOT_ASKED, _("Will be read again just before it leaves."))
    return verdict


def shown_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the list of checks shows it."""
    style, shape, word = {
        Standing.PASSED: ("", "check", _("passed")),
        Standing.OPEN: ("is-yours", "ring", _("open")),
        Standing.NOT_ASKED: ("", "dash", _("not asked yet")),
        Standing.REFUSED: ("is-look", "x", _("refused")),
    }[verdict.standing]
    if verdict.standing is Standing.REFUSED and verdict.gate == "switch":
        style, shape = "is-stop", "stop"
    return {
        "word": GATE_WORDS.get(verdict.gate, verdict.gate),
        "style": style,
        "shape": shape,
        "standing_word": word,
        "sentence": verdict.sentence,
        "rules": _rule_links(verdict),
    }


def _rule_links(verdict: Verdict) -> list[NamedRow]:
    """The rows that hold a mail, those that have a page; what passed needs no way there."""
    if verdict.standing is Standing.PASSED:
        return []
    return [row for row in map(named_row, verdict.rules) if row.address]


def _is_sending_on(verdicts: Sequence[Verdict]) -> bool | None:
    """What the switch says in the scopes of a draft, as far as the chain was asked about it."""
    standing = next((verdict.standing for verdict in verdicts if verdict.gate == "switch"), None)
    return None if standing is None else standing is Standing.PASSED


def _verbs(
    draft: Draft, verdicts: Sequence[Verdict], chosen: QueueFilter, owner_obstacle: str
) -> dict[str, str] | None:
    if draft.state not in DECIDABLE_STATES:
        return None
    verbs = {name: draft_address(draft, chosen, name) for name in ("reject", "request_changes")}
    verbs["keep"] = draft_address(draft, chosen, "unsaved_keep")
    if draft.state == DraftState.STALE:
        look_again = draft_address(draft, chosen, "look_again")
        return verbs | {"look_again": look_again, "action": look_again}
    address = draft_address(draft, chosen, "approve")
    refusal = gates.lasting_refusal(verdicts)
    obstacle = owner_obstacle or (refusal.sentence if refusal is not None else "")
    return verbs | {
        "approve": address,
        "action": address,
        "approve_obstacle": _("Cannot be approved: %(why)s") % {"why": obstacle} if obstacle else "",
        "edit": draft_address(draft, chosen, "edit"),
    }


def _shown_revision(request: HttpRequest, matter: Matter, current: Revision) -> Revision:
    wanted = request.GET.get("version", "")
    if request.GET.get("view") == "original" and not wanted:
        return matter.revisions[0]
    return next((r for r in matter.revisions if str(r.number) == wanted), current)


def _letter_view(request: HttpRequest, shown: Revision) -> str:
    view = request.GET.get("view", "")
    if view in LETTER_VIEWS:
        return view
    return "changes" if shown.difference else "sent"


def _letter_views(
    draft: Draft, chosen: QueueFilter, view: str, shown: Revision, current: Revision
) -> list[dict[str, Any]]:
    words = {"original": _("Original"), "changes": _("Changes"), "sent": _("As sent")}
    is_current = {
        "original": view == "original",
        "changes": view == "changes",
        "sent": view == "sent" and shown.number == current.number,
    }
    return [
        {"word": word, "address": draft_address(draft, chosen, view=name), "is_current": is_current[name]}
        for name, word in words.items()
    ]


def _last_by_agent(revisions: Sequence[Revision]) -> Revision:
    return next((r for r in reversed(revisions) if r.author_kind == "agent"), revisions[0])


def _relations(draft: Draft) -> list[dict[str, Any]]:
    """Links to the draft that this one follows, and to those that follow it."""
    relations: list[dict[str, Any]] = []
    if draft.linked_from is not None:
        word = (
            _("Corrects the address of an earlier draft")
            if draft.origin == Origin.CORRECTION
            else _("Answers a request for changes to an earlier draft")
        )
        relations.append({"word": word, "draft": draft.linked_from})
    if draft.state in (DraftState.SUPERSEDED, DraftState.APPROVED):
        relations += [
            {"word": _("A later draft follows this one"), "draft": later}
            for later in draft.linked_drafts.defer("search_text", "thread_pinned").order_by("pk")[:5]
        ]
    return relations


def _stale_messages(draft: Draft, matter: Matter) -> list[Any]:
    if draft.state != DraftState.STALE:
        return []
    wanted = set(draft.stale_message_ids)
    return [m for m in matter.conversation.messages if m.provider_id in wanted] or list(
        matter.conversation.after
    )


def _recipients(revision: Revision, unknown: Sequence[str], parts: Mapping[str, str]) -> list[dict[str, Any]]:
    fields = ((_("To"), revision.to), (_("Cc"), revision.cc), (_("Bcc"), revision.bcc))
    return [
        {
            "word": word,
            "email": email,
            "is_unknown": email in unknown,
            "listed": parts.get(normalised(ascii_form(email)), ""),
        }
        for word, entries in fields
        for email in (str(entry.get("email", "")) for entry in entries)
    ]


def _listing(
    draft: Draft, revision: Revision, verdicts: Sequence[Verdict], chosen: QueueFilter
) -> dict[str, Any] | None:
    """What a list editor can do about the recipients along with the decision."""
    if draft.state not in DECIDABLE_STATES:
        return None
    parts = next((verdict.parts for verdict in verdicts if verdict.gate == "recipients"), ())
    unknown = [address for address, outcome in parts if outcome == Outcome.UNKNOWN]
    asked = gates.questions(verdicts)
    shown = [address for address in unknown if ask_about(address) in asked]
    domains = deniable_domains(draft.mailbox, unknown)[:DOMAINS_OFFERED]
    return {
        "allow": draft_address(draft, chosen, "approve_and_allow")
        if shown and draft.state == DraftState.PENDING
        else "",
        "allowed": shown,
        "deny": draft_address(draft, chosen, "reject_and_deny"),
        "domains": domains,
    }


def _next_address(draft: Draft, listed: Sequence[Draft], chosen: QueueFilter) -> str:
    """The draft below this one in the list, or the first one when this is no longer in it."""
    ids = [other.pk for other in listed]
    following = listed[ids.index(draft.pk) + 1 :] if draft.pk in ids else listed
    return draft_address(following[0], chosen) if following else ""


def _status(draft: Draft, send: Send | None, decision: Decision | None) -> dict[str, Any] | None:
    if draft.state == DraftState.APPROVED and send is not None:
        return _send_status(send)
    if draft.state in (DraftState.REJECTED, DraftState.CHANGES_REQUESTED) and decision is not None:
        heading = _("Rejected") if draft.state == DraftState.REJECTED else _("Sent back to the agent")
        return {
            "heading": _("%(what)s by %(name)s") % {"what": heading, "name": decision.person_name},
            "sentences": [decision.reason] if decision.reason else [],
        }
    if draft.state == DraftState.REJECTED:
        return {
            "heading": _("Turned away: only a person may answer this"),
            "sentences": [_("A text of an agent cannot be approved here. Answer it yourself.")],
            "link": _link("approvals:needs_person", _("See what needs a person")),
        }
    if draft.state == DraftState.PENDING and send is not None and send.state == SendState.STOPPED:
        return {"heading": _("An earlier approval did not send it"), "sentences": [send.stop_reason]}
    if draft.state == DraftState.SENT_ELSEWHERE:
        return {
            "heading": _("Sent elsewhere"),
            "sentences": [_("Its mail left the mailbox without this desk. Nothing is sent from here.")],
            "link": _link("approvals:sent_elsewhere", _("See what was sent elsewhere")),
        }
    sentences = {
        DraftState.SUPERSEDED: _("Another draft took its place."),
        DraftState.WITHDRAWN: _("The agent withdrew it; nothing was sent."),
        DraftState.EXPIRED: _("Nobody decided in time; nothing was sent."),
    }
    sentence = sentences.get(DraftState(draft.state))
    return {"heading": DraftState(draft.state).label, "sentences": [sentence]} if sentence else None


def _send_status(send: Send) -> dict[str, Any]:
    heading: str
    sentences: list[str] = []
    link: dict[str, str] | None = None
    if send.state == SendState.QUEUED:
        heading = _("Held") if send.held else _("Waits to leave")
        sentences.append(_("Approved by %(name)s.") % {"name": send.decision.person_name})
        if send.held:
            sentences.append(
                _("It leaves only after an operator resumes it, and every check is asked again then.")
            )
            link = _link("approvals:operations", _("See operations"))
        elif send.waiting_for:
            sentences.append(send.waiting_for)
    elif send.state == SendState.DISPATCHED:
        heading = _("On its way to the provider")
    elif send.state == SendState.ACCEPTED:
        heading = _("Accepted by the provider")
        if send.crossed_message_id:
            sentences.append(_("A message arrived in the conversation while it was being sent."))
    elif send.state == SendState.UNKNOWN:
        heading = _("Unknown")
        sentences.append(
            _("The provider may or may not have taken it. It is not sent again by itself; a person decides.")
        )
        link = _link("approvals:unknown", _("See what is known"))
    elif send.state == SendState.DRY_RUN:
        heading = _("Would have been sent")
        sentences.append(_("The mailbox is in its dry run: every check was asked, and nothing left."))
    else:
        heading = str(SendState(send.state).label)
    if send.stop_reason and send.state in (SendState.FAILED, SendState.STOPPED):
        sentences.append(send.stop_reason)
    if send.alarm:
        sentences.append(send.alarm)
    return {"heading": heading, "sentences": sentences, "link": link}


def _link(name: str, word: str) -> dict[str, str] | None:
    try:
        return {"address": reverse(name), "word": word}
    except NoReverseMatch:
        return None
