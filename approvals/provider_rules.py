"""The provider's policies, rules, lists and workspaces: what it holds, and what a person asks it to change.

They are the backstop for whatever sends around this desk (nylas-v3 section 7). Every change is recorded before it is
asked for, so that nothing changes at the provider without an entry, and once more with the answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.db import DatabaseError, transaction
from django.utils.translation import gettext as _

from agentmail.client import MOST_ITEMS, NylasClient, configured_client
from agentmail.exceptions import NotFound, ProviderError, RequestRefused, Unauthenticated
from agentmail.models import Mailbox
from agentmail.types import ListSnapshot, PolicySnapshot, RuleSnapshot, WorkspaceSnapshot
from audit.record import Actor, record
from policies.models import ProviderKind

logger = logging.getLogger(__name__)

READ_SECONDS = 5.0
WRITE_SECONDS = 15.0
# More than any plan of the provider allows; a page shows no more.
MOST_OBJECTS = 200
MOST_GRANTS_READ = 1000
MOST_ITEMS_READ = 20_000
RECORDED_ITEMS = 50

T = TypeVar("T")
Snapshot = PolicySnapshot | RuleSnapshot | ListSnapshot | WorkspaceSnapshot


@dataclass(frozen=True, slots=True)
class Held:
    """An object as the provider holds it. `fields` are those of its JSON that can be written."""

    kind: ProviderKind
    id: str
    name: str
    fields: dict[str, Any]
    items_count: int = 0
    is_default: bool = False

    @property
    def seen(self) -> str:
        """A digest that a form carries: it differs as soon as any field does."""
        return hashlib.sha256(json.dumps(self.fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as it should be, `items` of a list as what is missing and what is too much."""

    field: str
    wanted: Any
    held: Any


class ProviderRefused(Exception):
    """The provider took nothing and says why. `field` is the one it names, as its JSON calls it, or empty."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class ChangedMeanwhile(Exception):
    """The object is not as the form showed it; nothing was written. `current` is it now, or None."""

    def __init__(self, current: Held | None, differences: Sequence[Difference] = ()) -> None:
        super().__init__("the object was changed at the provider")
        self.current = current
        self.differences = tuple(differences)


# What it holds


def listed(kind: ProviderKind) -> list[Held]:
    """The objects of a kind, by name. Raises `ProviderError`; each request ends within `READ_SECONDS`."""
    client = configured_client()
    found: Iterator[Any] = {
        ProviderKind.POLICY: client.list_policies,
        ProviderKind.RULE: client.list_rules,
        ProviderKind.LIST: client.list_lists,
        ProviderKind.WORKSPACE: client.list_workspaces,
    }[kind](read_timeout=READ_SECONDS)
    objects = [held_of(snapshot) for snapshot in islice(found, MOST_OBJECTS)]
    if kind == ProviderKind.RULE:
        return sorted(objects, key=lambda held: (held.fields["priority"], held.name.casefold()))
    return sorted(objects, key=lambda held: held.name.casefold())


def held(kind: ProviderKind, object_id: str) -> Held:
    """One object now. Raises `NotFound` and other `ProviderError`."""
    return _held(configured_client(), kind, object_id)


def items_of(list_id: str, *, limit: int = MOST_ITEMS_READ) -> list[str]:
    """The values of a list, sorted, at most `limit` of them. Raises `ProviderError`."""
    found = configured_client().list_items(list_id, read_timeout=READ_SECONDS)
    return sorted(islice(found, limit))


def workspace_of_grants() -> dict[str, str]:
    """The workspace id of each grant of the application, empty for a grant in none. Raises `ProviderError`."""
    found = configured_client().list_grants(read_timeout=READ_SECONDS)
    return {grant.id: grant.workspace_id for grant in islice(found, MOST_GRANTS_READ)}


def held_of(snapshot: Snapshot) -> Held:
    """The common form of what the provider returned."""
    match snapshot:
        case PolicySnapshot():
            fields: dict[str, Any] = {"limits": snapshot.limits, "spam_detection": snapshot.spam_detection}
            return Held(ProviderKind.POLICY, snapshot.id, snapshot.name, {"name": snapshot.name, **fields})
        case RuleSnapshot():
            fields = {
                "name": snapshot.name,
                "description": snapshot.description,
                "priority": snapshot.priority,
                "enabled": snapshot.is_enabled,
                "trigger": snapshot.trigger,
                "match": snapshot.match,
                "actions": list(snapshot.actions),
            }
            return Held(ProviderKind.RULE, snapshot.id, snapshot.name, fields)
        case ListSnapshot():
            fields = {"name": snapshot.name, "type": snapshot.type, "description": snapshot.description}
            return Held(
                ProviderKind.LIST, snapshot.id, snapshot.name, fields, items_count=snapshot.items_count
            )
        case WorkspaceSnapshot():
            fields = {
                "name": snapshot.name,
                "domain": snapshot.domain,
                "auto_group": snapshot.is_auto_grouped,
                "policy_id": snapshot.policy_id or None,
                "rule_ids": list(snapshot.rule_ids),
            }
            return Held(
                ProviderKind.WORKSPACE, snapshot.id, snapshot.name, fields, is_default=snapshot.is_default
            )


def differences_of(wanted: Mapping[str, Any], fields: Mapping[str, Any]) -> list[Difference]:
    """The wanted fields that are held otherwise. What the wish does not name is not compared, nor is letter case
    where the provider's comparisons ignore it.
    """
    found = []
    for name, value in wanted.items():
        held_value = fields.get(name)
        if name in ("limits", "spam_detection"):
            inner = held_value if isinstance(held_value, dict) else {}
            found += [
                Difference(f"{name}.{key}", one, inner.get(key))
                for key, one in value.items()
                if not _is_same(one, inner.get(key))
            ]
        elif not _is_same(value, held_value):
            found.append(Difference(name, value, held_value))
    return found


# What a person changes


def create(
    kind: ProviderKind, fields: Mapping[str, Any], *, actor: Actor, client: NylasClient | None = None
) -> Held:
    """Make an object; as it is held afterwards. Raises `ProviderRefused`, `ProviderError`."""
    client = client or configured_client()
    call: Callable[..., Any] = {
        ProviderKind.POLICY: client.create_policy,
        ProviderKind.RULE: client.create_rule,
        ProviderKind.LIST: client.create_list,
        ProviderKind.WORKSPACE: client.create_workspace,
    }[kind]
    made = _asked(
        "create",
        kind,
        "",
        lambda: held_of(call(fields, read_timeout=WRITE_SECONDS)),
        actor=actor,
        before={},
        after=dict(fields),
    )
    return made


def change(
    kind: ProviderKind,
    object_id: str,
    fields: Mapping[str, Any],
    *,
    seen: str | None,
    actor: Actor,
    client: NylasClient | None = None,
) -> Held:
    """Write fields of an object that is as the form showed it (`seen`, the digest; None: whatever it is).

    Only what differs is asked for, so writing what is held already asks nothing. Raises `ChangedMeanwhile`,
    `ProviderRefused`, `ProviderError`.
    """
    client = client or configured_client()
    current = _as_seen(client, kind, object_id, seen, fields)
    differences = differences_of(fields, current.fields)
    if not differences:
        return current
    call: Callable[..., Any] = {
        ProviderKind.POLICY: client.update_policy,
        ProviderKind.RULE: client.update_rule,
        ProviderKind.LIST: client.update_list,
        ProviderKind.WORKSPACE: client.update_workspace,
    }[kind]
    request = _request(fields, differences)
    return _asked(
        "change",
        kind,
        object_id,
        lambda: held_of(call(object_id, request, read_timeout=WRITE_SECONDS)),
        actor=actor,
        before={one.field: one.held for one in differences},
        after={one.field: one.wanted for one in differences},
    )


def remove(kind: ProviderKind, object_id: str, *, seen: str, actor: Actor) -> None:
    """Delete an object that is as the form showed it. Raises `ChangedMeanwhile`, `ProviderRefused`, `ProviderError`."""
    client = configured_client()
    current = _as_seen(client, kind, object_id, seen, {})
    call: Callable[..., Any] = {
        ProviderKind.POLICY: client.delete_policy,
        ProviderKind.RULE: client.delete_rule,
        ProviderKind.LIST: client.delete_list,
        ProviderKind.WORKSPACE: client.delete_workspace,
    }[kind]
    _asked(
        "delete",
        kind,
        object_id,
        lambda: call(object_id, read_timeout=WRITE_SECONDS),
        actor=actor,
        before=current.fields,
        after={},
    )


def add_items(
    list_id: str, values: Iterable[str], *, actor: Actor, client: NylasClient | None = None
) -> Held:
    """Add values to a list, in requests of at most 1,000. Raises `ProviderRefused`, `ProviderError`.

    When a later request is refused the earlier ones stay done; adding again adds what is missing.
    """
    client = client or configured_client()
    return _items("add_items", list_id, client.add_items, values, actor)


def remove_items(
    list_id: str, values: Iterable[str], *, actor: Actor, client: NylasClient | None = None
) -> Held:
    """Remove values from a list, as `add_items` adds them."""
    client = client or configured_client()
    return _items("remove_items", list_id, client.remove_items, values, actor)


def assign(workspace_id: str, mailboxes: Sequence[Mailbox], *, actor: Actor) -> int:
    """Move the grants of mailboxes into a workspace; how many the provider moved.

    Raises `ProviderRefused`, `ProviderError`.
    """
    client = configured_client()
    grants = [mailbox.grant_id for mailbox in mailboxes]
    moved, _out = _asked(
        "assign",
        ProviderKind.WORKSPACE,
        workspace_id,
        lambda: client.assign_grants(workspace_id, assign=grants, read_timeout=WRITE_SECONDS),
        actor=actor,
        before={},
        after={"grants": grants},
    )
    return len(moved)


# How


def _held(client: NylasClient, kind: ProviderKind, object_id: str) -> Held:
    read: Callable[..., Any] = {
        ProviderKind.POLICY: client.get_policy,
        ProviderKind.RULE: client.get_rule,
        ProviderKind.LIST: client.get_list,
        ProviderKind.WORKSPACE: client.get_workspace,
    }[kind]
    return held_of(read(object_id, read_timeout=READ_SECONDS))


def _as_seen(
    client: NylasClient, kind: ProviderKind, object_id: str, seen: str | None, fields: Mapping[str, Any]
) -> Held:
    try:
        current = _held(client, kind, object_id)
    except NotFound as error:
        raise ChangedMeanwhile(None) from error
    if seen is not None and current.seen != seen:
        raise ChangedMeanwhile(current, differences_of(fields, current.fields))
    return current


def _request(fields: Mapping[str, Any], differences: Sequence[Difference]) -> dict[str, Any]:
    # Limits are merged at the provider, so those that stay as they are need not be sent and judged again.
    request: dict[str, Any] = {}
    for one in differences:
        outer, dot, inner = one.field.partition(".")
        if dot:
            request.setdefault(outer, {})[inner] = one.wanted
        else:
            request[outer] = fields[outer]
    return request


def _items(
    operation: str, list_id: str, call: Callable[..., ListSnapshot], values: Iterable[str], actor: Actor
) -> Held:
    wanted = list(dict.fromkeys(values))
    held_now: Held | None = None
    for start in range(0, len(wanted), MOST_ITEMS):
        part = wanted[start : start + MOST_ITEMS]
        held_now = _asked(
            operation,
            ProviderKind.LIST,
            list_id,
            lambda part=part: held_of(call(list_id, part, read_timeout=WRITE_SECONDS)),  # type: ignore[misc]
            actor=actor,
            before={},
            after={"count": len(part), "items": part[:RECORDED_ITEMS]},
        )
    return held_now or held(ProviderKind.LIST, list_id)


def _asked(
    operation: str,
    kind: ProviderKind,
    object_id: str,
    call: Callable[[], T],
    *,
    actor: Actor,
    before: dict[str, Any],
    after: dict[str, Any],
) -> T:
    about = {"operation": operation, "kind": kind.value, "id": object_id}
    with transaction.atomic():
        record(
            "approvals.provider.asked",
            actor=actor,
            provider_id=object_id,
            data={**about, "before": before, "after": after},
        )
    try:
        result = call()
    except NotFound as error:
        _answered(about, "gone", actor, str(error))
        raise ChangedMeanwhile(None) from error
    except RequestRefused as error:
        sentence = error.error_message or str(error)
        _answered(about, "refused", actor, sentence)
        raise ProviderRefused(sentence, error.field) from error
    except Unauthenticated as error:
        _answered(about, "refused", actor, str(error))
        raise
    except ProviderError as error:
        _answered(about, "unknown", actor, str(error))
        raise
    _answered(about, "done", actor, "", provider_id=result.id if isinstance(result, Held) else object_id)
    return result


def _answered(
    about: dict[str, Any], outcome: str, actor: Actor, reason: str, *, provider_id: str = ""
) -> None:
    try:
        with transaction.atomic():
            record(
                "approvals.provider.answered",
                actor=actor,
                outcome=outcome,
                provider_id=provider_id or about["id"],
                reason=reason,
                data=about,
            )
    except DatabaseError:
        # The provider has answered; saying now that nothing was changed would be wrong. The question is recorded.
        logger.exception("the provider's answer to a change could not be recorded: %s", outcome)


def _is_same(wanted: Any, held_value: Any) -> bool:
    return bool(_comparable(wanted) == _comparable(held_value))


def _comparable(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() | float():
            return float(value)
        case None:
            return ""
        case dict():
            inner = {key: _comparable(one) for key, one in value.items() if one not in (None, "")}
            if "value" in inner and isinstance(value["value"], str):
                inner["value"] = value["value"].casefold()
            return inner
        case list() | tuple():
            parts = [_comparable(one) for one in value]
            return sorted(parts, key=repr) if all(isinstance(one, str) for one in parts) else parts
    return value


def refused_words(why: str) -> str:
    """What to say when the provider took nothing; `why` is its own sentence."""
    return _("The provider refused it: %(why)s") % {"why": why}


def unknown_outcome() -> str:
    """What to say when a change was asked for and no usable answer came."""
    return _(
        "The provider gave no usable answer, so it is not known whether it took the change. Look at what it holds now "
        "before you try again."
    )
