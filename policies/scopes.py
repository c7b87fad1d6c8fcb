"""Where a policy row holds: everywhere, in one workspace, or for one mailbox. Written as text, such as "mailbox:12"."""

from __future__ import annotations

from policies.models import WorkspaceMember

GLOBAL = "global"


def mailbox_scope(mailbox_id: int) -> str:
    return f"mailbox:{mailbox_id}"


def workspace_scope(workspace_id: int) -> str:
    return f"workspace:{workspace_id}"


def scopes_of(mailbox_id: int) -> list[str]:
    """Every scope a mailbox is in, the widest first."""
    workspace_id = WorkspaceMember.objects.filter(mailbox_id=mailbox_id).values_list(
        "workspace_id", flat=True
    )
    return [GLOBAL, *(workspace_scope(one) for one in workspace_id), mailbox_scope(mailbox_id)]


def mailboxes_of(workspace_id: int) -> list[int]:
    """The mailboxes that are in a workspace now."""
    found = WorkspaceMember.objects.filter(workspace_id=workspace_id).order_by("mailbox_id")
    return list(found.values_list("mailbox_id", flat=True))
