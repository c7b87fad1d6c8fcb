from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import oversight
from approvals.templatetags.marks import show_mark

register = template.Library()


@register.simple_tag
def mode(mailbox: Mailbox) -> SafeString:
    """The oversight mode of a mailbox, with a warning when it is monitored and nobody is told."""
    shown = format_html("<code>{}</code>", mailbox.mode)
    if not oversight.needs_channel(mailbox.pk, mailbox.mode):
        return shown
    return format_html("{} {}", shown, show_mark(_("nobody is notified"), "flag", "stop"))
