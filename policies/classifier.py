"""What kind of mail this is, and how much of it an agent may do: words, patterns and known templates, no model.

The same mail and the same rulebook always give the same answer, with the words that caused it. What an agent says
about its own mail can only make the answer stricter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext as _

from policies import globs
from policies.models import Tier
from policies.words import Words, folded

WORDS_SHOWN = 3
# How much longer than its pattern a line of a known template may be: the room of its variable parts.
VARIABLE_CHARACTERS = 200
ANY_LINES = "**"

_STRICTNESS: tuple[str, ...] = (Tier.AUTO, Tier.APPROVE, Tier.HUMAN_ONLY)


class Risk(StrEnum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Kind:
    """A category as the classifier uses it. `lists` are outbound words and globs, inbound words and globs."""

    id: int
    version: int
    key: str
    name: str
    tier: str
    position: int
    is_high_risk: bool
    outbound_words: tuple[str, ...] = ()
    outbound_globs: tuple[str, ...] = ()
    inbound_words: tuple[str, ...] = ()
    inbound_globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A known template of a category."""

    id: int
    version: int
    category_id: int
    name: str
    subject_glob: str
    body_globs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Everything that decides, in the order of precedence. See `policies.categories.rulebook`."""

    kinds: tuple[Kind, ...] = ()
    families: tuple[Family, ...] = ()
    high_value_domains: tuple[str, ...] = ()
    least_confidence: float = 0.8


@dataclass(frozen=True, slots=True)
class Mail:
    """What is judged. `domains` are those of all recipients; `agent_*` is what the agent says about it.

    `rule_category` is what a rule of ours calls it; like the agent it can only make the answer stricter.

    `is_complete` is false while any text of it, or of the message that it answers, has not been read in full.
    """

    subject: str
    body: str
    inbound_subject: str = ""
    inbound_body: str = ""
    domains: tuple[str, ...] = ()
    agent_category: str = ""
    agent_confidence: float | None = None
    rule_category: str = ""
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was found; `words` are as they are written in the mail.

    `category` is the key of the category that it speaks for and `name` what people call that. `is_risky` for words of a
    category of high risk; `is_ours` is false where the answered message has them.
    """

    sentence: str
    words: tuple[str, ...] = ()
    category: str = ""
    name: str = ""
    is_risky: bool = False
    is_ours: bool = True


@dataclass(frozen=True, slots=True)
class Classification:
    """The category that names the mail (None: no category fits), its tier, and everything that led there."""

    category: Kind | None
    tier: Tier
    risk: Risk
    reasons: tuple[Reason, ...] = ()
    family: Family | None = None

    @property
    def key(self) -> str:
        return self.category.key if self.category is not None else ""

    @property
    def name(self) -> str:
        return self.category.name if self.category is not None else _("No category")

    @property
    def rules(self) -> tuple[str, ...]:
        """The policy rows that decided, as "kind:id:version"."""
        rows: list[tuple[str, Kind | Family | None]] = [("category", self.category), ("family", self.family)]
        return tuple(f"{kind}:{row.id}:{row.version}" for kind, row in rows if row is not None)


@dataclass(slots=True)
class _Findings:
    kinds: list[Kind] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    is_high_risk: bool = False
    tier: Tier = Tier.AUTO

    def tighten(self, tier: str) -> None:
        if _STRICTNESS.index(tier) > _STRICTNESS.index(self.tier):
            self.tier = Tier(tier)

    def trigger(self, reason: Reason) -> None:
        self.reasons.append(reason)
        self.is_high_risk = True
        self.tighten(Tier.APPROVE)


def classify(mail: Mail, rulebook: Rulebook) -> Classification:
    """Judge a mail. `auto` needs low risk and a known template; anything unclear needs a person.

    Every category of high risk or for people only counts, the strictest names the mail; of the routine ones only the
    first counts: that of the known template, or the one of the lowest position.
    """
    if not mail.is_complete:
        reason = Reason(
            _(
                "Not all of the text has been read, and nothing is judged on its subject alone: a person decides."
            )
        )
        return Classification(None, Tier.APPROVE, Risk.HIGH, (reason,))
    found = _Findings()
    family = _family_of(mail, rulebook)
    _look_for_categories(mail, rulebook, family, found)
    _look_at_recipients(mail, rulebook, found)
    _hear_the_agent(mail, rulebook, found)
    _hear_the_rules(mail, rulebook, found)
    if not found.kinds:
        found.reasons.append(Reason(_("No category fits this mail, so it needs an approval.")))
        found.tighten(Tier.APPROVE)
    if found.tier == Tier.AUTO:
        _doubt(mail, rulebook, family, found)
    strictest = max((_STRICTNESS.index(kind.tier) for kind in found.kinds), default=0)
    named = (kind for kind in found.kinds if _STRICTNESS.index(kind.tier) == strictest)
    return Classification(
        category=min(named, key=lambda kind: (kind.position, kind.id), default=None),
        tier=found.tier,
        risk=Risk.HIGH if found.is_high_risk else Risk.LOW,
        reasons=tuple(found.reasons),
        family=family,
    )


def fits_family(family: Family, subject: str, body: str) -> bool:
    """Whether a mail is the template but for its variable parts, line by line; empty lines do not count."""
    lines = [line for line in map(_line, body.splitlines()) if line]
    patterns = [pattern for pattern in map(_line, family.body_globs) if pattern]
    return bool(patterns) and _line_fits(_line(family.subject_glob), _line(subject)) and _fit(patterns, lines)


def _look_for_categories(mail: Mail, rulebook: Rulebook, family: Family | None, found: _Findings) -> None:
    ours = Words.of(f"{mail.subject}\n{mail.body}")
    theirs = Words.of(f"{mail.inbound_subject}\n{mail.inbound_body}")
    our_lines = _Lines(ours.text)
    their_lines = _Lines(theirs.text)
    routine_is_named = False
    for kind in _family_first(rulebook.kinds, family):
        is_of_family = family is not None and family.category_id == kind.id
        is_routine = not kind.is_high_risk and kind.tier != Tier.HUMAN_ONLY
        if is_routine and routine_is_named:
            continue
        in_ours = [*_found(ours, kind.outbound_words), *our_lines.fitting(kind.outbound_globs)]
        in_theirs = [*_found(theirs, kind.inbound_words), *their_lines.fitting(kind.inbound_globs)]
        if not in_ours and not in_theirs and not is_of_family:
            continue
        routine_is_named |= is_routine
        found.kinds.append(kind)
        found.tighten(kind.tier)
        # An automatic category of high risk is one that an admin let through with a typed reason.
        found.is_high_risk |= kind.is_high_risk and kind.tier != Tier.AUTO
        if in_ours:
            sentence = _("%(category)s: found in the draft.") % {"category": kind.name}
            words = tuple(in_ours[:WORDS_SHOWN])
            found.reasons.append(Reason(sentence, words, kind.key, kind.name, is_risky=kind.is_high_risk))
        if in_theirs:
            sentence = _("%(category)s: found in the answered message.") % {"category": kind.name}
            words = tuple(in_theirs[:WORDS_SHOWN])
            found.reasons.append(
                Reason(sentence, words, kind.key, kind.name, is_risky=kind.is_high_risk, is_ours=False)
            )
        if is_of_family and family is not None:
            sentence = _("%(category)s: it is the known template %(name)s.") % {
                "category": kind.name,
                "name": family.name,
            }
            found.reasons.append(Reason(sentence, (), kind.key, kind.name))


def _family_first(kinds: Sequence[Kind], family: Family | None) -> list[Kind]:
    """In the order of precedence, but for the category whose known template the mail is."""
    return sorted(kinds, key=lambda kind: family is None or kind.id != family.category_id)


def _look_at_recipients(mail: Mail, rulebook: Rulebook, found: _Findings) -> None:
    dear = [domain for domain in mail.domains if _is_high_value(domain, rulebook.high_value_domains)]
    if dear:
        found.trigger(
            Reason(_("A recipient is at a domain of high value."), tuple(dict.fromkeys(dear))[:WORDS_SHOWN])
        )


def _hear_the_agent(mail: Mail, rulebook: Rulebook, found: _Findings) -> None:
    if not mail.agent_category:
        return
    kind = _kind_named(mail.agent_category, rulebook)
    if kind is None:
        reason = Reason(_("The agent names a category that is not known here."), (mail.agent_category,))
        found.reasons.append(reason)
        found.tighten(Tier.APPROVE)
    else:
        _name_if_stricter(kind, _("The agent itself names this category."), found)


def _hear_the_rules(mail: Mail, rulebook: Rulebook, found: _Findings) -> None:
    # A rule may use a name that no category has, for other rules to look at.
    kind = _kind_named(mail.rule_category, rulebook) if mail.rule_category else None
    if kind is not None:
        _name_if_stricter(kind, _("A rule gives it this category."), found)


def _kind_named(said: str, rulebook: Rulebook) -> Kind | None:
    name = folded(said).strip()
    return next((kind for kind in rulebook.kinds if name in (folded(kind.key), folded(kind.name))), None)


def _name_if_stricter(kind: Kind, sentence: str, found: _Findings) -> None:
    if _STRICTNESS.index(kind.tier) > _STRICTNESS.index(found.tier):
        found.kinds.append(kind)
        found.is_high_risk |= kind.is_high_risk
        found.reasons.append(Reason(sentence, (kind.name,), kind.key, kind.name))
        found.tighten(kind.tier)


def _doubt(mail: Mail, rulebook: Rulebook, family: Family | None, found: _Findings) -> None:
    """What keeps a mail of an automatic category from leaving without a person."""
    confidence = mail.agent_confidence
    if confidence is None or not 0 <= confidence <= 1:
        found.trigger(Reason(_("The agent does not say how sure it is.")))
    elif confidence < rulebook.least_confidence:
        found.trigger(
            Reason(
                _("The agent is not sure enough: %(said)s, at least %(least)s is asked for.")
                % {"said": f"{confidence:g}", "least": f"{rulebook.least_confidence:g}"}
            )
        )
    if family is None:
        found.reasons.append(Reason(_("It is no known template of its category.")))
        found.tighten(Tier.APPROVE)


def _family_of(mail: Mail, rulebook: Rulebook) -> Family | None:
    positions = {kind.id: index for index, kind in enumerate(rulebook.kinds)}
    candidates = sorted(
        (family for family in rulebook.families if family.category_id in positions),
        key=lambda family: (positions[family.category_id], family.id),
    )
    return next((family for family in candidates if fits_family(family, mail.subject, mail.body)), None)


def _found(words: Words, phrases: Sequence[str]) -> Iterator[str]:
    return filter(None, map(words.find, phrases))


def _is_high_value(domain: str, listed: Sequence[str]) -> bool:
    domain = domain.casefold().rstrip(".")
    return any(domain.endswith(entry[1:]) if entry.startswith("*.") else domain == entry for entry in listed)


class _Lines:
    """The lines of a text, folded once and only when a pattern asks for them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[tuple[str, str]] | None = None

    def fitting(self, patterns: Sequence[str]) -> Iterator[str]:
        for pattern in patterns:
            wanted = _line(pattern)
            hit = next((line for line, plain in self._all() if wanted and globs.matches(wanted, plain)), "")
            if hit:
                yield hit[: WORDS_SHOWN * 40]

    def _all(self) -> list[tuple[str, str]]:
        if self._lines is None:
            lines = (line.strip() for line in self._text.splitlines())
            self._lines = [(line, _line(line)) for line in lines if line]
        return self._lines


def _line(text: str) -> str:
    return " ".join(folded(text).split())


def _line_fits(pattern: str, line: str) -> bool:
    return len(line) <= len(pattern) + VARIABLE_CHARACTERS and globs.matches(pattern, line)


def _fit(patterns: Sequence[str], lines: Sequence[str]) -> bool:
    """As a glob over lines: every pattern takes one line, `**` any number of them."""
    pattern = line = 0
    star = resume = -1
    while line < len(lines):
        if pattern < len(patterns) and patterns[pattern] == ANY_LINES:
            star, resume = pattern, line
            pattern += 1
        elif pattern < len(patterns) and _line_fits(patterns[pattern], lines[line]):
            pattern += 1
            line += 1
        elif star >= 0:
            resume += 1
            pattern, line = star + 1, resume
        else:
            return False
    return all(rest == ANY_LINES for rest in patterns[pattern:])
