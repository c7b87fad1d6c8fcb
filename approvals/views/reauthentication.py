"""Asking again who it is before what cannot be taken back: the password holds for ten minutes."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows import reauthentication
from allauth.core import ratelimit
from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy


class PasswordAgain(forms.Form):
    """Base of forms that ask for the password, unless it was given again within the last ten minutes.

    A right password counts even when another field of the form is wrong, so that nobody types it twice.
    """

    password = forms.CharField(
        label=_lazy("Your password"),
        strip=False,
        required=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text=_lazy("Asked again because of what this does; it then holds for ten minutes."),
    )

    def __init__(self, *args: object, request: HttpRequest, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.request = request
        if reauthentication.did_recently_reauthenticate(request):
            del self.fields["password"]
        else:
            self.fields["password"].widget.attrs["required"] = True

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not password:
            raise forms.ValidationError(_("Type your password once more."))
        if not ratelimit.consume(self.request, action="reauthenticate", user=self.request.user):
            raise forms.ValidationError(_("Too many tries. Wait five minutes, then type it once more."))
        if not get_adapter().reauthenticate(self.request.user, password):
            raise forms.ValidationError(_("That is not your password. Type it once more."))
        reauthentication.reauthenticate_by_password(self.request)
        return ""

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if "password" in cleaned:
            self.fields.pop("password", None)
        return cleaned


class NewSecretForm(PasswordAgain):
    """Asks for another secret of a receiver, in the version that the page showed."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=2**31 - 1)

    def __init__(self, data: QueryDict | None = None, *, request: HttpRequest, version: int = 0) -> None:
        super().__init__(
            data, request=request, initial={"version": version}, auto_id="new_secret_%s", label_suffix=""
        )
