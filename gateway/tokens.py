"""Tokens of agents and operators: made once, shown once, asked at every request."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import people
from approvals.names import fault_of_name
from approvals.people import Person, Right
from approvals.queries import visible_mailboxes
from audit.clock import database_now
from audit.record import Actor, record
from gateway.models import SCOPES_OF, Scope, Token, TokenKind

LONGEST_DAYS = 366
# 256 bits; see security.md section 3.6 of the design.
_SECRET_BYTES = 32
_BEGINNING = 6
_GRAIN = timedelta(minutes=1)
_LONGEST_SECRET = 100
_FORMS = uuid.UUID("3d0f7c52-5a0e-4f0e-9a55-2f5f6f1f0c11")


class TokenRefused(Exception):
    """No token was made. `field` names what was wrong."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class AlreadyMade(Exception):
    """A form that was sent twice makes one token."""


class TokenState(StrEnum):
    IN_FORCE = "in_force"
    ENDED = "ended"
    REVOKED = "revoked"
    OWNER_GONE = "owner_gone"


@dataclass(frozen=True, slots=True)
class Made:
    """A new token and its secret, which is shown once and kept nowhere."""

    token: Token
    secret: str


def make(
    *,
    kind: str,
    name: str,
    owner: User,
    actor: Actor,
    scopes: Iterable[str],
    mailboxes: Sequence[Mailbox] = (),
    days: int | None = None,
    is_test: bool = False,
    form_id: uuid.UUID | None = None,
) -> Made:
    """Make a token that ends after some days, or never. Raises TokenRefused, and AlreadyMade for a form sent again.

    No kind of token may both hand in mail and decide about it; an agent's names its mailboxes. A person makes an
    operator's token for nobody else: it acts in the name of its owner. The secret of a test token says that it is one.
    """
    _check(kind, name, scopes := list(dict.fromkeys(scopes)), mailboxes, days)
    if kind == TokenKind.OPERATOR and actor.kind == "person" and actor.id != str(owner.pk):
        raise TokenRefused(
            "owner", _("An operator's token acts in the name of its owner, so it is made for yourself only.")
        )
    prefix = f"cs_{kind}_test_" if is_test else f"cs_{kind}_"
    secret = prefix + secrets.token_urlsafe(_SECRET_BYTES)
    # What a form says of itself is no id of ours, but the same form always gives the same one.
    public_id = uuid.uuid5(_FORMS, str(form_id)) if form_id is not None else uuid.uuid4()
    with _once(), transaction.atomic():
        now = database_now()
        token = Token.objects.create(
            public_id=public_id,
            kind=kind,
            name=name.strip(),
            is_test=is_test,
            beginning=secret[: len(prefix) + _BEGINNING],
            digest=_digest(secret),
            scopes=scopes,
            owner=owner,
            made_at=now,
            expires_at=now + timedelta(days=days) if days is not None else None,
        )
        token.mailboxes.set(mailboxes)
        record(
            "gateway.token.made",
            actor=actor,
            data={
                "token": str(token.public_id),
                "kind": kind,
                "name": token.name,
                "scopes": scopes,
                "owner": owner.pk,
                "mailboxes": [mailbox.pk for mailbox in mailboxes],
                "days": days,
                "is_test": is_test,
            },
        )
    return Made(token, secret)


def find(secret: str) -> Token | None:
    """The token of a secret, unless it ended, was revoked, or its owner may no longer sign in; notes its use."""
    if len(secret) > _LONGEST_SECRET:
        return None
    token = Token.objects.select_related("owner").filter(digest=_digest(secret)).first()
    if token is None:
        return None
    now = database_now()
    if state_of(token, now) is not TokenState.IN_FORCE:
        return None
    _note_use(token, now)
    return token


def state_of(token: Token, now: datetime) -> TokenState:
    if token.revoked_at is not None:
        return TokenState.REVOKED
    if token.expires_at is not None and token.expires_at <= now:
        return TokenState.ENDED
    return TokenState.IN_FORCE if token.owner.is_active else TokenState.OWNER_GONE


def revoke(token: Token, *, actor: Actor, by: User | None = None) -> bool:
    """End a token from its next request on; whether it was in force."""
    with transaction.atomic():
        ended = Token.objects.filter(pk=token.pk, revoked_at__isnull=True).update(
            revoked_at=database_now(), revoked_by=by
        )
        if ended:
            record(
                "gateway.token.revoked",
                actor=actor,
                data={"token": str(token.public_id), "kind": token.kind, "name": token.name},
            )
    return bool(ended)


def actor_of(token: Token) -> Actor:
    """Who acts with a token, as the record names it."""
    if token.kind == TokenKind.AGENT:
        return Actor("agent", token.agent_id, token.name)
    return people.actor_for(token.owner)


def mailbox_ids(token: Token) -> frozenset[int]:
    """The mailboxes that a token is for: those it names and, for an operator's, its owner sees."""
    named = frozenset(token.mailboxes.values_list("pk", flat=True))
    if token.kind == TokenKind.AGENT:
        return named
    seen = frozenset(people.mailbox_ids_with(token.owner, Right.SEE))
    return seen & named if named else seen


def revocable_by(person: Person) -> QuerySet[Token]:
    """The tokens that a person sees and may end: all, or those that name a mailbox of theirs."""
    rows = Token.objects.all()
    if people.may_everywhere(person, Right.REVOKE):
        return rows
    return rows.filter(mailboxes__in=visible_mailboxes(person, Right.REVOKE)).distinct()


@contextmanager
def _once() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise AlreadyMade from error


def _note_use(token: Token, now: datetime) -> None:
    # Writing at every request would make each of them wait for the database's writer.
    if token.last_used_at is None or now - token.last_used_at >= _GRAIN:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check(
    kind: str, name: str, scopes: Sequence[str], mailboxes: Sequence[Mailbox], days: int | None
) -> None:
    if kind not in TokenKind.values:
        raise TokenRefused("kind", _("A token is for an agent or an operator."))
    fault = fault_of_name(name)
    if fault:
        raise TokenRefused("name", fault)
    allowed = SCOPES_OF[TokenKind(kind)]
    foreign = [scope for scope in scopes if scope not in allowed]
    if foreign or not scopes:
        raise TokenRefused(
            "scopes",
            _("One or more of: %(allowed)s.")
            % {"allowed": ", ".join(s for s in Scope.values if s in allowed)},
        )
    if kind == TokenKind.AGENT and not mailboxes:
        raise TokenRefused("mailboxes", _("An agent's token names the mailboxes that it is for."))
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise TokenRefused("days", _("1 to %(limit)d days.") % {"limit": LONGEST_DAYS})
