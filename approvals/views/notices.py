from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.forms_notices import NoticeSettingsForm
from approvals.notices import listing, wishes, words
from approvals.notices.models import Notice, NoticeKind
from approvals.outgoing_mail import is_configured
from approvals.templatetags.bar import count_text, facts_for
from approvals.views.access import person_of, signed_in
from approvals.views.paging import number_given, number_of
from approvals.views.writing import NotWritable, nothing_changed

# Shape and tone of each kind.
SHAPES: dict[str, tuple[str, str]] = {
    NoticeKind.WAITING: ("flag", "look"),
    NoticeKind.ASSIGNED: ("person", "ink"),
    NoticeKind.EXPIRING: ("clock", "look"),
    NoticeKind.FOLLOW_UP: ("returned", ""),
    NoticeKind.UNKNOWN: ("question", "look"),
    NoticeKind.NEEDS_PERSON: ("person", "look"),
    NoticeKind.SENT_ELSEWHERE: ("flag", "look"),
    NoticeKind.STOPPED: ("stop", "stop"),
    NoticeKind.RESUMED: ("check", ""),
    NoticeKind.DIGEST: ("ring", "ink"),
}
ALL = "all"


@require_safe
@signed_in
def notices(request: HttpRequest) -> HttpResponseBase:
    is_all = request.GET.get("show") == ALL
    return _page(request, is_all=is_all)


@require_POST
@signed_in
def notice_read(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    try:
        if not listing.mark_read(person_of(request), public_id):
            raise Http404
    except NotWritable:
        return _page(request, is_all=_shows_all(request), problem=nothing_changed(), status=503)
    return redirect(_address(is_all=_shows_all(request)))


@require_POST
@signed_in
def notices_read(request: HttpRequest) -> HttpResponseBase:
    try:
        listing.mark_all_read(person_of(request), number_of(request.POST.get("up_to", "")))
    except NotWritable:
        return _page(request, is_all=False, problem=nothing_changed(), status=503)
    messages.success(request, _("All that was listed is marked as read."))
    return redirect("approvals:notices")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def notice_settings(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    kept = wishes.wishes_of(person)
    if request.method != "POST":
        return _settings_page(request, NoticeSettingsForm(kept=kept, email=person.email))
    form = NoticeSettingsForm(request.POST, kept=kept, email=person.email)
    if not form.is_valid():
        return _settings_page(request, form, status=422)
    try:
        wishes.keep(person, email=form.cleaned_data["email"], hows=form.hows(), **form.others())
    except NotWritable:
        return _settings_page(request, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept."))
    return redirect("approvals:notice_settings")


def _settings_page(
    request: HttpRequest, form: NoticeSettingsForm, *, problem: str = "", status: int = 200
) -> HttpResponseBase:
    context = {"here": "notices", "form": form, "is_mailing": is_configured(), "problem": problem}
    return render(request, "approvals/notice_settings.html", context, status=status)


def _shows_all(request: HttpRequest) -> bool:
    return request.POST.get("show") == ALL


def _page(request: HttpRequest, *, is_all: bool, problem: str = "", status: int = 200) -> HttpResponseBase:
    before = number_given(request)
    page = listing.notice_page(person_of(request), is_all=is_all, before=before)
    context: dict[str, Any] = {
        "here": "notices",
        "is_all": is_all,
        "rows": [_shown(notice) for notice in page.rows],
        "unread_count": count_text(facts_for(request).notices),
        "newest": page.rows[0].pk if page.rows and not before else 0,
        "unread_address": _address(is_all=False),
        "all_address": _address(is_all=True),
        "problem": problem,
        "paging": {
            "next_address": _address(is_all=is_all, after=page.rows[-1].pk) if page.has_more else "",
            "first_address": _address(is_all=is_all) if before else "",
        },
    }
    return render(request, "approvals/notices.html", context, status=status)


def _shown(notice: Notice) -> dict[str, Any]:
    shape, tone = SHAPES[notice.kind]
    return {
        "notice": notice,
        "title": words.title_of(notice),
        "lines": words.lines_of(notice),
        "expires_at": words.expires_at_of(notice) if notice.closed_at is None else None,
        "expires_word": words.expires_word(notice),
        "settled": words.settled_of(notice),
        "shape": shape,
        "tone": tone if notice.closed_at is None else "",
    }


def _address(*, is_all: bool, after: int = 0) -> str:
    values = {"show": ALL if is_all else "", "after": str(after) if after else ""}
    query = urlencode({name: value for name, value in values.items() if value})
    address = reverse("approvals:notices")
    return f"{address}?{query}" if query else address
