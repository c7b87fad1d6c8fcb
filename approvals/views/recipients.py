from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.addresses import AddressError
from agentmail.models import Mailbox
from approvals import exports, people, policy_scopes, recipient_files, recipients
from approvals.forms import REASON_CHARACTERS, SEARCH_CHARACTERS
from approvals.models import JobKind
from approvals.people import Person, Right
from approvals.policy_rows import named_row
from approvals.recipients import Added, EntryFilter, LinesRefused
from approvals.views.access import person_of, signed_in
from approvals.views.jobs import left_to_worker, own_jobs, too_long_at_once
from approvals.views.writing import NotWritable, nothing_changed
from policies import changes, mailbox_settings
from policies import recipients as lists
from policies.models import RecipientEntry, RecipientKind, UnknownRecipient
from policies.recipients import NewEntry

ENTRIES_SHOWN = 50
FAULTS_SHOWN = 20
MAILBOXES_SHOWN = 100
LINES_CHARACTERS = 400_000


def scope_choices(scopes: Sequence[str]) -> list[tuple[str, str]]:
    return list(policy_scopes.words_of(scopes).items())


class EntryPlaceField(forms.CharField):
    """Where a page of entries begins: the pattern and the number of the last entry of the page before."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput, max_length=360)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        pattern, _tilde, number = text.rpartition("~")
        if not pattern or not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise forms.ValidationError(
                _("This page address is damaged; start again at the top of the list.")
            )
        return pattern, int(number)


class EntryFilterForm(forms.Form):
    q = forms.CharField(
        label=_lazy("Search"),
        max_length=SEARCH_CHARACTERS,
        required=False,
        widget=forms.SearchInput(attrs={"autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        label=_lazy("List"), choices=[("", _lazy("Allow and deny")), *RecipientKind.choices], required=False
    )
    scope = forms.ChoiceField(label=_lazy("For"), required=False)
    after = EntryPlaceField()

    def __init__(self, data: QueryDict, *, person: Person) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["scope"].choices = [  # type: ignore[attr-defined]
            ("", _("Everything")),
            *scope_choices(recipients.all_scopes(person)),
        ]

    def chosen(self) -> EntryFilter:
        """The filter that the form describes; what is faulty in it counts as not given."""
        self.full_clean()
        cleaned = self.cleaned_data
        return EntryFilter(
            kind=cleaned.get("kind") or "",
            scope=cleaned.get("scope") or "",
            text=cleaned.get("q") or "",
            after=cleaned.get("after"),
        )


class AddForm(forms.Form):
    kind = forms.ChoiceField(label=_lazy("List"), choices=RecipientKind.choices)
    scope = forms.ChoiceField(label=_lazy("For"))
    lines = forms.CharField(
        label=_lazy("Addresses and domains, one a line"),
        max_length=LINES_CHARACTERS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_lazy(
            "anna@example.com, example.com, or *.example.com for the domains below it. A deny entry covers the "
            "domains below and every +tag as well. At most 1,000 lines of 320 characters."
        ),
        error_messages={"required": _lazy("Write at least one address, domain or *.domain.")},
    )
    note = forms.CharField(
        label=_lazy("Note"),
        max_length=lists.NOTE_CHARACTERS,
        required=False,
        help_text=_lazy("Why it is on the list; up to 200 characters."),
    )

    def __init__(self, data: QueryDict | None = None, *, person: Person) -> None:
        super().__init__(data, auto_id="add_%s")
        self.fields["scope"].choices = scope_choices(recipients.editable_scopes(person))  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if {"kind", "scope", "lines"} <= cleaned.keys():
            try:
                cleaned["entries"] = recipients.read_lines(
                    cleaned["lines"],
                    kind=cleaned["kind"],
                    scope=cleaned["scope"],
                    note=cleaned.get("note", ""),
                )
            except LinesRefused as refusal:
                for fault in shown_faults(refusal.faults):
                    self.add_error("lines", fault)
        return cleaned


class TrialForm(forms.Form):
    mailbox = forms.ModelChoiceField(
        label=_lazy("From mailbox"),
        queryset=Mailbox.objects.none(),
        to_field_name="public_id",
        empty_label=None,
    )
    address = forms.CharField(
        label=_lazy("To address"),
        max_length=lists.PATTERN_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, data: QueryDict | None = None, *, person: Person) -> None:
        super().__init__(data, auto_id="try_%s")
        self.fields["mailbox"].queryset = recipients.mailboxes_of(person)  # type: ignore[attr-defined]


class ImportForm(forms.Form):
    file = forms.FileField(
        label=_lazy("CSV file"),
        help_text=_lazy("Columns kind, scope, pattern, note; UTF-8; at most 2 MB and 10,000 lines."),
        error_messages={
            "required": _lazy("Choose the file to import."),
            "empty": _lazy("The file is empty."),
        },
    )

    def __init__(self, data: QueryDict | None = None, files: Any = None, *, person: Person) -> None:
        super().__init__(data, files, auto_id="import_%s")
        self._person = person

    def clean_file(self) -> list[NewEntry]:
        file = self.cleaned_data["file"]
        try:
            # One byte more than the limit says that there is more.
            return recipient_files.read(file.read(recipient_files.FILE_BYTES + 1), person=self._person)
        except LinesRefused as refusal:
            raise forms.ValidationError(shown_faults(refusal.faults)) from refusal


class UnknownForm(forms.Form):
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    unknown_reviewed = forms.ChoiceField(
        label=_lazy("In mail that a person decides"),
        choices=UnknownRecipient.choices,
        help_text=_lazy("Asked: the approval of a reviewer who was shown it answers."),
    )
    unknown_unreviewed = forms.ChoiceField(
        label=_lazy("In mail that nobody decides"),
        choices=UnknownRecipient.choices,
        help_text=_lazy("Asked: only mail to a domain that was never written to waits for a person."),
    )
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("Kept in the record."),
    )


class NoteForm(forms.Form):
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    note = forms.CharField(
        label=_lazy("Note"),
        max_length=lists.NOTE_CHARACTERS,
        required=False,
        help_text=_lazy("Why it is on the list; up to 200 characters."),
    )


class VersionForm(forms.Form):
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)


def shown_faults(faults: Sequence[str]) -> list[str]:
    shown = list(faults[:FAULTS_SHOWN])
    left = len(faults) - len(shown)
    if left:
        shown.append(
            ngettext("%(count)d more line is faulty.", "%(count)d more lines are faulty.", left)
            % {"count": left}
        )
    return shown


@require_safe
@signed_in
def entries(request: HttpRequest) -> HttpResponseBase:
    check_may_see(request)
    return _page(request)


@require_POST
@signed_in
def add(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.EDIT_LISTS):
        raise PermissionDenied
    form = AddForm(request.POST, person=person)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    try:
        done = recipients.add(form.cleaned_data["entries"], person=person)
    except changes.Conflict:
        return _page(request, form=form, problem=_added_meanwhile(), status=409)
    except NotWritable:
        return _page(request, form=form, problem=nothing_changed(), status=503)
    messages.success(request, told(done))
    return redirect("approvals:recipients")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def entry(request: HttpRequest, entry_id: int) -> HttpResponseBase:
    found = _found(request, entry_id)
    if request.method != "POST":
        return _entry_page(request, found)
    person = person_of(request)
    if not recipients.may_edit(person, found.scope):
        raise PermissionDenied
    form = NoteForm(request.POST)
    if not form.is_valid():
        return _entry_page(request, found, form=form, status=422)
    try:
        recipients.change_note(
            found, person=person, version=form.cleaned_data["version"], note=form.cleaned_data["note"]
        )
    except changes.Conflict as conflict:
        return _conflict(request, found, conflict, form)
    except NotWritable:
        return _entry_page(request, found, form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept."))
    return redirect("approvals:recipient", found.pk)


@require_POST
@signed_in
def remove(request: HttpRequest, entry_id: int) -> HttpResponseBase:
    found = _found(request, entry_id)
    person = person_of(request)
    if not recipients.may_edit(person, found.scope):
        raise PermissionDenied
    form = VersionForm(request.POST)
    if not form.is_valid():
        problem = _("The page did not say which version of the entry you saw. Look at it again.")
        return _entry_page(request, found, problem=problem, status=422)
    try:
        recipients.remove(found, person=person, version=form.cleaned_data["version"])
    except changes.Conflict as conflict:
        return _conflict(request, found, conflict, None)
    except NotWritable:
        return _entry_page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("%(pattern)s was taken off the list.") % {"pattern": found.pattern})
    return redirect("approvals:recipients")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def export(request: HttpRequest) -> HttpResponseBase:
    """Download what the filter shows; a POST leaves it to a worker, which long files need."""
    check_may_see(request)
    person = person_of(request)
    chosen = replace(EntryFilterForm(request.GET, person=person).chosen(), after=None)
    back = _address(chosen, None)
    if request.method == "POST":
        asked = {"kind": chosen.kind, "scope": chosen.scope, "q": chosen.text}
        return left_to_worker(request, JobKind.RECIPIENTS, asked, back=back)
    found = recipients.visible_entries(person, chosen)
    if not exports.is_short(found):
        return too_long_at_once(request, back=back)
    return StreamingHttpResponse(
        recipient_files.written(found.iterator(chunk_size=2000)),
        content_type=exports.CONTENT_TYPES[JobKind.RECIPIENTS],
        headers={"Content-Disposition": f'attachment; filename="{recipient_files.FILE_NAME}"'},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def import_file(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.EDIT_LISTS):
        raise PermissionDenied
    if request.method != "POST":
        return _import_page(request, ImportForm(person=person))
    form = ImportForm(request.POST, request.FILES, person=person)
    if not form.is_valid():
        return _import_page(request, form, status=422)
    try:
        done = recipients.add(form.cleaned_data["file"], person=person)
    except changes.Conflict:
        return _import_page(request, form, problem=_added_meanwhile(), status=409)
    except NotWritable:
        return _import_page(request, form, problem=nothing_changed(), status=503)
    messages.success(request, told(done))
    return redirect("approvals:recipients")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def unknown(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    person = person_of(request)
    mailbox = recipients.mailboxes_of(person).filter(public_id=public_id).first()
    if mailbox is None:
        raise Http404
    if request.method != "POST":
        return _unknown_page(request, mailbox)
    if not people.may(person, Right.EDIT_POLICIES, mailbox.pk):
        raise PermissionDenied
    form = UnknownForm(request.POST)
    if not form.is_valid():
        return _unknown_page(request, mailbox, form=form, status=422)
    wanted = {name: form.cleaned_data[name] for name in ("unknown_reviewed", "unknown_unreviewed")}
    try:
        mailbox_settings.write(
            mailbox.pk,
            version=form.cleaned_data["version"],
            actor=people.actor_for(person),
            reason=form.cleaned_data["reason"],
            **wanted,
        )
    except changes.Conflict as conflict:
        return _settings_conflict(request, mailbox, conflict, form)
    except NotWritable:
        return _unknown_page(request, mailbox, form=form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It holds for every mail that is judged from now on."))
    return redirect("approvals:recipients_unknown", public_id)


def check_may_see(request: HttpRequest) -> None:
    if not recipients.may_see(person_of(request)):
        raise PermissionDenied


def told(done: Added) -> str:
    added = ngettext("%(count)d entry was added.", "%(count)d entries were added.", done.added) % {
        "count": done.added
    }
    if not done.present:
        return added
    present = ngettext("%(count)d was there already.", "%(count)d were there already.", done.present)
    return f"{added} {present % {'count': done.present}}"


def _added_meanwhile() -> str:
    return _("Somebody added one of these at the same moment. Send it again to add the others.")


def _found(request: HttpRequest, entry_id: int) -> RecipientEntry:
    check_may_see(request)
    found = recipients.entry_for(person_of(request), entry_id)
    if found is None:
        raise Http404
    return found


def _address(chosen: EntryFilter, after: tuple[str, int] | None, name: str = "recipients") -> str:
    values = {
        "q": chosen.text,
        "kind": chosen.kind,
        "scope": chosen.scope,
        "after": f"{after[0]}~{after[1]}" if after else "",
    }
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse(f"approvals:{name}")
    return f"{address}?{query}" if query else address


def _page(
    request: HttpRequest, *, form: AddForm | None = None, problem: str = "", status: int = 200
) -> HttpResponse:
    person = person_of(request)
    filter_form = EntryFilterForm(request.GET, person=person)
    chosen = filter_form.chosen()
    rows = list(recipients.visible_entries(person, chosen)[: ENTRIES_SHOWN + 1])
    shown, has_more = rows[:ENTRIES_SHOWN], len(rows) > ENTRIES_SHOWN
    words = policy_scopes.words_of(row.scope for row in shown)
    is_trial = "address" in request.GET
    trial_form = TrialForm(request.GET if is_trial else None, person=person)
    trial = None
    if is_trial and trial_form.is_valid():
        try:
            trial = recipients.tried(
                trial_form.cleaned_data["mailbox"], trial_form.cleaned_data["address"].strip()
            )
        except AddressError as error:
            trial_form.add_error("address", str(error))
    may_edit = people.may(person, Right.EDIT_LISTS)
    mailboxes = list(recipients.mailboxes_of(person)[: MAILBOXES_SHOWN + 1])
    are_more_mailboxes, mailboxes = len(mailboxes) > MAILBOXES_SHOWN, mailboxes[:MAILBOXES_SHOWN]
    unknown_settings = mailbox_settings.of_many([mailbox.pk for mailbox in mailboxes])
    context: dict[str, Any] = {
        "here": "policies",
        "filter_form": filter_form,
        "chosen": chosen,
        "entries": [{"entry": row, "scope": words[row.scope]} for row in shown],
        "paging": {
            "next_address": _address(chosen, (shown[-1].pattern, shown[-1].pk)) if has_more else "",
            "first_address": _address(chosen, None) if chosen.after else "",
        },
        "export_address": _address(chosen, None, "recipients_export"),
        "is_short": exports.is_short(recipients.visible_entries(person, replace(chosen, after=None))),
        "own_jobs": own_jobs(person, JobKind.RECIPIENTS),
        "mailboxes": [{"mailbox": one, "settings": unknown_settings[one.pk]} for one in mailboxes],
        "are_more_mailboxes": are_more_mailboxes,
        "may_edit": may_edit,
        "add_form": (form or AddForm(person=person)) if may_edit else None,
        "trial_form": trial_form,
        "trial": trial,
        "problem": problem,
    }
    return render(request, "approvals/recipients.html", context, status=status)


def _entry_page(
    request: HttpRequest,
    found: RecipientEntry,
    *,
    form: NoteForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    reads_evaluations = people.may(person, Right.READ_POLICIES)
    row = named_row(f"recipiententry:{found.pk}:{found.version}")
    context: dict[str, Any] = {
        "here": "policies",
        "entry": found,
        "scope": policy_scopes.word_of(found.scope),
        "may_edit": recipients.may_edit(person, found.scope),
        "form": form or NoteForm(initial={"version": found.version, "note": found.note}),
        "evaluations_address": row.history if reads_evaluations else "",
        "problem": problem,
    }
    return render(request, "approvals/recipient.html", context, status=status)


def _import_page(
    request: HttpRequest, form: ImportForm, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {"here": "policies", "form": form, "problem": problem}
    return render(request, "approvals/recipients_import.html", context, status=status)


def _unknown_page(
    request: HttpRequest,
    mailbox: Mailbox,
    *,
    form: UnknownForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    settings = mailbox_settings.of(mailbox.pk)
    initial = {
        "version": settings.version,
        "unknown_reviewed": settings.unknown_reviewed,
        "unknown_unreviewed": settings.unknown_unreviewed,
    }
    context: dict[str, Any] = {
        "here": "policies",
        "mailbox": mailbox,
        "settings": settings,
        "form": form or UnknownForm(initial=initial),
        "may_edit": people.may(person_of(request), Right.EDIT_POLICIES, mailbox.pk),
        "problem": problem,
    }
    return render(request, "approvals/recipients_unknown.html", context, status=status)


def _settings_conflict(
    request: HttpRequest, mailbox: Mailbox, conflict: changes.Conflict, form: UnknownForm
) -> HttpResponse:
    current = mailbox_settings.of(mailbox.pk)
    problem = _(
        "Somebody changed these settings meanwhile. Now: mail that a person decides: %(reviewed)s; mail that "
        "nobody decides: %(unreviewed)s. What you chose is still below; keep it once more to write over that."
    ) % {
        "reviewed": current.get_unknown_reviewed_display(),
        "unreviewed": current.get_unknown_unreviewed_display(),
    }
    form = UnknownForm({**form.cleaned_data, "version": current.version})
    return _unknown_page(request, mailbox, form=form, problem=problem, status=409)


def _conflict(
    request: HttpRequest, found: RecipientEntry, conflict: changes.Conflict, form: NoteForm | None
) -> HttpResponseBase:
    current = conflict.current
    if not isinstance(current, RecipientEntry):
        messages.error(
            request, _("%(pattern)s was removed by somebody else meanwhile.") % {"pattern": found.pattern}
        )
        return redirect("approvals:recipients")
    problem = _("Somebody changed this entry meanwhile; its note is now “%(note)s”.") % {"note": current.note}
    if form is not None:
        # What was typed stays; sending it once more writes over what is there now, knowingly.
        form = NoteForm({"version": current.version, "note": form.cleaned_data["note"]})
    return _entry_page(request, current, form=form, problem=problem, status=409)
