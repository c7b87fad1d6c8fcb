from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.addresses import AddressError, ascii_form, parse_address
from agentmail.mail_html import to_text
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals.content import RECIPIENT_LIMIT
from approvals.models import Draft, Revision
from approvals.people import Person
from approvals.queries import QueueFilter, visible_mailboxes
from approvals.states import DraftState

_TAG = re.compile(r"<\s*/?\s*([a-z][a-z0-9]*)")
_PLAIN_TAGS = frozenset({"p", "br", "div", "html", "body", "head"})

SUBJECT_CHARACTERS = 998
BODY_CHARACTERS = 1_000_000
REASON_CHARACTERS = 2000
SEARCH_CHARACTERS = 200
ASKS_CHARACTERS = 20_000


class QueueFilterForm(forms.Form):
    q = forms.CharField(
        label=_lazy("Search"),
        max_length=SEARCH_CHARACTERS,
        required=False,
        widget=forms.SearchInput(attrs={"autocomplete": "off"}),
    )
    state = forms.ChoiceField(
        label=_lazy("State"), choices=[("", _lazy("Waiting")), *DraftState.choices[1:]], required=False
    )
    mailbox = forms.ModelChoiceField(
        label=_lazy("Mailbox"),
        queryset=Mailbox.objects.none(),
        to_field_name="public_id",
        required=False,
        empty_label=_lazy("All mailboxes"),
    )
    after = forms.CharField(required=False, widget=forms.HiddenInput, max_length=80)

    def __init__(self, data: QueryDict, *, person: Person) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["mailbox"].queryset = visible_mailboxes(person)  # type: ignore[attr-defined]

    def clean_after(self) -> tuple[datetime, int] | None:
        given = self.cleaned_data["after"]
        if not given:
            return None
        text, tilde, number = given.partition("~")
        at = parse_datetime(text) if tilde else None
        if (
            at is None
            or at.tzinfo is None
            or not number.isascii()
            or not number.isdigit()
            or len(number) > 18
        ):
            raise forms.ValidationError(
                _("This page address is damaged; start again at the top of the list.")
            )
        return at, int(number)

    def chosen(self) -> QueueFilter:
        """The filter that the form describes; what is faulty in it counts as not given."""
        self.full_clean()
        cleaned = self.cleaned_data
        mailbox: Mailbox | None = cleaned.get("mailbox")
        return QueueFilter(
            state=cleaned.get("state") or DraftState.PENDING,
            mailbox=mailbox.public_id if mailbox else None,
            text=cleaned.get("q") or "",
            after=cleaned.get("after"),
        )


def filter_query(chosen: QueueFilter, **changes: Any) -> str:
    """The part of an address behind "?" that leads to this filter, or "" for the plain queue."""
    values: dict[str, Any] = {
        "q": chosen.text,
        "state": "" if chosen.state == DraftState.PENDING else chosen.state,
        "mailbox": chosen.mailbox or "",
        "after": after_text(*chosen.after) if chosen.after else "",
    } | changes
    return urlencode({name: value for name, value in values.items() if value})


def after_text(expires_at: datetime, draft_id: int) -> str:
    return f"{expires_at.isoformat()}~{draft_id}"


class SeenForm(forms.Form):
    """What the person saw when the form was shown; the server compares it with what is there now."""

    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    content_sha256 = forms.RegexField(r"^[0-9a-f]{64}$", widget=forms.HiddenInput)
    thread_fingerprint = forms.RegexField(r"^[0-9a-f]{64}$|^$", widget=forms.HiddenInput, required=False)
    form_id = forms.UUIDField(widget=forms.HiddenInput)
    asks = forms.CharField(widget=forms.HiddenInput, max_length=ASKS_CHARACTERS, required=False)


class DecisionForm(SeenForm):
    reason = forms.CharField(
        label=_lazy("Reason or note"),
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_lazy("Needed to reject or to request changes; up to 2,000 characters."),
    )


class ReasonedForm(DecisionForm):
    """A decision that must say why."""

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if not reason.strip():
            raise forms.ValidationError(_("Say in a sentence why. The agent and the record get these words."))
        return reason


class AddressesField(forms.CharField):
    """Addresses, one a line, as `name <address>` or the bare address; read into `Address` values."""

    widget = forms.Textarea

    def __init__(self, *, label: Any, required: bool = False) -> None:
        super().__init__(label=label, required=required, widget=forms.Textarea(attrs={"rows": 1}))

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        found: list[Address] = []
        for number, line in enumerate(text.splitlines(), start=1):
            written = line.strip().rstrip(",;").strip()
            if not written:
                continue
            name, email = _name_and_address(written)
            try:
                parse_address(email)
            except AddressError as error:
                raise forms.ValidationError(
                    _("Line %(number)d, “%(written)s”: %(why)s Write one address a line."),
                    params={"number": number, "written": written[:80], "why": error},
                ) from error
            found.append(Address(email=ascii_form(email), name=name))
        if len(found) > RECIPIENT_LIMIT:
            raise forms.ValidationError(
                _("These are %(count)d addresses; one mail can have %(limit)d."),
                params={"count": len(found), "limit": RECIPIENT_LIMIT},
            )
        return tuple(found)


def _name_and_address(written: str) -> tuple[str, str]:
    if written.endswith(">") and "<" in written:
        name, _bracket, rest = written.rpartition("<")
        return name.strip().strip('"').strip(), rest[:-1].strip()
    return "", written


def address_lines(entries: list[dict[str, str]]) -> str:
    """The lines that `AddressesField` reads back as the same addresses."""
    return "\n".join(
        f"{entry['name']} <{entry['email']}>" if entry.get("name") else str(entry.get("email", ""))
        for entry in entries
    )


class EditForm(SeenForm):
    """A person's version of a draft. A field that the edit would empty asks to be confirmed."""

    MAY_BE_EMPTIED = ("to", "cc", "bcc", "reply_to", "subject", "body")
    BODY_FORMS = ("text", "html")

    to = AddressesField(label=_lazy("To"))
    cc = AddressesField(label=_lazy("Cc"))
    bcc = AddressesField(label=_lazy("Bcc"))
    reply_to = AddressesField(label=_lazy("Reply to"))
    subject = forms.CharField(
        label=_lazy("Subject"), max_length=SUBJECT_CHARACTERS, required=False, strip=False
    )
    body = forms.CharField(
        label=_lazy("Text"),
        max_length=BODY_CHARACTERS,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "true"}),
    )
    body_form = forms.ChoiceField(choices=[("text", "text"), ("html", "html")], widget=forms.HiddenInput)
    confirm_empty = forms.BooleanField(
        label=_lazy("Yes, leave what I emptied empty"), required=False, widget=forms.HiddenInput
    )

    def __init__(self, data: QueryDict | None = None, *, revision: Revision, initial: dict[str, Any]) -> None:
        given = (data.get("body_form") if data is not None else initial.get("body_form")) or ""
        self.shown_form = (
            given if given in self.BODY_FORMS and revision.body_html else body_form_for(revision)
        )
        self.body_before = revision.body
        self.body_text_before = revision.body_text if revision.body_html else revision.body
        self.is_html = bool(revision.body_html)
        written = {
            name: address_lines(getattr(revision, name)) for name in ("to", "cc", "bcc", "reply_to")
        } | {
            "subject": revision.subject,
            "body": revision.body if self.shown_form == "html" else self.body_text_before,
        }
        super().__init__(data, initial=initial | written | {"body_form": self.shown_form})
        self.written = written
        for name in ("to", "cc", "bcc", "reply_to"):
            self.fields[name].widget.attrs["rows"] = max(1, len(getattr(revision, name)))

    def clean_subject(self) -> str:
        subject: str = self.cleaned_data["subject"]
        if any(ord(character) < 32 or ord(character) == 127 for character in subject):
            raise forms.ValidationError(_("A subject is one line without control characters."))
        return subject

    def clean_body(self) -> str:
        # Browsers send CRLF; what was not touched keeps every byte it was written with.
        typed: str = self.cleaned_data["body"].replace("\r\n", "\n")
        if typed == self.written["body"].replace("\r\n", "\n"):
            return self.body_before
        if self.is_html and self.shown_form == "text":
            return html_of(typed)
        return typed

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        emptied = [
            name
            for name in self.MAY_BE_EMPTIED
            if name in cleaned and self.written[name].strip() and self._is_empty(name, cleaned[name])
        ]
        if emptied and not cleaned.get("confirm_empty"):
            self.fields["confirm_empty"].widget = forms.CheckboxInput()
            for name in emptied:
                self.add_error(
                    name, _("This was not empty before. Tick the confirmation below if you mean it.")
                )
        return cleaned

    def _is_empty(self, name: str, value: Any) -> bool:
        if name == "body" and self.is_html:
            return not to_text(value).strip()
        return not value.strip() if isinstance(value, str) else not value

    def changes(self) -> dict[str, Any]:
        """The fields of a content that the person set."""
        return {name: self.cleaned_data[name] for name in self.MAY_BE_EMPTIED}


def body_form_for(revision: Revision) -> str:
    """How a body is best edited: as text, unless its markup holds more than paragraphs and line breaks."""
    if not revision.body_html:
        return "text"
    return "text" if set(_TAG.findall(revision.body.casefold())) <= _PLAIN_TAGS else "html"


def html_of(text: str) -> str:
    """Text as the plainest HTML: a paragraph for each block between empty lines, a break for each line end."""
    blocks = re.split(r"\n[ \t]*\n+", text.strip("\n"))
    return "\n".join(
        "<p>" + escape(block).replace("\n", "<br>\n") + "</p>" for block in blocks if block.strip()
    )


def seen_initial(
    draft: Draft, revision: Revision, form_id: object, *, asks: Iterable[str] = ()
) -> dict[str, Any]:
    return {
        "asks": " ".join(sorted(asks)),
        "revision": revision.number,
        "content_sha256": revision.content_sha256,
        "thread_fingerprint": draft.thread_fingerprint,
        "form_id": form_id,
    }
