"""Evaluating rules: a pure function of one mail, the rules and the lists. It reads no clock and writes nothing.

What cannot be decided is an error, never a "does not match": the caller refuses the mail then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from policies.globs import matches as glob_matches
from policies.lists import words_of
from policies.models import MatchOperator, Rule
from policies.names import address_name, domain_of, tld_of
from policies.rules import FIELDS, Kind
from policies.texts import comparable

SHOWN_CHARACTERS = 120


class Lists(Protocol):
    """The lists that `in_list` looks up. Both raise for a list that is not there."""

    def among(self, list_id: str, values: Iterable[str]) -> frozenset[str]: ...

    def all_of(self, list_id: str) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """One mail as the rules see it: plain texts, addresses as written, `size` in bytes.

    `thread_*` are None while the caller did not read the thread; a rule that needs them is an error then. The answered
    message has no text when there is none.
    """

    sender: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    outbound_type: str = ""
    subject: str = ""
    body: str = ""
    amounts: tuple[str, ...] = ()
    link_hosts: tuple[str, ...] = ()
    attachment_names: tuple[str, ...] = ()
    attachment_types: tuple[str, ...] = ()
    attachment_count: int = 0
    size: int = 0
    new_amounts: tuple[str, ...] | None = None
    new_link_hosts: tuple[str, ...] | None = None
    answered_category: str | None = None
    answered_subject: str | None = None
    answered_body: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The `evaluation_input` of the provider's records: addresses, domains and top-level domains, normalised."""
        sender = self.sender[0] if self.sender else ""
        said: dict[str, Any] = {
            "from_address": address_name(sender),
            "from_domain": domain_of(sender),
            "from_tld": tld_of(sender),
        }
        if self.outbound_type:
            everybody = [*self.recipients, *self.reply_to]
            said |= {
                "recipient_addresses": _once(address_name(one) for one in everybody),
                "recipient_domains": _once(domain_of(one) for one in everybody),
                "recipient_tlds": _once(tld_of(one) for one in self.recipients),
                "outbound_type": self.outbound_type,
            }
        return said


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched: the condition by its place from 0, its field, and the text that made it match."""

    rule: Rule
    condition: int
    field: str
    text: str

    @property
    def reference(self) -> str:
        """What a verdict names: "rule:id:version"."""
        return f"rule:{self.rule.pk}:{self.rule.version}"

    def does(self, action: str) -> bool:
        return any(one["type"] == action for one in self.rule.actions)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every rule that matched, in order; a block is the last one. `category` is that of the first that gives one."""

    matches: tuple[Match, ...] = ()

    @property
    def block(self) -> Match | None:
        return next((match for match in self.matches if match.does("block")), None)

    @property
    def holds(self) -> tuple[Match, ...]:
        """The matches that ask for a person, without those that an explicit permission to compose answers."""
        return tuple(
            match
            for match in self.matches
            if match.does("hold") and not (self.may_compose and is_about_type_only(match.rule))
        )

    @property
    def may_compose(self) -> bool:
        """Whether a rule explicitly lets mail that answers nothing pass without a person."""
        return any(match.does("allow_compose") for match in self.matches)

    @property
    def category(self) -> str:
        for match in self.matches:
            for action in match.rule.actions:
                if action["type"] == "set_category":
                    return str(action["value"])
        return ""

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(match.reference for match in self.matches)

    def applied_actions(self) -> dict[str, Any]:
        """What happened, under the keys of the provider's records and ours; only what is true is there."""
        applied: dict[str, Any] = {}
        if self.block is not None:
            applied["blocked"] = True
        elif self.holds:
            applied["held"] = True
        if self.category:
            applied["category"] = self.category
        return applied


def evaluate(subject: Subject, rules: Sequence[Rule], lists: Lists) -> Outcome:
    """Ask rules about a mail in order of priority, ties by id. A block ends the evaluation."""
    found: list[Match] = []
    for rule in sorted(rules, key=lambda rule: (rule.priority, rule.pk or 0)):
        match = _match(rule, subject, lists)
        if match is not None:
            found.append(match)
            if match.does("block"):
                break
    return Outcome(tuple(found))


def is_about_type_only(rule: Rule) -> bool:
    """Whether a rule looks at nothing but whether the mail is a reply: what `allow_compose` answers."""
    return all(condition["field"] == "outbound.type" for condition in rule.conditions)


def _match(rule: Rule, subject: Subject, lists: Lists) -> Match | None:
    if not rule.conditions:
        raise ValueError(f"rule {rule.pk} has no conditions")
    is_any = rule.match_operator == MatchOperator.ANY
    first: Match | None = None
    for place, condition in enumerate(rule.conditions):
        text = _holds(condition, subject, lists)
        if text is None and not is_any:
            return None
        if text is not None and first is None:
            first = Match(rule, place, condition["field"], text[:SHOWN_CHARACTERS])
            if is_any:
                return first
    return first


def _holds(condition: Mapping[str, Any], subject: Subject, lists: Lists) -> str | None:
    """The text that made the condition hold, or None when it does not."""
    field, operator, wanted = condition["field"], condition["operator"], condition["value"]
    values = _VALUES[field](subject)
    if values is None:
        raise ValueError(f"{field} is not known of this mail")
    kind = FIELDS[field].kind
    if kind in (Kind.NUMBER, Kind.TRUTH):
        [value] = values
        if not _COMPARE[operator](value, wanted):
            return None
        return ", ".join(_EVIDENCE[field](subject) or ()) if field in _EVIDENCE else str(value)
    if operator == "is_not":
        if any(value == wanted for value in values):
            return None
        return "" if field in _TEXTS else ", ".join(values)
    if operator == "in_list":
        return _listed(field, values, wanted, lists)
    found = next((value for value in values if _COMPARE[operator](value, wanted)), None)
    # What a mail says stays with the mail: of its texts only what was looked for is told.
    return str(wanted) if found is not None and field in _TEXTS else found


def _listed(field: str, values: Sequence[str], list_ids: Sequence[str], lists: Lists) -> str | None:
    by_word = "word" in FIELDS[field].lists
    found: str | None = None
    for list_id in list_ids:
        # Every list is asked, so that one that is gone is noticed whatever the others say.
        hits = _phrases_in(values, lists.all_of(list_id)) if by_word else lists.among(list_id, values)
        if hits and found is None:
            found = min(hits)
    return found


def _phrases_in(values: Sequence[str], phrases: Iterable[str]) -> set[str]:
    """Those phrases whose words stand side by side in one of the texts; one pass over a text per length."""
    by_length: dict[int, set[str]] = {}
    for phrase in phrases:
        by_length.setdefault(phrase.count(" ") + 1, set()).add(phrase)
    hits: set[str] = set()
    for value in values:
        words = words_of(value)
        for length, wanted in by_length.items():
            hits |= wanted & {
                " ".join(words[start : start + length]) for start in range(len(words) - length + 1)
            }
    return hits


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _folded(texts: Iterable[str] | None) -> list[str] | None:
    return None if texts is None else [comparable(text) for text in texts]


_TEXTS = frozenset({"subject", "body", "inbound.subject", "inbound.body"})

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: value == wanted,
    "is_not": lambda value, wanted: value != wanted,
    "contains": lambda value, wanted: wanted in value,
    "matches": lambda value, wanted: glob_matches(wanted, value),
    "greater_than": lambda value, wanted: value > wanted,
    "less_than": lambda value, wanted: value < wanted,
}

_EVIDENCE: Mapping[str, Callable[[Subject], Sequence[str] | None]] = {
    "money.present": lambda s: s.amounts,
    "money.new": lambda s: s.new_amounts,
}

_VALUES: Mapping[str, Callable[[Subject], Sequence[Any] | None]] = {
    "from.address": lambda s: _once(address_name(one) for one in s.sender),
    "from.domain": lambda s: _once(domain_of(one) for one in s.sender),
    "from.tld": lambda s: _once(tld_of(one) for one in s.sender),
    "recipient.address": lambda s: _once(address_name(one) for one in (*s.recipients, *s.reply_to)),
    "recipient.domain": lambda s: _once(domain_of(one) for one in (*s.recipients, *s.reply_to)),
    "recipient.tld": lambda s: _once(tld_of(one) for one in s.recipients),
    "outbound.type": lambda s: [s.outbound_type] if s.outbound_type else None,
    "subject": lambda s: _folded([s.subject]),
    "body": lambda s: _folded([s.body]),
    "money.present": lambda s: [bool(s.amounts)],
    "money.new": lambda s: None if s.new_amounts is None else [bool(s.new_amounts)],
    "link.host": lambda s: _folded(s.link_hosts),
    "link.new_host": lambda s: _folded(s.new_link_hosts),
    "attachment.count": lambda s: [s.attachment_count],
    "attachment.type": lambda s: _folded(s.attachment_types),
    "attachment.name": lambda s: _folded(s.attachment_names),
    "size": lambda s: [s.size],
    "inbound.category": lambda s: None if s.answered_category is None else _folded([s.answered_category]),
    "inbound.subject": lambda s: None if s.answered_subject is None else _folded([s.answered_subject]),
    "inbound.body": lambda s: None if s.answered_body is None else _folded([s.answered_body]),
}
