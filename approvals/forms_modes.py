from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agentmail.addresses import AddressError, parse_address
from approvals import outgoing
from approvals.forms import REASON_CHARACTERS
from approvals.views.reauthentication import PasswordAgain
from approvals.widgets import LongText
from policies import modes
from policies.models import Channel, ChannelKind, MailboxSettings

MODE_CHOICES = [(mode, mode) for mode in modes.LADDER]


class TightenForm(forms.Form):
    """A stricter mode is taken at once; a reason may be given."""

    to = forms.ChoiceField(choices=MODE_CHOICES, widget=forms.HiddenInput)
    seen = forms.ChoiceField(choices=MODE_CHOICES, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Why"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
        help_text=_("May stay empty: tightening does not wait for a reason."),
    )
    unnotified_reason = forms.CharField(
        label=_("Why nobody needs to be told of its sends"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
        help_text=_(
            "Only with these words is a mailbox monitored without a channel. It then carries a warning."
        ),
    )

    def __init__(self, data: Any = None, *, asks_channel: bool, **options: Any) -> None:
        super().__init__(data, auto_id="mode_%s", label_suffix="", **options)
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
        reason.help_text = _(
            "Kept with the numbers of the last 30 days; everybody who may read this page reads it."
        )
        reason.error_messages["required"] = _("Say why; a looser mode is kept with its reason.")


class SignatureHeaderField(forms.RegexField):
    """The name of the header that carries a webhook's signature in hex."""

    RESERVED = ("host", "authorization", "cookie", "connection", "transfer-encoding", "user-agent")
    RESERVED_BEGINNINGS = ("content-", "webhook-", "proxy-", "accept")

    def __init__(self) -> None:
        super().__init__(
            r"^[A-Za-z][A-Za-z0-9-]*$",
            label=_("Header of the signature"),
            max_length=64,
            help_text=_("For webhooks: carries the HMAC-SHA256 of the raw body in hex."),
            error_messages={
                "invalid": _("A header name has letters, digits and hyphens, and begins with a letter.")
            },
        )

    def clean(self, value: Any) -> Any:
        name = super().clean(value)
        folded = name.casefold()
        if folded in self.RESERVED or folded.startswith(self.RESERVED_BEGINNINGS):
            raise forms.ValidationError(_now("This header has another meaning; choose another name."))
        return name


class ChannelForm(forms.Form):
    """Where the people of a mailbox are told of its sends."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    kind = forms.ChoiceField(label=_("How"), choices=ChannelKind.choices, widget=forms.RadioSelect)
    target = forms.CharField(
        label=_("Address"),
        max_length=outgoing.URL_CHARACTERS,
        help_text=_("An email address, or an https address that takes a POST."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    signature_header = SignatureHeaderField()

    def __init__(self, data: Any = None, *, channel: Channel | None, **options: Any) -> None:
        start = {
            "version": channel.version if channel else 0,
            "kind": channel.kind if channel else ChannelKind.EMAIL,
            "target": channel.target if channel else "",
            "signature_header": channel.signature_header
            if channel
            else Channel._meta.get_field("signature_header").default,
        }
        super().__init__(
            data, auto_id="channel_%s", label_suffix="", initial=start | options.pop("initial", {}), **options
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        target = cleaned.get("target")
        if target and cleaned.get("kind") == ChannelKind.EMAIL:
            try:
                cleaned["target"] = parse_address(target)
            except AddressError as error:
                self.add_error("target", str(error))
        elif target and cleaned.get("kind") == ChannelKind.WEBHOOK:
            try:
                outgoing.check(target)
            except outgoing.AddressRefused as error:
                self.add_error("target", str(error))
        return cleaned


class ModeSettingsForm(forms.Form):
    """What the modes of one mailbox do at their edges."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    read_only_refuses_approved = forms.BooleanField(
        label=_("In read_only, refuse what a person approves, too"),
        required=False,
        help_text=_("Without this an approval by a person still sends what waited before."),
    )
    dead_channel_falls_back = forms.BooleanField(
        label=_("Fall back to gated_send when the channel is dead"),
        required=False,
        help_text=_("After 5 tries in a row that failed, nobody knows what leaves."),
    )

    def __init__(self, data: Any = None, *, settings: MailboxSettings) -> None:
        names = ("version", "read_only_refuses_approved", "dead_channel_falls_back")
        super().__init__(
            data,
            auto_id="edges_%s",
            label_suffix="",
            initial={name: getattr(settings, name) for name in names},
        )
