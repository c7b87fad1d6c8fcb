"""The interface under /api/v1/: who may call, and how every refusal is answered."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from approvals.submissions import Blocked, KeyReused, SubmissionRefused
from approvals.transitions.drafts import Claimed, DecisionRefused
from approvals.transitions.submissions import NotCancellable
from gateway import standing
from gateway.callers import Caller, NotThere, OnlyForTests, Refused, caller_of, caller_with, note_refusal
from gateway.schemas import ErrorOut
from policies.locks import LocksUnavailable

logger = logging.getLogger(__name__)

# How a body that cannot be read is refused: no JSON or half of it, and one that is too large.
BODY = (400, 413)
_FAULTS = 20


class Bearer(HttpBearer):
    """`Authorization: Bearer cs_agent_…` or `cs_operator_…`."""

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        return caller_with(token)


api = NinjaAPI(
    title="Countersign",
    version="1",
    description=(
        "Agents hand in mail here and learn what became of it; operators decide and set policy. "
        "Every path passes the same gate."
    ),
    auth=Bearer(),
    urls_namespace="gateway-api",
    docs_url=None,
    openapi_url=None,
)


def refusals(*more: int) -> dict[int, type[ErrorOut]]:
    """The refusals that a route documents: those of every route, of its token and of the desk, and its own."""
    return dict.fromkeys(sorted({401, 403, 503, *more}), ErrorOut)


def refused(request: HttpRequest, http_status: int, error: str, reason: str, **more: Any) -> HttpResponse:
    return api.create_response(request, {"error": error, "reason": reason, **more}, status=http_status)


def refusal_of(request: HttpRequest, error: Exception) -> dict[str, Any]:
    """What a request of its own would be refused with for an error, and recorded with, for one part of a request."""
    told: dict[str, Any] = json.loads(api.on_exception(request, error).content)
    return told


@api.exception_handler(AuthenticationError)
def _not_authenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    answer = refused(request, 401, "unauthorized", "a valid token is needed: Authorization: Bearer cs_…")
    answer["WWW-Authenticate"] = "Bearer"
    return answer


@api.exception_handler(Refused)
def _not_allowed(request: HttpRequest, refusal: Refused) -> HttpResponse:
    # A test token is refused before the request has a caller.
    caller = refusal.caller if isinstance(refusal, OnlyForTests) else caller_of(request)
    try:
        note_refusal(caller, refusal, f"{request.method} {request.path}")
    except (DatabaseError, InterfaceError) as error:
        return _not_writable(request, error)
    return refused(request, 403, "forbidden", str(refusal))


@api.exception_handler(NotThere)
def _not_there(request: HttpRequest, error: NotThere) -> HttpResponse:
    return refused(request, 404, "not_found", "there is no such object for this token")


@api.exception_handler(Blocked)
def _blocked(request: HttpRequest, blocked: Blocked) -> HttpResponse:
    if blocked.result == "blocked_mode":
        # As the seed has it: these two fields and no other.
        return refused(request, 403, "action_blocked", str(blocked))
    return refused(
        request,
        403,
        "action_blocked",
        str(blocked),
        status="blocked",
        code=blocked.result,
        recipients=standing.verdicts(blocked.judged),
    )


@api.exception_handler(KeyReused)
def _key_reused(request: HttpRequest, refusal: KeyReused) -> HttpResponse:
    return refused(request, 409, "idempotency_conflict", str(refusal), field=refusal.field)


@api.exception_handler(NotCancellable)
def _not_cancellable(request: HttpRequest, refusal: NotCancellable) -> HttpResponse:
    return refused(request, 409, refusal.state, str(refusal))


@api.exception_handler(SubmissionRefused)
def _unusable(request: HttpRequest, refusal: SubmissionRefused) -> HttpResponse:
    return refused(request, 400, "invalid_request", str(refusal), field=refusal.field)


@api.exception_handler(Claimed)
def _claimed(request: HttpRequest, refusal: Claimed) -> HttpResponse:
    return refused(request, 409, "claimed", str(refusal))


@api.exception_handler(DecisionRefused)
def _not_decided(request: HttpRequest, refusal: DecisionRefused) -> HttpResponse:
    return refused(request, 409, "not_decided", str(refusal))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    fields = [{"field": _field(one["loc"]), "reason": str(one["msg"])} for one in error.errors[:_FAULTS]]
    first = fields[0]
    return refused(
        request,
        400,
        "invalid_request",
        f"{first['field']}: {first['reason']}",
        field=first["field"],
        fields=fields,
    )


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return refused(request, error.status_code, "invalid_request", str(error))


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return refused(request, 413, "too_large", "a request has 4 MB at most")


@api.exception_handler(UnreadablePostError)
@api.exception_handler(RawPostDataException)
def _half_sent(request: HttpRequest, error: Exception) -> HttpResponse:
    return refused(request, 400, "invalid_request", "the request ended before its body did")


@api.exception_handler(DatabaseError)
@api.exception_handler(InterfaceError)
@api.exception_handler(LocksUnavailable)
def _not_writable(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("a request of a program could not be kept")
    return refused(request, 503, "unavailable", "nothing was kept; try again in a moment")


def _field(place: tuple[str | int, ...]) -> str:
    # The first two say where in the request, and the name of our own parameter.
    named = [str(part) for part in place if part not in ("body", "query", "path", "header", "payload")]
    return ".".join(named) or "body"
