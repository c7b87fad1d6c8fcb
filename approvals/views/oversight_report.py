from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_safe

from approvals import exports, people
from approvals import oversight_report as reports
from approvals.forms_ledgers import MailboxChoice, PlaceField, place_text
from approvals.models import JobKind
from approvals.oversight_report import Day, Report, ReportRefused
from approvals.people import Right
from approvals.queries import visible_mailboxes
from approvals.views.access import person_of, signed_in
from approvals.views.draft import GATE_WORDS
from approvals.views.jobs import left_to_worker, own_jobs, too_long_at_once
from audit.clock import database_now

# Where the rows go in the template of the printed report; a text of a mail cannot hold it, for its "<" is escaped.
ROWS_HERE = "<!-- mails -->"
DAY = "%Y-%m-%d"
INTERVENTION_WORDS: Mapping[str, Any] = {
    "edited": _lazy("Edited by a person"),
    "rejected": _lazy("Rejected"),
    "changes_requested": _lazy("Changes requested"),
    "cancelled": _lazy("Cancelled with all of the mailbox"),
    "undone": _lazy("Approval taken back"),
    "expired": _lazy("Expired"),
    "stale": _lazy("Stale: the conversation moved"),
    "invalidated": _lazy("Approval void before the mail left"),
    "turned_away": _lazy("Turned away: only a person may answer"),
    "refused_at_hand_in": _lazy("Refused when it was handed in"),
    "blocked_by_gate": _lazy("Blocked by a gate"),
    "resumed": _lazy("Held mail resumed"),
    "resend_authorised": _lazy("Resend authorised"),
    "closed": _lazy("Unknown send closed"),
    "judged_wrong": _lazy("Sent mail judged wrong"),
    "sent_elsewhere": _lazy("Sent elsewhere, without this desk"),
}
RATIO_WORDS: Mapping[str, Any] = {
    "decided_by_person": _lazy("of the mail that left was decided by a person"),
    "edited": _lazy("of the mail that left was edited by a person"),
    "rejected": _lazy("of the decisions of people were a no"),
    "changes_requested": _lazy("of the decisions of people asked for changes"),
    "judged_wrong": _lazy("of the mail that left was judged wrong"),
}
WIDTH, ABOVE, BELOW = 640, 72, 36


class ReportForm(forms.Form):
    mailbox = MailboxChoice()
    after = PlaceField()

    def __init__(self, data: QueryDict | dict[str, Any], *, person: User) -> None:
        super().__init__(data, auto_id="report-%s")
        self.person = person
        self.fields["mailbox"].queryset = visible_mailboxes(person, Right.AUDIT)  # type: ignore[attr-defined]
        # "from" is no name that a class can hold.
        self.fields |= {"from": _day(_lazy("From")), "to": _day(_lazy("To"))}
        self.order_fields(["from", "to", "mailbox", "after"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                cleaned["now"] = now = database_now()
                cleaned["period"] = reports.period_of(cleaned["from"], cleaned["to"], today=now.date())
            except ReportRefused as refusal:
                self.add_error(refusal.field, str(refusal))
        return cleaned

    def report(self) -> Report:
        """The report that a valid form asks for."""
        chosen = self.cleaned_data["mailbox"]
        mailboxes = [chosen] if chosen is not None else list(visible_mailboxes(self.person, Right.AUDIT))
        return reports.oversight_report(
            mailboxes, self.cleaned_data["period"], made_at=self.cleaned_data["now"]
        )

    def query(self) -> dict[str, str]:
        """What leads to the same report, the days written out."""
        period, chosen = self.cleaned_data["period"], self.cleaned_data["mailbox"]
        named = {"from": period.first.isoformat(), "to": period.last.isoformat()}
        return named | ({"mailbox": str(chosen.public_id)} if chosen is not None else {})


def _day(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        input_formats=[DAY],
        widget=forms.DateInput(format=DAY, attrs={"type": "date"}),
        error_messages={"invalid": _lazy("A day is written like 2026-11-26.")},
    )


@require_safe
@signed_in
def oversight_report(request: HttpRequest) -> HttpResponseBase:
    form = _form(request)
    if not form.is_valid():
        return _refused(request, form)
    report, query = form.report(), form.query()
    rows, following = reports.outbound_page(report, form.cleaned_data["after"])
    address = reverse("approvals:oversight_report")
    after = {"after": place_text(*following)} if following is not None else {}
    context = _shown(report) | {
        "form": ReportForm(query, person=form.person),
        "rows": rows,
        "query": urlencode(query),
        "is_short": reports.row_count(report) <= exports.AT_ONCE_ROWS,
        "own_jobs": own_jobs(form.person, JobKind.OVERSIGHT_REPORT),
        "paging": {
            "next_address": f"{address}?{urlencode(query | after)}#mails" if after else "",
            "first_address": f"{address}?{urlencode(query)}#mails" if form.cleaned_data["after"] else "",
        },
    }
    return render(request, "approvals/oversight_report.html", context)


@require_safe
@signed_in
def oversight_report_print(request: HttpRequest) -> HttpResponseBase:
    """The whole report on one page, written while it is read."""
    form = _form(request)
    if not form.is_valid():
        return _refused(request, form)
    report = form.report()
    context = _shown(report) | {"query": urlencode(form.query())}
    page = render_to_string("approvals/oversight_report_print.html", context, request)
    return StreamingHttpResponse(_printed(page, report), content_type="text/html; charset=utf-8")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def oversight_report_export(request: HttpRequest) -> HttpResponseBase:
    """Download the report as JSON; a POST leaves it to a worker, which long files need."""
    form = _form(request)
    if not form.is_valid():
        return _refused(request, form)
    back = f"{reverse('approvals:oversight_report')}?{urlencode(form.query())}"
    if request.method == "POST":
        asked = {"mailbox": ""} | form.query()
        return left_to_worker(request, JobKind.OVERSIGHT_REPORT, asked, back=back)
    report = form.report()
    if reports.row_count(report) > exports.AT_ONCE_ROWS:
        return too_long_at_once(request, back=back)
    return StreamingHttpResponse(
        reports.json_parts(report),
        content_type=exports.CONTENT_TYPES[JobKind.OVERSIGHT_REPORT],
        headers={"Content-Disposition": f'attachment; filename="{reports.file_name(report.period)}"'},
    )


def _form(request: HttpRequest) -> ReportForm:
    person = person_of(request)
    if not people.may(person, Right.AUDIT):
        raise PermissionDenied
    return ReportForm(request.GET, person=person)


def _refused(request: HttpRequest, form: ReportForm) -> HttpResponseBase:
    context = {"here": "audit", "form": form}
    return render(request, "approvals/oversight_report.html", context, status=422)


def _printed(page: str, report: Report) -> Iterator[str]:
    head, _mark, tail = page.partition(ROWS_HERE)
    yield head
    for rows in reports.outbound_chunks(report):
        yield render_to_string("components/report-mails.html", {"rows": rows})
    yield tail


def _shown(report: Report) -> dict[str, Any]:
    words = reports.scope_words(report)
    strays = list(reports.sent_elsewhere(report)[: reports.PAGE_ROWS + 1])
    return {
        "here": "audit",
        "report": report,
        "how": reports.HOW,
        "picture": _picture(report.days),
        "busy_days": [day for day in report.days if day.by_person or day.without_person or day.stopped],
        "interventions": [
            {"word": INTERVENTION_WORDS[name], "mails": mails} for name, mails in report.interventions.items()
        ],
        "ratios": [
            {"word": RATIO_WORDS[name], "percent": share * 100}
            for name, share in report.ratios.items()
            if share is not None
        ],
        "gates": [
            {"word": GATE_WORDS.get(gate, gate), "mails": mails} for gate, mails in report.gates.items()
        ],
        "strays": [
            {"item": one, "mailbox": report.mailboxes[one.mailbox_id]} for one in strays[: reports.PAGE_ROWS]
        ],
        "has_more_strays": len(strays) > reports.PAGE_ROWS,
        "switch_events": [{"event": event, "words": words[event.scope]} for event in report.switch_events],
        "mode_changes": [
            {"change": change, "mailbox": report.mailboxes[change.mailbox_id]}
            for change in report.mode_changes
        ],
    }


def _picture(days: Sequence[Day]) -> dict[str, Any] | None:
    """A bar for each day, to scale: what left stands on the line, what was stopped hangs from it."""
    most_left = max(day.by_person + day.without_person for day in days)
    most_stopped = max(day.stopped for day in days)
    if not (most_left or most_stopped):
        return None
    scale = min(ABOVE / max(most_left, 1), BELOW / max(most_stopped, 1))
    step = WIDTH / len(days)
    bars = []
    for number, day in enumerate(days):
        person, alone = day.by_person * scale, day.without_person * scale
        parts = (
            ("person", ABOVE - person, person),
            ("alone", ABOVE - person - alone, alone),
            ("stopped", ABOVE, day.stopped * scale),
        )
        bars += [
            {"kind": kind, "x": round(number * step, 2), "y": round(y, 2), "height": round(max(height, 1), 2)}
            for kind, y, height in parts
            if height
        ]
    return {"bars": bars, "width": round(step * 0.8, 2), "line": ABOVE, "height": ABOVE + BELOW}
