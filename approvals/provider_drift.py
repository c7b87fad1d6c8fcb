"""What the provider shall hold, compared with what it holds, and how the one is made the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from agentmail.client import MOST_ITEMS
from agentmail.exceptions import ProviderError, ProviderNotConfigured
from agentmail.models import Mailbox
from approvals import provider_rules
from approvals.provider_rules import ChangedMeanwhile, Difference, Held, ProviderRefused, differences_of
from audit.clock import database_now
from audit.record import Actor
from policies import changes, locks
from policies.models import (
    ProviderIntent,
    ProviderKind,
    ProviderLook,
    ProviderSource,
    Workspace,
    WorkspaceMember,
)
from policies.scopes import GLOBAL, workspace_scope

LOOK_EVERY = timedelta(hours=1)
SHOWN_VALUES = 20
# The provider takes 50 conditions in a rule; two of them name the lists.
MOST_SUBDOMAIN_CONDITIONS = 48
PUSH_LOCK = "provider:push"
# Whether this desk has a deny list that could be wanted at the provider.
CAN_DENY = False

_REFERENCE = re.compile(r"intent:(\d+)")


class Standing(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Drift:
    """How one wanted object stands. `intent` is None for a workspace that is wanted only for the rules attached."""

    kind: ProviderKind
    name: str
    provider_id: str
    standing: Standing
    differences: tuple[Difference, ...] = ()
    intent: ProviderIntent | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    # Values of a list: what it lacks and what it has too much.
    lacks: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()


class StepOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_DONE = "not_done"


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a push. `why` is the provider's answer where it was not done."""

    sentence: str
    outcome: StepOutcome
    why: str = ""


class PushBusy(Exception):
    """Somebody else is pushing at this moment."""


@dataclass(frozen=True, slots=True)
class Denials:
    """The denied recipients in the provider's vocabulary. `left_out` counts `*.` patterns that found no room."""

    domains: tuple[str, ...]
    addresses: tuple[str, ...]
    subdomains_of: tuple[str, ...]
    left_out: int


def denials_of(patterns: Iterable[str]) -> Denials:
    """Sort deny patterns (an address, a domain, or `*.domain`) into what lists and conditions can say.

    The provider compares domains exactly, so `*.domain` becomes a condition that also holds for names which merely
    contain `.domain`; a backstop may refuse too much, never too little.
    """
    given = sorted(set(patterns))
    wide = [pattern[2:] for pattern in given if pattern.startswith("*.")]
    return Denials(
        domains=tuple(one for one in given if "@" not in one and not one.startswith("*.")),
        addresses=tuple(one for one in given if "@" in one),
        subdomains_of=tuple(wide[:MOST_SUBDOMAIN_CONDITIONS]),
        left_out=max(0, len(wide) - MOST_SUBDOMAIN_CONDITIONS),
    )


def denied_patterns() -> Iterable[str]:
    """The patterns of the global deny list."""
    return ()


# What is wanted


def keep(held: Held, *, actor: Actor, scope: str | None = None) -> ProviderIntent:
    """Want an object as it is held now; an earlier wish for it is replaced.

    `scope` says to which workspaces a rule is attached ("global", "workspace:3"), "" leaves that to the workspaces,
    None keeps what was said before. Raises `ProviderError` when the values of a list cannot be read.
    """
    references = {
        (intent.kind, intent.provider_id): intent.reference
        for intent in ProviderIntent.objects.exclude(provider_id="")
    }
    wanted = _with_references(held.fields, references)
    if held.kind == ProviderKind.LIST:
        wanted["items"] = provider_rules.items_of(held.id)
    intent = intent_of(held.kind, held.id)
    fields: dict[str, Any] = {"name": held.name, "wanted": wanted}
    if scope is not None and held.kind == ProviderKind.RULE:
        fields["scope"] = scope
    if intent is None:
        return changes.create(
            ProviderIntent, actor=actor, kind=held.kind.value, provider_id=held.id, **fields
        )
    if intent.source:
        fields = {name: value for name, value in fields.items() if name == "scope"}
    return changes.change(ProviderIntent, intent.pk, version=intent.version, actor=actor, **fields)


def intent_of(kind: ProviderKind, provider_id: str) -> ProviderIntent | None:
    return ProviderIntent.objects.filter(kind=kind.value, provider_id=provider_id).first()


def want_denied(*, actor: Actor) -> None:
    """Want the global deny list at the provider: one list of domains, one of addresses, and a rule that blocks both
    in every workspace. What is wanted already stays.
    """
    with transaction.atomic():
        for source, kind, name, wanted, scope in (
            (ProviderSource.DENY_DOMAINS, ProviderKind.LIST, "Countersign denied domains", "domain", ""),
            (ProviderSource.DENY_ADDRESSES, ProviderKind.LIST, "Countersign denied addresses", "address", ""),
            (ProviderSource.DENY_RULE, ProviderKind.RULE, "Countersign denied recipients", "", GLOBAL),
        ):
            if not ProviderIntent.objects.filter(source=source).exists():
                fields = {"name": name} | ({"type": wanted} if wanted else {})
                changes.create(
                    ProviderIntent,
                    actor=actor,
                    kind=kind.value,
                    name=name,
                    wanted=fields,
                    source=source.value,
                    scope=scope,
                )


def forget(intent_id: int, *, version: int, actor: Actor) -> None:
    """Want it no longer; the provider keeps what it holds. Raises `policies.changes.Conflict`."""
    changes.remove(ProviderIntent, intent_id, version=version, actor=actor)


def set_scope(intent_id: int, scope: str, *, version: int, actor: Actor) -> None:
    """Say to which workspaces a wanted rule is attached. Raises `policies.changes.Conflict`."""
    changes.change(ProviderIntent, intent_id, version=version, actor=actor, scope=scope)


# The comparison


def compare() -> list[Drift]:
    """Every wanted object with how it stands at the provider, in the order in which a push makes them.

    Raises `ProviderError`: of a silent provider nothing is known.
    """
    intents = list(ProviderIntent.objects.all())
    if not intents:
        return []
    denials = denials_of(denied_patterns()) if any(intent.source for intent in intents) else denials_of(())
    kinds = {ProviderKind(intent.kind) for intent in intents}
    is_attached = any(intent.scope for intent in intents)
    if is_attached:
        kinds.add(ProviderKind.WORKSPACE)
    held = {kind: {one.id: one for one in provider_rules.listed(kind)} for kind in kinds}
    ids = {
        intent.reference: intent.provider_id
        for intent in intents
        if intent.provider_id in held[ProviderKind(intent.kind)]
    }
    drifts = []
    for kind in (ProviderKind.POLICY, ProviderKind.LIST, ProviderKind.RULE):
        for intent in intents:
            if intent.kind == kind:
                drifts.append(_drift(intent, held[kind].get(intent.provider_id), ids, intents, denials))
    if ProviderKind.WORKSPACE in kinds:
        drifts += _workspace_drifts(intents, held[ProviderKind.WORKSPACE], ids)
    return drifts


def _drift(
    intent: ProviderIntent,
    held: Held | None,
    ids: Mapping[str, str],
    intents: Sequence[ProviderIntent],
    denials: Denials,
) -> Drift:
    fields = _resolved(_fields(intent, intents, denials), ids)
    items = _items(intent, denials)
    kind = ProviderKind(intent.kind)
    if held is None:
        differences = tuple(Difference(name, value, None) for name, value in fields.items())
        return Drift(
            kind, intent.name, "", Standing.MISSING, differences, intent, fields, lacks=tuple(items or ())
        )
    differences = tuple(differences_of(fields, held.fields))
    lacks: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    if items is not None:
        have = set(provider_rules.items_of(held.id))
        lacks = tuple(sorted(set(items) - have))
        surplus = tuple(sorted(have - set(items)))
    is_same = not (differences or lacks or surplus)
    standing = Standing.SAME if is_same else Standing.DIFFERS
    return Drift(kind, intent.name, held.id, standing, differences, intent, fields, lacks, surplus)


def _fields(intent: ProviderIntent, intents: Sequence[ProviderIntent], denials: Denials) -> dict[str, Any]:
    fields = {name: value for name, value in intent.wanted.items() if name != "items"}
    if intent.source != ProviderSource.DENY_RULE:
        return fields
    lists = {one.source: one.reference for one in intents}
    conditions: list[dict[str, Any]] = [
        {"field": f"recipient.{part}", "operator": "in_list", "value": [lists[source]]}
        for part, source in (
            ("domain", ProviderSource.DENY_DOMAINS.value),
            ("address", ProviderSource.DENY_ADDRESSES.value),
        )
        if source in lists
    ]
    conditions += [
        {"field": "recipient.domain", "operator": "contains", "value": f".{domain}"}
        for domain in denials.subdomains_of
    ]
    return {
        **fields,
        "priority": 0,
        "enabled": True,
        "trigger": "outbound",
        "match": {"operator": "any", "conditions": conditions},
        "actions": [{"type": "block"}],
    }


def _items(intent: ProviderIntent, denials: Denials) -> Sequence[str] | None:
    match intent.source:
        case ProviderSource.DENY_DOMAINS.value:
            return denials.domains
        case ProviderSource.DENY_ADDRESSES.value:
            return denials.addresses
    return intent.wanted.get("items", []) if intent.kind == ProviderKind.LIST else None


def _workspace_drifts(
    intents: Sequence[ProviderIntent], held: Mapping[str, Held], ids: Mapping[str, str]
) -> list[Drift]:
    ours = {row.provider_id: workspace_scope(row.pk) for row in Workspace.objects.exclude(provider_id="")}
    wanted = {
        intent.provider_id: intent
        for intent in intents
        if intent.kind == ProviderKind.WORKSPACE and intent.provider_id in held
    }
    rules = [
        (ids.get(intent.reference, intent.reference), intent.scope)
        for intent in intents
        if intent.kind == ProviderKind.RULE and intent.scope
    ]
    scoped = {rule_id for rule_id, _scope in rules}
    drifts = []
    for workspace in held.values():
        intent = wanted.get(workspace.id)
        fields = {"rule_ids": workspace.fields["rule_ids"]}
        if intent is not None:
            fields = _resolved(intent.wanted, ids)
            if workspace.is_default:
                fields = {name: fields[name] for name in ("policy_id", "rule_ids") if name in fields}
        here = [scope for scope in (GLOBAL, ours.get(workspace.id)) if scope]
        kept = [rule_id for rule_id in fields.get("rule_ids", []) if rule_id not in scoped]
        attached = [rule_id for rule_id, scope in rules if scope in here]
        fields["rule_ids"] = list(dict.fromkeys([*kept, *attached]))
        differences = tuple(differences_of(fields, workspace.fields))
        if intent is not None or differences:
            standing = Standing.DIFFERS if differences else Standing.SAME
            drifts.append(
                Drift(
                    ProviderKind.WORKSPACE,
                    workspace.name,
                    workspace.id,
                    standing,
                    differences,
                    intent,
                    fields,
                )
            )
    for intent in intents:
        if intent.kind == ProviderKind.WORKSPACE and intent.provider_id not in held:
            fields = _resolved(intent.wanted, ids)
            everywhere = [rule_id for rule_id, scope in rules if scope == GLOBAL]
            kept = [rule_id for rule_id in fields.get("rule_ids", []) if rule_id not in scoped]
            fields["rule_ids"] = list(dict.fromkeys([*kept, *everywhere]))
            differences = tuple(Difference(name, value, None) for name, value in fields.items())
            drifts.append(
                Drift(ProviderKind.WORKSPACE, intent.name, "", Standing.MISSING, differences, intent, fields)
            )
    return drifts


def _resolved(value: Any, ids: Mapping[str, str]) -> Any:
    """The value with each reference replaced by the provider's id, where it has given one."""
    if isinstance(value, str):
        return ids.get(value, value) if _REFERENCE.fullmatch(value) else value
    if isinstance(value, dict):
        return {name: _resolved(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, ids) for one in value]
    return value


def _with_references(fields: Mapping[str, Any], references: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    wanted = dict(fields)
    if "rule_ids" in wanted:
        wanted["rule_ids"] = [references.get(("rule", one), one) for one in wanted["rule_ids"]]
    if wanted.get("policy_id"):
        wanted["policy_id"] = references.get(("policy", wanted["policy_id"]), wanted["policy_id"])
    if "match" in wanted:
        wanted["match"] = {
            **wanted["match"],
            "conditions": [
                {**one, "value": [references.get(("list", value), value) for value in one["value"]]}
                if isinstance(one.get("value"), list)
                else one
                for one in wanted["match"]["conditions"]
            ],
        }
    return wanted


# The push


def push(*, actor: Actor) -> list[Step]:
    """Make the provider hold what is wanted; every request with what became of it.

    The first request that is not done ends it: what was done stays, the rest is reported as not done. Where all is
    as wanted nothing is asked. Raises `PushBusy`, and `ProviderError` when what is held cannot be read at all.
    """
    with locks.hold(PUSH_LOCK) as lock:
        if lock is None:
            raise PushBusy
        steps = _pushed(actor)
        look()
        return steps


def _pushed(actor: Actor) -> list[Step]:
    steps: list[Step] = []
    plan = [drift for drift in compare() if drift.standing != Standing.SAME]
    has_made = False
    for number, planned in enumerate(plan):
        # What was made before it in this push has an id by now, which it may refer to.
        drift = next((one for one in compare() if _is_about(one, planned)), planned) if has_made else planned
        has_made = has_made or drift.standing == Standing.MISSING
        if not _push_one(drift, actor, steps):
            steps += [
                Step(_words(rest), StepOutcome.NOT_DONE, _("An earlier step was not done."))
                for rest in plan[number + 1 :]
            ]
            break
    return steps


def _is_about(one: Drift, other: Drift) -> bool:
    if one.intent is not None and other.intent is not None:
        return one.intent.pk == other.intent.pk
    return one.kind == other.kind and bool(one.provider_id) and one.provider_id == other.provider_id


def _push_one(drift: Drift, actor: Actor, steps: list[Step]) -> bool:
    provider_id = drift.provider_id
    if drift.standing == Standing.MISSING:
        adopted = _adoptable(drift)
        made = adopted or _step(
            steps, _words(drift), lambda: provider_rules.create(drift.kind, drift.fields, actor=actor)
        )
        if made is None:
            return False
        provider_id = made.id
        if drift.intent is not None:
            current = ProviderIntent.objects.get(pk=drift.intent.pk)
            changes.change(
                ProviderIntent, current.pk, version=current.version, actor=actor, provider_id=provider_id
            )
    if (
        drift.standing == Standing.DIFFERS
        and drift.differences
        and not _step(
            steps,
            _words(drift),
            lambda: provider_rules.change(drift.kind, provider_id, drift.fields, seen=None, actor=actor),
        )
    ):
        return False
    for values, call, words in (
        (drift.lacks, provider_rules.add_items, _("Add %(count)d values to the list “%(name)s”")),
        (drift.surplus, provider_rules.remove_items, _("Remove %(count)d values from the list “%(name)s”")),
    ):
        for start in range(0, len(values), MOST_ITEMS):
            part = values[start : start + MOST_ITEMS]
            sentence = words % {"count": len(part), "name": drift.name}
            if not _step(steps, sentence, lambda call=call, part=part: call(provider_id, part, actor=actor)):
                return False
    return True


def _adoptable(drift: Drift) -> Held | None:
    """An object of that name that nobody wants yet: made by a push whose answer was lost."""
    taken = set(ProviderIntent.objects.filter(kind=drift.kind.value).values_list("provider_id", flat=True))
    for held in provider_rules.listed(drift.kind):
        is_alike = held.name == drift.fields.get("name") and not differences_of(drift.fields, held.fields)
        if is_alike and held.id not in taken:
            return held
    return None


def _step(steps: list[Step], sentence: str, call: Any) -> Held | None:
    try:
        result: Held = call()
    except ProviderRefused as refusal:
        steps.append(Step(sentence, StepOutcome.REFUSED, str(refusal)))
    except ChangedMeanwhile:
        steps.append(Step(sentence, StepOutcome.REFUSED, _("The provider no longer has it.")))
    except ProviderError:
        steps.append(Step(sentence, StepOutcome.UNKNOWN, provider_rules.unknown_outcome()))
    else:
        steps.append(Step(sentence, StepOutcome.DONE))
        return result
    return None


def _words(drift: Drift) -> str:
    about = {"kind": drift.kind.label, "name": drift.name}
    if drift.standing == Standing.MISSING:
        return _("Make: %(kind)s “%(name)s”") % about
    return _("Change: %(kind)s “%(name)s”") % about


# The sweep


def look() -> ProviderLook:
    """Compare and keep the result for the pages; a provider that gives no answer leaves the last one and is noted."""
    trouble = ""
    fields: dict[str, Any] = {"at": database_now()}
    try:
        drifts = compare()
    except ProviderNotConfigured:
        trouble = _("No provider is set up.")
    except ProviderError as error:
        trouble = str(error)[:500]
    else:
        fields["drifts"] = [_plain(drift) for drift in drifts if drift.standing != Standing.SAME]
    row, _created = ProviderLook.objects.update_or_create(pk=1, defaults=fields | {"trouble": trouble})
    return row


def last_look() -> ProviderLook | None:
    return ProviderLook.objects.filter(pk=1).first()


def look_when_due() -> ProviderLook | None:
    """Look again when the last look is an hour old and anything is wanted."""
    last = last_look()
    if last is not None and database_now() - last.at < LOOK_EVERY:
        return None
    if not ProviderIntent.objects.exists():
        ProviderLook.objects.all().delete()
        return None
    with locks.hold("sweep:provider") as lock:
        return None if lock is None else look()


def _plain(drift: Drift) -> dict[str, Any]:
    differences = [[one.field, one.wanted, one.held] for one in drift.differences]
    if drift.lacks or drift.surplus:
        differences.append(["items", list(drift.lacks[:SHOWN_VALUES]), list(drift.surplus[:SHOWN_VALUES])])
    return {
        "kind": drift.kind.value,
        "name": drift.name,
        "standing": drift.standing.value,
        "differences": differences,
        "lacks": len(drift.lacks),
        "surplus": len(drift.surplus),
    }


# Taking over


@dataclass(frozen=True, slots=True)
class TakenOver:
    workspaces: int
    members: int


def take_over_workspaces(*, actor: Actor) -> TakenOver:
    """Make our workspaces and their mailboxes those of the provider; how many of each changed.

    A workspace of ours that the provider does not have stays, without the mailboxes that are elsewhere there.
    Raises `ProviderError`.
    """
    held = provider_rules.listed(ProviderKind.WORKSPACE)
    of_grants = provider_rules.workspace_of_grants()
    changed = members = 0
    with transaction.atomic():
        rows: dict[str, Workspace] = {}
        for workspace in held:
            rows[workspace.id], is_changed = _workspace_row(workspace, actor)
            changed += is_changed
        for mailbox in Mailbox.objects.order_by("pk"):
            row = rows.get(of_grants.get(mailbox.grant_id, ""))
            members += _membership(mailbox.pk, row, actor) if mailbox.grant_id in of_grants else False
    return TakenOver(changed, members)


def _workspace_row(held: Held, actor: Actor) -> tuple[Workspace, bool]:
    row = Workspace.objects.filter(provider_id=held.id).first()
    row = row or Workspace.objects.filter(provider_id="", name=held.name).first()
    name = held.name[:256] or held.id
    same_name = Workspace.objects.filter(name=name).first()
    if same_name is not None and same_name != row:
        name = f"{name[:200]} ({held.id[:36]})"
    if row is None:
        return changes.create(Workspace, actor=actor, name=name, provider_id=held.id), True
    after = changes.change(
        Workspace, row.pk, version=row.version, actor=actor, name=name, provider_id=held.id
    )
    return after, after.version != row.version


def _membership(mailbox_id: int, row: Workspace | None, actor: Actor) -> bool:
    member = WorkspaceMember.objects.filter(mailbox_id=mailbox_id).first()
    if member is None:
        if row is not None:
            changes.create(WorkspaceMember, actor=actor, workspace=row, mailbox_id=mailbox_id)
        return row is not None
    if row is None:
        changes.remove(WorkspaceMember, member.pk, version=member.version, actor=actor)
        return True
    after = changes.change(WorkspaceMember, member.pk, version=member.version, actor=actor, workspace=row)
    return after.version != member.version
