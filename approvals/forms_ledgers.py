from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.models import Mailbox, Transport
from approvals import people
from approvals.forms import REASON_CHARACTERS, SEARCH_CHARACTERS, AddressesField, address_lines
from approvals.ledgers import FollowUpFilter, SentFilter
from approvals.mailboxes import LIMITS, TEXT_LIMITS
from approvals.models import OutcomeKind, Revision
from approvals.people import Person
from approvals.queries import visible_mailboxes
from approvals.widgets import LongText


def place_text(at: datetime, row_id: int) -> str:
    return f"{at.isoformat()}~{row_id}"


def read_place(given: str) -> tuple[datetime, int] | None:
    """Read what `place_text` wrote. Raises ValueError for anything else."""
    if not given:
        return None
    text, _tilde, number = given.partition("~")
    at = parse_datetime(text)
    if at is None or at.tzinfo is None or not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise ValueError(given)
    return at, int(number)


class PlaceField(forms.CharField):
    """Where a page of a list begins: the time and the number of the last row of the page before."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput, max_length=80)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return read_place(text)
        except ValueError as error:
            raise forms.ValidationError(
                _("This page address is damaged; start again at the top of the list.")
            ) from error


class MailboxChoice(forms.ModelChoiceField):
    def __init__(self) -> None:
        super().__init__(
            label=_lazy("Mailbox"),
            queryset=Mailbox.objects.none(),
            to_field_name="public_id",
            required=False,
            empty_label=_lazy("All mailboxes"),
        )


class SentFilterForm(forms.Form):
    q = forms.CharField(
        label=_lazy("Search"),
        max_length=SEARCH_CHARACTERS,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    mailbox = MailboxChoice()
    outcome = forms.ChoiceField(
        label=_lazy("Outcome"),
        choices=[("", _lazy("Any outcome")), *OutcomeKind.choices, ("none", _lazy("Nothing reported yet"))],
        required=False,
    )
    view = forms.ChoiceField(
        choices=[("", ""), ("not_sent", ""), ("dry_run", ""), ("closed", "")],
        required=False,
        widget=forms.HiddenInput,
    )
    after = PlaceField()

    def __init__(self, data: QueryDict, *, person: Person) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["mailbox"].queryset = visible_mailboxes(person)  # type: ignore[attr-defined]

    def chosen(self) -> SentFilter:
        """The filter that the form describes; what is faulty in it counts as not given."""
        self.full_clean()
        cleaned = self.cleaned_data
        mailbox: Mailbox | None = cleaned.get("mailbox")
        return SentFilter(
            view=cleaned.get("view") or "",
            mailbox=mailbox.public_id if mailbox else None,
            outcome=cleaned.get("outcome") or "",
            text=cleaned.get("q") or "",
            after=cleaned.get("after"),
        )


def sent_query(chosen: SentFilter, **changes: Any) -> str:
    """The part of an address behind "?" that leads to this filter, or "" for the plain list."""
    values: dict[str, Any] = {
        "view": chosen.view,
        "q": chosen.text,
        "mailbox": chosen.mailbox or "",
        "outcome": chosen.outcome,
        "after": place_text(*chosen.after) if chosen.after else "",
    } | changes
    return urlencode({name: value for name, value in values.items() if value})


def follow_up_filter(data: QueryDict) -> FollowUpFilter:
    """The filter of an address; what is faulty in it counts as not given."""
    try:
        after = read_place(data.get("after", ""))
    except ValueError:
        after = None
    whose = data.get("show", "")
    return FollowUpFilter(whose if whose in ("everyone", "closed") else "mine", after)


class CorrectAddressForm(forms.Form):
    """New recipients for a mail that came back; they must differ from the ones that failed."""

    to = AddressesField(label=_lazy("To"), required=True)
    cc = AddressesField(label=_lazy("Cc"))
    bcc = AddressesField(label=_lazy("Bcc"))

    def __init__(self, data: QueryDict | None = None, *, revision: Revision) -> None:
        written = {name: address_lines(getattr(revision, name)) for name in ("to", "cc", "bcc")}
        super().__init__(data, initial=written, auto_id="correct_%s")
        self.fields["to"].error_messages["required"] = _lazy("There must be somebody in To.")
        for name, text in written.items():
            self.fields[name].widget.attrs["rows"] = max(2, min(8, text.count("\n") + 1))
        self.before = {
            name: [str(entry.get("email", "")).casefold() for entry in getattr(revision, name)]
            for name in ("to", "cc", "bcc")
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and self.before == {
            name: [address.email.casefold() for address in cleaned[name]] for name in self.before
        }:
            self.add_error(
                "to", _("These are the same addresses as before. Correct one, or close the follow-up.")
            )
        return cleaned

    def changes(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("to", "cc", "bcc")}


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: User) -> str:
        return people.name_of(person)


class EscalateForm(forms.Form):
    person = PersonChoice(
        label=_lazy("To whom"),
        queryset=User.objects.none(),
        empty_label=_lazy("Choose a person"),
        error_messages={
            "required": _lazy("Choose who takes it on."),
            "invalid_choice": _lazy(
                "This person has no rights on this mailbox. Choose somebody of the list."
            ),
        },
    )
    note = forms.CharField(
        label=_lazy("Note"),
        max_length=REASON_CHARACTERS,
        widget=LongText(attrs={"rows": 2}),
        help_text=_lazy("They read it first."),
        error_messages={"required": _lazy("Say in a sentence what they should look at.")},
    )

    def __init__(self, data: QueryDict | None = None, *, among: Sequence[User]) -> None:
        super().__init__(data, auto_id="escalate_%s")
        chooser = self.fields["person"]
        chooser.queryset = User.objects.filter(pk__in=[person.pk for person in among])  # type: ignore[attr-defined]
        # The names are known already: the list needs no second question.
        chooser.choices = [("", chooser.empty_label), *((p.pk, people.name_of(p)) for p in among)]  # type: ignore[attr-defined]


class CloseForm(forms.Form):
    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        widget=LongText(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence why nothing more is to be done.")},
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="close_%s")


class MailboxForm(forms.Form):
    """How this desk treats one mailbox."""

    is_enabled = forms.BooleanField(
        label=_lazy("In use"),
        required=False,
        help_text=_lazy("Without this nothing of the mailbox is fetched or sent."),
    )
    undo_seconds = forms.IntegerField(
        label=_lazy("Undo, seconds"),
        min_value=LIMITS["undo_seconds"][0],
        max_value=LIMITS["undo_seconds"][1],
        help_text=_lazy("How long an approved mail is held so that it can be taken back: 0 to 60."),
    )
    expiry_hours = forms.IntegerField(
        label=_lazy("Expiry, hours"),
        min_value=LIMITS["expiry_hours"][0],
        max_value=LIMITS["expiry_hours"][1],
        help_text=_lazy("A draft nobody decided is cancelled after so long: 1 to 720."),
    )
    approval_minutes = forms.IntegerField(
        label=_lazy("Approval holds, minutes"),
        min_value=LIMITS["approval_minutes"][0],
        max_value=LIMITS["approval_minutes"][1],
        help_text=_lazy("An approved mail that cannot leave in this time needs a new approval: 1 to 1440."),
    )
    transport = forms.ChoiceField(
        label=_lazy("Transport"),
        choices=[
            (
                Transport.FROZEN_MESSAGE,
                _lazy("Frozen message: exactly the approved bytes are sent, then the draft is deleted"),
            ),
            (
                Transport.PROVIDER_DRAFT,
                _lazy(
                    "Provider draft: the draft itself is sent, checked just before and compared afterwards"
                ),
            ),
        ],
        widget=forms.RadioSelect,
        help_text=_lazy(
            "Frozen is the safe one: the provider also recognises a repeat for an hour. With the provider "
            "draft an edit within the last round trip would slip through and be noticed only afterwards."
        ),
    )

    sender_name = forms.CharField(
        label=_lazy("Sender"),
        max_length=TEXT_LIMITS["sender_name"],
        required=False,
        help_text=_lazy("The organisation in whose name this mailbox writes."),
    )
    postal_address = forms.CharField(
        label=_lazy("Postal address"),
        max_length=TEXT_LIMITS["postal_address"],
        required=False,
        widget=LongText(attrs={"rows": 4}),
        help_text=_lazy("Where the sender can be reached by post; up to 500 characters."),
    )
    unsubscribe = forms.CharField(
        label=_lazy("Unsubscribe at"),
        max_length=TEXT_LIMITS["unsubscribe"],
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_lazy(
            "Where a recipient says that they want no more: an address that begins with https:// or mailto:. Mail "
            "that looks like bulk mail is warned about when it lacks the sender, the postal address or this."
        ),
    )

    NAMES = (
        "is_enabled",
        "undo_seconds",
        "expiry_hours",
        "approval_minutes",
        "transport",
        "sender_name",
        "postal_address",
        "unsubscribe",
    )

    def __init__(self, data: QueryDict | None = None, *, mailbox: Mailbox) -> None:
        initial = {name: getattr(mailbox, name) for name in self.NAMES}
        super().__init__(data, initial=initial, label_suffix="")

    def options(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.NAMES}


class ConnectForm(forms.Form):
    grant = forms.CharField(
        label=_lazy("Grant id"),
        max_length=255,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_lazy("As the provider's dashboard shows it."),
        error_messages={"required": _lazy("Paste the id of a grant, or choose one of the list.")},
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="connect_%s")


class TakenAsForm(forms.Form):
    """A person's judgement about a send that nobody can prove."""

    reason = forms.CharField(
        label=_lazy("Reason"),
        max_length=REASON_CHARACTERS,
        widget=LongText(attrs={"rows": 2}),
        error_messages={"required": _lazy("Say in a sentence what you know; it is kept in the record.")},
    )

    def __init__(self, data: QueryDict | None = None, *, way: str) -> None:
        super().__init__(data, auto_id=f"{way}_%s")
