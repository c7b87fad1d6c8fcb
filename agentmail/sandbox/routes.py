from __future__ import annotations

from . import (
    activity,
    attachments,
    control,
    drafts,
    evaluation,
    folders,
    grants,
    lists,
    messages,
    policies,
    rules,
    sending,
    threads,
    webhooks,
    workspaces,
)
from .exchange import Routes

# These wait for others, so they take the lock of the store themselves.
BLOCKING = control.BLOCKING

ROUTES = Routes()
for module in (
    activity,
    attachments,
    control,
    drafts,
    evaluation,
    folders,
    grants,
    lists,
    messages,
    policies,
    rules,
    sending,
    threads,
    webhooks,
    workspaces,
):
    module.add_routes(ROUTES)
