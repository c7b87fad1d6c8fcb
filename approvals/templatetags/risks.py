from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from approvals import risk
from approvals.models import Draft, Risk
from approvals.notes import ORDER
from approvals.templatetags.marks import show_mark

register = template.Library()

# Each level as a word before its reasons, a word alone, a shape and a tone; see `approvals.templatetags.marks`.
_LEVELS = {
    Risk.HIGH: (_lazy("High: %(reasons)s"), _lazy("High risk"), "diamond", "look"),
    Risk.NORMAL: (_lazy("Normal: %(reasons)s"), _lazy("Normal risk"), "half", ""),
    Risk.LOW: (_lazy("Low: %(reasons)s"), _lazy("Low risk"), "ring", ""),
}


@register.simple_tag
def risk_in_row(draft: Draft) -> SafeString | str:
    """The risk of a draft with its two most consequential reasons, the others counted; "" while it is not told."""
    if draft.risk is None:
        return ""
    before, alone, shape, tone = _LEVELS[Risk(draft.risk)]
    said, left = risk.said_in_row(draft)
    mark = show_mark(before % {"reasons": ", ".join(said)} if said else alone, shape, tone)
    if not left:
        return mark
    return format_html(
        '{}<span class="nowrap">{}</span>',
        mark,
        ngettext("%(left)d more", "%(left)d more", left) % {"left": left},
    )


@register.simple_tag
def risk_of(draft: Draft) -> SafeString | str:
    """The risk of a draft with the reasons that no note tells; "" while it is not told."""
    if draft.risk is None:
        return ""
    _before, level, shape, tone = _LEVELS[Risk(draft.risk)]
    said = risk.words_of(reason for reason in draft.risk_reasons if risk.key_of(reason) not in ORDER)
    # The notes that made it so stand beside it: what is said here need not be the cause.
    return show_mark("; ".join([str(level), *said]), shape, tone)
