"""The scopes of policy rows and of the kill switch as people know them: which they see, and what each is called."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import people
from approvals.models import Submission
from approvals.people import Person, Right
from policies.models import Workspace, WorkspaceMember
from policies.scopes import GLOBAL, mailbox_scope, workspace_scope


def every() -> list[str]:
    """Every scope that a policy row can have, the widest first, mailboxes by address."""
    workspaces = Workspace.objects.values_list("pk", flat=True)
    mailboxes = Mailbox.objects.values_list("pk", flat=True)
    return [GLOBAL, *map(workspace_scope, workspaces), *map(mailbox_scope, mailboxes)]


def visible_to(person: Person, *rights: Right) -> list[str]:
    """The scopes of the mailboxes on which a person has one of the rights, the widest first; all with one on all."""
    if any(people.may_everywhere(person, right) for right in rights):
        return every()
    ids = sorted({pk for right in rights for pk in people.mailbox_ids_with(person, right)})
    if not ids:
        return []
    members = WorkspaceMember.objects.filter(mailbox_id__in=ids).order_by("workspace_id")
    workspaces = members.values_list("workspace_id", flat=True).distinct()
    return [GLOBAL, *map(workspace_scope, workspaces), *map(mailbox_scope, ids)]


def words_of(scopes: Iterable[str]) -> dict[str, str]:
    """What each scope is called on a page and in a sentence, in the order given; a row that is gone has its number."""
    wanted = list(dict.fromkeys(scopes))
    mailboxes = dict(Mailbox.objects.filter(pk__in=_numbers(wanted, "mailbox:")).values_list("pk", "address"))
    workspaces = dict(
        Workspace.objects.filter(pk__in=_numbers(wanted, "workspace:")).values_list("pk", "name")
    )
    agents = {
        scope: _agent_name(scope.removeprefix("agent:")) for scope in wanted if scope.startswith("agent:")
    }
    return {scope: _word(scope, mailboxes, workspaces, agents) for scope in wanted}


def word_of(scope: str) -> str:
    return words_of([scope])[scope]


def _agent_name(agent_id: str) -> str:
    """What an agent was called when it last handed in a mail; its id where it never did."""
    rows = Submission.objects.filter(agent_id=agent_id).order_by("-pk")
    return rows.values_list("agent_name", flat=True).first() or agent_id


def _word(scope: str, mailboxes: dict[int, str], workspaces: dict[int, str], agents: dict[str, str]) -> str:
    kind, _colon, name = scope.partition(":")
    if kind == "mailbox":
        return _("mailbox %(name)s") % {"name": mailboxes.get(int(name), name)}
    if kind == "workspace":
        return _("workspace %(name)s") % {"name": workspaces.get(int(name), name)}
    if kind == "agent":
        return _("agent %(name)s") % {"name": agents.get(scope, name)}
    if kind == "domain":
        return _("domain %(name)s") % {"name": name}
    return _("all mailboxes")


def _numbers(scopes: Iterable[str], prefix: str) -> list[int]:
    return [int(scope.removeprefix(prefix)) for scope in scopes if scope.startswith(prefix)]
