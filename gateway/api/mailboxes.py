"""Mailboxes: what waits in them, and their oversight mode."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from agentmail.exceptions import ProviderError
from agentmail.models import Mailbox
from approvals import mailboxes, oversight
from approvals.models import ModeChange
from approvals.people import Right
from approvals.submissions import SubmissionRefused
from audit.clock import database_now
from gateway import connecting, mails
from gateway.api.app import BODY, refusals, refused
from gateway.callers import Refused, caller_of
from gateway.models import Scope
from gateway.schemas import ConnectedOut, MailboxIn, MailboxOut, MailboxPatchIn, PendingPageOut
from policies import caps

router = Router(tags=["mailboxes"])
PAGE = 100


@router.post("", response={201: ConnectedOut, **refusals(*BODY, 409, 502)}, operation_id="create_mailbox")
def create(request: HttpRequest, payload: MailboxIn) -> Any:
    """Connect the provider's account of an address as a mailbox. A monitored one needs `approval_webhook`."""
    caller = caller_of(request)
    caller.need(Scope.MANAGE, Right.MANAGE)
    caller.need_all_mailboxes()
    try:
        made = connecting.connect(
            payload.address,
            mode=payload.oversight_mode,
            expiry_hours=payload.expiry_hours,
            webhook=payload.approval_webhook or "",
            actor=caller.actor,
        )
    except connecting.AlreadyConnected:
        return refused(request, 409, "conflict", _("This mailbox is connected already."), field="address")
    except mailboxes.MailboxRefused as refusal:
        raise SubmissionRefused(refusal.field, str(refusal)) from refusal
    except ProviderError as error:
        return refused(request, 502, "provider_silent", str(error))
    secrets = {"webhook_secret": made.webhook_secret, "channel_secret": made.channel_secret}
    return Status(201, _shown(made.mailbox) | secrets)


@router.get(
    "/{address}/pending", response={200: PendingPageOut, **refusals(400, 404)}, operation_id="list_pending"
)
def pending(
    request: HttpRequest, address: str, cursor: str = "", limit: int = Query(PAGE, ge=1, le=PAGE)
) -> dict[str, Any]:
    """What waits for a decision in a mailbox, the oldest first; an agent sees its own."""
    caller = caller_of(request)
    return mails.pending(caller, caller.mailbox(address), cursor=cursor, limit=limit)


@router.get("/{address}/limits", response={200: dict, **refusals(404)}, operation_id="get_limits")
def limits(request: HttpRequest, address: str) -> dict[str, Any]:
    """How much the mailbox may send and has sent. The numbers are set by people; no agent changes them."""
    caller = caller_of(request)
    mailbox = caller.mailbox(address)
    caller.need(Scope.MANAGE, Right.READ_POLICIES, mailbox)
    answer = caps.ask(mailbox.pk, now=database_now())
    return {
        "hour_cap": answer.effective.hour_cap,
        "day_cap": answer.effective.day_cap,
        "policy": answer.effective.policy.name,
        "uses": [
            {"limit": use.limit.value, "used": use.used, "cap": use.cap, "resets_at": use.resets_at}
            for use in answer.uses
        ],
    }


@router.get("/{address}", response={200: MailboxOut, **refusals(404)}, operation_id="get_mailbox")
def get(request: HttpRequest, address: str) -> dict[str, Any]:
    caller = caller_of(request)
    caller.need(Scope.READ)
    return _shown(caller.mailbox(address))


@router.patch(
    "/{address}", response={200: MailboxOut, **refusals(*BODY, 404, 409)}, operation_id="update_mailbox"
)
def update(request: HttpRequest, address: str, payload: MailboxPatchIn) -> Any:
    """Change the oversight mode, for which loosening needs a reason, or the hours after which mail expires.

    Both hold from the next action on.
    """
    caller = caller_of(request)
    mailbox = caller.mailbox(address)
    to = payload.oversight_mode or mailbox.mode
    caller.need(Scope.MANAGE)
    if payload.expiry_hours is not None:
        caller.need(Scope.MANAGE, Right.MANAGE, mailbox)
    if to != mailbox.mode:
        caller.need(Scope.MANAGE, oversight.right_for(mailbox.mode, to), mailbox)
    try:
        if to != mailbox.mode:
            oversight.change_mode(
                mailbox.pk,
                to=to,
                seen=payload.seen_mode or mailbox.mode,
                person=caller.token.owner,
                reason=payload.change_reason,
            )
        if payload.expiry_hours is not None:
            mailboxes.change(mailbox.pk, actor=caller.actor, expiry_hours=payload.expiry_hours)
    except oversight.NotAllowed as error:
        raise Refused(str(error), mailbox_id=mailbox.pk) from error
    except oversight.ModeMoved as error:
        return refused(request, 409, "conflict", str(error))
    except oversight.OversightRefused as error:
        field = {"to": "oversight_mode", "reason": "change_reason"}.get(error.field, error.field)
        return refused(request, 400, "invalid_request", str(error), field=field)
    return _shown(caller.mailbox(address))


def _shown(mailbox: Mailbox) -> dict[str, Any]:
    last = ModeChange.objects.filter(mailbox=mailbox).order_by("-pk").first()
    return {
        "id": mailbox.public_id,
        "address": mailbox.address,
        "display_name": mailbox.display_name,
        "oversight_mode": mailbox.mode,
        "expiry_hours": mailbox.expiry_hours,
        "undo_seconds": mailbox.undo_seconds,
        "updated_at": last.at if last is not None else mailbox.connected_at,
    }
