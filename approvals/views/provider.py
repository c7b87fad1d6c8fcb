from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentmail.exceptions import NotFound, ProviderError, ProviderNotConfigured, Unauthenticated
from approvals import people, provider_drift, provider_rules
from approvals.forms_provider import (
    ACTIONS,
    LIMITS,
    LIST_TYPES,
    OPERATORS,
    OUTBOUND_FIELDS,
    SENDER_FIELDS,
    UNLIMITED,
    ItemsForm,
    KeepForm,
    ListForm,
    MembersForm,
    PolicyForm,
    ProviderForm,
    RuleForm,
    WorkspaceForm,
)
from approvals.people import Right
from approvals.provider_rules import ChangedMeanwhile, Held, ProviderRefused
from approvals.queries import visible_mailboxes
from approvals.views.access import person_of, signed_in
from approvals.views.versions import version_given
from approvals.views.writing import NotWritable, nothing_changed
from policies import changes
from policies.models import ProviderIntent, ProviderKind, ValueList

ITEMS_SHOWN = 200
KINDS: Mapping[str, ProviderKind] = {
    "policies": ProviderKind.POLICY,
    "rules": ProviderKind.RULE,
    "lists": ProviderKind.LIST,
    "workspaces": ProviderKind.WORKSPACE,
}
SLUGS: Mapping[ProviderKind, str] = {kind: slug for slug, kind in KINDS.items()}
TABS: Mapping[str, Any] = {
    "policies": _lazy("Policies"),
    "rules": _lazy("Rules"),
    "lists": _lazy("Lists"),
    "workspaces": _lazy("Workspaces"),
}
NEW_WORDS: Mapping[str, Any] = {
    "policies": _lazy("New policy"),
    "rules": _lazy("New rule"),
    "lists": _lazy("New list"),
    "workspaces": _lazy("New workspace"),
}
FIELD_WORDS: Mapping[str, Any] = {
    "name": _lazy("Name"),
    "description": _lazy("Description"),
    "type": _lazy("Holds"),
    "items": _lazy("Values"),
    "enabled": _lazy("In force"),
    "priority": _lazy("Priority"),
    "trigger": _lazy("Applies to"),
    "match": _lazy("Conditions"),
    "actions": _lazy("Then"),
    "domain": _lazy("Domain"),
    "auto_group": _lazy("Joins by itself"),
    "policy_id": _lazy("Policy"),
    "rule_ids": _lazy("Rules"),
    "limits.limit_attachment_allowed_types": _lazy("Types of attachment"),
    "spam_detection.use_list_dnsbl": _lazy("Ask lists of known spam senders"),
    "spam_detection.use_header_anomaly_detection": _lazy("Look for anomalies in headers"),
    "spam_detection.spam_sensitivity": _lazy("Spam sensitivity"),
} | {f"limits.{name}": word for name, word in LIMITS.items()}


# Pages


@require_safe
@signed_in
def provider(request: HttpRequest) -> HttpResponseBase:
    """What is wanted beside what is held, and the way to push the one onto the other."""
    _require(request, Right.READ_POLICIES)
    return _wanted_page(request)


@require_safe
@signed_in
def provider_objects(request: HttpRequest, slug: str) -> HttpResponseBase:
    _require(request, Right.READ_POLICIES)
    _kind(slug)
    return _list_page(request, slug)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def provider_new(request: HttpRequest, slug: str) -> HttpResponseBase:
    _require(request, Right.EDIT_POLICIES)
    kind = _kind(slug)
    try:
        form = _form(kind, request.POST if request.method == "POST" else None)
    except ProviderError as error:
        return _silent_page(request, slug, error)
    page = partial(_object_page, request, slug, form)
    if request.method != "POST":
        return page()
    if not form.is_valid():
        return page(status=422)
    made: list[Held] = []
    trouble = _asked(
        page,
        lambda: made.append(provider_rules.create(kind, form.wanted(), actor=_actor(request))),
        refuse=form.refuse,
        meanwhile=lambda _changed: _gone_page(request, slug),
    )
    if trouble is not None:
        return trouble
    messages.success(request, _("The provider holds “%(name)s” now.") % {"name": made[0].name})
    return redirect("approvals:provider_object", slug, made[0].id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def provider_object(request: HttpRequest, slug: str, object_id: str) -> HttpResponseBase:
    is_write = request.method == "POST"
    _require(request, Right.EDIT_POLICIES if is_write else Right.READ_POLICIES)
    kind = _kind(slug)
    try:
        held = provider_rules.held(kind, object_id)
        form = _form(kind, request.POST if is_write else None, held)
    except NotFound as error:
        if is_write:
            return _gone_page(request, slug)
        raise Http404 from error
    except ProviderError as error:
        return _silent_page(request, slug, error, status=502 if is_write else 200)
    page = partial(_object_page, request, slug, form, held)
    if not is_write:
        return page()
    if not form.is_valid():
        return page(status=422)
    trouble = _asked(
        page,
        lambda: provider_rules.change(
            kind, object_id, form.wanted(), seen=form.cleaned_data["seen"], actor=_actor(request)
        ),
        refuse=form.refuse,
        meanwhile=lambda changed: _changed_page(request, slug, form, changed),
    )
    if trouble is not None:
        return trouble
    messages.success(request, _("The provider holds it as written now."))
    return redirect("approvals:provider_object", slug, object_id)


@require_POST
@signed_in
def provider_delete(request: HttpRequest, slug: str, object_id: str) -> HttpResponseBase:
    held = _held_to_write(request, slug, object_id)
    if not isinstance(held, Held):
        return held

    def meanwhile(changed: ChangedMeanwhile) -> HttpResponse:
        if changed.current is None:
            return _gone_page(request, slug)
        problem = _(
            "Somebody changed it at the provider after this page was shown. Nothing was deleted; below it is as held "
            "now."
        )
        return _held_page(request, changed.current, problem=problem, status=409)

    trouble = _asked(
        partial(_held_page, request, held),
        lambda: provider_rules.remove(
            held.kind, object_id, seen=request.POST.get("seen", ""), actor=_actor(request)
        ),
        meanwhile=meanwhile,
    )
    if trouble is not None:
        return trouble
    messages.success(request, _("“%(name)s” is deleted at the provider.") % {"name": held.name})
    return redirect("approvals:provider_objects", slug)


@require_POST
@signed_in
def provider_items(request: HttpRequest, object_id: str) -> HttpResponseBase:
    held = _held_to_write(request, "lists", object_id)
    if not isinstance(held, Held):
        return held
    list_type = str(held.fields["type"])
    form = ItemsForm(request.POST, type=list_type)
    if not form.is_valid():
        return _held_page(request, held, items_form=form, status=422)
    changed = [held]
    # What a refusal in the middle leaves typed, and what is done already.
    left, done = form, ""
    for name, write in (("add", provider_rules.add_items), ("remove", provider_rules.remove_items)):
        values = form.cleaned_data[name]
        if not values:
            continue
        trouble = _asked(
            partial(_held_page, request, changed[-1], items_form=left),
            partial(_keep_result, changed, partial(write, object_id, values, actor=_actor(request))),
            refuse=None if done else partial(form.refuse, name),
            done=done,
            meanwhile=lambda _changed: _gone_page(request, "lists"),
        )
        if trouble is not None:
            return trouble
        left = ItemsForm(type=list_type, initial={"remove": request.POST.get("remove", "")})
        done = _("The values to add are in the list now; none was removed.")
    count = changed[-1].items_count
    messages.success(
        request,
        ngettext("The list holds %(count)d value now.", "The list holds %(count)d values now.", count)
        % {"count": count},
    )
    return redirect("approvals:provider_object", "lists", object_id)


@require_POST
@signed_in
def provider_members(request: HttpRequest, object_id: str) -> HttpResponseBase:
    held = _held_to_write(request, "workspaces", object_id)
    if not isinstance(held, Held):
        return held
    try:
        members = _members(request, held)
    except ProviderError as error:
        return _silent_page(request, "workspaces", error)
    form = MembersForm(request.POST, choices=members["choices"], is_auto_grouped=held.fields["auto_group"])
    page = partial(_held_page, request, held, members_form=form)
    if not form.is_valid():
        return page(status=422)
    chosen = list(visible_mailboxes(person_of(request)).filter(public_id__in=form.cleaned_data["mailboxes"]))
    trouble = _asked(
        page,
        lambda: provider_rules.assign(object_id, chosen, actor=_actor(request)),
        refuse=form.refuse,
        meanwhile=lambda _changed: _gone_page(request, "workspaces"),
    )
    if trouble is not None:
        return trouble
    messages.success(request, _("The workspace's policy and rules hold for them now."))
    return redirect("approvals:provider_object", "workspaces", object_id)


# What is wanted


@require_POST
@signed_in
def provider_keep(request: HttpRequest, slug: str, object_id: str) -> HttpResponseBase:
    held = _held_to_write(request, slug, object_id)
    if not isinstance(held, Held):
        return held
    form = KeepForm(request.POST, kind=held.kind)
    page = partial(_held_page, request, held, keep_form=form)
    if not form.is_valid():
        return page(status=422)
    try:
        provider_drift.keep(
            held,
            actor=_actor(request),
            scope=form.cleaned_data.get("scope"),
            version=form.cleaned_data["version"] or 0,
        )
    except ProviderRefused as refusal:
        return page(problem=str(refusal), status=422)
    except ProviderError as error:
        return page(problem=_provider_words(error), status=502)
    except changes.Conflict as conflict:
        return _held_page(
            request,
            held,
            problem=_("Somebody else changed what is wanted meanwhile. Look at it and decide again."),
            wish_differences=_wish_differences(held, conflict),
            status=409,
        )
    except NotWritable:
        return page(problem=nothing_changed(), status=503)
    messages.success(request, _("Wanted as it is now. Where the provider differs later, this desk says so."))
    return redirect("approvals:provider_object", slug, object_id)


@require_POST
@signed_in
def provider_forget(request: HttpRequest, intent_id: int) -> HttpResponseBase:
    _require(request, Right.EDIT_POLICIES)
    intent = ProviderIntent.objects.filter(pk=intent_id).first()
    if intent is None:
        raise Http404
    try:
        provider_drift.forget(intent_id, version=version_given(request), actor=_actor(request))
    except changes.Conflict:
        problem = _("Somebody else changed what is wanted meanwhile. Look at it and decide again.")
        return _wanted_page(request, problem=problem, status=409)
    except NotWritable:
        return _wanted_page(request, problem=nothing_changed(), status=503)
    messages.success(
        request,
        _("“%(name)s” is wanted no longer; the provider keeps what it holds.") % {"name": intent.name},
    )
    return redirect("approvals:provider")


@require_POST
@signed_in
def provider_deny(request: HttpRequest) -> HttpResponseBase:
    """Want our global deny list as lists and a rule of the provider."""
    _require(request, Right.EDIT_POLICIES)
    try:
        provider_drift.want_denied(actor=_actor(request))
    except NotWritable:
        return _wanted_page(request, problem=nothing_changed(), status=503)
    messages.success(
        request, _("Wanted: two lists and a rule that blocks them. Push to make the provider hold them.")
    )
    return redirect("approvals:provider")


@require_POST
@signed_in
def provider_push(request: HttpRequest) -> HttpResponseBase:
    _require(request, Right.EDIT_POLICIES)
    try:
        steps = provider_drift.push(actor=_actor(request))
    except provider_drift.PushBusy:
        return _wanted_page(request, problem=_("Somebody else is pushing at this moment."), status=409)
    except ProviderError as error:
        return _wanted_page(request, problem=_provider_words(error), status=502)
    except NotWritable:
        return _wanted_page(request, problem=nothing_changed(), status=503)
    is_done = all(step.outcome == provider_drift.StepOutcome.DONE for step in steps)
    return _wanted_page(request, steps=steps, status=200 if is_done else 422)


@require_POST
@signed_in
def provider_take_over(request: HttpRequest) -> HttpResponseBase:
    _require(request, Right.EDIT_POLICIES)
    try:
        done = provider_drift.take_over_workspaces(actor=_actor(request))
    except ProviderError as error:
        return _silent_page(request, "workspaces", error)
    except changes.Conflict:
        problem = _(
            "Somebody else changed a workspace of this desk at the same moment. Nothing was taken over."
        )
        return _list_page(request, "workspaces", problem=problem, status=409)
    except NotWritable:
        return _list_page(request, "workspaces", problem=nothing_changed(), status=503)
    messages.success(
        request,
        _("Taken over: %(workspaces)d workspaces and %(members)d mailboxes changed here.")
        % {"workspaces": done.workspaces, "members": done.members},
    )
    return redirect("approvals:provider_objects", "workspaces")


# How


def _require(request: HttpRequest, right: Right) -> None:
    # These objects belong to the whole application, so one mailbox is not enough to change them.
    person = person_of(request)
    is_allowed = (
        people.may(person, right) if right == Right.READ_POLICIES else people.may_everywhere(person, right)
    )
    if not is_allowed:
        raise PermissionDenied


def _kind(slug: str) -> ProviderKind:
    if slug not in KINDS:
        raise Http404
    return KINDS[slug]


def _actor(request: HttpRequest) -> Any:
    return people.actor_for(person_of(request))


def _held_to_write(request: HttpRequest, slug: str, object_id: str) -> Held | HttpResponse:
    """The object a form is about, or the page that says why there is none."""
    _require(request, Right.EDIT_POLICIES)
    try:
        return provider_rules.held(_kind(slug), object_id)
    except NotFound:
        return _gone_page(request, slug)
    except ProviderError as error:
        return _silent_page(request, slug, error)


def _asked(
    page: Callable[..., HttpResponse],
    ask: Callable[[], object],
    *,
    meanwhile: Callable[[ChangedMeanwhile], HttpResponse],
    refuse: Callable[[str, str], None] | None = None,
    done: str = "",
) -> HttpResponse | None:
    """Ask the provider for a change; None, or the page that says why it was not made.

    `refuse` puts a refusal at its field, else it stands at the top of the page. `done` says what was changed before
    this, where it was one of several.
    """
    try:
        ask()
    except ChangedMeanwhile as changed:
        return meanwhile(changed)
    except ProviderRefused as refusal:
        if refuse is not None:
            refuse(refusal.field, str(refusal))
            return page(status=422)
        problem, status = provider_rules.refused_words(str(refusal)), 422
    except ProviderError as error:
        problem, status = _write_words(error), 502
    except NotWritable:
        problem, status = nothing_changed(), 503
        if done:
            problem = _("The database takes no writes at the moment; try the rest again in a moment.")
    else:
        return None
    return page(problem=f"{done} {problem}".strip(), status=status)


def _keep_result(results: list[Held], call: Callable[[], Held]) -> None:
    results.append(call())


def _form(kind: ProviderKind, data: Any, held: Held | None = None) -> ProviderForm:
    match kind:
        case ProviderKind.POLICY:
            return PolicyForm(data, held=held)
        case ProviderKind.LIST:
            return ListForm(data, held=held)
        case ProviderKind.RULE:
            return RuleForm(data, held=held, lists=provider_rules.listed(ProviderKind.LIST))
    return WorkspaceForm(
        data,
        held=held,
        policies=provider_rules.listed(ProviderKind.POLICY),
        rules=provider_rules.listed(ProviderKind.RULE),
    )


def _page(
    request: HttpRequest, slug: str, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    base: dict[str, Any] = {
        "here": "policies",
        "now": timezone.now(),
        "slug": slug,
        "tab_word": TABS.get(slug, ""),
        "tabs": [
            (_("Wanted and held"), reverse("approvals:provider"), slug == ""),
            *(
                (word, reverse("approvals:provider_objects", args=[name]), name == slug)
                for name, word in TABS.items()
            ),
        ],
        "may_edit": people.may_everywhere(person_of(request), Right.EDIT_POLICIES),
    }
    return render(request, f"approvals/{template}", base | context, status=status)


def _list_page(request: HttpRequest, slug: str, *, problem: str = "", status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"new_word": NEW_WORDS[slug], "rows": [], "problem": problem}
    try:
        context |= _listing(request, _kind(slug))
    except ProviderError as error:
        context["silence"] = _provider_words(error)
    return _page(request, slug, "provider-list.html", context, status)


def _gone_page(request: HttpRequest, slug: str) -> HttpResponse:
    return _list_page(request, slug, problem=_("The provider no longer has it."), status=409)


def _silent_page(
    request: HttpRequest, slug: str, error: ProviderError, *, problem: str = "", status: int = 502
) -> HttpResponse:
    context = {"silence": _provider_words(error), "rows": [], "problem": problem}
    return _page(request, slug, "provider-list.html", context, status)


def _held_page(
    request: HttpRequest, held: Held, *, problem: str = "", status: int = 200, **parts: Any
) -> HttpResponse:
    """The page of an object with its fields as they are held, around what a smaller form on it says."""
    slug = SLUGS[held.kind]
    try:
        form = _form(held.kind, None, held)
    except ProviderError as error:
        return _silent_page(request, slug, error, problem=problem, status=max(status, 409))
    return _object_page(request, slug, form, held, problem=problem, status=status, **parts)


def _changed_page(
    request: HttpRequest, slug: str, form: ProviderForm, meanwhile: ChangedMeanwhile
) -> HttpResponse:
    if meanwhile.current is None:
        return _gone_page(request, slug)
    problem = _(
        "Somebody changed it at the provider after this form was shown. Below is what you wrote; where it differs "
        "from what is held now is listed. Save again to write yours over it."
    )
    if isinstance(form.data, QueryDict):
        data = form.data.copy()
        data["seen"] = meanwhile.current.seen
        form.data = data
    return _object_page(
        request,
        slug,
        form,
        meanwhile.current,
        problem=problem,
        differences=[_shown_difference(one.field, one.wanted, one.held, {}) for one in meanwhile.differences],
        status=409,
    )


def _object_page(
    request: HttpRequest,
    slug: str,
    form: ProviderForm,
    held: Held | None = None,
    *,
    items_form: ItemsForm | None = None,
    members_form: MembersForm | None = None,
    keep_form: KeepForm | None = None,
    problem: str = "",
    differences: list[dict[str, Any]] | None = None,
    wish_differences: list[dict[str, Any]] | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "held": held,
        "title": held.name if held is not None else NEW_WORDS[slug],
        "problem": problem,
        "differences": differences or [],
        "wish_differences": wish_differences or [],
        "action": reverse("approvals:provider_object", args=[slug, held.id])
        if held is not None
        else reverse("approvals:provider_new", args=[slug]),
    }
    if held is not None:
        intent = provider_drift.intent_of(held.kind, held.id)
        context["intent"] = intent
        context["keep_form"] = keep_form or KeepForm(kind=held.kind, intent=intent)
        try:
            if held.kind == ProviderKind.RULE:
                context["attached_to"] = _attached_to(held)
            if held.kind == ProviderKind.LIST:
                context["items"] = provider_rules.items_of(held.id, limit=ITEMS_SHOWN)
                context["items_form"] = items_form or ItemsForm(type=str(held.fields["type"]))
            if held.kind == ProviderKind.WORKSPACE:
                members = _members(request, held)
                context["members"] = members["here"]
                context["members_form"] = members_form or MembersForm(choices=members["choices"])
                context["has_others"] = bool(members["choices"])
        except ProviderError as error:
            context["silence"] = _provider_words(error)
    return _page(request, slug, "provider-object.html", context, status)


def _members(request: HttpRequest, held: Held) -> dict[str, Any]:
    """The person's mailboxes in a workspace, and those elsewhere that could be put into it."""
    of_grants = provider_rules.workspace_of_grants()
    here, choices = [], []
    for mailbox in visible_mailboxes(person_of(request)).order_by("address"):
        if of_grants.get(mailbox.grant_id) == held.id:
            here.append(mailbox)
        elif mailbox.grant_id in of_grants:
            choices.append((str(mailbox.public_id), mailbox.address))
    return {"here": here, "choices": choices}


def _wish_differences(held: Held, conflict: changes.Conflict) -> list[dict[str, Any]]:
    """Where what is wanted by now is not what would have been kept."""
    stored, given = conflict.differences.get("wanted", ({}, {}))
    found = [
        _items_difference(
            set(one.wanted or ()) - set(one.held or ()), set(one.held or ()) - set(one.wanted or ())
        )
        if one.field == "items"
        else _shown_difference(one.field, one.wanted, one.held, {})
        for one in provider_rules.differences_of(stored, given)
    ]
    if "scope" in conflict.differences:
        words = dict(KeepForm(kind=held.kind).scope_choices())
        was, typed = (words.get(scope, scope) for scope in conflict.differences["scope"])
        found.append({"word": _("Attached to"), "wanted": was, "held": typed})
    return found


def _attached_to(held: Held) -> list[Held]:
    workspaces = provider_rules.listed(ProviderKind.WORKSPACE)
    return [one for one in workspaces if held.id in one.fields["rule_ids"]]


def _listing(request: HttpRequest, kind: ProviderKind) -> dict[str, Any]:
    rows = provider_rules.listed(kind)
    wanted = set(ProviderIntent.objects.filter(kind=kind.value).values_list("provider_id", flat=True))
    names = _names(kind)
    context: dict[str, Any] = {
        "rows": [
            {"held": held, "sentence": _sentence(held, names), "is_wanted": held.id in wanted}
            for held in rows
        ]
    }
    if kind == ProviderKind.WORKSPACE:
        of_grants = provider_rules.workspace_of_grants()
        by_id = {held.id: held for held in rows}
        context["mailboxes"] = [
            {"mailbox": mailbox, "workspace": workspace, "sentence": _sentence(workspace, names)}
            if (workspace := by_id.get(of_grants.get(mailbox.grant_id, ""))) is not None
            else {
                "mailbox": mailbox,
                "workspace": None,
                "sentence": _("In no workspace: no rule holds for it."),
            }
            for mailbox in visible_mailboxes(person_of(request)).order_by("address")
            if mailbox.grant_id in of_grants
        ]
    return context


def _names(kind: ProviderKind) -> dict[str, str]:
    """The names of what objects of a kind refer to, by id."""
    needed = {
        ProviderKind.RULE: (ProviderKind.LIST,),
        ProviderKind.WORKSPACE: (ProviderKind.POLICY, ProviderKind.RULE),
    }.get(kind, ())
    return {held.id: held.name for one in needed for held in provider_rules.listed(one)}


def _sentence(held: Held, names: Mapping[str, str]) -> str:
    fields = held.fields
    match held.kind:
        case ProviderKind.POLICY:
            parts = [
                f"{LIMITS[name]}: {_limit_text(fields['limits'].get(name))}"
                for name in (
                    "limit_count_daily_email_sent",
                    "limit_inbox_retention_period",
                    "limit_spam_retention_period",
                )
            ]
            return "; ".join(parts)
        case ProviderKind.RULE:
            return _rule_sentence(fields, names)
        case ProviderKind.LIST:
            return _("%(type)s: %(count)d values") % {
                "type": LIST_TYPES.get(str(fields["type"]), fields["type"]),
                "count": held.items_count,
            }
    policy = names.get(fields["policy_id"] or "", fields["policy_id"] or _("none"))
    rules = ", ".join(names.get(one, one) for one in fields["rule_ids"]) or _("none")
    return _("Policy: %(policy)s. Rules: %(rules)s.") % {"policy": policy, "rules": rules}


def _rule_sentence(fields: Mapping[str, Any], names: Mapping[str, str]) -> str:
    words = {**SENDER_FIELDS, **OUTBOUND_FIELDS}
    conditions = []
    for one in fields["match"]["conditions"]:
        value = one["value"]
        shown = ", ".join(names.get(item, item) for item in value) if isinstance(value, list) else value
        conditions.append(
            f"{words.get(one['field'], one['field'])} {OPERATORS.get(one['operator'], one['operator'])} “{shown}”"
        )
    joined = (_(" or ") if fields["match"]["operator"] == "any" else _(" and ")).join(conditions)
    actions = ", ".join(
        _("put into %(folder)s") % {"folder": one.get("value", "")}
        if one["type"] == "assign_to_folder"
        else str(ACTIONS.get(one["type"], one["type"]))
        for one in fields["actions"]
    )
    mail = _("Outgoing mail") if fields["trigger"] == "outbound" else _("Incoming mail")
    off = "" if fields["enabled"] else " " + _("Not in force.")
    return f"{mail}: {joined} → {actions}.{off}"


def _limit_text(value: Any) -> str:
    if value is None:
        return _("not said")
    return _("unlimited") if value == UNLIMITED else str(value)


def _wanted_page(
    request: HttpRequest, *, problem: str = "", steps: list[Any] | None = None, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "problem": problem,
        "steps": steps,
        "steps_done": sum(step.outcome == provider_drift.StepOutcome.DONE for step in steps or []),
        "look": provider_drift.last_look(),
        "left_out": provider_drift.denials_of(provider_drift.denied_patterns()).left_out,
        "has_denied": ProviderIntent.objects.filter(source=provider_drift.DENY_RULE).exists(),
        "drifts": [],
    }
    try:
        drifts = provider_drift.compare()
        names = _names(ProviderKind.WORKSPACE) | _names(ProviderKind.RULE) if drifts else {}
        names |= {drift.wish.reference: drift.name for drift in drifts if drift.wish is not None}
        context["drifts"] = [_shown_drift(drift, names) for drift in drifts]
        context["differing"] = sum(drift.standing != provider_drift.Standing.SAME for drift in drifts)
    except ProviderError as error:
        context["silence"] = _provider_words(error)
        context["intents"] = ProviderIntent.objects.all()
    return _page(request, "", "provider-wanted.html", context, status)


def _shown_drift(drift: provider_drift.Drift, names: Mapping[str, str]) -> dict[str, Any]:
    differences = [
        _shown_difference(one.field, one.wanted, one.held, names, drift.standing == "missing")
        for one in drift.differences
    ]
    if drift.lacks or drift.surplus:
        differences.append(_items_difference(drift.lacks, drift.surplus))
    return {
        "drift": drift,
        "kind_word": drift.kind.label,
        "address": reverse("approvals:provider_object", args=[SLUGS[drift.kind], drift.provider_id])
        if drift.provider_id
        else "",
        "differences": differences,
        "origin": _origin(drift.wish),
        "is_denial": drift.wish is not None and drift.wish.source in provider_drift.DENIALS,
        # What one of our rules wants ends with the rule.
        "may_forget": drift.intent is not None
        and drift.standing != provider_drift.Standing.UNWANTED
        and not drift.intent.source.startswith((provider_drift.RULE_SOURCE, provider_drift.LIST_SOURCE)),
    }


def _origin(wish: provider_drift.Wish | None) -> str:
    source = wish.source if wish is not None else ""
    if source.startswith(provider_drift.RULE_SOURCE):
        return reverse("approvals:rule", args=[int(source.removeprefix(provider_drift.RULE_SOURCE))])
    if source.startswith(provider_drift.LIST_SOURCE):
        public_id = source.removeprefix(provider_drift.LIST_SOURCE)
        row = ValueList.objects.filter(public_id=public_id).first()
        return reverse("approvals:value_list", args=[row.pk]) if row is not None else ""
    return ""


def _items_difference(lacks: Collection[str], surplus: Collection[str]) -> dict[str, Any]:
    return {
        "word": FIELD_WORDS["items"],
        "wanted": _values_text(sorted(lacks), _("lacking here")),
        "held": _values_text(sorted(surplus), _("too much")),
    }


def _values_text(values: Sequence[str], word: str) -> str:
    if not values:
        return "-"
    shown = ", ".join(values[: provider_drift.SHOWN_VALUES])
    more = len(values) - provider_drift.SHOWN_VALUES
    return f"{len(values)} {word}: {shown}" + (_(" and %(count)d more") % {"count": more} if more > 0 else "")


def _shown_difference(
    field: str, wanted: Any, held: Any, names: Mapping[str, str], is_missing: bool = False
) -> dict[str, Any]:
    return {
        "word": FIELD_WORDS.get(field, field),
        "wanted": _value_text(field, wanted, names),
        "held": "-" if is_missing else _value_text(field, held, names),
    }


def _value_text(field: str, value: Any, names: Mapping[str, str]) -> str:
    if value is None or value == "":
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if field == "match" and isinstance(value, dict):
        fields = {"match": value, "actions": [], "trigger": "outbound", "enabled": True}
        return _rule_sentence(fields, names).partition(": ")[2].partition(" →")[0]
    if field == "actions" and isinstance(value, list):
        return ", ".join(" ".join(str(part) for part in one.values()) for one in value)
    if isinstance(value, list):
        return ", ".join(names.get(str(one), str(one)) for one in value) or _("none")
    if isinstance(value, dict):
        return ", ".join(f"{FIELD_WORDS.get(f'{field}.{key}', key)}: {one}" for key, one in value.items())
    return names.get(str(value), str(value))


def _provider_words(error: ProviderError) -> str:
    if isinstance(error, ProviderNotConfigured):
        return _("No provider is set up: NYLAS_API_URI and NYLAS_API_KEY are not set.")
    if isinstance(error, Unauthenticated):
        return _("The provider refuses our key. Set NYLAS_API_KEY to a valid one.")
    return _("The provider gives no usable answer, so what it holds is not known now. Try again in a moment.")


def _write_words(error: ProviderError) -> str:
    if isinstance(error, ProviderNotConfigured | Unauthenticated):
        return _provider_words(error)
    return provider_rules.unknown_outcome()
