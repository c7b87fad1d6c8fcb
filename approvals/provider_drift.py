"""What the provider shall hold, compared with what it holds, and how the one is made the other."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.utils.translation import gettext as _

from agentmail.client import MOST_ITEMS
from agentmail.exceptions import ProviderError, ProviderNotConfigured
from agentmail.models import Mailbox
from approvals import provider_rules
from approvals.provider_rules import ChangedMeanwhile, Difference, Held, ProviderRefused, differences_of
from audit.clock import database_now
from audit.record import Actor
from policies import changes, locks
from policies.lists import lists_named
from policies.models import (
    EnforcedAt,
    ProviderIntent,
    ProviderKind,
    ProviderLook,
    RecipientEntry,
    RecipientKind,
    Rule,
    ValueList,
    Workspace,
    WorkspaceMember,
)
from policies.rules import provider_obstacle
from policies.scopes import GLOBAL, workspace_scope

logger = logging.getLogger(__name__)

LOOK_EVERY = timedelta(hours=1)
SHOWN_VALUES = 20
# The provider takes 50 conditions in a rule; two of them name the lists.
MOST_SUBDOMAIN_CONDITIONS = 48
PUSH_LOCK = "provider:push"

# What an object is made from: the global deny list, or one of our rules or lists, with its id behind the colon.
DENY_DOMAINS = "deny_domains"
DENY_ADDRESSES = "deny_addresses"
DENY_RULE = "deny_rule"
DENIALS = (DENY_DOMAINS, DENY_ADDRESSES, DENY_RULE)
RULE_SOURCE = "rule:"
LIST_SOURCE = "list:"


class Standing(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    UNWANTED = "unwanted"


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
    wish: Wish | None = None


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
    return RecipientEntry.objects.filter(kind=RecipientKind.DENY, scope=GLOBAL).values_list(
        "pattern", flat=True
    )


# What is wanted


def keep(held: Held, *, actor: Actor, scope: str | None = None, version: int | None = None) -> ProviderIntent:
    """Want an object as it is held now; an earlier wish for it is replaced, but not one that our own rows make.

    `scope` says to which workspaces a rule is attached ("global", "workspace:3"), "" leaves that to the workspaces,
    None keeps what was said before. `version` is that of the wish the editor saw, 0 for none; without it any is
    replaced. Raises `policies.changes.Conflict`, `ProviderError` when the values of a list cannot be read, and
    `ProviderRefused` for a list with too many of them.
    """
    references = {
        (intent.kind, intent.provider_id): intent.reference
        for intent in ProviderIntent.objects.exclude(provider_id="")
    }
    wanted = _with_references(held.fields, references)
    if held.kind == ProviderKind.LIST:
        items = provider_rules.items_of(held.id, limit=provider_rules.MOST_ITEMS_READ + 1)
        if len(items) > provider_rules.MOST_ITEMS_READ:
            # A push would take away every value that the wish does not name.
            raise provider_rules.ProviderRefused(
                _("This list holds more than %(limit)d values, which is more than can be wanted here.")
                % {"limit": provider_rules.MOST_ITEMS_READ},
                "items",
            )
        wanted["items"] = items
    intent = intent_of(held.kind, held.id)
    fields: dict[str, Any] = {"name": held.name, "wanted": wanted}
    if scope is not None and held.kind == ProviderKind.RULE:
        fields["scope"] = scope
    if intent is None:
        if version:
            raise changes.Conflict(None, {})
        try:
            return changes.create(
                ProviderIntent, actor=actor, kind=held.kind.value, provider_id=held.id, **fields
            )
        except IntegrityError as error:
            raise changes.Conflict(intent_of(held.kind, held.id), {}) from error
    if intent.source:
        # Our own rows say what it is.
        return intent
    seen = intent.version if version is None else version
    return changes.change(ProviderIntent, intent.pk, version=seen, actor=actor, **fields)


def intent_of(kind: ProviderKind, provider_id: str) -> ProviderIntent | None:
    return ProviderIntent.objects.filter(kind=kind.value, provider_id=provider_id).first()


def want_denied(*, actor: Actor) -> None:
    """Want the global deny list at the provider: one list of domains, one of addresses, and a rule that blocks both
    in every workspace. What is wanted already stays.
    """
    wishes_of_it = (
        (DENY_DOMAINS, ProviderKind.LIST, "Countersign denied domains", ""),
        (DENY_ADDRESSES, ProviderKind.LIST, "Countersign denied addresses", ""),
        (DENY_RULE, ProviderKind.RULE, "Countersign denied recipients", GLOBAL),
    )
    # Somebody else may want it at the same moment; then it is wanted once.
    with suppress(IntegrityError), transaction.atomic():
        for source, kind, name, scope in wishes_of_it:
            if not ProviderIntent.objects.filter(source=source).exists():
                changes.create(
                    ProviderIntent, actor=actor, kind=kind.value, name=name, source=source, scope=scope
                )


def forget(intent_id: int, *, version: int, actor: Actor) -> None:
    """Want it no longer; the provider keeps what it holds. The deny list's objects go together.

    Raises `policies.changes.Conflict`.
    """
    with transaction.atomic():
        intent = ProviderIntent.objects.filter(pk=intent_id).first()
        changes.remove(ProviderIntent, intent_id, version=version, actor=actor)
        if intent is not None and intent.source in DENIALS:
            for other in ProviderIntent.objects.filter(source__in=DENIALS):
                changes.remove(ProviderIntent, other.pk, version=other.version, actor=actor)


# The comparison


@dataclass(frozen=True, slots=True)
class Wish:
    """One object that the provider shall hold, and from what we know it. `items` is None but for a list."""

    kind: ProviderKind
    name: str
    reference: str
    fields: dict[str, Any]
    items: Sequence[str] | None = None
    scope: str = ""
    source: str = ""
    intent: ProviderIntent | None = None

    @property
    def provider_id(self) -> str:
        return self.intent.provider_id if self.intent is not None else ""


def wishes() -> list[Wish]:
    """Everything that is wanted: what was kept, the deny list where it is wanted, and our rules that are enforced at
    the provider, with the lists that they name.
    """
    intents = list(ProviderIntent.objects.all())
    by_source = {intent.source: intent for intent in intents if intent.source}
    found = [_kept(intent) for intent in intents if not intent.source]
    if DENY_RULE in by_source:
        found += _denying(by_source)
    rules = Rule.objects.exclude(enforced_at=EnforcedAt.HERE).order_by("pk")
    mirrored = [_mirrored(rule, by_source) for rule in rules if not provider_obstacle(rule)]
    named = {one for wish in mirrored for one in lists_named(wish.fields["match"]["conditions"])}
    return found + _named_lists(named, by_source) + mirrored


def _kept(intent: ProviderIntent) -> Wish:
    kind = ProviderKind(intent.kind)
    return Wish(
        kind,
        intent.name,
        intent.reference,
        {name: value for name, value in intent.wanted.items() if name != "items"},
        items=intent.wanted.get("items", []) if kind == ProviderKind.LIST else None,
        scope=intent.scope,
        intent=intent,
    )


def _denying(intents: Mapping[str, ProviderIntent]) -> list[Wish]:
    denials = denials_of(denied_patterns())
    found = []
    conditions: list[dict[str, Any]] = []
    for source, part, values in (
        (DENY_DOMAINS, "domain", denials.domains),
        (DENY_ADDRESSES, "address", denials.addresses),
    ):
        intent = intents.get(source)
        if intent is not None:
            fields: dict[str, Any] = {"name": intent.name, "type": part}
            found.append(
                Wish(ProviderKind.LIST, intent.name, source, fields, values, source=source, intent=intent)
            )
            conditions.append({"field": f"recipient.{part}", "operator": "in_list", "value": [source]})
    conditions += [
        {"field": "recipient.domain", "operator": "contains", "value": f".{domain}"}
        for domain in denials.subdomains_of
    ]
    intent = intents[DENY_RULE]
    fields = {
        "name": intent.name,
        "priority": 0,
        "enabled": True,
        "trigger": "outbound",
        "match": {"operator": "any", "conditions": conditions},
        "actions": [{"type": "block"}],
    }
    rule = Wish(
        ProviderKind.RULE, intent.name, DENY_RULE, fields, scope=intent.scope, source=DENY_RULE, intent=intent
    )
    return [*found, rule]


def _mirrored(rule: Rule, intents: Mapping[str, ProviderIntent]) -> Wish:
    source = f"{RULE_SOURCE}{rule.pk}"
    conditions = [
        {**one, "value": [f"{LIST_SOURCE}{list_id}" for list_id in one["value"]]}
        if one["operator"] == "in_list"
        else one
        for one in rule.conditions
    ]
    fields = {
        "name": rule.name,
        "description": rule.description,
        "priority": rule.priority,
        "enabled": rule.is_enabled,
        "trigger": rule.trigger,
        "match": {"operator": rule.match_operator, "conditions": conditions},
        "actions": [dict(action) for action in rule.actions],
    }
    return Wish(
        ProviderKind.RULE,
        rule.name,
        source,
        fields,
        scope=rule.scope,
        source=source,
        intent=intents.get(source),
    )


def _named_lists(references: Collection[str], intents: Mapping[str, ProviderIntent]) -> list[Wish]:
    ids = [one.removeprefix(LIST_SOURCE) for one in references if one.startswith(LIST_SOURCE)]
    found = []
    for row in ValueList.objects.filter(public_id__in=ids).order_by("pk"):
        source = f"{LIST_SOURCE}{row.public_id}"
        fields = {"name": row.name, "type": row.type, "description": row.description}
        values = sorted(row.items.values_list("value", flat=True))
        found.append(
            Wish(
                ProviderKind.LIST,
                row.name,
                source,
                fields,
                values,
                source=source,
                intent=intents.get(source),
            )
        )
    return found


def compare() -> list[Drift]:
    """Every wanted object with how it stands at the provider, in the order in which a push makes them; last those
    that were made from rows of ours which want them no longer.

    Raises `ProviderError`: of a silent provider nothing is known.
    """
    wanted = wishes()
    abandoned = _abandoned(wanted)
    if not wanted and not abandoned:
        return []
    kinds = {wish.kind for wish in wanted} | {ProviderKind(intent.kind) for intent in abandoned}
    if any(wish.scope for wish in wanted):
        kinds.add(ProviderKind.WORKSPACE)
    held = {kind: {one.id: one for one in provider_rules.listed(kind)} for kind in kinds}
    ids = {wish.reference: wish.provider_id for wish in wanted if wish.provider_id in held[wish.kind]}
    drifts = [
        _drift(wish, held[kind].get(wish.provider_id), ids)
        for kind in (ProviderKind.POLICY, ProviderKind.LIST, ProviderKind.RULE)
        for wish in wanted
        if wish.kind == kind
    ]
    if ProviderKind.WORKSPACE in kinds:
        drifts += _workspace_drifts(wanted, held[ProviderKind.WORKSPACE], ids)
    drifts += [
        Drift(
            ProviderKind(intent.kind),
            intent.name,
            intent.provider_id if intent.provider_id in held[ProviderKind(intent.kind)] else "",
            Standing.UNWANTED,
            intent=intent,
        )
        # A list goes after the rules that name it.
        for intent in sorted(abandoned, key=lambda intent: intent.kind == ProviderKind.LIST)
    ]
    return drifts


def _abandoned(wanted: Sequence[Wish]) -> list[ProviderIntent]:
    sources = {wish.source for wish in wanted if wish.source}
    return [intent for intent in ProviderIntent.objects.exclude(source="") if intent.source not in sources]


def _drift(wish: Wish, held: Held | None, ids: Mapping[str, str]) -> Drift:
    fields = _resolved(wish.fields, ids)
    if held is None:
        differences = tuple(Difference(name, value, None) for name, value in fields.items())
        return Drift(
            wish.kind,
            wish.name,
            "",
            Standing.MISSING,
            differences,
            wish.intent,
            fields,
            tuple(wish.items or ()),
            wish=wish,
        )
    differences = tuple(differences_of(fields, held.fields))
    lacks: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    if wish.items is not None:
        have = set(provider_rules.items_of(held.id))
        lacks = tuple(sorted(set(wish.items) - have))
        surplus = tuple(sorted(have - set(wish.items)))
    is_same = not (differences or lacks or surplus)
    return Drift(
        wish.kind,
        wish.name,
        held.id,
        Standing.SAME if is_same else Standing.DIFFERS,
        differences,
        wish.intent,
        fields,
        lacks,
        surplus,
        wish,
    )


def _workspace_drifts(
    wanted: Sequence[Wish], held: Mapping[str, Held], ids: Mapping[str, str]
) -> list[Drift]:
    ours = {row.provider_id: workspace_scope(row.pk) for row in Workspace.objects.exclude(provider_id="")}
    rules = [
        (ids.get(wish.reference, wish.reference), wish.scope)
        for wish in wanted
        if wish.kind == ProviderKind.RULE and wish.scope
    ]
    of_workspace = {
        wish.provider_id: wish
        for wish in wanted
        if wish.kind == ProviderKind.WORKSPACE and wish.provider_id in held
    }
    drifts = []
    for workspace in held.values():
        wish = of_workspace.get(workspace.id)
        fields = {"rule_ids": workspace.fields["rule_ids"]}
        if wish is not None:
            fields = _resolved(wish.fields, ids)
            if workspace.is_default:
                fields = {name: fields[name] for name in ("policy_id", "rule_ids") if name in fields}
        scopes = [scope for scope in (GLOBAL, ours.get(workspace.id)) if scope]
        fields["rule_ids"] = _attached(fields.get("rule_ids", []), rules, scopes)
        differences = tuple(differences_of(fields, workspace.fields))
        if wish is not None or differences:
            standing = Standing.DIFFERS if differences else Standing.SAME
            intent = wish.intent if wish is not None else None
            drifts.append(
                Drift(
                    ProviderKind.WORKSPACE,
                    workspace.name,
                    workspace.id,
                    standing,
                    differences,
                    intent,
                    fields,
                    wish=wish,
                )
            )
    for wish in wanted:
        if wish.kind == ProviderKind.WORKSPACE and wish.provider_id not in held:
            fields = _resolved(wish.fields, ids)
            fields["rule_ids"] = _attached(fields.get("rule_ids", []), rules, [GLOBAL])
            differences = tuple(Difference(name, value, None) for name, value in fields.items())
            drifts.append(
                Drift(
                    ProviderKind.WORKSPACE,
                    wish.name,
                    "",
                    Standing.MISSING,
                    differences,
                    wish.intent,
                    fields,
                    wish=wish,
                )
            )
    return drifts


def _attached(
    rule_ids: Sequence[str], rules: Sequence[tuple[str, str]], scopes: Collection[str]
) -> list[str]:
    """The rules of a workspace that is in these scopes: those it has of its own, and the scoped ones that fit."""
    scoped = {rule_id for rule_id, _scope in rules}
    kept = [rule_id for rule_id in rule_ids if rule_id not in scoped]
    return list(dict.fromkeys([*kept, *(rule_id for rule_id, scope in rules if scope in scopes)]))


def _resolved(value: Any, ids: Mapping[str, str]) -> Any:
    """The value with each reference replaced by the provider's id, where it has given one."""
    if isinstance(value, str):
        return ids.get(value, value)
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

    The first request that is not done ends it: what was done stays, the rest is reported as not done, whatever the
    reason. Where all is as wanted nothing is asked. Raises `PushBusy`, and `ProviderError` when what is held cannot be
    read before the first request.
    """
    with locks.hold(PUSH_LOCK) as lock:
        if lock is None:
            raise PushBusy
        steps = _pushed(actor)
        try:
            look()
        except DatabaseError:
            # The provider holds what it was given; the next look is kept by the clock.
            logger.exception("the look after a push could not be kept")
        return steps


def _pushed(actor: Actor) -> list[Step]:
    steps: list[Step] = []
    plan = [drift for drift in compare() if drift.standing != Standing.SAME]
    has_made = False
    for number, planned in enumerate(plan):
        asked = len(steps)
        try:
            # What was made before it in this push has an id by now, which it may refer to.
            drift = (
                next((one for one in compare() if _is_about(one, planned)), planned) if has_made else planned
            )
            has_made = has_made or drift.standing == Standing.MISSING
            is_done = _push_one(drift, actor, steps)
        except (ProviderError, changes.Conflict, DatabaseError) as error:
            # Whatever was asked for stands among the steps; this is what came before or after it.
            logger.warning("a push ended before it was done: %s", type(error).__name__)
            words = _words(planned) if len(steps) == asked else _("Note here what the provider did")
            steps.append(Step(words, StepOutcome.NOT_DONE, _why_not(error)))
            is_done = False
        if not is_done:
            steps += [
                Step(_words(rest), StepOutcome.NOT_DONE, _("An earlier step was not done."))
                for rest in plan[number + 1 :]
            ]
            break
    return steps


def _why_not(error: Exception) -> str:
    if isinstance(error, ProviderError):
        return _("The provider gives no usable answer, so this was not asked for.")
    if isinstance(error, changes.Conflict):
        return _("Somebody else changed what is wanted meanwhile. Push again.")
    return _("The database takes no writes at the moment. Push again when it does.")


def _is_about(one: Drift, other: Drift) -> bool:
    if one.wish is not None and other.wish is not None:
        return one.wish.reference == other.wish.reference
    return one.kind == other.kind and bool(one.provider_id) and one.provider_id == other.provider_id


def _push_one(drift: Drift, actor: Actor, steps: list[Step]) -> bool:
    provider_id = drift.provider_id
    if drift.standing == Standing.UNWANTED:
        return _push_away(drift, actor, steps)
    if drift.standing == Standing.MISSING:
        adopted = _adoptable(drift)
        made = adopted or _step(
            steps, _words(drift), lambda: provider_rules.create(drift.kind, drift.fields, actor=actor)
        )
        if made is None:
            return False
        provider_id = made.id
        _note_id(drift, provider_id, actor)
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


def _push_away(drift: Drift, actor: Actor, steps: list[Step]) -> bool:
    intent = drift.intent
    if intent is None:
        return True
    if drift.provider_id:

        def delete() -> Held:
            current = provider_rules.held(drift.kind, drift.provider_id)
            provider_rules.remove(drift.kind, drift.provider_id, seen=current.seen, actor=actor)
            return current

        if _step(steps, _words(drift), delete) is None:
            return False
    changes.remove(ProviderIntent, intent.pk, version=intent.version, actor=actor)
    return True


def _note_id(drift: Drift, provider_id: str, actor: Actor) -> None:
    wish = drift.wish
    if wish is None:
        return
    intent = wish.intent
    if intent is None:
        changes.create(
            ProviderIntent,
            actor=actor,
            kind=wish.kind.value,
            name=wish.name,
            source=wish.source,
            scope=wish.scope,
            provider_id=provider_id,
        )
    else:
        changes.change(
            ProviderIntent, intent.pk, version=intent.version, actor=actor, provider_id=provider_id
        )


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
    if drift.standing == Standing.UNWANTED:
        return _("Delete: %(kind)s “%(name)s”") % about
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
    if not wishes() and not ProviderIntent.objects.exists():
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
