"""Lists of values that rules look up: what may stand in them, and the only way in and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils.translation import gettext as _

from audit.record import Actor
from policies import changes
from policies.faults import Fault, Invalid
from policies.models import ListType, Rule, ValueList, ValueListItem
from policies.names import address_name, host_name
from policies.texts import comparable, is_storable

NAME_CHARACTERS = 256
DESCRIPTION_CHARACTERS = 2000
ITEMS_AT_ONCE = 1000
VALUE_CHARACTERS = 500
WORDS_OF_A_VALUE = 12
_WORD = re.compile(r"\w+")
_IN_ONE_QUESTION = 400


class ListInUse(Exception):
    """The list is named by rules, so removing it would leave them without an answer. `rules` are their names."""

    def __init__(self, rules: Sequence[str]) -> None:
        super().__init__(
            _("Rules use this list: %(names)s. Change them first.") % {"names": ", ".join(rules[:5])}
        )
        self.rules = list(rules)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared with a list of words."""
    return _WORD.findall(comparable(text))


def normalised(list_type: str, value: str) -> str:
    """A value as it is kept and compared. Raises ValueError with a sentence for what the type cannot hold."""
    text = value.strip()
    if not text:
        raise ValueError(_("The value is empty."))
    if len(text) > VALUE_CHARACTERS:
        raise ValueError(_("A value has at most %(limit)d characters.") % {"limit": VALUE_CHARACTERS})
    if not is_storable(text):
        raise ValueError(_("The value holds a control character."))
    return _NORMAL[list_type](text)


def check_list(fields: Mapping[str, Any], *, path: str = "") -> dict[str, Any]:
    """The fields of a list, trimmed. Raises `Invalid` naming each that cannot be kept, and its limit."""
    faults: list[Fault] = []
    given = {one: fields.get(one) or "" for one in ("name", "description", "type")}
    for one, value in given.items():
        if not isinstance(value, str):
            faults.append(Fault(f"{path}{one}", _("It is text.")))
    if faults:
        raise Invalid(faults)
    name = given["name"].strip()
    if not name or len(name) > NAME_CHARACTERS:
        faults.append(
            Fault(f"{path}name", _("A name has 1 to %(limit)d characters.") % {"limit": NAME_CHARACTERS})
        )
    description = given["description"].strip()
    if len(description) > DESCRIPTION_CHARACTERS:
        faults.append(
            Fault(
                f"{path}description",
                _("A description has at most %(limit)d characters.") % {"limit": DESCRIPTION_CHARACTERS},
            )
        )
    for where, text in (("name", name), ("description", description)):
        if not is_storable(text):
            faults.append(Fault(f"{path}{where}", _("It holds a control character.")))
    kept = {"name": name, "description": description}
    if "type" in fields:
        kept["type"] = given["type"].strip().lower()
        if kept["type"] not in ListType.values:
            faults.append(
                Fault(
                    f"{path}type", _("The type is one of %(types)s.") % {"types": ", ".join(ListType.values)}
                )
            )
    if faults:
        raise Invalid(faults)
    return kept


def check_items(list_type: str, values: Sequence[Any], *, path: str = "") -> list[str]:
    """The values as they are kept, each once. Raises `Invalid` naming every bad one by its place from 1."""
    if len(values) > ITEMS_AT_ONCE:
        raise Invalid(
            [
                Fault(
                    f"{path}items",
                    _("At most %(limit)d values are added at once; these are %(count)d.")
                    % {"limit": ITEMS_AT_ONCE, "count": len(values)},
                )
            ]
        )
    faults: list[Fault] = []
    kept: dict[str, None] = {}
    for number, value in enumerate(values):
        try:
            if not isinstance(value, str):
                raise ValueError(_("A value is text."))
            kept[normalised(list_type, value)] = None
        except ValueError as error:
            faults.append(Fault(f"{path}items[{number}]", str(error)))
    if faults:
        raise Invalid(faults)
    return list(kept)


def create(fields: Mapping[str, Any], *, actor: Actor, reason: str = "") -> ValueList:
    """Make an empty list. Raises `Invalid`."""
    kept = check_list({"type": "", **fields})
    _refuse_taken_name(kept["name"])
    try:
        return changes.create(ValueList, actor=actor, reason=reason, **kept)
    except IntegrityError as error:
        raise _name_taken() from error


def change(pk: int, fields: Mapping[str, Any], *, version: int, actor: Actor, reason: str = "") -> ValueList:
    """Write name and description of a list. Raises `Invalid` and `changes.Conflict`; the type never changes."""
    known = ValueList.objects.filter(pk=pk).first()
    if known is not None and fields.get("type") not in (None, known.type):
        raise Invalid([Fault("type", _("The type of a list cannot be changed; make another list."))])
    kept = check_list({name: value for name, value in fields.items() if name != "type"})
    _refuse_taken_name(kept["name"], but=pk)
    try:
        return changes.change(ValueList, pk, version=version, actor=actor, reason=reason, **kept)
    except IntegrityError as error:
        raise _name_taken() from error


def remove(pk: int, *, version: int, actor: Actor, reason: str = "") -> None:
    """Remove a list with its values. Raises `ListInUse` and `changes.Conflict`."""
    found = ValueList.objects.filter(pk=pk).first()
    if found is not None and (users := rules_using(found)):
        raise ListInUse([rule.name for rule in users])
    changes.remove(ValueList, pk, version=version, actor=actor, reason=reason)


def rules_using(value_list: ValueList) -> list[Rule]:
    """The rules that look this list up, in the order in which they are asked."""
    return [rule for rule in Rule.objects.all() if str(value_list.public_id) in lists_named(rule.conditions)]


def lists_named(conditions: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of the lists that conditions look up."""
    return {
        one for condition in conditions if condition["operator"] == "in_list" for one in condition["value"]
    }


def add_items(pk: int, values: Sequence[str], *, actor: Actor, reason: str = "") -> list[str]:
    """Add values; those that were new, as they are kept. All or none. Raises `Invalid` and `changes.Conflict`."""
    return _write_items(pk, values, _added, actor=actor, reason=reason)


def remove_items(pk: int, values: Sequence[str], *, actor: Actor, reason: str = "") -> list[str]:
    """Take values out; those that were there. Raises `changes.Conflict` when the list is gone."""
    return _write_items(pk, values, _taken, actor=actor, reason=reason)


class StoredLists:
    """The lists as the engine asks them. A list that is not there is an error, never a "no"."""

    def among(self, list_id: str, values: Iterable[str]) -> frozenset[str]:
        """Those of the values that are in the list."""
        found = _known(list_id)
        wanted = list(dict.fromkeys(values))
        hits: set[str] = set()
        for start in range(0, len(wanted), _IN_ONE_QUESTION):
            part = wanted[start : start + _IN_ONE_QUESTION]
            hits.update(found.items.filter(value__in=part).values_list("value", flat=True))
        return frozenset(hits)

    def all_of(self, list_id: str) -> frozenset[str]:
        """Every value of the list."""
        return frozenset(_known(list_id).items.values_list("value", flat=True))


def _known(list_id: str) -> ValueList:
    return ValueList.objects.get(public_id=UUID(list_id))


def _write_items(
    pk: int,
    values: Sequence[str],
    write: Callable[[Sequence[str], ValueList], tuple[dict[str, Any], dict[str, Any]]],
    *,
    actor: Actor,
    reason: str,
) -> list[str]:
    written: list[str] = []

    def writing(row: ValueList) -> tuple[dict[str, Any], dict[str, Any]]:
        before, after = write(values, row)
        written.extend([*before.get("items", ()), *after.get("items", ())])
        return before, after

    changes.change_parts(ValueList, pk, actor=actor, reason=reason, write=writing)
    return written


def _added(values: Sequence[str], row: ValueList) -> tuple[dict[str, Any], dict[str, Any]]:
    kept = check_items(row.type, values)
    known = StoredLists().among(str(row.public_id), kept)
    new = [value for value in kept if value not in known]
    ValueListItem.objects.bulk_create([ValueListItem(value_list=row, value=value) for value in new])
    return {}, {"items": new} if new else {}


def _taken(values: Sequence[str], row: ValueList) -> tuple[dict[str, Any], dict[str, Any]]:
    wanted = [value.strip().lower() for value in values if is_storable(value)]
    there = sorted(StoredLists().among(str(row.public_id), wanted))
    for start in range(0, len(there), _IN_ONE_QUESTION):
        row.items.filter(value__in=there[start : start + _IN_ONE_QUESTION]).delete()
    return {"items": there} if there else {}, {}


def _refuse_taken_name(name: str, *, but: int = 0) -> None:
    if ValueList.objects.filter(name=name).exclude(pk=but).exists():
        raise _name_taken()


def _name_taken() -> Invalid:
    return Invalid([Fault("name", _("There is a list of this name already."))])


def _domain(text: str) -> str:
    try:
        name = host_name(text)
    except ValueError as error:
        raise ValueError(_("“%(value)s” is no domain.") % {"value": text[:80]}) from error
    if "." not in name:
        raise ValueError(_("“%(value)s” is no domain: it has no dot.") % {"value": text[:80]})
    return name


def _tld(text: str) -> str:
    try:
        name = host_name(text.removeprefix("."))
    except ValueError as error:
        raise ValueError(_("“%(value)s” is no top-level domain.") % {"value": text[:80]}) from error
    if "." in name:
        raise ValueError(
            _("“%(value)s” is no top-level domain: it is one name without dots.") % {"value": text[:80]}
        )
    return name


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or any(character.isspace() for character in text):
        raise ValueError(_("“%(value)s” is no address.") % {"value": text[:80]})
    _domain(domain)
    return address_name(text)


def _host(text: str) -> str:
    try:
        return host_name(text).removeprefix("www.")
    except ValueError as error:
        raise ValueError(_("“%(value)s” is no host name.") % {"value": text[:80]}) from error


def _words(text: str) -> str:
    words = words_of(text)
    if not words:
        raise ValueError(_("“%(value)s” holds no word.") % {"value": text[:80]})
    if len(words) > WORDS_OF_A_VALUE:
        raise ValueError(_("A value has at most %(limit)d words.") % {"limit": WORDS_OF_A_VALUE})
    return " ".join(words)


_NORMAL: Mapping[str, Callable[[str], str]] = {
    ListType.DOMAIN: _domain,
    ListType.TLD: _tld,
    ListType.ADDRESS: _address,
    ListType.HOST: _host,
    ListType.WORD: _words,
}
