"""Rules and lists as JSON in the provider's shape, out and in. An import is all or nothing.

A file is {"lists": [...], "rules": [...]}; one rule, or a list of rules, is one too. Rules name lists by the id of the
file; a list whose id and type are known here gets the values it lacks.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from json.decoder import JSONObject  # type: ignore[attr-defined]  # there, but in no stub
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit.record import Actor
from policies import changes, lists, rules
from policies.faults import Fault, Invalid
from policies.models import EnforcedAt, Rule, Trigger, ValueList

# Below what a form may hold in all.
FILE_CHARACTERS = 2_000_000
RULE_LIMIT = 500
LIST_LIMIT = 200
# What the provider adds when it is read, and what an export of ours names beside it.
_READ_ONLY = {"id", "application_id", "organization_id", "created_at", "updated_at", "items_count", "version"}
_RULE_KEYS = {
    "name",
    "description",
    "priority",
    "enabled",
    "trigger",
    "match",
    "actions",
    "scope",
    "enforced_at",
} | _READ_ONLY
_LIST_KEYS = {"name", "type", "description", "items"} | _READ_ONLY


@dataclass(frozen=True, slots=True)
class ListPlan:
    """A list to make, or the values that a known one gets."""

    name: str
    type: str
    description: str
    items: tuple[str, ...]
    given_id: str
    known_id: int | None
    new_count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do. `rules` are fields as `policies.rules` takes them; `known_names` are rules here."""

    lists: tuple[ListPlan, ...]
    rules: tuple[Mapping[str, Any], ...]
    known_names: frozenset[str]


def exported(chosen: Iterable[Rule], with_lists: bool = True) -> str:
    """The rules, and every list there is, as JSON that `planned` reads again."""
    told: dict[str, Any] = (
        {"lists": [_list_json(one) for one in ValueList.objects.prefetch_related("items")]}
        if with_lists
        else {}
    )
    return json.dumps(told | {"rules": [rule_json(rule) for rule in chosen]}, ensure_ascii=False, indent=2)


def rule_json(rule: Rule) -> dict[str, Any]:
    """A rule in the provider's shape, with our scope and place beside it."""
    return {
        "name": rule.name,
        "description": rule.description,
        "priority": rule.priority,
        "enabled": rule.is_enabled,
        "trigger": rule.trigger,
        "match": {"operator": rule.match_operator, "conditions": rule.conditions},
        "actions": rule.actions,
        "scope": rule.scope,
        "enforced_at": rule.enforced_at,
    }


def planned(text: str, *, known_scopes: Collection[str] | None = None) -> Plan:
    """Read a file and check all of it, writing nothing. Raises `Invalid` naming every fault by its place and line.

    Rules are checked against lists of the same file, too.
    """
    # The lists must be there for the rules to be checked; nothing of it stays.
    with transaction.atomic():
        plan = _plan(text, known_scopes)
        transaction.set_rollback(True)
    return plan


def imported(
    text: str, *, actor: Actor, reason: str = "", known_scopes: Collection[str] | None = None
) -> Plan:
    """Write everything of a file or nothing. Raises `Invalid` as `planned` does."""
    try:
        with transaction.atomic():
            plan = _plan(text, known_scopes, actor=actor, reason=reason)
            for fields in plan.rules:
                rules.create(fields, actor=actor, reason=reason, known_scopes=known_scopes)
            return plan
    except (IntegrityError, changes.Conflict, ValueList.DoesNotExist) as error:
        sentence = _("Somebody changed a list of this file at the same moment. Import it again.")
        raise Invalid([Fault("lists", sentence)]) from error


def _plan(
    text: str, known_scopes: Collection[str] | None, *, actor: Actor | None = None, reason: str = ""
) -> Plan:
    given_lists, given_rules = _parts(_read(text))
    try:
        return _checked(given_lists, given_rules, known_scopes, actor, reason)
    except Invalid as invalid:
        said = {"lists": given_lists, "rules": given_rules}
        raise Invalid(
            [replace(fault, line=_line_of(fault.path, said)) for fault in invalid.faults]
        ) from invalid


def _checked(
    given_lists: Sequence[Any],
    given_rules: Sequence[Any],
    known_scopes: Collection[str] | None,
    actor: Actor | None,
    reason: str,
) -> Plan:
    faults: list[Fault] = []
    found_lists: list[ListPlan] = []
    for number, entry in enumerate(given_lists):
        try:
            found_lists.append(_list_plan(entry, f"lists[{number}]."))
        except Invalid as invalid:
            faults += invalid.faults
    if not faults:
        faults += _twice(found_lists)
    if faults:
        # Without its lists a rule cannot be judged; they come first.
        raise Invalid(faults)
    ids = {one.given_id: _written(one, actor, reason) for one in found_lists}
    found_rules = []
    for number, entry in enumerate(given_rules):
        try:
            path = f"rules[{number}]."
            fields = _rule_fields(entry, path, ids)
            with _places(path):
                found_rules.append(rules.check(fields, known_scopes=known_scopes))
        except Invalid as invalid:
            faults += invalid.faults
    if faults:
        raise Invalid(faults)
    names = {str(fields["name"]) for fields in found_rules}
    known = Rule.objects.filter(name__in=names).values_list("name", flat=True)
    return Plan(tuple(found_lists), tuple(found_rules), frozenset(known))


def added(text: str, *, actor: Actor, known_scopes: Collection[str] | None = None) -> Rule:
    """Add the one rule that a text holds, in the shape of `rule_json`. Raises `Invalid` naming every fault in it."""
    fields = _rule_fields(_read(text), "", {})
    with _places(""):
        return rules.create(fields, actor=actor, known_scopes=known_scopes)


class _Object(dict[str, Any]):
    """An object of a file, and the line on which it begins."""

    line = 0


class _Decoder(json.JSONDecoder):
    """Reads JSON whose objects know their lines, and refuses an object that has one name twice."""

    def __init__(self, text: str) -> None:
        super().__init__(object_pairs_hook=list)
        self._ends = [place for place, sign in enumerate(text) if sign == "\n"]
        self.parse_object = self._object
        self.scan_once = py_make_scanner(self)

    def _object(self, text_and_place: tuple[str, int], *rest: Any) -> tuple[_Object, int]:
        pairs, end = JSONObject(text_and_place, *rest)
        found = _Object(pairs)
        found.line = bisect(self._ends, text_and_place[1] - 1) + 1
        if len(found) < len(pairs):
            [(twice, _count)] = Counter(name for name, _value in pairs).most_common(1)
            sentence = _("An object names “%(name)s” twice.") % {"name": twice[:80]}
            raise Invalid([Fault("", sentence, found.line)])
        return found, end


def _line_of(path: str, said: Any) -> int:
    """The line of the innermost object of a file that a path leads into; 0 where there is none."""
    line = 0
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(said, Mapping):
            said = said.get(step)
        elif isinstance(said, list) and step.isdigit() and int(step) < len(said):
            said = said[int(step)]
        else:
            break
        line = said.line if isinstance(said, _Object) else line
    return line


def _read(text: str) -> Any:
    if len(text) > FILE_CHARACTERS:
        raise Invalid(
            [Fault("", _("The file has at most %(limit)d characters.") % {"limit": FILE_CHARACTERS})]
        )
    try:
        said = _Decoder(text).decode(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise Invalid(
            [
                Fault(
                    "",
                    _("This is no JSON: line %(line)d, column %(column)d: %(what)s.")
                    % {"line": error.lineno, "column": error.colno, "what": error.msg},
                    error.lineno,
                )
            ]
        ) from error
    except (ValueError, RecursionError) as error:
        raise Invalid([Fault("", _("This is no JSON that can be read here."))]) from error
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise Invalid(
            [Fault("", _("It is nested too deep, or a text holds half of a character."))]
        ) from error
    return said


def _parts(said: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(said, list):
        said = {"rules": said}
    elif isinstance(said, dict) and "match" in said:
        said = {"rules": [said]}
    if not isinstance(said, dict) or not said or not set(said) <= {"lists", "rules"}:
        raise Invalid([Fault("", _("A file has lists and rules, and nothing else."))])
    given_lists, given_rules = said.get("lists", []), said.get("rules", [])
    for name, given, limit in (("lists", given_lists, LIST_LIMIT), ("rules", given_rules, RULE_LIMIT)):
        if not isinstance(given, list) or len(given) > limit:
            raise Invalid([Fault(name, _("It is a list of at most %(limit)d.") % {"limit": limit})])
    return given_lists, given_rules


def _list_plan(entry: Any, path: str) -> ListPlan:
    _only(entry, _LIST_KEYS, path)
    kept = lists.check_list({"type": "", **entry}, path=path)
    items = entry.get("items", [])
    if not isinstance(items, list):
        raise Invalid([Fault(f"{path}items", _("The values are a list of texts."))])
    values: dict[str, None] = {}
    for start in range(0, len(items), lists.ITEMS_AT_ONCE):
        part = items[start : start + lists.ITEMS_AT_ONCE]
        try:
            values.update(dict.fromkeys(lists.check_items(kept["type"], part)))
        except Invalid as invalid:
            raise Invalid([_moved(fault, path, start) for fault in invalid.faults]) from invalid
    given_id = _id(entry.get("id") or str(uuid4()))
    if not given_id:
        raise Invalid([Fault(f"{path}id", _("It is text."))])
    known = _known(given_id)
    if known is not None and known.type != kept["type"]:
        raise Invalid(
            [Fault(f"{path}type", _("The list is there with the type %(type)s.") % {"type": known.type})]
        )
    if known is None and ValueList.objects.filter(name=kept["name"]).exists():
        raise Invalid([Fault(f"{path}name", _("There is a list of this name already."))])
    there = lists.StoredLists().among(str(known.public_id), values) if known is not None else frozenset()
    return ListPlan(
        name=kept["name"],
        type=kept["type"],
        description=kept["description"],
        items=tuple(values),
        given_id=given_id,
        known_id=known.pk if known is not None else None,
        new_count=len(values) - len(there),
    )


def _moved(fault: Fault, path: str, start: int) -> Fault:
    number = int(fault.path.removeprefix("items[").removesuffix("]"))
    return Fault(f"{path}items[{start + number}]", fault.sentence)


def _twice(found: Sequence[ListPlan]) -> list[Fault]:
    faults, names, ids = [], set(), set()
    for number, one in enumerate(found):
        if one.given_id in ids:
            faults.append(Fault(f"lists[{number}].id", _("The file has two lists of this id.")))
        if one.name in names:
            faults.append(Fault(f"lists[{number}].name", _("The file has two lists of this name.")))
        names.add(one.name)
        ids.add(one.given_id)
    return faults


def _written(one: ListPlan, actor: Actor | None, reason: str) -> str:
    """Make the list, or add to it; its id here. Without an actor it is only there for the check."""
    if actor is None:
        if one.known_id is not None:
            return str(ValueList.objects.get(pk=one.known_id).public_id)
        return str(ValueList.objects.create(**_fields(one)).public_id)
    if one.known_id is None:
        row = changes.create(ValueList, actor=actor, reason=reason, **_fields(one))
    else:
        row = ValueList.objects.get(pk=one.known_id)
    for start in range(0, len(one.items), lists.ITEMS_AT_ONCE):
        part = one.items[start : start + lists.ITEMS_AT_ONCE]
        lists.add_items(row.pk, part, actor=actor, reason=reason)
    return str(row.public_id)


def _fields(one: ListPlan) -> dict[str, Any]:
    return {"public_id": _uuid(one.given_id) or uuid4()} | {
        name: getattr(one, name) for name in ("name", "type", "description")
    }


def _rule_fields(entry: Any, path: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """What an entry says of a rule, in the names of `Rule`, not yet checked."""
    _only(entry, _RULE_KEYS, path)
    match = entry.get("match")
    if not isinstance(match, Mapping) or not set(match) <= {"operator", "conditions"}:
        raise Invalid([Fault(f"{path}match", _("It has an operator and conditions, and nothing else."))])
    fields = {name: entry[name] for name in ("name", "description", "priority", "actions") if name in entry}
    # The provider reads a rule without a trigger as inbound, so we do, too.
    fields["trigger"] = entry.get("trigger", Trigger.INBOUND.value)
    fields["scope"] = entry.get("scope", "global")
    fields["enforced_at"] = entry.get("enforced_at", _place(entry))
    if "enabled" in entry:
        fields["is_enabled"] = entry["enabled"]
    if "operator" in match:
        fields["match_operator"] = match["operator"]
    conditions = match.get("conditions")
    fields["conditions"] = (
        [_with_ids(condition, ids) for condition in conditions]
        if isinstance(conditions, list)
        else conditions
    )
    return fields


@contextmanager
def _places(path: str) -> Iterator[None]:
    """Name the faults of a rule by their places in its entry, which begins at `path`."""
    try:
        yield
    except Invalid as invalid:
        raise Invalid(
            [Fault(_place_of(fault.path, path), fault.sentence) for fault in invalid.faults]
        ) from invalid


def _place(entry: Mapping[str, Any]) -> str:
    """Where a rule of the provider is enforced: there, when it does what only the provider can."""
    given = entry.get("actions")
    named = (
        [action.get("type") for action in given if isinstance(action, Mapping)]
        if isinstance(given, list)
        else []
    )
    types = {name for name in named if isinstance(name, str)}
    if str(entry.get("trigger", Trigger.INBOUND.value)).lower() == Trigger.INBOUND:
        allowed: Collection[Any] = rules.INBOUND_ACTIONS
    else:
        allowed = rules.OUR_ACTIONS
    is_ours = types <= set(allowed)
    return (
        EnforcedAt.HERE.value
        if is_ours or not types <= set(rules.PROVIDER_ACTIONS)
        else EnforcedAt.PROVIDER.value
    )


def _place_of(fault_path: str, path: str) -> str:
    names = {"is_enabled": "enabled", "match_operator": "match.operator"}
    if fault_path.startswith("conditions"):
        return f"{path}match.{fault_path}"
    return f"{path}{names.get(fault_path, fault_path)}"


def _with_ids(condition: Any, ids: Mapping[str, str]) -> Any:
    if not isinstance(condition, Mapping) or condition.get("operator") != "in_list":
        return condition
    value = condition.get("value")
    given = value if isinstance(value, list) else [value]
    return {**condition, "value": [ids.get(_id(one), one) for one in given]}


def _only(entry: Any, keys: Collection[str], path: str) -> None:
    if not isinstance(entry, Mapping):
        raise Invalid([Fault(path.removesuffix("."), _("It is an object with names and values."))])
    unknown = sorted(str(key) for key in set(entry) - set(keys))
    if unknown:
        raise Invalid([Fault(f"{path}{unknown[0]}", _("Nothing here has this name."))])


def _known(given_id: str) -> ValueList | None:
    public_id = _uuid(given_id)
    return ValueList.objects.filter(public_id=public_id).first() if public_id is not None else None


def _id(given: Any) -> str:
    """The id of a list as it is compared: one UUID may be written in several ways. Empty for what is no text."""
    if not isinstance(given, str):
        return ""
    found = _uuid(given)
    return given if found is None else str(found)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _list_json(one: ValueList) -> dict[str, Any]:
    return {
        "id": str(one.public_id),
        "name": one.name,
        "type": one.type,
        "description": one.description,
        "items": [item.value for item in one.items.all()],
    }
