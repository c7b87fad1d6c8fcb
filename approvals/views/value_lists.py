from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import people, rulebook
from approvals.forms_rules import ItemsForm, ValueListForm
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.versions import differences, version_given, with_version
from approvals.views.writing import NotWritable, nothing_changed
from policies import lists as domain
from policies.changes import Conflict
from policies.faults import Fault, Invalid
from policies.models import ValueList
from policies.texts import is_storable


@require_safe
@signed_in
def value_lists(request: HttpRequest) -> HttpResponseBase:
    _reader_or_403(request)
    context: dict[str, Any] = {
        "here": "policies",
        "rows": rulebook.value_lists(),
        "may_define": people.may_everywhere(person_of(request), Right.EDIT_POLICIES),
    }
    return render(request, "approvals/value_lists.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponseBase:
    _definer_or_403(request)
    if request.method != "POST":
        return _form_page(request, None, ValueListForm())
    form = ValueListForm(request.POST)
    if not form.is_valid():
        return _form_page(request, None, form, status=422)
    fields = {name: form.cleaned_data[name] for name in ("name", "type", "description")}
    try:
        made = domain.create(fields, actor=people.actor_for(person_of(request)))
    except Invalid as invalid:
        _show(form, invalid.faults)
        return _form_page(request, None, form, status=422)
    except NotWritable:
        return _form_page(request, None, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It is empty; add its values here."))
    return redirect("approvals:value_list", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _definer_or_403(request)
    if request.method != "POST":
        return _form_page(request, found, ValueListForm(shown=found))
    form = ValueListForm(request.POST, shown=found)
    if not form.is_valid():
        return _form_page(request, found, form, status=422)
    fields = {name: form.cleaned_data[name] for name in ("name", "description")}
    actor = people.actor_for(person_of(request))
    try:
        domain.change(pk, fields, version=form.cleaned_data["version"] or 0, actor=actor)
    except Invalid as invalid:
        _show(form, invalid.faults)
        return _form_page(request, found, form, status=422)
    except Conflict as conflict:
        if conflict.current is not None:
            form = ValueListForm(with_version(request.POST, conflict.current.version), shown=found)
        return _form_page(request, found, form, conflict=conflict, status=409)
    except NotWritable:
        return _form_page(request, found, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept."))
    return redirect("approvals:value_list", pk)


@require_safe
@signed_in
def value_list(request: HttpRequest, pk: int) -> HttpResponseBase:
    return _page(request, _found(request, pk))


@require_POST
@signed_in
def add(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _list_editor_or_403(request)
    form = ItemsForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form=form, status=422)
    try:
        new_values = domain.add_items(pk, form.values(), actor=people.actor_for(person_of(request)))
    except Invalid as invalid:
        form.show(invalid.faults)
        return _page(request, found, form=form, status=422)
    except Conflict as conflict:
        raise Http404 from conflict
    except NotWritable:
        return _page(request, found, form=form, problem=nothing_changed(), status=503)
    count = len(new_values)
    messages.success(
        request,
        ngettext("%(count)d value added.", "%(count)d values added.", count) % {"count": count}
        if count
        else _("Every one of them was there already."),
    )
    return redirect("approvals:value_list", pk)


@require_POST
@signed_in
def take(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _list_editor_or_403(request)
    values = request.POST.getlist("value")
    if not values:
        return _page(request, found, problem=_("Choose at least one value."), status=422)
    try:
        taken = domain.remove_items(pk, values, actor=people.actor_for(person_of(request)))
    except Conflict as conflict:
        raise Http404 from conflict
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    count = len(taken)
    messages.success(
        request,
        ngettext("%(count)d value removed.", "%(count)d values removed.", count) % {"count": count},
    )
    return redirect("approvals:value_list", pk)


@require_POST
@signed_in
def remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _definer_or_403(request)
    try:
        domain.remove(pk, version=version_given(request), actor=people.actor_for(person_of(request)))
    except domain.ListInUse as refusal:
        return _page(request, found, problem=str(refusal), status=409)
    except Conflict:
        problem = _(
            "Somebody else changed this list meanwhile. Nothing was changed; look at it as it is now."
        )
        return _page(request, found, problem=problem, status=409)
    except NotWritable:
        return _page(request, found, problem=nothing_changed(), status=503)
    messages.success(request, _("The list “%(name)s” is removed.") % {"name": found.name})
    return redirect("approvals:value_lists")


def _reader_or_403(request: HttpRequest) -> None:
    person = person_of(request)
    if not any(people.may(person, right) for right in (Right.READ_POLICIES, Right.EDIT_LISTS)):
        raise PermissionDenied


def _may_edit_lists(request: HttpRequest) -> bool:
    # A list belongs to no mailbox, so who edits lists of one mailbox only does not edit it.
    return people.may_everywhere(person_of(request), Right.EDIT_LISTS)


def _list_editor_or_403(request: HttpRequest) -> None:
    if not _may_edit_lists(request):
        raise PermissionDenied


def _definer_or_403(request: HttpRequest) -> None:
    if not people.may_everywhere(person_of(request), Right.EDIT_POLICIES):
        raise PermissionDenied


def _found(request: HttpRequest, pk: int) -> ValueList:
    _reader_or_403(request)
    found = rulebook.value_list(pk)
    if found is None:
        raise Http404
    return found


def _text_given(request: HttpRequest, name: str) -> str:
    text = request.GET.get(name, "")[: domain.VALUE_CHARACTERS]
    # No value holds what cannot be stored, and the database does not take the question.
    return text if is_storable(text) else ""


def _show(form: ValueListForm, faults: list[Fault]) -> None:
    for fault in faults:
        form.add_error(fault.path if fault.path in form.fields else None, fault.sentence)


def _form_page(
    request: HttpRequest,
    found: ValueList | None,
    form: ValueListForm,
    *,
    conflict: Conflict | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "policies",
        "list": found,
        "form": form,
        "problem": problem,
        "conflict": conflict,
        "differences": differences(conflict, form.fields),
    }
    return render(request, "approvals/value_list_form.html", context, status=status)


def _page(
    request: HttpRequest,
    found: ValueList,
    *,
    form: ItemsForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    current = rulebook.value_list(found.pk)
    if current is None:
        raise Http404
    search, after = _text_given(request, "q").strip().lower(), _text_given(request, "after")
    values = rulebook.values_of(current, search=search, after=after)
    context: dict[str, Any] = {
        "here": "policies",
        "list": current,
        "values": values.shown,
        "search": search,
        "paging": {
            "next_address": _address(pk=current.pk, q=search, after=values.shown[-1])
            if values.has_more
            else "",
            "first_address": _address(pk=current.pk, q=search, after="") if after else "",
        },
        "rules": rulebook.rules_using(person, current),
        "form": form or ItemsForm(),
        "problem": problem,
        "may_edit": _may_edit_lists(request),
        "may_define": people.may_everywhere(person, Right.EDIT_POLICIES),
    }
    return render(request, "approvals/value_list.html", context, status=status)


def _address(*, pk: int, **query: str) -> str:
    named = urlencode({name: value for name, value in query.items() if value})
    address = reverse("approvals:value_list", args=[pk])
    return f"{address}?{named}" if named else address
