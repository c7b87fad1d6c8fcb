"""Our rules: the fields, operators and actions there are, what may be combined, and the only way to write one.

The vocabulary is the provider's (`from.*`, `recipient.*`, `outbound.type`; `is`, `is_not`, `contains`, `in_list`;
`block`) and what it lacks. `policies.engine` evaluates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from audit.record import Actor
from policies import changes, scopes
from policies.faults import Fault, Invalid
from policies.lists import normalised
from policies.models import EnforcedAt, ListType, MatchOperator, Rule, Trigger, ValueList, Workspace
from policies.texts import comparable, is_storable

NAME_CHARACTERS = 256
DESCRIPTION_CHARACTERS = 2000
PRIORITY_LIMIT = 1000
CONDITION_LIMIT = 50
ACTION_LIMIT = 20
VALUE_CHARACTERS = 500
LISTS_OF_A_CONDITION = 20
NUMBER_LIMIT = 10**12
CATEGORY_CHARACTERS = 64
FOLDER_CHARACTERS = 256


class Kind(StrEnum):
    """What a field holds, and therefore which operators it takes."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    TRUTH = "truth"


OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TEXT: ("is", "is_not", "contains", "in_list", "matches"),
    Kind.CHOICE: ("is", "is_not"),
    Kind.NUMBER: ("is", "is_not", "greater_than", "less_than"),
    Kind.TRUTH: ("is", "is_not"),
}
PROVIDER_OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TEXT: ("is", "is_not", "contains", "in_list"),
    Kind.CHOICE: ("is", "is_not"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a condition. `lists` are the types of list it can be looked up in.

    `provider` are the triggers for which the provider knows it; `exact` is the type of list whose values have the
    same form as a value compared with `is`.
    """

    kind: Kind
    triggers: frozenset[str]
    lists: tuple[str, ...] = ()
    provider: frozenset[str] = frozenset()
    exact: str = ""
    choices: tuple[str, ...] = ()


_BOTH = frozenset({Trigger.OUTBOUND.value, Trigger.INBOUND.value})
_OUT = frozenset({Trigger.OUTBOUND.value})
_ADDRESS, _DOMAIN, _TLD = ListType.ADDRESS.value, ListType.DOMAIN.value, ListType.TLD.value
_HOST, _WORD = ListType.HOST.value, ListType.WORD.value

FIELDS: Mapping[str, Field] = {
    "from.address": Field(Kind.TEXT, _BOTH, (_ADDRESS,), _BOTH, _ADDRESS),
    "from.domain": Field(Kind.TEXT, _BOTH, (_DOMAIN,), _BOTH, _DOMAIN),
    "from.tld": Field(Kind.TEXT, _BOTH, (_TLD,), _BOTH, _TLD),
    "recipient.address": Field(Kind.TEXT, _OUT, (_ADDRESS,), _OUT, _ADDRESS),
    "recipient.domain": Field(Kind.TEXT, _OUT, (_DOMAIN,), _OUT, _DOMAIN),
    "recipient.tld": Field(Kind.TEXT, _OUT, (_TLD,), _OUT, _TLD),
    "outbound.type": Field(Kind.CHOICE, _OUT, provider=_OUT, choices=("compose", "reply")),
    "subject": Field(Kind.TEXT, _BOTH, (_WORD,)),
    "body": Field(Kind.TEXT, _BOTH, (_WORD,)),
    "money.present": Field(Kind.TRUTH, _BOTH),
    "money.new": Field(Kind.TRUTH, _OUT),
    "link.host": Field(Kind.TEXT, _BOTH, (_HOST, _DOMAIN), exact=_HOST),
    "link.new_host": Field(Kind.TEXT, _OUT, (_HOST, _DOMAIN), exact=_HOST),
    "attachment.count": Field(Kind.NUMBER, _BOTH),
    "attachment.type": Field(Kind.TEXT, _BOTH, (_WORD,)),
    "attachment.name": Field(Kind.TEXT, _BOTH, (_WORD,)),
    "size": Field(Kind.NUMBER, _BOTH),
    "inbound.category": Field(Kind.TEXT, _OUT, (_WORD,)),
    "inbound.subject": Field(Kind.TEXT, _OUT, (_WORD,)),
    "inbound.body": Field(Kind.TEXT, _OUT, (_WORD,)),
}

# What an action needs beside its name: nothing, or a value of so many characters.
OUR_ACTIONS: Mapping[str, int] = {
    "block": 0,
    "hold": 0,
    "allow_compose": 0,
    "set_category": CATEGORY_CHARACTERS,
}
PROVIDER_ACTIONS: Mapping[str, int] = {
    "block": 0,
    "mark_as_spam": 0,
    "assign_to_folder": FOLDER_CHARACTERS,
    "mark_as_read": 0,
    "mark_as_starred": 0,
    "archive": 0,
    "trash": 0,
}
# Mail that arrived is here already: only the provider can refuse it, and no person is asked about it.
INBOUND_ACTIONS = frozenset({"set_category"})


def in_force(within: Collection[str], trigger: Trigger) -> list[Rule]:
    """The rules of these scopes that are asked here, in the order in which they are asked."""
    return asked_among(Rule.objects.filter(scope__in=within, trigger=trigger), within, trigger)


def asked_among(rules: Iterable[Rule], within: Collection[str], trigger: Trigger) -> list[Rule]:
    """Those of some rules that are asked here about mail in these scopes."""
    return [
        rule
        for rule in rules
        if rule.is_enabled
        and rule.scope in within
        and rule.trigger == trigger
        and rule.enforced_at != EnforcedAt.PROVIDER
    ]


def is_expressible_at_provider(rule: Rule) -> bool:
    """Whether the provider could hold this rule: its fields, operators, actions and scope are all known there."""
    return not provider_obstacle(rule)


def provider_obstacle(rule: Rule) -> str:
    """Why the provider could not hold this rule, in a sentence; empty when it could."""
    if rule.scope.startswith("mailbox:"):
        return _("The provider attaches rules to workspaces, never to one mailbox.")
    for condition in rule.conditions:
        field = FIELDS[condition["field"]]
        if rule.trigger not in field.provider:
            return _("The provider has no field %(field)s.") % {"field": condition["field"]}
        if condition["operator"] not in PROVIDER_OPERATORS.get(field.kind, ()):
            return _("The provider has no operator %(operator)s.") % {"operator": condition["operator"]}
    for action in rule.actions:
        if action["type"] not in PROVIDER_ACTIONS:
            return _("The provider has no action %(action)s.") % {"action": action["type"]}
    return ""


def fields_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Every field that these rules look at."""
    return frozenset(condition["field"] for rule in rules for condition in rule.conditions)


def sets_category(rule: Rule) -> bool:
    return any(action["type"] == "set_category" for action in rule.actions)


def check(fields: Mapping[str, Any], *, known_scopes: Collection[str] | None = None) -> dict[str, Any]:
    """The fields of a rule as they are kept. Raises `Invalid` naming every fault by its path and limit.

    `fields` has the names of `Rule`; what is missing has the default. `known_scopes` are the scopes there are; without
    it only workspaces are looked up.
    """
    return _Check(fields, known_scopes).made()


def create(
    fields: Mapping[str, Any],
    *,
    actor: Actor,
    reason: str = "",
    known_scopes: Collection[str] | None = None,
) -> Rule:
    """Add a rule; it holds from the next evaluation on. Raises `Invalid`."""
    return changes.create(Rule, actor=actor, reason=reason, **check(fields, known_scopes=known_scopes))


def change(
    pk: int,
    fields: Mapping[str, Any],
    *,
    version: int,
    actor: Actor,
    reason: str = "",
    known_scopes: Collection[str] | None = None,
) -> Rule:
    """Write a rule whose `version` the editor saw. Raises `Invalid` and `changes.Conflict`."""
    kept = check(fields, known_scopes=known_scopes)
    return changes.change(Rule, pk, version=version, actor=actor, reason=reason, **kept)


def switch_on(pk: int, is_enabled: bool, *, version: int, actor: Actor, reason: str = "") -> Rule:
    """Enable or disable a rule. Raises `changes.Conflict`."""
    return changes.change(Rule, pk, version=version, actor=actor, reason=reason, is_enabled=is_enabled)


def remove(pk: int, *, version: int, actor: Actor, reason: str = "") -> None:
    """Remove a rule; its changes and the evaluations that named it stay. Raises `changes.Conflict`."""
    changes.remove(Rule, pk, version=version, actor=actor, reason=reason)


class _Check:
    """One pass over what was given; every fault is collected, so that an admin sees them all at once."""

    def __init__(self, fields: Mapping[str, Any], known_scopes: Collection[str] | None) -> None:
        self.fields = fields
        self.known_scopes = known_scopes
        self.faults: list[Fault] = []

    def made(self) -> dict[str, Any]:
        trigger = self._choice("trigger", Trigger.OUTBOUND, Trigger.values)
        enforced_at = self._choice("enforced_at", EnforcedAt.HERE, EnforcedAt.values)
        kept = {
            "name": self._text("name", NAME_CHARACTERS, is_required=True),
            "description": self._text("description", DESCRIPTION_CHARACTERS),
            "scope": self._scope(),
            "trigger": trigger,
            "priority": self._priority(),
            "is_enabled": self._truth("is_enabled", True),
            "enforced_at": enforced_at,
            "match_operator": self._choice("match_operator", MatchOperator.ALL, MatchOperator.values),
            "conditions": self._conditions(trigger),
            "actions": self._actions(trigger, enforced_at),
        }
        if not self.faults and enforced_at != EnforcedAt.HERE:
            obstacle = provider_obstacle(Rule(**kept))
            if obstacle:
                self._fault("enforced_at", obstacle)
        if self.faults:
            raise Invalid(self.faults)
        return kept

    def _fault(self, path: str, sentence: str) -> None:
        self.faults.append(Fault(path, sentence))

    def _text(self, name: str, limit: int, *, is_required: bool = False) -> str:
        given = self.fields.get(name, "")
        text = given.strip() if isinstance(given, str) else ""
        if not isinstance(given, str) or len(text) > limit or (is_required and not text):
            least = 1 if is_required else 0
            self._fault(
                name, _("It has %(least)d to %(limit)d characters.") % {"least": least, "limit": limit}
            )
        elif not is_storable(text):
            self._fault(name, _("It holds a control character."))
        return text

    def _choice(self, name: str, default: str, choices: Collection[str]) -> str:
        given = self.fields.get(name, default)
        if not isinstance(given, str) or given.lower() not in choices:
            self._fault(name, _("It is one of %(choices)s.") % {"choices": ", ".join(choices)})
            return str(default)
        return given.lower()

    def _truth(self, name: str, default: bool) -> bool:
        given = self.fields.get(name, default)
        if not isinstance(given, bool):
            self._fault(name, _("It is true or false."))
            return default
        return given

    def _priority(self) -> int:
        given = self.fields.get("priority", 10)
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= PRIORITY_LIMIT:
            self._fault(
                "priority",
                _("It is a whole number from 0 to %(limit)d; lower is asked first.")
                % {"limit": PRIORITY_LIMIT},
            )
            return 10
        return given

    def _scope(self) -> str:
        scope = self.fields.get("scope", scopes.GLOBAL)
        if not isinstance(scope, str):
            scope = ""
        kind, _colon, number = scope.partition(":")
        is_numbered = number.isascii() and number.isdigit() and len(number) < 18
        if self.known_scopes is not None:
            is_there = scope in self.known_scopes
        elif kind == "workspace" and is_numbered:
            is_there = Workspace.objects.filter(pk=int(number)).exists()
        else:
            is_there = scope == scopes.GLOBAL or (kind == "mailbox" and is_numbered)
        if not is_there:
            self._fault(
                "scope",
                _("It is global, workspace:<id> or mailbox:<id>, of a workspace or mailbox that is there."),
            )
        return scope

    def _conditions(self, trigger: str) -> list[dict[str, Any]]:
        given = self.fields.get("conditions")
        if not isinstance(given, list) or not 1 <= len(given) <= CONDITION_LIMIT:
            self._fault("conditions", _("A rule has 1 to %(limit)d conditions.") % {"limit": CONDITION_LIMIT})
            return []
        found = [self._condition(entry, trigger, f"conditions[{n}]") for n, entry in enumerate(given)]
        return [condition for condition in found if condition is not None]

    def _condition(self, entry: Any, trigger: str, path: str) -> dict[str, Any] | None:
        if not isinstance(entry, Mapping) or not set(entry) <= {"field", "operator", "value"}:
            self._fault(path, _("A condition has field, operator and value, and nothing else."))
            return None
        name = entry.get("field")
        field = FIELDS.get(name) if isinstance(name, str) else None
        if field is None:
            self._fault(f"{path}.field", _("The fields are %(names)s.") % {"names": ", ".join(FIELDS)})
            return None
        if trigger not in field.triggers:
            self._fault(
                f"{path}.field",
                _("%(field)s is about mail that would leave; this rule is about mail that arrived.")
                % {"field": name},
            )
            return None
        operator = entry.get("operator")
        allowed = OPERATORS[field.kind]
        if operator not in allowed:
            self._fault(
                f"{path}.operator",
                _("%(field)s takes %(operators)s.") % {"field": name, "operators": ", ".join(allowed)},
            )
            return None
        try:
            value = _value(field, str(operator), entry.get("value"))
        except ValueError as error:
            self._fault(f"{path}.value", str(error))
            return None
        return {"field": name, "operator": operator, "value": value}

    def _actions(self, trigger: str, enforced_at: str) -> list[dict[str, Any]]:
        given = self.fields.get("actions")
        if not isinstance(given, list) or not 1 <= len(given) <= ACTION_LIMIT:
            self._fault("actions", _("A rule has 1 to %(limit)d actions.") % {"limit": ACTION_LIMIT})
            return []
        found = [self._action(entry, trigger, enforced_at, f"actions[{n}]") for n, entry in enumerate(given)]
        kept = [action for action in found if action is not None]
        types = [action["type"] for action in kept]
        if "block" in types and len(given) > 1:
            self._fault("actions", _("block stands alone: nothing else can follow it."))
        elif len(set(types)) < len(types):
            self._fault("actions", _("An action is named once."))
        return kept

    def _action(self, entry: Any, trigger: str, enforced_at: str, path: str) -> dict[str, Any] | None:
        if not isinstance(entry, Mapping) or not set(entry) <= {"type", "value"}:
            self._fault(path, _("An action has a type, some a value, and nothing else."))
            return None
        name = entry.get("type")
        if not isinstance(name, str) or name not in {**OUR_ACTIONS, **PROVIDER_ACTIONS}:
            names = ", ".join({**OUR_ACTIONS, **PROVIDER_ACTIONS})
            self._fault(f"{path}.type", _("The actions are %(names)s.") % {"names": names})
            return None
        is_asked_here = enforced_at != EnforcedAt.PROVIDER
        if is_asked_here and name not in OUR_ACTIONS:
            self._fault(
                f"{path}.type",
                _("Only the provider can do %(action)s: say that the rule is enforced there.")
                % {"action": name},
            )
            return None
        if is_asked_here and trigger == Trigger.INBOUND and name not in INBOUND_ACTIONS:
            self._fault(
                f"{path}.type",
                _(
                    "%(action)s is about mail that would leave; mail that arrived can be given a category here."
                )
                % {"action": name},
            )
            return None
        limit = OUR_ACTIONS.get(name, 0) or PROVIDER_ACTIONS.get(name, 0)
        value = entry.get("value", "")
        if not isinstance(value, str):
            self._fault(f"{path}.value", _("A value is text."))
            return None
        value = value.strip()
        if not is_storable(value):
            self._fault(f"{path}.value", _("It holds a control character."))
            return None
        if not limit and value:
            self._fault(f"{path}.value", _("%(action)s takes no value.") % {"action": name})
            return None
        if limit and not 1 <= len(value) <= limit:
            self._fault(
                f"{path}.value",
                _("%(action)s needs a value of 1 to %(limit)d characters.")
                % {"action": name, "limit": limit},
            )
            return None
        if name == "set_category":
            value = value.lower()
        return {"type": name, "value": value} if limit else {"type": name}


def _value(field: Field, operator: str, given: Any) -> Any:
    if operator == "in_list":
        return _list_ids(field, given)
    if field.kind is Kind.NUMBER:
        return _number(given)
    if field.kind is Kind.TRUTH:
        if isinstance(given, bool):
            return given
        if isinstance(given, str) and given.strip().lower() in ("true", "false"):
            return given.strip().lower() == "true"
        raise ValueError(_("The value is true or false."))
    if not isinstance(given, str):
        raise ValueError(_("The value is text."))
    text = comparable(given)
    if not 1 <= len(text) <= VALUE_CHARACTERS:
        raise ValueError(_("The value has 1 to %(limit)d characters.") % {"limit": VALUE_CHARACTERS})
    if not is_storable(text):
        raise ValueError(_("The value holds a control character."))
    if field.kind is Kind.CHOICE and text not in field.choices:
        raise ValueError(_("The value is one of %(choices)s.") % {"choices": ", ".join(field.choices)})
    if field.exact and operator in ("is", "is_not"):
        return normalised(field.exact, given)
    return text


def _number(given: Any) -> int:
    if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit() and len(given) < 20:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= NUMBER_LIMIT:
        raise ValueError(_("The value is a whole number from 0 to %(limit)d.") % {"limit": NUMBER_LIMIT})
    return given


def _list_ids(field: Field, given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given] if given.strip() else []
    if not isinstance(given, list) or not 1 <= len(given) <= LISTS_OF_A_CONDITION:
        raise ValueError(
            _("The value names 1 to %(limit)d lists by their ids.") % {"limit": LISTS_OF_A_CONDITION}
        )
    kept = []
    for one in given:
        try:
            found = ValueList.objects.filter(public_id=UUID(str(one))).first()
        except ValueError:
            found = None
        if found is None:
            raise ValueError(_("There is no list with the id %(id)s.") % {"id": str(one)[:80]})
        if found.type not in field.lists:
            raise ValueError(
                _("The list “%(name)s” holds values of type %(type)s; this field needs %(types)s.")
                % {"name": found.name, "type": found.type, "types": " or ".join(field.lists)}
            )
        kept.append(str(found.public_id))
    return list(dict.fromkeys(kept))
