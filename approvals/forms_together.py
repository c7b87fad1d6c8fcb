from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals import people
from approvals.forms import REASON_CHARACTERS
from approvals.models import Draft
from approvals.together import deciders_of, latest_snooze, seniors_of
from approvals.widgets import LongText

MORNING = time(9)


class PersonField(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        return people.name_of(person)


class AssignForm(forms.Form):
    """Who is to decide; nobody when it is left empty."""

    to = PersonField(
        label=_lazy("Assign to"),
        queryset=User.objects.none(),
        required=False,
        empty_label=_lazy("Nobody"),
        help_text=_lazy("Everybody who may decide about this mailbox."),
        widget=forms.Select(attrs={"autofocus": True}),
    )

    def __init__(self, data: QueryDict | None, *, draft: Draft) -> None:
        super().__init__(data, initial={"to": draft.assigned_to_id})
        self.fields["to"].queryset = deciders_of(draft)  # type: ignore[attr-defined]


class EscalateForm(forms.Form):
    reason = forms.CharField(
        label=_lazy("Why"),
        max_length=REASON_CHARACTERS,
        widget=LongText(attrs={"rows": 3, "autofocus": True}),
        help_text=_lazy("Everybody who opens the draft reads this; up to 2,000 characters."),
        error_messages={"required": _lazy("Say in a sentence what you need help with.")},
    )
    to = PersonField(label=_lazy("Escalate to"), queryset=User.objects.none(), required=False)

    def __init__(self, data: QueryDict | None, *, draft: Draft, person: User) -> None:
        super().__init__(data)
        field: Any = self.fields["to"]
        field.queryset = deciders_of(draft).exclude(pk=person.pk)
        field.empty_label = _("Admins and operators who may decide")
        if not seniors_of(draft).exists():
            field.empty_label = _("Choose a person")
            field.required = True
            field.error_messages["required"] = _("Choose who is asked for help.")


class SnoozeForm(forms.Form):
    """Until when: in an hour, tomorrow morning, or a time that is written. Times are those of `zone`."""

    choice = forms.ChoiceField(choices=[(one, one) for one in ("hour", "tomorrow", "time")])
    time = forms.DateTimeField(
        label=_lazy("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        error_messages={"invalid": _lazy("Write a day and a time, such as 2026-11-27 09:00.")},
    )

    def __init__(self, data: QueryDict | None, *, draft: Draft, zone: ZoneInfo, now: datetime) -> None:
        super().__init__(data)
        self.zone = zone
        self.latest = latest_snooze(draft)
        here = now.astimezone(zone)
        tomorrow = datetime.combine(here.date() + timedelta(days=1), MORNING, zone)
        self.times = {"hour": now + timedelta(hours=1), "tomorrow": tomorrow}
        self.fields["time"].help_text = _(
            "A time in %(zone)s, until %(latest)s at the latest: three quarters of the time of the draft."
        ) % {"zone": zone.key, "latest": f"{self.latest.astimezone(zone):%Y-%m-%d %H:%M}"}

    def offered(self) -> list[dict[str, Any]]:
        """The times that one press chooses; those beyond the latest are shown and cannot be pressed."""
        words = {"hour": _("1 hour, until %(time)s"), "tomorrow": _("Tomorrow, %(time)s")}
        return [
            {
                "choice": choice,
                "word": words[choice] % {"time": f"{at.astimezone(self.zone):%H:%M}"},
                "is_possible": at <= self.latest,
            }
            for choice, at in self.times.items()
        ]

    def clean_time(self) -> datetime | None:
        # The widget gives no zone; what is read is a time of the person's.
        given: datetime | None = self.cleaned_data["time"]
        return given.replace(tzinfo=self.zone) if given is not None else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("choice") == "time" and not cleaned.get("time") and "time" not in self.errors:
            self.add_error("time", _("Write until when."))
        return cleaned

    def until(self) -> datetime:
        choice = self.cleaned_data["choice"]
        until: datetime = self.cleaned_data["time"] if choice == "time" else self.times[choice]
        return until
