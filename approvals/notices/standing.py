"""Whether people and their channels are told of notices: in words, for the page that says how everything is."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from approvals.condition import Finding, Standing
from approvals.notices.models import NoticeCard, NoticeChannel, NoticeMail
from approvals.outgoing_mail import is_configured
from audit.clock import database_now

# How long a failure is shown, and so many of them at most.
SHOWN = timedelta(days=1)
COUNTED = 1000


def finding() -> Finding:
    """Whether mails and cards get through: given up in the last day, tried in vain by now, or channels off."""
    since = database_now() - SHOWN
    mails = NoticeMail.objects.filter(Q(given_up_at__gt=since) | Q(next_try_at__isnull=False, tries__gt=0))
    given_up = NoticeCard.objects.filter(given_up_at__gt=since, channel__is_on=True)
    failing = NoticeChannel.objects.filter(Q(failing_since__isnull=False, is_on=True) | ~Q(trouble=""))
    mail_count = mails[:COUNTED].count()
    card_count = given_up[:COUNTED].count()
    names = list(failing.order_by("name").values_list("name", flat=True)[:5])
    said = []
    if mail_count:
        said.append(
            ngettext(
                "%(count)d mail to people could not be handed over.",
                "%(count)d mails to people could not be handed over.",
                mail_count,
            )
            % {"count": mail_count}
        )
    if card_count:
        said.append(
            ngettext("%(count)d card was given up.", "%(count)d cards were given up.", card_count)
            % {"count": card_count}
        )
    if names:
        said.append(_("These channels fail or were switched off: %(names)s.") % {"names": ", ".join(names)})
    if said:
        advice = _(
            "The desk itself shows every notice. Look at the mail server, and at the log of each channel."
        )
        return Finding("notices", Standing.LOOK, " ".join(said), advice)
    if not is_configured():
        return Finding(
            "notices", Standing.WELL, _("No mail server is named, so nobody is mailed; the desk tells.")
        )
    return Finding("notices", Standing.WELL, _("Nothing that people are told waits in vain."))
