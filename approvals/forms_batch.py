from __future__ import annotations

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from approvals.batches import ASKED_AGAIN_ABOVE, LIMIT
from approvals.forms import REASON_CHARACTERS, reason_given
from approvals.views.reauthentication import PasswordAgain
from approvals.widgets import LongText

_LINE_CHARACTERS = 200


class BatchForm(PasswordAgain):
    """A word about several letters: the lines that the page showed, and the proof that it did."""

    reason = forms.CharField(
        label=_lazy("Reason for rejecting all of them"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=LongText(attrs={"rows": 2}),
        help_text=_lazy("Needed to reject; up to 2,000 characters. Each agent gets these words."),
    )
    # A damaged one is refused as one of another list is.
    proof = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    field_order = ["reason", "proof", "password"]

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        request: HttpRequest,
        count: int,
        is_rejection: bool = False,
    ) -> None:
        super().__init__(data, request=request, auto_id="batch_%s")
        self.is_rejection = is_rejection
        if count <= ASKED_AGAIN_ABOVE:
            self.fields.pop("password", None)
        elif "password" in self.fields:
            # It is one form for both verbs; the server asks where it is needed.
            self.fields["password"].widget.attrs.pop("required", None)

    def clean_reason(self) -> str:
        reason = reason_given(self)
        if self.is_rejection and not reason.strip():
            raise forms.ValidationError(
                _("Say in a sentence why. The agents and the record get these words.")
            )
        return reason


def read_lines(data: QueryDict, name: str) -> list[str]:
    """The lines of a field as the page wrote them, no more than a batch can have."""
    return [line[:_LINE_CHARACTERS] for line in data.getlist(name)[:LIMIT]]
