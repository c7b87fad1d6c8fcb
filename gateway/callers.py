"""Who calls an interface for programs, and what it may touch. Every door of the gateway asks here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest

from agentmail.client import is_provider_local
from agentmail.models import Mailbox
from agentmail.parsing import storable
from approvals import people
from approvals.models import Draft, Submission
from approvals.people import Right
from audit.record import Actor, record
from gateway import tokens
from gateway.models import Scope, Token, TokenKind

ATTEMPT_CHARACTERS = 300


class Refused(Exception):
    """The token does not allow it. Answered with 403 and recorded."""

    def __init__(self, reason: str, *, mailbox_id: int | None = None) -> None:
        super().__init__(reason)
        self.mailbox_id = mailbox_id


class OnlyForTests(Refused):
    """A test token was shown at a desk whose provider is not on this machine. `caller` is its holder."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(
            "this is a test token; it works only while the provider is a sandbox on this machine"
        )
        self.caller = caller


class NotThere(Exception):
    """There is no such object for this token; what is foreign does not exist."""


@dataclass
class Caller:
    """The holder of a token in one request."""

    token: Token

    @property
    def is_agent(self) -> bool:
        return self.token.kind == TokenKind.AGENT

    @cached_property
    def actor(self) -> Actor:
        return tokens.actor_of(self.token)

    @cached_property
    def mailbox_ids(self) -> frozenset[int]:
        return tokens.mailbox_ids(self.token)

    def need(self, scope: Scope, right: Right | None = None, mailbox: Mailbox | None = None) -> None:
        """Raise Refused unless the token has the scope and, for an operator's, its owner the right."""
        mailbox_id = mailbox.pk if mailbox is not None else None
        if scope not in self.token.scopes:
            raise Refused(f"this token has no scope {scope.value}", mailbox_id=mailbox_id)
        if right is not None and (self.is_agent or not people.may(self.token.owner, right, mailbox_id)):
            raise Refused(f"this token may not {right.value} here", mailbox_id=mailbox_id)

    def need_all_mailboxes(self) -> None:
        """Raise Refused for a token that is for some mailboxes only, where something holds for all of them."""
        if self.token.mailboxes.exists():
            raise Refused("this token is for some mailboxes only, and this holds for all")

    def mailbox(self, address: str) -> Mailbox:
        """The mailbox of an address or grant among those of the token. Raises NotThere."""
        # PostgreSQL takes no such character in a question.
        if "\x00" in address:
            raise NotThere
        rows = Mailbox.objects.filter(pk__in=self.mailbox_ids)
        found = rows.filter(address__iexact=address).first() or rows.filter(grant_id=address).first()
        if found is None:
            raise NotThere
        return found

    def mail(self, public_id: UUID) -> tuple[Submission | None, Draft | None]:
        """A mail by its id: its draft, or what was handed in while that is not there. Raises NotThere.

        An agent sees what it handed in itself; an operator's token all mail of its mailboxes.
        """
        drafts = Draft.objects.filter(mailbox__in=self.mailbox_ids)
        handed_in = Submission.objects.filter(mailbox__in=self.mailbox_ids)
        if self.is_agent:
            drafts = drafts.filter(agent_id=self.token.agent_id)
            handed_in = handed_in.filter(agent_id=self.token.agent_id)
        draft = (
            drafts.select_related("mailbox", "current_revision", "send").filter(public_id=public_id).first()
        )
        submission = handed_in.select_related("mailbox", "draft").filter(public_id=public_id).first()
        if draft is None and submission is not None and submission.draft_id is not None:
            draft = drafts.select_related("mailbox", "current_revision", "send").get(pk=submission.draft_id)
        if draft is None and submission is None:
            raise NotThere
        return submission, draft


def caller_with(secret: str) -> Caller | None:
    """The holder of a token in force, None for any other secret. Every door lets programs in by this one.

    Raises OnlyForTests for a test token unless the provider is on this machine: with none it is not known which comes.
    """
    token = tokens.find(secret)
    if token is None:
        return None
    caller = Caller(token)
    if token.is_test and not is_provider_local():
        raise OnlyForTests(caller)
    return caller


def caller_of(request: HttpRequest) -> Caller:
    """The caller that authentication found for this request."""
    found = getattr(request, "auth", None)
    if not isinstance(found, Caller):
        raise NotThere
    return found


def note_refusal(caller: Caller, refusal: Refused, what: str) -> None:
    """Keep in the record that a token tried what it may not."""
    with transaction.atomic():
        record(
            "gateway.attempt.refused",
            actor=caller.actor,
            mailbox_id=refusal.mailbox_id,
            reason=str(refusal),
            data={"token": str(caller.token.public_id), "attempt": storable(what)[:ATTEMPT_CHARACTERS]},
        )
