"""The door of /nylas/v3/: who calls, which mailbox is meant, and every refusal in the provider's envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from agentmail.exceptions import NotFound, ProviderError, ProviderUnavailable, RequestRefused, TooLarge
from agentmail.models import Mailbox
from approvals.models import Draft, Submission
from approvals.submissions import Blocked, KeyReused, SubmissionRefused
from approvals.transitions.drafts import DecisionRefused
from approvals.transitions.submissions import NotCancellable
from audit.context import request_id
from gateway.callers import Caller, NotThere, OnlyForTests, Refused, caller_with, note_refusal
from gateway.models import Scope
from policies import modes
from policies.locks import LocksUnavailable

logger = logging.getLogger(__name__)

# What the provider says of a request may be told to an agent for these; others are between it and the desk.
_TOLD = frozenset({400, 409, 422})
SAID_CHARACTERS = 500


class Unusable(Exception):
    """The request holds something that is not taken here. `field` names it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class NotOffered(Exception):
    """The provider may have such an address or method; no agent reaches it here. Recorded as an attempt."""

    def __init__(self, status: int, reason: str, *, allow: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.allow = allow


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an agent about one of its mailboxes."""

    request: HttpRequest
    caller: Caller
    mailbox: Mailbox

    def need(self, scope: Scope, action: str) -> None:
        """Raise Refused without the scope, and Blocked when the mode of the mailbox forbids the action.

        Not for mail that is handed in: `approvals.submissions` asks the mode of it, and records its refusal.
        """
        self.caller.need(scope, mailbox=self.mailbox)
        ruling = modes.ruling(self.mailbox.mode, action)
        if ruling.answer is modes.Answer.BLOCKED:
            sentence = str(ruling.sentence)
            _note(self.request, self.caller, sentence, self.mailbox.pk)
            raise Blocked("blocked_mode", sentence)

    def mail(self, text: str) -> tuple[Submission | None, Draft | None]:
        """A mail of this agent in this mailbox, by our id. Raises NotThere."""
        try:
            public_id = UUID(text)
        except ValueError as error:
            raise NotThere from error
        submission, draft = self.caller.mail(public_id)
        if any(found is not None and found.mailbox_id != self.mailbox.pk for found in (submission, draft)):
            raise NotThere
        return submission, draft


Handler = Callable[..., HttpResponse]


def route(**handlers: Handler) -> Handler:
    """A view of one address below a grant, with a handler for each method that is offered."""

    def chosen(request: HttpRequest, caller: Caller, *, grant: str, **named: str) -> HttpResponse:
        handler = handlers.get(request.method or "")
        if handler is None:
            raise NotOffered(405, "this method is not offered to agents", allow=", ".join(sorted(handlers)))
        return handler(Call(request, caller, _mailbox(caller, grant)), **named)

    return _guarded(chosen)


def _not_offered(request: HttpRequest, caller: Caller, **named: str) -> HttpResponse:
    raise NotOffered(404, "this address is not offered to agents")


def answer(data: Any, *, status: int = 200, **more: Any) -> HttpResponse:
    """One object or list in the provider's envelope."""
    return JsonResponse({"request_id": request_id.get(), **more, "data": data}, status=status)


def done() -> HttpResponse:
    return JsonResponse({"request_id": request_id.get()})


def _refused(status: int, kind: str, message: str, **headers: str) -> HttpResponse:
    envelope = {"request_id": request_id.get(), "error": {"type": kind, "message": message}}
    return JsonResponse(envelope, status=status, headers=headers)


def _guarded(handler: Handler) -> Handler:
    @csrf_exempt
    def view(request: HttpRequest, **named: str) -> HttpResponse:
        try:
            try:
                caller = _caller_of(request)
            except OnlyForTests as refusal:
                return _refusal(request, refusal.caller, refusal)
            if caller is None:
                return _refused(
                    401,
                    "unauthorized",
                    "a valid token is needed: Authorization: Bearer cs_agent_…",
                    **{"WWW-Authenticate": "Bearer"},
                )
            try:
                if not caller.is_agent:
                    raise Refused("this interface is for the tokens of agents")
                return handler(request, caller, **named)
            except _REFUSALS as refusal:
                return _refusal(request, caller, refusal)
        except RequestDataTooBig:
            return _refused(413, "invalid_request_error", "a request has 4 MB at most")
        except (SuspiciousOperation, UnreadablePostError):
            return _refused(400, "invalid_request_error", "the request could not be read")
        except (DatabaseError, InterfaceError, LocksUnavailable):
            logger.exception("a request of an agent could not be kept")
            return _refused(503, "api.internal_error", "nothing was kept; try again in a moment")

    return view


_REFUSALS = (
    NotThere,
    NotOffered,
    Refused,
    Unusable,
    SubmissionRefused,
    Blocked,
    NotCancellable,
    DecisionRefused,
    ProviderError,
)


def _refusal(request: HttpRequest, caller: Caller, refusal: Exception) -> HttpResponse:
    match refusal:
        case NotThere():
            return _not_found()
        case NotOffered():
            _note(request, caller, str(refusal))
            if refusal.status == 404:
                return _not_found()
            return _refused(refusal.status, "invalid_request_error", str(refusal), **{"Allow": refusal.allow})
        case Refused():
            _note(request, caller, str(refusal), refusal.mailbox_id)
            return _refused(403, "insufficient_scopes", str(refusal))
        case Blocked():
            return _refused(403, "action_blocked", str(refusal))
        case KeyReused():
            return _refused(409, "api.invalid_idempotent_request", str(refusal))
        case SubmissionRefused() if refusal.field == "revises":
            return _refused(409, "action_conflict", str(refusal))
        case Unusable() | SubmissionRefused():
            is_key = refusal.field == "Idempotency-Key"
            kind = "api.invalid_idempotency_key" if is_key else "invalid_request_error"
            return _refused(400, kind, f"{refusal.field}: {refusal}")
        case ProviderError():
            return _of_provider(refusal)
        case _:
            return _refused(409, "action_conflict", str(refusal))


def _of_provider(error: ProviderError) -> HttpResponse:
    pause = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds is not None else {}
    match error:
        case NotFound():
            return _not_found()
        case TooLarge():
            return _refused(413, "invalid_request_error", _("This is larger than is handed on here."))
        case RequestRefused() if error.status_code is None:
            return _not_found()
        case RequestRefused() if error.status_code in _TOLD:
            kind = error.error_type or "invalid_request_error"
            said = error.error_message or str(error)
            return _refused(error.status_code, kind, said[:SAID_CHARACTERS])
        case ProviderUnavailable() if error.status_code == 429:
            return _refused(429, "rate_limit_error", _("The provider asks for a pause."), **pause)
        case ProviderUnavailable() if error.status_code in (None, 504):
            return _refused(504, "api.provider_error", _("The provider gave no usable answer in time."))
    return _refused(503, "api.internal_error", _("The provider cannot be asked now."), **pause)


def _not_found() -> HttpResponse:
    return _refused(404, "not_found_error", "requested object not found")


def _note(request: HttpRequest, caller: Caller, reason: str, mailbox_id: int | None = None) -> None:
    note_refusal(caller, Refused(reason, mailbox_id=mailbox_id), f"{request.method} {request.path}")


def _caller_of(request: HttpRequest) -> Caller | None:
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    return caller_with(secret.strip()) if scheme.lower() == "bearer" else None


def _mailbox(caller: Caller, grant: str) -> Mailbox:
    try:
        if grant == "me" and len(caller.mailbox_ids) == 1:
            return Mailbox.objects.get(pk=next(iter(caller.mailbox_ids)))
        return caller.mailbox(grant)
    except NotThere as error:
        raise NotOffered(404, "this token has no such grant") from error


not_offered = _guarded(_not_offered)
