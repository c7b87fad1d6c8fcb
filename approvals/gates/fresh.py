"""Whether the draft still answers its thread, and is still what the agent wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from approvals.freshness import staleness
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.models import StaleReason
from approvals.states import DraftState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

STALE_SENTENCES: Mapping[StaleReason, str | _StrPromise] = {
    StaleReason.NEW_INBOUND: gettext_lazy("A new message arrived in the thread."),
    StaleReason.ANSWERED: gettext_lazy("Somebody already answered in this thread."),
    StaleReason.MESSAGE_GONE: gettext_lazy("A message of the thread was deleted."),
    StaleReason.PARENT_CHANGED: gettext_lazy("The answered message is gone or has changed."),
    StaleReason.THREAD_GONE: gettext_lazy("The thread is gone or was merged into another."),
}


def fresh_gate(facts: Facts) -> Verdict:
    if facts.draft.state == DraftState.STALE:
        return _stale(StaleReason(facts.draft.stale_reason or StaleReason.NEW_INBOUND))
    if facts.look is None:
        if facts.is_claim:
            return Verdict(
                "fresh",
                Standing.REFUSED,
                facts.trouble or _("The thread could not be read again."),
                "blocked_stale",
                Consequence.WAIT,
            )
        return Verdict(
            "fresh", Standing.NOT_ASKED, facts.trouble or _("Will be read again when you approve.")
        )
    if facts.is_claim and facts.look.age_seconds() > settings.APPROVAL_FRESHNESS_SECONDS:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The last look at the thread is too old."),
            "blocked_stale",
            Consequence.WAIT,
        )
    if facts.look.draft is None:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The agent withdrew this draft."),
            "blocked_stale",
            Consequence.WITHDRAW,
        )
    if facts.look.upstream_sha256 != facts.draft.upstream_sha256:
        return Verdict(
            "fresh",
            Standing.REFUSED,
            _("The agent changed this draft after it was read."),
            "blocked_stale",
            Consequence.CHANGED,
        )
    stale = staleness(facts.draft.thread_pinned, facts.look.thread)
    if stale is not None:
        return _stale(stale.reason)
    if facts.decision is not None and facts.decision.thread_fingerprint != facts.look.thread.fingerprint:
        return _stale(StaleReason.NEW_INBOUND)
    return Verdict("fresh", Standing.PASSED, _("No mail in the thread since the draft."))


def _stale(reason: StaleReason) -> Verdict:
    return Verdict(
        "fresh", Standing.REFUSED, str(STALE_SENTENCES[reason]), "blocked_stale", Consequence.STALE
    )
