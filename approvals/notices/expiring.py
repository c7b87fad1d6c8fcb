"""Warning those who may decide, once for each draft, when three quarters of its time are over."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef

from approvals import expiry
from approvals.models import Draft, Risk
from approvals.notices import keeping
from approvals.notices.models import Notice, NoticeKind
from approvals.notices.reader import facts_of_draft, path_of_draft
from approvals.states import DraftState
from audit.clock import database_now

AT_ONCE = 500


def warn() -> int:
    """Keep the warnings that are due; how many."""
    now = database_now()
    warned = Notice.objects.filter(draft=OuterRef("pk"), kind=NoticeKind.EXPIRING)
    rows = Draft.objects.filter(
        expiry.may_be_near(now), ~Exists(warned), state=DraftState.PENDING, expires_at__gt=now
    ).order_by("expires_at")
    rows = rows.select_related("mailbox").defer("search_text")
    return sum(_warn(draft) for draft in rows[:AT_ONCE] if expiry.is_near(draft, now))


def _warn(draft: Draft) -> bool:
    with transaction.atomic():
        # Locked, so that a decision at the same moment is recorded after this and closes it.
        rows = Draft.objects.select_for_update(of=("self",)).filter(pk=draft.pk, state=DraftState.PENDING)
        if not rows.values_list("pk").first():
            return False
        notice = keeping.notify(
            NoticeKind.EXPIRING,
            key=f"expiring:{draft.pk}",
            path=path_of_draft(draft),
            mailbox_id=draft.mailbox_id,
            draft=draft,
            first_person_id=draft.assigned_to_id,
            is_urgent=draft.risk == Risk.HIGH,
            facts=facts_of_draft(draft),
        )
        return notice is not None
