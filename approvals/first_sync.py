"""How far the first reading of a mailbox has come: told by the process that reads it, shown on its page."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from agentmail.models import GrantState, Mailbox, Message
from approvals.models import Draft, FirstSync
from approvals.page_version import page_version
from approvals.progress import Progress
from audit.clock import database_now

# How often the process that reads says how far it is.
TOLD_SECONDS = 1.0
# How long the page still shows that it is over.
SHOWN_MINUTES = 10


class Teller:
    """Says how far a reading is, when it is the first of its mailbox; later ones are short and say nothing."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.is_first = mailbox.synced_at is None
        self.told_at = 0.0
        self.messages = self.drafts = 0
        if not self.is_first:
            return
        # What an earlier try read counts: nothing is read twice.
        self.messages = Message.objects.filter(mailbox=mailbox).count()
        self.drafts = Draft.objects.filter(mailbox=mailbox).count()
        now = database_now()
        FirstSync.objects.get_or_create(mailbox=mailbox, defaults={"began_at": now, "told_at": now})
        self._tell()

    def read(self, *, messages: int = 0, drafts: int = 0) -> None:
        """Count what was read; it is written down once a second."""
        self.messages += messages
        self.drafts += drafts
        if self.is_first and time.monotonic() - self.told_at >= TOLD_SECONDS:
            self._tell()

    def ended(self) -> None:
        """Everything was read."""
        if self.is_first:
            self._tell(ended=True)

    def _tell(self, *, ended: bool = False) -> None:
        now = database_now()
        self.told_at = time.monotonic()
        FirstSync.objects.filter(mailbox=self.mailbox).update(
            messages=self.messages, drafts=self.drafts, told_at=now, ended_at=now if ended else None
        )


def progress_of(mailbox: Mailbox) -> Progress | None:
    """How far the first reading of a mailbox is; None when it has been over for a while."""
    row = FirstSync.objects.filter(mailbox=mailbox).first()
    is_over = mailbox.synced_at is not None
    if is_over and (row is None or row.told_at < database_now() - timedelta(minutes=SHOWN_MINUTES)):
        return None
    messages, drafts = (row.messages, row.drafts) if row is not None else (0, 0)
    failure = "" if is_over else mailbox.trouble
    what_to_do = _("It is tried again by itself every %(seconds)d s, and goes on where it was.") % {
        "seconds": settings.POLL_SECONDS
    }
    if failure and mailbox.grant_state != GrantState.VALID:
        what_to_do = _("Authenticate it again at the provider; it then goes on by itself.")
    if is_over:
        next_step = _("From now on it is read every %(seconds)d s, and when the provider tells of something.")
    elif row is None:
        next_step = _("A worker begins within %(seconds)d s.")
    else:
        next_step = _("Messages come first, then drafts, which stand in the queue as they are read.")
    address = reverse("approvals:mailbox", args=[mailbox.public_id])
    version = page_version(messages, drafts, is_over, failure, row is None)
    return Progress(
        word=_("First reading of the mailbox"),
        unit=_("messages and drafts"),
        done=messages + drafts,
        total=messages + drafts if is_over else None,
        began_at=row.began_at if row is not None else None,
        is_over=is_over,
        ended_at=row.ended_at if row is not None else None,
        next_step=next_step % {"seconds": settings.POLL_SECONDS},
        failure=failure,
        what_to_do=what_to_do,
        seen=reverse("approvals:first_sync", args=[mailbox.public_id]) + f"?seen={version}",
        address=address,
    )
