"""Handing in mail, asking after it, taking it back, deciding about it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Header, Query, Router, Status

from gateway import mails
from gateway.api.app import BODY, refusal_of, refusals
from gateway.callers import caller_of
from gateway.schemas import (
    AcceptedOut,
    DecidedManyOut,
    DecidedOut,
    DecideIn,
    DecideManyIn,
    MailOut,
    ReplyIn,
    SendIn,
    StatusOut,
)

router = Router(tags=["emails"])
HANDED_IN = {200: AcceptedOut, 202: AcceptedOut, **refusals(*BODY, 404, 409)}
Key = Annotated[
    str, Header(alias="Idempotency-Key", description="Same key and mail: same answer, no second mail.")
]


@router.post("/send", response=HANDED_IN, operation_id="send_email")
def send(request: HttpRequest, payload: SendIn, key: Key = "") -> Status[dict[str, Any]]:
    """Hand in a mail. `pending` means that people decide about it; check `status`, and ask again with its id."""
    return _accepted(mails.send(caller_of(request), payload, key=key))


@router.post("/reply", response=HANDED_IN, operation_id="reply_email")
def reply(request: HttpRequest, payload: ReplyIn, key: Key = "") -> Status[dict[str, Any]]:
    """Hand in an answer to a message of the mailbox; without `to` it goes to whoever wrote that message."""
    return _accepted(mails.reply(caller_of(request), payload, key=key))


@router.post("/decide", response={200: DecidedManyOut, **refusals(*BODY)}, operation_id="decide_emails")
def decide_many(request: HttpRequest, payload: DecideManyIn) -> dict[str, Any]:
    """Decide about up to 100 mails, each as by its own request; what is refused about one touches no other."""
    decided = mails.decide_each(caller_of(request), payload.decisions)
    return {
        "results": [
            {**(refusal_of(request, told) if isinstance(told, Exception) else told), "id": id}
            for id, told in decided
        ]
    }


@router.get("/{id}", response={200: MailOut, **refusals(400, 404)}, operation_id="get_email")
def get(request: HttpRequest, id: UUID) -> dict[str, Any]:
    """How a mail stands now."""
    return mails.shown(caller_of(request), id)


@router.get("/{id}/wait", response={200: MailOut, **refusals(400, 404)}, operation_id="wait_email")
def wait(request: HttpRequest, id: UUID, code: str, seconds: int = Query(20, ge=1, le=25)) -> dict[str, Any]:
    """How a mail stands as soon as its code is another than `code`, or after some seconds."""
    return mails.awaited(caller_of(request), id, code=code, seconds=seconds)


@router.post(
    "/{id}/cancel", response={200: StatusOut, **refusals(400, 404, 409)}, operation_id="cancel_message"
)
def cancel(request: HttpRequest, id: UUID) -> dict[str, Any]:
    """Take a mail back that has not left; 409 when it has, or may have."""
    return mails.take_back(caller_of(request), id)


@router.post(
    "/{id}/decide", response={200: DecidedOut, **refusals(*BODY, 404, 409)}, operation_id="decide_email"
)
def decide(request: HttpRequest, id: UUID, payload: DecideIn) -> dict[str, Any]:
    """Decide about a mail as the owner of the token. The same decision again changes nothing."""
    return mails.decide(caller_of(request), id, payload)


def _accepted(answer: dict[str, Any]) -> Status[dict[str, Any]]:
    return Status(200 if answer["status"] == "executed" else 202, answer)
