"""SMTP submission: agents that speak only SMTP hand in mail with their token as password. Nothing is relayed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q

from agentmail.addresses import AddressError, parse_address
from agentmail.models import Mailbox, Message
from approvals import inbound, submissions
from approvals.content import JSON_REQUEST_BYTES, RECIPIENT_LIMIT
from approvals.submissions import Blocked, Says, SubmissionRefused
from gateway import mime
from gateway.callers import Caller, NotThere, OnlyForTests, Refused, caller_with, note_refusal
from gateway.models import Scope

logger = logging.getLogger(__name__)

THREADS = 4
CONNECTIONS = 100
IDLE_SECONDS = 120
CALLS = {"AUTH": 5, "*": 1000}
_REPLY_CHARACTERS = 400

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client showed. The token is asked for again with each mail: it may end in between."""

    address: str
    secret: str = field(repr=False)


class MailEnvelope(Envelope):
    """An envelope that remembers a refused recipient: a mail goes to all that its agent named, or to nobody."""

    refused = False


def sign_in(address: str, secret: str) -> bool:
    """Whether the token is an agent's in force, for the mailbox of this address. A wrong mailbox is recorded.

    Raises OnlyForTests, recorded too, for a test token that is not taken here.
    """
    try:
        caller = caller_with(secret)
    except OnlyForTests as refusal:
        note_refusal(refusal.caller, refusal, "smtp AUTH")
        raise
    if caller is None:
        return False
    try:
        if not caller.is_agent:
            raise Refused("mail is handed in with agents' tokens")
        _mailbox(caller, address)
    except Refused as refusal:
        note_refusal(caller, refusal, "smtp AUTH")
        return False
    return True


def hand_in(client: SignedIn, recipients: Sequence[str], raw: bytes) -> str:
    """Keep a mail for review and return the reply of SMTP; 250 only once it is committed."""
    try:
        caller = caller_with(client.secret)
    except OnlyForTests as refusal:
        note_refusal(refusal.caller, refusal, "smtp DATA")
        return f"550 5.7.1 {refusal}"
    if caller is None:
        return "550 5.7.1 this token is no longer in force"
    try:
        written = mime.read(raw)
        caller.need(Scope.SEND)
        mailbox = _mailbox(caller, client.address)
        if [one.email.casefold() for one in written.sender] != [mailbox.address.casefold()]:
            raise Refused(f"From must be {mailbox.address} and nobody else", mailbox_id=mailbox.pk)
        submission, _judged = submissions.receive(
            mailbox,
            written.mail(recipients, parent=_answered(mailbox, written.answers)),
            Says(),
            agent=caller.actor,
            owner=caller.token.owner,
            key=_key(written.message_id),
        )
    except mime.Unkept as error:
        return f"554 5.6.0 {error}"
    except Refused as refusal:
        note_refusal(caller, refusal, "smtp DATA")
        return f"550 5.7.1 {refusal}"
    except Blocked as blocked:
        return f"550 5.7.1 {blocked}"
    except SubmissionRefused as refused:
        return f"554 5.6.0 {refused.field}: {refused}"
    return f"250 2.0.0 queued for review as {submission.public_id}"


def _mailbox(caller: Caller, address: str) -> Mailbox:
    try:
        mailbox = caller.mailbox(address)
    except NotThere:
        mailbox = None
    if mailbox is None or mailbox.address.casefold() != address.casefold():
        raise Refused("this token has no mailbox of that address")
    return mailbox


def _answered(mailbox: Mailbox, named: Sequence[str]) -> str:
    """The provider's id of the first of some messages that the agent may read, by Message-ID or by that id itself.

    Empty when it may read none of them: what nobody released is as unknown as what is not there.
    """
    headers = [form for one in named for form in (f"<{one}>", one)]
    messages = inbound.released(Message.objects.filter(mailbox=mailbox, is_deleted=False))
    rows = messages.filter(Q(message_id__in=headers) | Q(provider_id__in=named)).order_by("pk")
    ids: dict[str, str] = {}
    for provider_id, message_id in rows.values_list("provider_id", "message_id"):
        # Anybody can write a Message-ID into a later mail; the one that had it first keeps it.
        ids.setdefault(message_id.strip("<>"), provider_id)
        ids.setdefault(provider_id, provider_id)
    return next((ids[one] for one in named if one in ids), "")


def _key(message_id: str) -> str:
    # A client that never saw the reply sends the same mail again: its Message-ID keeps it one mail.
    return f"smtp:{hashlib.sha256(message_id.encode()).hexdigest()}" if message_id else ""


class House:
    """What all connections share, and the answers to their commands (hooks of aiosmtpd)."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.connections = 0

    async def in_thread(self, work: Callable[[], Found]) -> Found:
        """Do what asks the database, in a thread: the loop must go on."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, _with_database, work)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not isinstance(session.auth_data, SignedIn):
            return "530 5.7.0 Authentication required"
        if address.casefold() != session.auth_data.address.casefold():
            return "550 5.7.1 the sender must be the mailbox that signed in"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        try:
            normalised = parse_address(address)
        except AddressError as error:
            refusal = f"553 5.1.3 {_one_line(str(error))}"
        else:
            if len(envelope.rcpt_tos) < RECIPIENT_LIMIT:
                envelope.rcpt_tos.append(normalised)
                return "250 2.1.5 OK"
            refusal = f"452 4.5.3 at most {RECIPIENT_LIMIT} recipients"
        if isinstance(envelope, MailEnvelope):
            envelope.refused = True
        return refusal

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        client, raw = session.auth_data, envelope.original_content
        if not isinstance(client, SignedIn) or raw is None:
            return "530 5.7.0 Authentication required"
        if isinstance(envelope, MailEnvelope) and envelope.refused:
            return "554 5.5.1 a recipient was refused, so nothing was kept"
        recipients = list(envelope.rcpt_tos)
        try:
            return _one_line(await self.in_thread(lambda: hand_in(client, recipients, raw)))
        except (DatabaseError, InterfaceError):
            logger.exception("a mail that was handed in could not be kept")
            return "451 4.3.0 nothing was kept; try again in a moment"

    async def handle_exception(self, error: Exception) -> str:
        logger.error("a command of an SMTP client failed", exc_info=error)
        return "451 4.3.0 nothing was kept; try again in a moment"


class Connection(SMTP):
    """One connection; it asks the tokens in a thread."""

    def __init__(self, house: House, **options: Any) -> None:
        super().__init__(house, authenticator=_shown, command_call_limit=CALLS, **options)
        self._house = house

    def _create_envelope(self) -> Envelope:
        return MailEnvelope()

    async def _handle_client(self) -> None:
        if self._house.connections >= CONNECTIONS:
            await self.push("421 4.7.0 too many connections; try again in a moment")
            self._writer.close()
            return
        self._house.connections += 1
        try:
            await super()._handle_client()
        finally:
            self._house.connections -= 1

    async def auth_PLAIN(self, _: Any, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_PLAIN(_, args))

    async def auth_LOGIN(self, _: Any, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_LOGIN(_, args))

    async def _checked(self, shown: AuthResult) -> AuthResult:
        if not isinstance(shown.auth_data, LoginPassword):
            return shown
        try:
            client = SignedIn(shown.auth_data.login.decode(), shown.auth_data.password.decode())
        except UnicodeDecodeError:
            return AuthResult(success=False, handled=False)
        try:
            is_right = await self._house.in_thread(lambda: sign_in(client.address, client.secret))
        except OnlyForTests as refusal:
            told = f"535 5.7.8 {_one_line(str(refusal))}"
            return AuthResult(success=False, handled=False, message=told, auth_data=None)
        except (DatabaseError, InterfaceError):
            logger.exception("a token could not be asked for")
            return AuthResult(
                success=False, handled=False, message="454 4.7.0 try again in a moment", auth_data=None
            )
        return AuthResult(success=is_right, handled=False, auth_data=client if is_right else None)


async def serve(
    host: str,
    port: int,
    *,
    name: str,
    tls: ssl.SSLContext | None,
    needs_tls: bool,
    stop: asyncio.Event,
    ready: Callable[[str, int], None],
) -> None:
    """Serve until `stop` is set; mail that was taken in by then still gets its reply. `ready` is told the address."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="smtp") as executor:
        house = House(executor)

        def connection() -> Connection:
            return Connection(
                house,
                data_size_limit=JSON_REQUEST_BYTES,
                hostname=name,
                ident="Countersign",
                tls_context=tls,
                auth_require_tls=needs_tls,
                timeout=IDLE_SECONDS,
                loop=loop,
            )

        server = await loop.create_server(connection, host, port)
        ready(*server.sockets[0].getsockname()[:2])
        await stop.wait()
        server.close()
        await asyncio.to_thread(executor.shutdown)


def _shown(server: SMTP, session: Session, envelope: Envelope, mechanism: str, shown: Any) -> AuthResult:
    # Runs in the loop, where nothing may wait for the database: `Connection` asks, and until then it is a no.
    return AuthResult(success=False, handled=False, auth_data=shown)


def _with_database(work: Callable[[], Found]) -> Found:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


def _one_line(reply: str) -> str:
    printable = (character if character.isascii() and character.isprintable() else "?" for character in reply)
    return "".join(printable)[:_REPLY_CHARACTERS]
