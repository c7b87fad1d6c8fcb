"""Whether the oversight mode lets the mail leave: the mode it arrived under, and the mode of now."""

from __future__ import annotations

from django.utils.translation import gettext as _

from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.models import AuthorKind, Decision, Origin
from policies import modes


def mode_gate(facts: Facts) -> Verdict:
    arrived, present = facts.draft.mode, facts.mailbox.mode
    stricter = modes.strictest(arrived, present)
    if facts.draft.origin == Origin.AGENT and arrived == modes.READ_ONLY:
        # Never offered to anybody: the agent was told that it may not send.
        return _refused(str(modes.ruling(modes.READ_ONLY, modes.SEND_EMAIL).sentence))
    if _is_by_person(facts):
        return _for_a_person(facts, present)
    if modes.needs_person(stricter):
        return _refused(
            _("The mode %(mode)s lets nothing leave that no person decided.") % {"mode": stricter}
        )
    if facts.draft.origin != Origin.AGENT or facts.revision.author_kind != AuthorKind.AGENT:
        return _refused(_("A person wrote this wording, so a person decides."))
    if _was_decided_before(facts):
        return _refused(_("A person decided about it before, so a person decides again."))
    return Verdict("mode", Standing.PASSED, _("The mode %(mode)s needs no person.") % {"mode": stricter})


def _was_decided_before(facts: Facts) -> bool:
    ids = [one for one in (facts.draft.pk, facts.draft.linked_from_id) if one is not None]
    return Decision.objects.filter(draft_id__in=ids, person__isnull=False).exists()


def _is_by_person(facts: Facts) -> bool:
    # A resend is a named person's act, whoever decided before.
    return facts.is_reviewed or (facts.send is not None and facts.send.resend_at is not None)


def _for_a_person(facts: Facts, present: str) -> Verdict:
    if present != modes.READ_ONLY:
        return Verdict("mode", Standing.PASSED, _("The mode %(mode)s: a person decides.") % {"mode": present})
    if facts.policies.settings.read_only_refuses_approved:
        return _refused(_("The mailbox is read_only by now, and refuses what a person approves, too."))
    return Verdict(
        "mode",
        Standing.PASSED,
        _("The mailbox is read_only by now. What a person approves still leaves."),
    )


def _refused(sentence: str) -> Verdict:
    return Verdict("mode", Standing.REFUSED, sentence, "blocked_mode", Consequence.STOP)
