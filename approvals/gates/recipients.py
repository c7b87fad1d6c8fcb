"""Whether every recipient can be written to, and may be: well-formed addresses, and the lists of this mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.addresses import AddressError, parse_address
from approvals import recipients
from approvals.content import RECIPIENT_LIMIT
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.recipients import Recipient
from policies.models import UnknownRecipient
from policies.recipients import Outcome

_NAMED = 3


def recipients_gate(facts: Facts) -> Verdict:
    problem = _malformed(facts)
    if problem:
        return _refused(problem)
    found = recipients.judged(
        facts.mailbox, recipients.addressed_by(facts.content, facts.mailbox), within=facts.policies.scopes
    )
    denied = [one for one in found if one.match.outcome is Outcome.DENIED]
    if denied:
        return _refused(" ".join(map(recipients.denied_sentence, denied[:_NAMED])), found, denied)
    unknown = recipients.unknown_among(found)
    settings = facts.policies.settings
    wanted = settings.unknown_reviewed if facts.is_reviewed else settings.unknown_unreviewed
    if unknown and wanted != UnknownRecipient.ASK:
        sentence = _("%(unknown)s This mailbox sends only to listed recipients.")
        return _refused(sentence % {"unknown": _on_no_list(unknown)}, found, found)
    # Nobody looks at mail without a review, so there the question is about new domains only.
    open_ones = [one for one in unknown if facts.is_reviewed or one.is_first_contact]
    if open_ones:
        return Verdict(
            "recipients",
            Standing.OPEN,
            f"{_on_no_list(open_ones)} {_first_contacts(open_ones)}".strip(),
            "blocked_recipient",
            asks=recipients.asks_about(open_ones),
            rules=recipients.rules_of(found),
            parts=_parts(found),
        )
    return Verdict(
        "recipients",
        Standing.PASSED,
        _passed(found, unknown),
        rules=recipients.rules_of(found),
        parts=_parts(found),
    )


def _parts(found: Sequence[Recipient]) -> tuple[tuple[str, str], ...]:
    return tuple((one.address, one.match.outcome.value) for one in found)


def _malformed(facts: Facts) -> str:
    content = facts.content
    to_all = content.recipients()
    if not content.to:
        return _("There is nobody in To.")
    if len(to_all) > RECIPIENT_LIMIT:
        return _("There are %(count)d recipients; the provider takes %(limit)d.") % {
            "count": len(to_all),
            "limit": RECIPIENT_LIMIT,
        }
    if [address.email.casefold() for address in content.sender] != [facts.mailbox.address.casefold()]:
        return _("The sender is not the address of this mailbox.")
    for email in [*to_all, *(address.email for address in content.reply_to)]:
        try:
            parse_address(email)
        except AddressError as error:
            return _("%(address)s is not an address that can be written to: %(reason)s") % {
                "address": email,
                "reason": error,
            }
    return ""


def _refused(sentence: str, found: Sequence[Recipient] = (), deciding: Sequence[Recipient] = ()) -> Verdict:
    return Verdict(
        "recipients",
        Standing.REFUSED,
        sentence,
        "blocked_recipient",
        Consequence.STOP,
        rules=recipients.rules_of(deciding),
        parts=_parts(found),
    )


def _passed(found: Sequence[Recipient], unknown: Sequence[Recipient]) -> str:
    if unknown:
        return _("No recipient is denied, and every domain was written to before.")
    return ngettext("%(count)d address, allowed.", "%(count)d addresses, all allowed.", len(found)) % {
        "count": len(found)
    }


def _on_no_list(unknown: Sequence[Recipient]) -> str:
    return ngettext("%(addresses)s is on no list.", "%(addresses)s are on no list.", len(unknown)) % {
        "addresses": _listed([one.address for one in unknown])
    }


def _first_contacts(unknown: Sequence[Recipient]) -> str:
    domains = list(dict.fromkeys(one.domain for one in unknown if one.is_first_contact))
    if not domains:
        return ""
    return _("First mail to %(domains)s.") % {"domains": _listed(domains)}


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_NAMED])
    left = len(texts) - _NAMED
    return shown if left <= 0 else _("%(shown)s and %(left)d more") % {"shown": shown, "left": left}
