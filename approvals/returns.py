"""What a mail server meant: enhanced status codes (RFC 3463) and plain replies (RFC 5321) in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Never part of a longer number, such as an IP address in the text of the reply.
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_BASIC = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")


@dataclass(frozen=True, slots=True)
class Meaning:
    """`heading` says what happened, `advice` what follows from it; `code` is the status it was read from."""

    heading: str | Promise
    advice: str | Promise
    code: str = ""


_FOR_GOOD = _("Their server refused it for good; sending again to this address will not help.")
_LATER = _("Their server may take it later; it is tried again by itself for some time.")

_EXACT: Mapping[str, tuple[str | Promise, str | Promise]] = {
    "5.1.1": (_("No such mailbox."), _FOR_GOOD),
    "5.1.2": (_("No such domain."), _("The part behind the @ does not take mail. Look for a typing error.")),
    "5.1.3": (_("The address is malformed."), _("Their server could not read it. Look for a typing error.")),
    "5.1.6": (_("The mailbox has moved."), _("Ask the recipient for the new address.")),
    "5.1.8": (
        _("They do not accept this sender."),
        _("Their server could not verify this mailbox's address."),
    ),
    "5.1.10": (
        _("The domain takes no mail."),
        _("It says so in its public records. Look for a typing error."),
    ),
    "4.2.1": (_("The mailbox is switched off for now."), _LATER),
    "5.2.1": (_("The mailbox is switched off."), _FOR_GOOD),
    "4.2.2": (_("Mailbox full."), _LATER),
    "5.2.2": (
        _("Mailbox full."),
        _("It is refused until somebody there makes room. Reach them in another way."),
    ),
    "5.2.3": (_("The mail is too large for them."), _("Send less, or a link instead of the file.")),
    "5.3.4": (_("The mail is too large for them."), _("Send less, or a link instead of the file.")),
    "4.4.1": (_("Their server does not answer."), _LATER),
    "4.4.2": (_("The connection to their server broke."), _LATER),
    "5.4.4": (_("Their domain has no mail server."), _("Look for a typing error behind the @.")),
    "4.4.7": (_("It could not be delivered in time."), _("The sending server has given up or is about to.")),
    "5.4.6": (_("Their servers pass it round in a circle."), _("Only their administrators can end that.")),
    "4.7.0": (_("Put off by a policy of theirs."), _LATER),
    "4.7.1": (_("Put off by a policy of theirs."), _LATER),
    "5.7.1": (
        _("Refused by a policy of theirs."),
        _("Their server does not want this mail from this mailbox."),
    ),
    "5.7.26": (
        _("Sender not authenticated."),
        _("The signatures of this mailbox's domain need an administrator."),
    ),
}
_SUBJECTS: Mapping[str, tuple[str | Promise, str | Promise]] = {
    "1": (_("Trouble with the address."), _("Look for a typing error.")),
    "2": (_("Trouble with the mailbox."), _("Its owner or their administrator can help.")),
    "3": (_("Trouble with their mail system."), _("Their administrators can help.")),
    "4": (_("Trouble on the way to their server."), _("Their servers could not be reached as they should.")),
    "5": (_("Their server did not understand ours."), _("An administrator should read the code.")),
    "6": (_("They could not take the content."), _("Something in the mail cannot be converted for them.")),
    "7": (_("Refused for security or policy."), _("Their server does not want this mail.")),
}
_BASICS: Mapping[str, str] = {
    "421": "4.4.2",
    "450": "4.2.1",
    "452": "4.2.2",
    "550": "5.1.1",
    "551": "5.1.6",
    "552": "5.2.2",
    "553": "5.1.3",
    "554": "5.7.1",
}


def meaning_of(code: str) -> Meaning | None:
    """Explain the reply of a mail server, by its enhanced status code or else its basic one; None without either.

    The text is what the provider passed on, such as "smtp; 550 5.1.1 user unknown". Source: RFC 3463, RFC 7505,
    RFC 7372, RFC 5321 section 4.2.
    """
    found = _ENHANCED.search(code)
    if found is None:
        basic = _BASIC.search(code)
        known = _BASICS.get(basic[1]) if basic else None
        if basic is None or known is None:
            return None
        return Meaning(*_EXACT[known], code=basic[1])
    enhanced = ".".join(found.groups())
    if enhanced in _EXACT:
        return Meaning(*_EXACT[enhanced], code=enhanced)
    heading, advice = _SUBJECTS.get(found[2], (_("Not delivered."), _("The code says no more than that.")))
    if found[1] == "4":
        return Meaning(heading, _LATER, code=enhanced)
    return Meaning(heading, advice, code=enhanced)
