from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import people, rulebook
from approvals.forms_rules import (
    ACTION_WORDS,
    ACTIONS,
    CONDITIONS,
    FIELD_WORDS,
    OPERATOR_WORDS,
    ImportForm,
    RuleEditor,
    digest_of,
    with_another_row,
)
from approvals.people import Right
from approvals.views.access import person_of, signed_in
from approvals.views.versions import differences, version_given, with_version
from approvals.views.writing import NotWritable, nothing_changed
from policies import exchange
from policies import rules as domain
from policies.changes import Conflict
from policies.faults import Fault, Invalid
from policies.models import EnforcedAt, Rule, Trigger, ValueList


@require_safe
@signed_in
def rules(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    found = rulebook.rules_for(person)
    hits = rulebook.hits_of(person, found)
    words = rulebook.scope_words(person)
    context: dict[str, Any] = {
        "here": "policies",
        "rows": [
            {
                "rule": rule,
                "scope": words.get(rule.scope, rule.scope),
                "enforced": rulebook.enforcement(rule)[0],
                "actions": _actions_text(rule),
                "hits": hits[rule.pk],
            }
            for rule in found
        ],
        "may_edit": people.may_everywhere(person, Right.EDIT_POLICIES),
    }
    return render(request, "approvals/rules.html", context)


@require_safe
@signed_in
def rule(request: HttpRequest, pk: int) -> HttpResponseBase:
    return _detail(request, _found(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponseBase:
    _editor_or_403(request)
    return _edited(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _editor_or_403(request)
    return _edited(request, found)


@require_POST
@signed_in
def switch_on(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _editor_or_403(request)
    wanted = request.POST.get("is_enabled") == "yes"
    try:
        domain.switch_on(
            pk, wanted, version=version_given(request), actor=people.actor_for(person_of(request))
        )
    except Conflict:
        return _detail(request, found, problem=_changed_meanwhile(), status=409)
    except NotWritable:
        return _detail(request, found, problem=nothing_changed(), status=503)
    messages.success(
        request,
        _("Enabled. It is asked from now on.") if wanted else _("Disabled. It is not asked any more."),
    )
    return redirect("approvals:rule", pk)


@require_POST
@signed_in
def remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _found(request, pk)
    _editor_or_403(request)
    try:
        domain.remove(pk, version=version_given(request), actor=people.actor_for(person_of(request)))
    except Conflict:
        return _detail(request, found, problem=_changed_meanwhile(), status=409)
    except NotWritable:
        return _detail(request, found, problem=nothing_changed(), status=503)
    messages.success(
        request, _("The rule “%(name)s” is removed; the record keeps it.") % {"name": found.name}
    )
    return redirect("approvals:rules")


def _found(request: HttpRequest, pk: int) -> Rule:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    found = rulebook.rule_for(person, pk)
    if found is None:
        raise Http404
    return found


def _editor_or_403(request: HttpRequest) -> None:
    if not people.may_everywhere(person_of(request), Right.EDIT_POLICIES):
        raise PermissionDenied


def _changed_meanwhile() -> str:
    return _("Somebody else changed this rule meanwhile. Nothing was changed; look at it as it is now.")


def _edited(request: HttpRequest, found: Rule | None) -> HttpResponseBase:
    scopes = rulebook.all_scopes()
    if request.method != "POST":
        return _form_page(request, found, RuleEditor(rule=found, scopes=scopes))
    for kind in (CONDITIONS, ACTIONS):
        if request.POST.get("add") == kind:
            editor = RuleEditor(with_another_row(request.POST, kind), rule=found, scopes=scopes)
            return _form_page(request, found, editor, is_unfinished=True)
    editor = RuleEditor(request.POST, rule=found, scopes=scopes)
    if not editor.is_readable():
        return _form_page(request, found, editor, status=422)
    actor = people.actor_for(person_of(request))
    reason = editor.form.cleaned_data["reason"]
    try:
        if found is None:
            kept = domain.create(editor.said(), actor=actor, reason=reason, known_scopes=scopes)
        else:
            version = editor.form.cleaned_data["version"] or 0
            kept = domain.change(
                found.pk, editor.said(), version=version, actor=actor, reason=reason, known_scopes=scopes
            )
    except Invalid as invalid:
        editor.show(invalid.faults)
        return _form_page(request, found, editor, status=422)
    except Conflict as conflict:
        if conflict.current is not None:
            data = with_version(request.POST, conflict.current.version)
            editor = RuleEditor(data, rule=found, scopes=scopes)
        return _form_page(request, found, editor, conflict=conflict, status=409)
    except NotWritable:
        return _form_page(request, found, editor, problem=nothing_changed(), status=503)
    messages.success(request, _("Kept. It holds from the next evaluation on."))
    return redirect("approvals:rule", kept.pk)


def _form_page(
    request: HttpRequest,
    found: Rule | None,
    editor: RuleEditor,
    *,
    conflict: Conflict | None = None,
    problem: str = "",
    is_unfinished: bool = False,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "policies",
        "rule": found,
        "editor": editor,
        "faults": [] if is_unfinished or status == 200 else editor.faults(),
        "problem": problem,
        "conflict": conflict,
        "differences": differences(conflict, in_words=_plain),
        "fields": [
            {
                "name": name,
                "word": FIELD_WORDS[name],
                "operators": ", ".join(domain.OPERATORS[field.kind]),
                "is_inbound": Trigger.INBOUND in field.triggers,
                "is_provider": bool(field.provider),
            }
            for name, field in domain.FIELDS.items()
        ],
        "operators": [{"name": name, "word": word} for name, word in OPERATOR_WORDS.items()],
        "actions": [{"name": name, "word": word} for name, word in ACTION_WORDS.items()],
    }
    return render(request, "approvals/rule_form.html", context, status=status)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(" ".join(str(part) for part in entry.values()) for entry in value)
    return str(value)


def _detail(request: HttpRequest, found: Rule, *, problem: str = "", status: int = 200) -> HttpResponse:
    person = person_of(request)
    current = rulebook.rule_for(person, found.pk)
    if current is None:
        raise Http404
    enforced, obstacle = rulebook.enforcement(current)
    context: dict[str, Any] = {
        "here": "policies",
        "rule": current,
        "scope": rulebook.scope_words(person).get(current.scope, current.scope),
        "enforced": enforced,
        "obstacle": obstacle,
        "conditions": _conditions(current),
        "actions": _actions_text(current),
        "hits": rulebook.hits_of(person, [current])[current.pk],
        "judgements": rulebook.judgements_of(person, current),
        "inbound_judgements": rulebook.inbound_judgements_of(person, current)
        if current.trigger == Trigger.INBOUND
        else [],
        "may_edit": people.may_everywhere(person, Right.EDIT_POLICIES),
        "problem": problem,
    }
    return render(request, "approvals/rule.html", context, status=status)


def _conditions(rule: Rule) -> list[dict[str, Any]]:
    wanted = {
        one
        for condition in rule.conditions
        if condition["operator"] == "in_list"
        for one in condition["value"]
    }
    named = {str(one.public_id): one for one in ValueList.objects.filter(public_id__in=wanted)}
    return [
        {
            "field": condition["field"],
            "operator": condition["operator"],
            "value": "" if condition["operator"] == "in_list" else str(condition["value"]),
            "lists": [named.get(one) for one in condition["value"]]
            if condition["operator"] == "in_list"
            else [],
        }
        for condition in rule.conditions
    ]


def _actions_text(rule: Rule) -> str:
    return ", ".join(
        f"{ACTION_WORDS[action['type']]} {action.get('value', '')}".strip() for action in rule.actions
    )


@require_safe
@signed_in
def export(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    if not people.may(person, Right.READ_POLICIES):
        raise PermissionDenied
    answer = HttpResponse(
        exchange.exported(rulebook.rules_for(person)), content_type="application/json; charset=utf-8"
    )
    answer["Content-Disposition"] = 'attachment; filename="rules.json"'
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def take_in(request: HttpRequest) -> HttpResponseBase:
    _editor_or_403(request)
    if request.method != "POST":
        return _import_page(request, ImportForm())
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_page(request, form, status=422)
    text = form.said()
    scopes = rulebook.all_scopes()
    # What is written is what was shown: another text is shown first.
    is_confirmed = "confirm" in request.POST and form.cleaned_data["digest"] == digest_of(text)
    shown = ImportForm(initial={"text": text, "digest": digest_of(text)})
    try:
        if not is_confirmed:
            return _import_page(request, shown, plan=exchange.planned(text, known_scopes=scopes))
        actor = people.actor_for(person_of(request))
        plan = exchange.imported(text, actor=actor, known_scopes=scopes)
    except Invalid as invalid:
        return _import_page(request, shown, faults=invalid.faults, status=422)
    except NotWritable:
        return _import_page(request, shown, problem=nothing_changed(), status=503)
    messages.success(
        request,
        _("Taken in: %(rules)d rules and %(lists)d lists.")
        % {"rules": len(plan.rules), "lists": len(plan.lists)},
    )
    return redirect("approvals:rules")


def _import_page(
    request: HttpRequest,
    form: ImportForm,
    *,
    plan: exchange.Plan | None = None,
    faults: Sequence[Fault] = (),
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "here": "policies",
        "form": form,
        "plan": plan,
        "rows": [
            {
                "name": fields["name"],
                "is_known": fields["name"] in plan.known_names,
                "actions": _actions_text(Rule(**fields)),
                "scope": fields["scope"],
                "enforced": EnforcedAt(fields["enforced_at"]).label,
            }
            for fields in plan.rules
        ]
        if plan
        else [],
        "faults": faults,
        "problem": problem,
    }
    return render(request, "approvals/rules_import.html", context, status=status)
