"""Whether every recipient can be written to, and may be."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.addresses import AddressError, parse_address
from approvals.content import RECIPIENT_LIMIT
from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict


def recipients_gate(facts: Facts) -> Verdict:
    content = facts.content
    recipients = content.recipients()
    problem = ""
    if not content.to:
        problem = _("There is nobody in To.")
    elif len(recipients) > RECIPIENT_LIMIT:
        problem = _("There are %(count)d recipients; the provider takes %(limit)d.") % {
            "count": len(recipients),
            "limit": RECIPIENT_LIMIT,
        }
    elif [address.email.casefold() for address in content.sender] != [facts.mailbox.address.casefold()]:
        problem = _("The sender is not the address of this mailbox.")
    else:
        for email in [*recipients, *(address.email for address in content.reply_to)]:
            try:
                parse_address(email)
            except AddressError as error:
                problem = _("%(address)s is not an address that can be written to: %(reason)s") % {
                    "address": email,
                    "reason": error,
                }
                break
    if problem:
        return Verdict("recipients", Standing.REFUSED, problem, "blocked_recipient", Consequence.STOP)
    count = len(recipients)
    return Verdict(
        "recipients",
        Standing.PASSED,
        ngettext("%(count)d address, well formed.", "%(count)d addresses, all well formed.", count)
        % {"count": count},
    )
