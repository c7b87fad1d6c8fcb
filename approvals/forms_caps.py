from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals.comparisons import NOTE_CHARACTERS
from approvals.forms import REASON_CHARACTERS
from approvals.models import WrongKind
from approvals.widgets import LongText
from policies.models import OrganisationCap, Policy


class VersionField(forms.IntegerField):
    """The version of the row that was on the screen, 0 for one that was not there."""

    def __init__(self) -> None:
        super().__init__(widget=forms.HiddenInput, min_value=0, max_value=2**31)


class ReasonField(forms.CharField):
    def __init__(self) -> None:
        super().__init__(label=_lazy("Why"), max_length=REASON_CHARACTERS, required=False)


class PolicyForm(forms.ModelForm):
    version = VersionField()
    reason = ReasonField()

    class Meta:
        model = Policy
        fields = (
            "name",
            "hour_cap",
            "day_cap",
            "window",
            "spacing_seconds",
            "ramp_hour_cap",
            "ramp_hours",
            "ceiling",
            "limit_inbox_retention_period",
            "limit_spam_retention_period",
            "spam_sensitivity",
        )

    def __init__(self, data: QueryDict | None = None, *, policy: Policy | None = None) -> None:
        version = policy.version if policy is not None else 0
        super().__init__(data, instance=policy, initial={"version": version}, auto_id="policy_%s")
        self.fields["spam_sensitivity"].widget.attrs["step"] = "0.1"

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class OrganisationCapForm(forms.ModelForm):
    version = VersionField()

    class Meta:
        model = OrganisationCap
        fields = ("hour_cap", "day_cap")
        help_texts = {
            "hour_cap": _lazy("Empty means no such cap."),
            "day_cap": _lazy("Empty means no such cap."),
        }

    def __init__(self, data: QueryDict | None = None, *, cap: OrganisationCap) -> None:
        super().__init__(data, instance=cap, initial={"version": cap.version}, auto_id="organisation_%s")

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class AttachForm(forms.Form):
    """Which policy holds for one workspace or mailbox; none means the next wider one."""

    scope = forms.RegexField(r"^(workspace|mailbox):[1-9][0-9]{0,17}$", widget=forms.HiddenInput)
    version = VersionField()
    policy = forms.ModelChoiceField(
        label=_lazy("Policy"),
        queryset=Policy.objects.all(),
        required=False,
        empty_label=_lazy("None of its own"),
        error_messages={"invalid_choice": _lazy("This policy is gone; choose another.")},
    )

    def __init__(self, data: QueryDict | None = None, *, among: Iterable[Policy] = (), **more: Any) -> None:
        super().__init__(data, **more)
        field = self.fields["policy"]
        # A page has many of these forms; their choices are read once.
        field.choices = [("", field.empty_label), *((one.pk, one.name) for one in among)]  # type: ignore[attr-defined]


class ComparisonForm(forms.Form):
    """A person's word on a mail of a dry run."""

    would_send = forms.ChoiceField(
        label=_lazy("What would you have done?"),
        choices=[("yes", _lazy("Sent it as it is")), ("no", _lazy("Not sent it"))],
        widget=forms.RadioSelect,
        error_messages={"required": _lazy("Say whether you would have sent it.")},
    )
    wrong_kind = forms.ChoiceField(
        label=_lazy("What was wrong"), choices=[("", _lazy("Nothing")), *WrongKind.choices], required=False
    )
    note = forms.CharField(
        label=_lazy("Note"),
        max_length=NOTE_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
    )

    def __init__(self, data: QueryDict | None = None, *, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, auto_id="compare_%s")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("would_send") == "no" and not cleaned.get("wrong_kind"):
            self.add_error("wrong_kind", _("Say what was wrong with it."))
        return cleaned


class SentMailForm(ComparisonForm):
    """A person's word on a mail that was sent."""

    would_send = forms.ChoiceField(
        label=_lazy("Was it right to send this mail?"),
        choices=[("yes", _lazy("It was right")), ("no", _lazy("It was wrong"))],
        widget=forms.RadioSelect,
        error_messages={"required": _lazy("Say whether it was right.")},
    )
