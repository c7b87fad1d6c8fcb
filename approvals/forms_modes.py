from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from approvals.forms import REASON_CHARACTERS
from approvals.views.reauthentication import PasswordAgain
from policies import modes

MODE_CHOICES = [(mode, mode) for mode in modes.LADDER]


class TightenForm(forms.Form):
    """A stricter mode is taken at once; a reason may be given."""

    to = forms.ChoiceField(choices=MODE_CHOICES, widget=forms.HiddenInput)
    seen = forms.ChoiceField(choices=MODE_CHOICES, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Why"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("May stay empty: tightening does not wait for a reason."),
    )
    unnotified_reason = forms.CharField(
        label=_("Why nobody needs to be told of its sends"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_(
            "Only with these words is a mailbox monitored without a channel. It then carries a warning."
        ),
    )

    def __init__(self, data: Any = None, *, asks_channel: bool, **options: Any) -> None:
        super().__init__(data, auto_id="mode_%s", **options)
        if not asks_channel:
            del self.fields["unnotified_reason"]


class LoosenForm(PasswordAgain, TightenForm):
    """A looser mode needs a reason and the password."""

    field_order = ["to", "seen", "reason", "unnotified_reason", "password"]

    def __init__(self, data: Any = None, *, asks_channel: bool, request: HttpRequest, **options: Any) -> None:
        super().__init__(data, asks_channel=asks_channel, request=request, **options)
        reason = self.fields["reason"]
        reason.required = True
        reason.widget.attrs["placeholder"] = _(
            "30-day audit: 0 complaint rate, 97 % CSAT, every draft approved as written"
        )
        reason.help_text = _("Kept with the numbers below; everybody who may read this page reads it.")
        reason.error_messages["required"] = _("Say why; a looser mode is kept with its reason.")
