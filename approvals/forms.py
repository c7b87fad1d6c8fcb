from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from agentmail.addresses import AddressError, ascii_form, parse_address
from agentmail.mail_html import to_text
from agentmail.types import Address
from approvals.content import RECIPIENT_LIMIT
from approvals.models import Draft, Revision, Risk
from approvals.people import Person
from approvals.queries import QueueFilter
from approvals.rich_text import BLOCKS, INLINE, NotKept, encoded, letter_of, with_middle
from approvals.saved_views import Options, options_for
from approvals.states import DraftState
from approvals.together import Only
from approvals.widgets import LongText

_TAG = re.compile(r"<\s*/?\s*([a-z][a-z0-9]*)")
_PLAIN_TAGS = frozenset({"p", "br", "div", "html", "body", "head"})

ADDRESS_FIELDS = ("to", "cc", "bcc", "reply_to")
# More than any mail can have, so that the preview says so.
SUPPOSED_ADDRESSES = 200
SUBJECT_CHARACTERS = 998
BODY_CHARACTERS = 1_000_000
# How tall a field of addresses may be, and how long an end of a letter may be that is shown unasked.
MOST_ROWS = 8
SHORT_LINES = 8
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
    mailbox = forms.ChoiceField(label=_lazy("Mailbox"), required=False)
    category = forms.ChoiceField(label=_lazy("Category"), required=False)
    risk = forms.TypedChoiceField(
        label=_lazy("Risk"),
        choices=[("", _lazy("Every risk")), *Risk.choices],
        coerce=int,
        empty_value=None,
        required=False,
    )
    agent = forms.CharField(label=_lazy("Agent"), required=False, max_length=128)
    only = forms.ChoiceField(
        label=_lazy("Show"), choices=[("", _lazy("Everything")), *Only.choices], required=False
    )
    after = forms.CharField(required=False, widget=forms.HiddenInput, max_length=80)

    def __init__(self, data: QueryDict, *, person: Person) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.person = person
        # Read only when somebody chose one, or sees them all.
        self.fields["mailbox"].choices = lambda: [  # type: ignore[attr-defined]
            ("", _("All mailboxes")),
            *((one.key, one.word) for one in self.options.mailboxes),
        ]
        self.fields["category"].choices = lambda: [  # type: ignore[attr-defined]
            ("", _("Every category")),
            *((one.key, one.word) for one in self.options.categories),
        ]

    @cached_property
    def options(self) -> Options:
        return options_for(self.person)

    def offer_agents(self, drafts: Iterable[Draft]) -> None:
        """Offer the agents of the drafts that are listed, and the chosen one, which may have none listed."""
        chosen = self.cleaned_data.get("agent") or ""
        found = {draft.agent_id: getattr(draft, "agent_name", None) for draft in drafts if draft.agent_id}
        if chosen:
            found.setdefault(chosen, None)
        words = sorted(((key, word or key) for key, word in found.items()), key=lambda pair: pair[1])
        self.fields["agent"].widget = forms.Select(choices=[("", _("Every agent")), *words])

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
        return QueueFilter(
            state=cleaned.get("state") or DraftState.PENDING,
            mailbox=UUID(cleaned["mailbox"]) if cleaned.get("mailbox") else None,
            category=cleaned.get("category") or "",
            risk=cleaned.get("risk"),
            agent=cleaned.get("agent") or "",
            text=cleaned.get("q") or "",
            after=cleaned.get("after"),
            only=cleaned.get("only") or "",
        )


def filter_query(chosen: QueueFilter, **changes: Any) -> str:
    """The part of an address behind "?" that leads to this filter, or "" for the plain queue."""
    values: dict[str, Any] = {
        "q": chosen.text,
        "state": "" if chosen.state == DraftState.PENDING else chosen.state,
        "mailbox": chosen.mailbox or "",
        "category": chosen.category,
        "risk": chosen.risk or "",
        "agent": chosen.agent,
        "only": chosen.only,
        "after": after_text(*chosen.after) if chosen.after else "",
    } | changes
    return urlencode({name: value for name, value in values.items() if value})


def after_text(at: datetime, draft_id: int) -> str:
    return f"{at.isoformat()}~{draft_id}"


def read_ids(given: Sequence[str], limit: int) -> list[UUID]:
    """The ids of the first `limit` rows that a form names; what is none is left out."""
    found = []
    for text in given[:limit]:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


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
        widget=LongText(attrs={"rows": 2}),
        help_text=_lazy("Needed to reject or to request changes; up to 2,000 characters."),
    )


class ReasonForm(forms.Form):
    """A reason or note as it is typed."""

    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False, strip=False, widget=LongText)


def reason_given(form: forms.Form) -> str:
    """The reason that was written, else the kept one that was chosen: only a script writes that into the field."""
    reason: str = form.cleaned_data["reason"]
    return reason if reason.strip() else form.data.get("kept", "")[:REASON_CHARACTERS]


class ReasonedForm(DecisionForm):
    """A decision that must say why."""

    def clean_reason(self) -> str:
        reason = reason_given(self)
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
        for number, written, address in _written_addresses(text):
            try:
                parse_address(address.email)
            except AddressError as error:
                raise forms.ValidationError(
                    _("Line %(number)d, “%(written)s”: %(why)s Write one address a line."),
                    params={"number": number, "written": written[:80], "why": error},
                ) from error
            found.append(replace(address, email=ascii_form(address.email)))
        if len(found) > RECIPIENT_LIMIT:
            raise forms.ValidationError(
                _("These are %(count)d addresses; one mail can have %(limit)d."),
                params={"count": len(found), "limit": RECIPIENT_LIMIT},
            )
        return tuple(found)


def _written_addresses(text: str) -> Iterator[tuple[int, str, Address]]:
    """The number, the words and the address of each line that is not empty, whatever is wrong with it."""
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip().rstrip(",;").strip()
        if written:
            name, email = _name_and_address(written)
            yield number, written, Address(email=email, name=name)


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
    BODY_FORMS = ("text", "html", "rich")

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
    body_form = forms.ChoiceField(choices=[(form, form) for form in BODY_FORMS], widget=forms.HiddenInput)
    confirm_empty = forms.BooleanField(
        label=_lazy("Yes, leave what I emptied empty"), required=False, widget=forms.HiddenInput
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        revision: Revision,
        initial: dict[str, Any],
        typed: Mapping[str, str] | None = None,
    ) -> None:
        """`typed` is what stands in the fields at first instead of what the revision says."""
        given = (data.get("body_form") if data is not None else (typed or initial).get("body_form")) or ""
        self.letter = letter_of(revision.body) if revision.body_html else None
        self.may_be_rich = self.letter is not None and not self.letter.obstacle
        is_possible = (
            given in self.BODY_FORMS and revision.body_html and (given != "rich" or self.may_be_rich)
        )
        self.shown_form = given if is_possible else body_form_for(revision)
        # A script turns the plain field into the editor, unless another form was asked for.
        self.is_rich = self.may_be_rich and given in ("", "rich")
        self.body_before = revision.body
        self.body_text_before = revision.body_text if revision.body_html else revision.body
        self.is_html = bool(revision.body_html)
        written = {
            name: address_lines(getattr(revision, name)) for name in ("to", "cc", "bcc", "reply_to")
        } | {
            "subject": revision.subject,
            "body": self._shown_body(),
        }
        self.is_restored = data is None and typed is not None
        first = dict(typed or {}) | {"body_form": self.shown_form}
        super().__init__(data, initial=initial | written | first)
        self.written = written
        for name in ("to", "cc", "bcc", "reply_to"):
            lines = str(self[name].value() or "").strip().count("\n") + 1
            self.fields[name].widget.attrs["rows"] = min(lines, MOST_ROWS)

    def _shown_body(self) -> str:
        if self.shown_form == "rich" and self.letter is not None:
            return self.letter.middle
        return self.body_before if self.shown_form == "html" else self.body_text_before

    @property
    def kept_below(self) -> str:
        """The text at the end of the letter that the editor leaves as it is; empty where there is none."""
        return to_text(self.letter.after).strip() if self.letter is not None else ""

    @property
    def is_end_short(self) -> bool:
        """Whether that text is shown at once, as a signature is and a quoted conversation is not."""
        return self.kept_below.count("\n") < SHORT_LINES

    @property
    def editor_data(self) -> str:
        """What the script needs, as JSON: the pieces as written and as shown, and what stands behind each class."""
        if self.letter is None:
            return ""
        shown = encoded(self.letter)
        data = {
            "pieces": [list(pair) for pair in zip(self.letter.pieces, shown.pieces, strict=True)],
            "kept": list(shown.attributes),
            "styles": list(shown.styles),
            "blocks": sorted(BLOCKS),
            "inline": sorted(INLINE),
            "typed": self._typed("body")
            if self.shown_form == "rich" and (self.is_bound or self.is_restored)
            else None,
        }
        return json.dumps(data)

    def clean_subject(self) -> str:
        subject: str = self.cleaned_data["subject"]
        if any(ord(character) < 32 or ord(character) == 127 for character in subject):
            raise forms.ValidationError(_("A subject is one line without control characters."))
        return subject

    def clean_body(self) -> str:
        try:
            return self._body_of(self.cleaned_data["body"])
        except NotKept as error:
            raise forms.ValidationError(str(error)) from error

    def _body_of(self, typed: str) -> str:
        """The body of the mail for what stands in the field. Raises `NotKept`."""
        # Browsers send CRLF; what was not touched keeps every byte it was written with.
        typed = typed.replace("\r\n", "\n")
        if typed == self.written["body"].replace("\r\n", "\n"):
            return self.body_before
        if self.is_html and self.shown_form == "text":
            return html_of(typed)
        if self.shown_form == "rich" and self.letter is not None:
            return with_middle(self.letter, typed)
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
            # A signature that stays does not make an emptied letter one that says something.
            typed = self.data.get("body", "") if self.shown_form == "rich" else value
            return not to_text(typed).strip()
        return not value.strip() if isinstance(value, str) else not value

    def changes(self) -> dict[str, Any]:
        """The fields of a content that the person set."""
        return {name: self.cleaned_data[name] for name in self.MAY_BE_EMPTIED}

    @property
    def is_touched(self) -> bool:
        """Whether anything stands in the fields that the revision does not say."""
        return any(
            self._typed(name).replace("\r\n", "\n").strip()
            != self.written[name].replace("\r\n", "\n").strip()
            for name in self.MAY_BE_EMPTIED
        )

    def supposed(self) -> dict[str, Any]:
        """The fields of a content as they were typed, faults included: for a preview, which names them."""
        addresses = {
            name: tuple(
                replace(address, email=ascii_form(address.email))
                for _number, _written, address in islice(
                    _written_addresses(self._typed(name)), SUPPOSED_ADDRESSES
                )
            )
            for name in ADDRESS_FIELDS
        }
        body = self.body_before
        if self.is_bound:
            body = self.cleaned_data.get("body", body)
        elif self.is_restored:
            with suppress(NotKept):
                body = self._body_of(self._typed("body"))
        return addresses | {"subject": self._typed("subject")[:BODY_CHARACTERS], "body": body}

    def _typed(self, name: str) -> str:
        return str(self[name].value() or "")


def fields_for(
    revision: Revision, typed: Mapping[str, str], base: Revision, *, asked: str = ""
) -> dict[str, str]:
    """The fields that were typed against one revision, as they can stand in the form of another.

    `asked` is how the body is to be edited: text, html or, where it is possible, rich.
    """
    given, body = typed.get("body_form", ""), typed.get("body", "").replace("\r\n", "\n")
    if not revision.body_html or not base.body_html:
        return dict(typed) | {"body": body, "body_form": "html" if revision.body_html else "text"}
    wanted = asked or given
    if revision.pk == base.pk and wanted == given:
        return dict(typed)
    whole = html_of(body) if given == "text" else body
    if given == "rich":
        with suppress(NotKept):
            whole = with_middle(letter_of(base.body), body)
    letter = letter_of(whole)
    if wanted == "rich" and not letter.obstacle and not letter_of(revision.body).obstacle:
        return dict(typed) | {"body": letter.middle, "body_form": "rich"}
    if wanted == "text":
        return dict(typed) | {"body": to_text(whole), "body_form": "text"}
    return dict(typed) | {"body": whole, "body_form": "html"}


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
