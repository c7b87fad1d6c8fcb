"""Rules as a person may see them: those of the scopes of their mailboxes, with what each did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals.models import InboundJudgement, Judgement, JudgementRule
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from policies.models import EnforcedAt, Rule, Trigger, Workspace, WorkspaceMember
from policies.rules import provider_obstacle
from policies.scopes import GLOBAL, mailbox_scope, workspace_scope

JUDGEMENTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Hits:
    """How often a rule was named in evaluations, and when last."""

    count: int = 0
    last: datetime | None = None


def scope_words(person: Person) -> dict[str, str]:
    """Every scope of the mailboxes whose policies a person may read, the widest first, with its word."""
    mailboxes = list(visible_mailboxes(person, Right.READ_POLICIES))
    return {GLOBAL: _("Everywhere")} | _workspaces(mailboxes) | _mailboxes(mailboxes)


def all_scopes() -> dict[str, str]:
    """Every scope there is, with its word: what an admin may choose from."""
    workspaces = {workspace_scope(one.pk): _workspace_word(one) for one in Workspace.objects.all()}
    return {GLOBAL: _("Everywhere")} | workspaces | _mailboxes(Mailbox.objects.all())


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


def _inbound(person: Person, rule: Rule) -> QuerySet[InboundJudgement]:
    return (
        InboundJudgement.objects.filter(mailbox__in=visible_mailboxes(person, Right.READ_POLICIES))
        .annotate(rules_text=Cast("rules", TextField()))
        .filter(rules_text__contains=f'"rule:{rule.pk}:')
    )


def _workspaces(mailboxes: Collection[Mailbox]) -> dict[str, str]:
    members = WorkspaceMember.objects.filter(mailbox_id__in=[mailbox.pk for mailbox in mailboxes])
    joined = Workspace.objects.filter(pk__in=members.values("workspace"))
    return {workspace_scope(one.pk): _workspace_word(one) for one in joined}


def _workspace_word(workspace: Workspace) -> str:
    return _("Workspace %(name)s") % {"name": workspace.name}


def _mailboxes(mailboxes: Iterable[Mailbox]) -> dict[str, str]:
    return {mailbox_scope(mailbox.pk): mailbox.address for mailbox in mailboxes}
