from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.models import OversightMode
from approvals import category_evidence, people
from approvals.forms_categories import (
    CategoryForm,
    ConfidenceForm,
    DomainForm,
    FamilyForm,
    RemoveForm,
    TighterForm,
    TryForm,
    Versioned,
)
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.versions import differences, with_version
from approvals.views.writing import NotWritable, nothing_changed
from audit.record import Actor
from policies import categories as domain
from policies import tiers
from policies.changes import Conflict
from policies.classifier import Mail, classify
from policies.models import Category, HighValueDomain, TemplateFamily, Tier

EFFECT_WORDS: Mapping[tiers.Effect, Any] = {
    tiers.Effect.SENDS: _lazy("sends by itself"),
    tiers.Effect.APPROVE: _lazy("waits for an approval"),
    tiers.Effect.HUMAN_ONLY: _lazy("only people write it"),
    tiers.Effect.REFUSED: _lazy("refused"),
}
THRESHOLD_WORDS: Mapping[str, Any] = {
    "days": _lazy("Days since the first decision"),
    "compared": _lazy("Drafts decided by a person"),
    "wrong": _lazy("Rejected, or turned out wrong"),
}


@require_safe
@signed_in
def categories(request: HttpRequest) -> HttpResponseBase:
    _reader(request)
    return _list_page(request)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def category_new(request: HttpRequest) -> HttpResponseBase:
    actor = _editor(request)
    if request.method != "POST":
        return _category_page(request, None, CategoryForm())
    form = CategoryForm(request.POST)

    def write() -> Category:
        return domain.add(actor=actor, **form.values())

    return _written(
        request, form, write, lambda **more: _category_page(request, None, form, **more), _("Added.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def category(request: HttpRequest, pk: int) -> HttpResponseBase:
    _reader(request)
    row = _row(Category, pk)
    if request.method != "POST":
        return _category_page(request, row, CategoryForm(row=row))
    actor = _editor(request)
    form = CategoryForm(request.POST, row=row)

    def write() -> Category:
        return domain.edit(pk, version=form.cleaned_data["version"], actor=actor, **form.values())

    return _written(
        request,
        form,
        write,
        lambda **more: _category_page(request, row, form, **more),
        _("Kept. It holds for every check from now on."),
    )


@require_POST
@signed_in
def category_remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    actor = _editor(request)
    row = _row(Category, pk)
    return _removed(
        request,
        lambda version: domain.remove(pk, version=version, actor=actor),
        lambda problem, status: _category_page(
            request, row, CategoryForm(row=row), problem=problem, status=status
        ),
    )


@require_POST
@signed_in
def category_tighten(request: HttpRequest, pk: int) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.TIGHTEN):
        raise PermissionDenied
    row = _row(Category, pk)
    form = TighterForm(request.POST, row=row)

    def page(**more: Any) -> HttpResponse:
        return _category_page(request, row, CategoryForm(row=row), tighter=form, **more)

    def write() -> Category:
        domain.demote(pk, actor=people.actor_for(person), reason=form.cleaned_data["reason"])
        return row

    return _written(
        request, form, write, page, _("Back to approval. Nothing of it leaves by itself any more.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def family_new(request: HttpRequest, pk: int) -> HttpResponseBase:
    actor = _editor(request)
    of = _row(Category, pk)
    if request.method != "POST":
        return _family_page(request, of, None, FamilyForm())
    form = FamilyForm(request.POST)

    def write() -> Category:
        domain.add_family(of, actor=actor, **form.values())
        return of

    return _written(
        request, form, write, lambda **more: _family_page(request, of, None, form, **more), _("Added.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def family(request: HttpRequest, pk: int) -> HttpResponseBase:
    _reader(request)
    row = _row(TemplateFamily, pk)
    if request.method != "POST":
        return _family_page(request, row.category, row, FamilyForm(row=row))
    actor = _editor(request)
    form = FamilyForm(request.POST, row=row)

    def write() -> Category:
        domain.edit_family(pk, version=form.cleaned_data["version"], actor=actor, **form.values())
        return row.category

    return _written(
        request,
        form,
        write,
        lambda **more: _family_page(request, row.category, row, form, **more),
        _("Kept."),
    )


@require_POST
@signed_in
def family_remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    actor = _editor(request)
    row = _row(TemplateFamily, pk)
    return _removed(
        request,
        lambda version: domain.remove_family(pk, version=version, actor=actor),
        lambda problem, status: _family_page(
            request, row.category, row, FamilyForm(row=row), problem=problem, status=status
        ),
    )


@require_POST
@signed_in
def classifier_settings(request: HttpRequest) -> HttpResponseBase:
    actor = _editor(request)
    form = ConfidenceForm(request.POST, row=domain.settings())

    def write() -> None:
        domain.write_settings(
            version=form.cleaned_data["version"],
            actor=actor,
            least_confidence=form.cleaned_data["least_confidence"],
        )

    return _written(
        request, form, write, lambda **more: _list_page(request, confidence=form, **more), _("Kept.")
    )


@require_POST
@signed_in
def domain_add(request: HttpRequest) -> HttpResponseBase:
    actor = _editor(request)
    form = DomainForm(request.POST)

    def write() -> None:
        domain.add_domain(form.cleaned_data["domain"], note=form.cleaned_data["note"], actor=actor)

    return _written(
        request, form, write, lambda **more: _list_page(request, domains=form, **more), _("Added.")
    )


@require_POST
@signed_in
def domain_remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    actor = _editor(request)
    _row(HighValueDomain, pk)
    return _removed(
        request,
        lambda version: domain.remove_domain(pk, version=version, actor=actor),
        lambda problem, status: _list_page(request, problem=problem, status=status),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def category_try(request: HttpRequest) -> HttpResponseBase:
    _reader(request)
    if request.method != "POST":
        return render(request, "approvals/category_try.html", {"here": "policies", "form": TryForm()})
    form = TryForm(request.POST)
    context: dict[str, Any] = {"here": "policies", "form": form}
    if not form.is_valid():
        return render(request, "approvals/category_try.html", context, status=422)
    given = form.cleaned_data
    found = classify(
        Mail(
            subject=given["subject"],
            body=given["body"],
            inbound_subject=given["inbound_subject"],
            inbound_body=given["inbound_body"],
            domains=tuple(given["domains"].casefold().replace(",", " ").split()),
            agent_confidence=given["confidence"],
        ),
        domain.rulebook(),
    )
    context |= {
        "found": found,
        "tier": Tier(found.tier),
        "effects": [
            {"mode": mode.label, "word": EFFECT_WORDS[tiers.effective(mode.value, found.tier)]}
            for mode in OversightMode
        ],
    }
    return render(request, "approvals/category_try.html", context)


def _reader(request: HttpRequest) -> None:
    if not people.may(person_of(request), Right.READ_POLICIES):
        raise PermissionDenied


def _editor(request: HttpRequest) -> Actor:
    person = person_of(request)
    if not people.may_everywhere(person, Right.EDIT_POLICIES):
        raise PermissionDenied
    return people.actor_for(person)


def _row(kind: Any, pk: int) -> Any:
    row = kind.objects.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def _written(
    request: HttpRequest,
    form: forms.Form,
    write: Callable[[], Category | None],
    page: Callable[..., HttpResponse],
    done: str,
) -> HttpResponseBase:
    if not form.is_valid():
        return page(status=422)
    try:
        row = write()
    except domain.CategoryRefused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        return page(status=422)
    except Conflict as conflict:
        if isinstance(form, Versioned) and conflict.current is not None:
            form.data = with_version(form.data, conflict.current.version)
        return page(conflict=conflict, differences=differences(conflict, form.fields), status=409)
    except NotWritable:
        return page(problem=nothing_changed(), status=503)
    messages.success(request, done)
    return redirect("approvals:category", row.pk) if row is not None else redirect("approvals:categories")


def _removed(
    request: HttpRequest, remove: Callable[[int], None], page: Callable[[str, int], HttpResponse]
) -> HttpResponseBase:
    form = RemoveForm(request.POST)
    if not form.is_valid():
        return page(_("Open this page again first; it did not say what it showed."), 422)
    try:
        remove(form.cleaned_data["version"])
    except domain.CategoryRefused as refusal:
        return page(str(refusal), 409)
    except Conflict:
        return page(_("Somebody else changed this meanwhile. Look at it again first."), 409)
    except NotWritable:
        return page(nothing_changed(), 503)
    messages.success(request, _("Removed. The record keeps what it said."))
    return redirect("approvals:categories")


def _list_page(
    request: HttpRequest,
    *,
    confidence: ConfidenceForm | None = None,
    domains: DomainForm | None = None,
    problem: str = "",
    conflict: Conflict | None = None,
    differences: Sequence[dict[str, str]] = (),
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    record = category_evidence.evidence_by_category(person, timezone.now())
    settings = domain.settings()
    rows = [_with_evidence(row, record) for row in Category.objects.all()]
    context: dict[str, Any] = {
        "here": "policies",
        "rows": rows,
        "nameless": record.get(""),
        "settings": settings,
        "domains": HighValueDomain.objects.all(),
        "may_edit": people.may_everywhere(person, Right.EDIT_POLICIES),
        "confidence_form": confidence or ConfidenceForm(row=settings),
        "domain_form": domains or DomainForm(),
        "matrix": [
            {
                "mode": mode.label,
                "effects": [EFFECT_WORDS[tiers.effective(mode.value, tier.value)] for tier in Tier],
            }
            for mode in OversightMode
        ],
        "tiers": list(Tier),
        "problem": problem,
        "conflict": conflict,
        "differences": differences,
    }
    return render(request, "approvals/categories.html", context, status=status)


def _with_evidence(row: Category, record: Mapping[str, category_evidence.CategoryEvidence]) -> dict[str, Any]:
    return {"category": row, "share": shown_share(record.get(row.key, category_evidence.NOTHING))}


def shown_share(found: category_evidence.CategoryEvidence) -> dict[str, Any] | None:
    """What `components/untouched-share.html` shows; None when nothing was approved."""
    interval = found.untouched.interval
    if interval is None or found.untouched.value is None:
        return None
    return {
        "count": found.untouched.count,
        "total": found.untouched.total,
        "percent": round(100 * found.untouched.value),
        "low": round(100 * interval[0]),
        "high": round(100 * interval[1]),
    }


def _category_page(
    request: HttpRequest,
    row: Category | None,
    form: CategoryForm,
    *,
    tighter: TighterForm | None = None,
    problem: str = "",
    conflict: Conflict | None = None,
    differences: Sequence[dict[str, str]] = (),
    status: int = 200,
) -> HttpResponse:
    person = person_of(request)
    found = category_evidence.NOTHING
    if row is not None:
        found = category_evidence.evidence_by_category(person, timezone.now()).get(
            row.key, category_evidence.NOTHING
        )
    context: dict[str, Any] = {
        "here": "policies",
        "category": row,
        "tier": Tier(row.tier) if row is not None else None,
        "form": form,
        "lists": [(form.fields[name].label, getattr(row, name)) for name in domain.LISTS]
        if row is not None
        else [],
        "families": list(row.families.all()) if row is not None else [],
        "share": shown_share(found),
        "thresholds": [{"word": THRESHOLD_WORDS[one.name], "threshold": one} for one in found.thresholds],
        "suggests_auto": found.suggests_auto,
        "may_edit": people.may_everywhere(person, Right.EDIT_POLICIES),
        "may_tighten": row is not None and row.tier == Tier.AUTO and people.may(person, Right.TIGHTEN),
        "tighter": tighter or (TighterForm(row=row) if row is not None else None),
        "may_remove": row is not None and not row.shipped_key,
        "problem": problem,
        "conflict": conflict,
        "differences": differences,
    }
    return render(request, "approvals/category.html", context, status=status)


def _family_page(
    request: HttpRequest,
    of: Category,
    row: TemplateFamily | None,
    form: FamilyForm,
    *,
    problem: str = "",
    conflict: Conflict | None = None,
    differences: Sequence[dict[str, str]] = (),
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "policies",
        "category": of,
        "family": row,
        "form": form,
        "may_edit": people.may_everywhere(person_of(request), Right.EDIT_POLICIES),
        "problem": problem,
        "conflict": conflict,
        "differences": differences,
    }
    return render(request, "approvals/family.html", context, status=status)
