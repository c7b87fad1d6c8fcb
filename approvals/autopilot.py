"""Mail that leaves without a person, in the modes that allow it: read anew, asked of every gate, then queued."""

from __future__ import annotations

import logging

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from approvals import freshness
from approvals.models import Decision, Draft
from approvals.states import DraftState
from approvals.transitions import drafts
from policies import modes

logger = logging.getLogger(__name__)

READ_SECONDS = 10.0


def consider(draft_id: int) -> Decision | None:
    """Let a pending draft leave without a person if its mode and every gate allow it; None when it waits for one.

    The draft with its attachments and its thread are read again first. Whatever cannot be read or asked means that
    the draft waits, as it does in `gated_send`.
    """
    draft = Draft.objects.select_related("mailbox").get(pk=draft_id)
    if draft.state != DraftState.PENDING or any(
        modes.needs_person(mode) for mode in (draft.mode, draft.mailbox.mode)
    ):
        return None
    try:
        look = freshness.look(draft, configured_client(), verify_attachments=True, read_timeout=READ_SECONDS)
    except ProviderError as error:
        logger.warning("draft %s waits for a person, as it could not be read again: %s", draft_id, error)
        return None
    return drafts.approve_by_mode(draft_id, look=look)
