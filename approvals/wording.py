"""A wording of a draft as the row that would keep it: what is stored, and what a preview of it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from agentmail.mail_html import clean, is_html, to_text
from approvals import difference, people
from approvals.content import Content, content_of_revision
from approvals.models import AuthorKind, Draft, Revision


def revision_of(
    draft: Draft, content: Content, *, author: User | None, at: datetime, agent_name: str = ""
) -> Revision:
    """The next revision of a draft, not saved, with its difference to the current one.

    Without an author it is the agent's, by its name if that is known.
    """
    before = draft.current_revision
    text = text_of(content)
    changes: Mapping[str, Any] = {}
    if before is not None:
        changes = difference.between(content_of_revision(before), before.body_text, content, text)
    return Revision(
        draft=draft,
        number=before.number + 1 if before is not None else 1,
        author_kind=AuthorKind.AGENT if author is None else AuthorKind.PERSON,
        author=author,
        author_name=people.name_of(author)
        if author is not None
        else agent_name or draft.mailbox.display_name,
        created_at=at,
        sender=[address.to_json() for address in content.sender],
        to=[address.to_json() for address in content.to],
        cc=[address.to_json() for address in content.cc],
        bcc=[address.to_json() for address in content.bcc],
        reply_to=[address.to_json() for address in content.reply_to],
        subject=content.subject,
        body=content.body,
        is_plaintext=content.is_plaintext,
        parent_message_id=content.parent_message_id,
        attachments=[{name: getattr(part, name) for name in part.__slots__} for part in content.attachments],
        content_sha256=content.sha256,
        body_html="" if content.is_plaintext else clean(content.body),
        body_text=text,
        difference=changes,
    )


def text_of(content: Content) -> str:
    """The text that a reader of a mail sees."""
    return to_text(content.body) if is_html(content.body) else content.body
