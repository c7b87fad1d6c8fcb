from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from agentmail.models import Mailbox
from approvals import outgoing, people
from approvals.forms_modes import SignatureHeaderField
from approvals.names import NAME_CHARACTERS
from approvals.views.access import person_of
from approvals.views.reauthentication import PasswordAgain
from gateway import tokens
from gateway.models import Scope, Token, TokenKind
from gateway.webhooks import events
from gateway.webhooks.models import WebhookEndpoint
from policies import webhooks

DAYS_USUALLY = 90


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        return people.name_of(person)


class TokenForm(PasswordAgain):
    """A new token. `gateway.tokens` checks what a kind may hold."""

    form_id = forms.UUIDField(widget=forms.HiddenInput)
    kind = forms.ChoiceField(
        label=_("For"),
        choices=TokenKind.choices,
        widget=forms.RadioSelect,
        help_text=_("An agent hands in mail. An operator's program decides and manages, with your rights."),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Reviewers and the record call the program by this name."),
        error_messages={"required": _("Give the token a name.")},
    )
    owner = PersonChoice(
        label=_("Owner"),
        queryset=User.objects.none(),
        empty_label=None,
        help_text=_(
            "The person who answers for it. Whoever owns an agent's token does not approve its mail."
        ),
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"),
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("An agent: read and hand in. An operator: everything but handing in."),
        error_messages={"required": _("Choose at least one.")},
    )
    mailboxes = forms.ModelMultipleChoiceField(
        label=_("Mailboxes"),
        queryset=Mailbox.objects.none(),
        to_field_name="public_id",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("An agent needs at least one. An operator's token without any is for all of its owner."),
    )
    days = forms.IntegerField(
        label=_("Ends after days"),
        required=False,
        min_value=1,
        max_value=tokens.LONGEST_DAYS,
        help_text=_("Left empty, it ends when it is revoked."),
    )
    is_test = forms.BooleanField(
        label=_("For tests only"),
        required=False,
        help_text=_(
            "Every request is refused unless the provider is a sandbox on this machine. The secret says “test”."
        ),
    )
    field_order = ["form_id", "kind", "name", "owner", "scopes", "mailboxes", "days", "is_test", "password"]

    def __init__(self, data: QueryDict | None = None, *, request: HttpRequest) -> None:
        start = {
            "form_id": uuid.uuid4(),
            "kind": TokenKind.AGENT,
            "owner": person_of(request).pk,
            "scopes": [Scope.READ, Scope.SEND],
            "days": DAYS_USUALLY,
        }
        super().__init__(data, request=request, initial=start, auto_id="token_%s", label_suffix="")
        active = User.objects.filter(is_active=True).order_by("first_name", "last_name", "username")
        self.fields["owner"].queryset = active  # type: ignore[attr-defined]
        self.fields["mailboxes"].queryset = Mailbox.objects.order_by("address")  # type: ignore[attr-defined]


class TokenChoice(forms.ModelChoiceField):
    def label_from_instance(self, token: Any) -> str:
        return str(token.name)


class WebhookForm(PasswordAgain):
    """An endpoint, new or as it is; `gateway.webhooks.endpoints` checks what it may be."""

    form_id = forms.UUIDField(widget=forms.HiddenInput)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give the webhook a name.")},
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=outgoing.URL_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
        help_text=_("An https address that takes a POST and answers within 15 seconds."),
    )
    signature_header = SignatureHeaderField()
    types = forms.MultipleChoiceField(
        label=_("Told of"),
        choices=list(events.TYPES.items()),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one.")},
    )
    mailboxes = forms.ModelMultipleChoiceField(
        label=_("Mailboxes"),
        queryset=Mailbox.objects.none(),
        to_field_name="public_id",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Without any it is told of all, those connected later included."),
    )
    agent = TokenChoice(
        label=_("Agent"),
        queryset=Token.objects.none(),
        to_field_name="public_id",
        required=False,
        empty_label=_("None: it belongs to people"),
        help_text=_("One of an agent is told of its own mail only. This cannot be changed later."),
    )
    field_order = [
        "form_id",
        "version",
        "name",
        "url",
        "agent",
        "mailboxes",
        "types",
        "signature_header",
        "password",
    ]

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        request: HttpRequest,
        endpoint: WebhookEndpoint | None = None,
    ) -> None:
        start: dict[str, Any] = {"form_id": uuid.uuid4(), "version": 0, "types": list(events.TYPES)}
        start["signature_header"] = webhooks.DEFAULT_HEADER
        if endpoint is not None:
            start |= {name: getattr(endpoint, name) for name in ("name", "url", "types", "signature_header")}
            start |= {
                "version": endpoint.version,
                "mailboxes": [mailbox.public_id for mailbox in endpoint.mailboxes.all()],
            }
        super().__init__(data, request=request, initial=start, auto_id="webhook_%s", label_suffix="")
        self.fields["mailboxes"].queryset = Mailbox.objects.order_by("address")  # type: ignore[attr-defined]
        if endpoint is not None:
            del self.fields["agent"]
        else:
            agents = Token.objects.filter(kind=TokenKind.AGENT, revoked_at__isnull=True)
            self.fields["agent"].queryset = agents.order_by("name")  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        """What was typed, as `gateway.webhooks.endpoints` takes it."""
        names = ("name", "url", "types", "signature_header", "mailboxes")
        return {name: self.cleaned_data[name] for name in names}
