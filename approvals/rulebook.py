"""Rules as a person may see them: those of the scopes of their mailboxes, with what each did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, QuerySet, TextField
from django.db.models.functions import Cast

from approvals import people, policy_scopes
from approvals.models import InboundJudgement, Judgement, JudgementRule
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from policies import lists
from policies.models import EnforcedAt, Rule, Trigger, ValueList
from policies.rules import provider_obstacle

JUDGEMENTS_SHOWN = 50
VALUES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Hits:
    """How often a rule was named in evaluations, and when last."""

    count: int = 0
    last: datetime | None = None


def scope_words(person: Person) -> dict[str, str]:
    """Every scope of the mailboxes whose policies a person may read, the widest first, with its word."""
    return policy_scopes.words_of(policy_scopes.visible_to(person, Right.READ_POLICIES))


def all_scopes() -> dict[str, str]:
    """Every scope there is, with its word: what an admin may choose from."""
    return policy_scopes.words_of(policy_scopes.every())


def rules_for(person: Person) -> list[Rule]:
    """The rules a person may see, in the order in which they are asked."""
    return list(Rule.objects.filter(scope__in=scope_words(person)))


def rule_for(person: Person, pk: int) -> Rule | None:
    return Rule.objects.filter(pk=pk, scope__in=scope_words(person)).first()


def hits_of(person: Person, rules: Sequence[Rule]) -> Mapping[int, Hits]:
    """What the rules did in mailboxes of this person, by the id of the rule."""
    found = {rule.pk: Hits() for rule in rules}
    named = {f"rule:{rule.pk}": rule.pk for rule in rules}
    mailboxes = visible_mailboxes(person, Right.READ_POLICIES)
    rows = (
        JudgementRule.objects.filter(rule__in=named, judgement__mailbox__in=mailboxes)
        .values("rule")
        .annotate(count=Count("pk"), last=Max("judgement__at"))
    )
    for row in rows:
        found[named[row["rule"]]] = Hits(row["count"], row["last"])
    for rule in rules:
        if rule.trigger == Trigger.INBOUND:
            about = _inbound(person, rule).aggregate(count=Count("pk"), last=Max("at"))
            found[rule.pk] = Hits(about["count"], about["last"])
    return found


def judgements_of(person: Person, rule: Rule) -> list[Judgement]:
    """The newest evaluations of drafts that named a rule."""
    named = JudgementRule.objects.filter(rule=f"rule:{rule.pk}").values("judgement")
    return list(
        Judgement.objects.select_related("draft", "mailbox")
        .filter(pk__in=named, mailbox__in=visible_mailboxes(person, Right.READ_POLICIES))
        .order_by("-pk")[:JUDGEMENTS_SHOWN]
    )


def inbound_judgements_of(person: Person, rule: Rule) -> list[InboundJudgement]:
    """The newest evaluations of mail that arrived which named a rule."""
    return list(
        _inbound(person, rule).select_related("message", "mailbox").order_by("-pk")[:JUDGEMENTS_SHOWN]
    )


def enforcement(rule: Rule) -> tuple[str, str]:
    """Where a rule is enforced, in a word, and why not at the provider; the second is empty when it could be."""
    return str(EnforcedAt(rule.enforced_at).label), provider_obstacle(rule)


def value_lists() -> QuerySet[ValueList]:
    """Every list, by name, with `count` values; a list belongs to no mailbox."""
    return ValueList.objects.annotate(count=Count("items"))


def value_list(pk: int) -> ValueList | None:
    return value_lists().filter(pk=pk).first()


@dataclass(frozen=True, slots=True)
class Values:
    """One page of the values of a list; what is added meanwhile moves no later page."""

    shown: list[str]
    has_more: bool


def values_of(found: ValueList, *, search: str = "", after: str = "") -> Values:
    """The values of a list that hold a text, beyond the last one of the page before."""
    items = found.items.order_by("value").filter(value__gt=after)
    if search:
        items = items.filter(value__contains=search)
    values = list(items.values_list("value", flat=True)[: VALUES_SHOWN + 1])
    return Values(values[:VALUES_SHOWN], len(values) > VALUES_SHOWN)


def rules_using(person: Person, found: ValueList) -> list[Rule]:
    """The rules that look a list up, of those that a person may see."""
    if not people.may(person, Right.READ_POLICIES):
        return []
    visible = scope_words(person)
    return [rule for rule in lists.rules_using(found) if rule.scope in visible]


def _inbound(person: Person, rule: Rule) -> QuerySet[InboundJudgement]:
    return (
        InboundJudgement.objects.filter(mailbox__in=visible_mailboxes(person, Right.READ_POLICIES))
        .annotate(rules_text=Cast("rules", TextField()))
        .filter(rules_text__contains=f'"rule:{rule.pk}:')
    )
