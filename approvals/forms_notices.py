from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Mailbox
from approvals import outgoing
from approvals.forms_modes import SignatureHeaderField
from approvals.names import NAME_CHARACTERS
from approvals.notices.kinds import CHOSEN, ON_CHANNELS
from approvals.notices.models import CardKind, DigestRhythm, How, NoticeChannel, NoticeKind, NoticeSettings
from approvals.notices.wishes import how_of
from approvals.views.reauthentication import PasswordAgain
from policies.webhooks import DEFAULT_HEADER

_REGIONS = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia"),
    *("Atlantic", "Australia", "Europe", "Indian", "Pacific"),
)


def zones() -> list[tuple[str, str]]:
    names = sorted(name for name in available_timezones() if name.partition("/")[0] in _REGIONS)
    return [(name, name.replace("_", " ")) for name in ("UTC", *names)]


class ClockField(forms.TimeField):
    """A time of day to the minute."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
        messages = {"invalid": _lazy("Give a time of day such as 18:30.")}
        super().__init__(
            widget=widget, input_formats=["%H:%M", "%H:%M:%S"], error_messages=messages, **options
        )


class NoticeSettingsForm(forms.Form):
    """How a person is told by email: where, of what, when. In the desk they are told of everything at once."""

    email = forms.EmailField(
        label=_lazy("Email address"),
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_lazy("Without one you are told here in the desk only."),
    )
    digest = forms.ChoiceField(
        label=_lazy("The digest comes"), choices=DigestRhythm.choices, widget=forms.RadioSelect
    )
    digest_at = ClockField(label=_lazy("Once a day at"))
    zone = forms.ChoiceField(label=_lazy("Time zone"), choices=zones)
    quiet_from = ClockField(label=_lazy("Quiet from"), required=False)
    quiet_until = ClockField(
        label=_lazy("Quiet until"),
        required=False,
        help_text=_lazy("Meanwhile nothing is mailed; it comes afterwards. Both empty: no quiet hours."),
    )
    urgent_breaks_quiet = forms.BooleanField(
        label=_lazy("High risk is mailed in quiet hours, too"),
        required=False,
        help_text=_lazy("Drafts of high risk, stops, unknown sends, and mail that left without this desk."),
    )

    def __init__(self, data: QueryDict | None = None, *, kept: NoticeSettings, email: str) -> None:
        start = {name: getattr(kept, name) for name in self.base_fields if name != "email"}
        start |= {kind.value: how_of(kept, kind).value for kind in CHOSEN}
        super().__init__(data, initial=start | {"email": email}, auto_id="notice_%s", label_suffix="")
        if kept.zone not in dict(self.fields["zone"].choices):  # type: ignore[attr-defined]
            self.fields["zone"].choices = [(kept.zone, kept.zone), *zones()]  # type: ignore[attr-defined]
        for kind in CHOSEN:
            self.fields[kind.value] = forms.ChoiceField(label=NoticeKind(kind).label, choices=How.choices)

    def chosen(self) -> list[forms.BoundField]:
        """The fields that say how each kind of notice is mailed."""
        return [self[kind.value] for kind in CHOSEN]

    def hows(self) -> dict[str, str]:
        return {kind.value: self.cleaned_data[kind.value] for kind in CHOSEN}

    def others(self) -> dict[str, Any]:
        names = ("digest", "digest_at", "zone", "quiet_from", "quiet_until", "urgent_breaks_quiet")
        return {name: self.cleaned_data[name] for name in names}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        begin, end = given.get("quiet_from"), given.get("quiet_until")
        if "quiet_from" in given and "quiet_until" in given and (begin is None) != (end is None):
            self.add_error(
                "quiet_from" if begin is None else "quiet_until",
                _("Quiet hours need both a begin and an end."),
            )
        elif begin is not None and begin == end:
            self.add_error("quiet_until", _("Quiet hours end at another time than they begin."))
        return given


class NoticeChannelForm(PasswordAgain):
    """A channel of notices, new or as it is; `approvals.notices.channels` checks what it may be."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    name = forms.CharField(
        label=_lazy("Name"),
        max_length=NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _lazy("Give the channel a name.")},
    )
    kind = forms.ChoiceField(
        label=_lazy("How"),
        choices=CardKind.choices,
        widget=forms.RadioSelect,
        help_text=_lazy(
            "A bot changes its card once the thing is settled. An incoming webhook of Slack cannot: it says so in "
            "a second message. A webhook tells a program. This cannot be changed later."
        ),
    )
    target = forms.CharField(
        label=_lazy("Slack channel or address"),
        max_length=outgoing.URL_CHARACTERS,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_lazy("For a bot the id of its channel, for a webhook an https address that takes a POST."),
    )
    secret = forms.CharField(
        label=_lazy("Secret of Slack"),
        max_length=outgoing.URL_CHARACTERS,
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_lazy(
            "The token of the bot, or the address of the incoming webhook. It is kept sealed and never shown again."
        ),
    )
    mailbox = forms.ModelChoiceField(
        label=_lazy("Mailbox"),
        queryset=Mailbox.objects.none(),
        to_field_name="public_id",
        required=False,
        empty_label=_lazy("All, those connected later included"),
    )
    kinds = forms.MultipleChoiceField(
        label=_lazy("Told of"),
        choices=[(kind.value, kind.label) for kind in ON_CHANNELS],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _lazy("Choose at least one kind of notice.")},
    )
    signature_header = SignatureHeaderField()
    is_on = forms.BooleanField(
        label=_lazy("Switched on"),
        required=False,
        help_text=_lazy("While it is off it is told nothing, and what happens meanwhile it is never told."),
    )
    field_order = [
        "version",
        "name",
        "kind",
        "target",
        "secret",
        "mailbox",
        "kinds",
        "signature_header",
        "is_on",
        "password",
    ]

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        request: HttpRequest,
        channel: NoticeChannel | None = None,
    ) -> None:
        start: dict[str, Any] = {
            "version": 0,
            "kind": CardKind.SLACK_BOT,
            "kinds": list(ON_CHANNELS),
            "signature_header": DEFAULT_HEADER,
        }
        if channel is not None:
            names = ("version", "name", "target", "kinds", "signature_header", "is_on")
            start = {name: getattr(channel, name) for name in names}
            start["mailbox"] = channel.mailbox.public_id if channel.mailbox is not None else None
        super().__init__(data, request=request, initial=start, auto_id="notices_%s", label_suffix="")
        self.fields["mailbox"].queryset = Mailbox.objects.order_by("address")  # type: ignore[attr-defined]
        self.fields["signature_header"].required = channel is None or channel.kind == CardKind.WEBHOOK
        if channel is None:
            del self.fields["is_on"]
            return
        del self.fields["kind"]
        unused = {
            CardKind.SLACK_BOT: ("signature_header",),
            CardKind.SLACK_WEBHOOK: ("signature_header", "target"),
            CardKind.WEBHOOK: ("secret",),
        }[CardKind(channel.kind)]
        for name in unused:
            del self.fields[name]
        if "secret" in self.fields:
            self.fields["secret"].help_text = _lazy("Left empty, the one that is kept stays.")

    def given(self) -> dict[str, Any]:
        """What was typed, as `approvals.notices.channels` takes it."""
        return {
            name: value for name, value in self.cleaned_data.items() if name not in ("version", "password")
        }
