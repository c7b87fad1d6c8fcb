"""The kill switch, the record and the oversight report, for operators' programs."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router
from pydantic import Field

from agentmail.models import Mailbox
from approvals import oversight_report, people, switchboard
from approvals.people import Right
from audit import export
from audit.clock import database_now
from gateway.api.app import BODY, refusals, refused
from gateway.callers import Refused, caller_of
from gateway.models import Scope
from gateway.schemas import Moment, Strict, Text
from policies import switch
from policies.scopes import mailbox_scope

router = Router(tags=["operations"])
REASON_CHARACTERS = 2000


class SwitchIn(Strict):
    engaged: bool
    scope: Annotated[Text, Field(max_length=300)] = "global"
    reason: Annotated[Text, Field(min_length=1, max_length=REASON_CHARACTERS)]


@router.get("/killswitch", response={200: dict, **refusals()}, operation_id="get_killswitch")
def killswitch(request: HttpRequest) -> dict[str, Any]:
    """What is stopped now, as far as the owner of the token may see it."""
    caller = caller_of(request)
    caller.need(Scope.MANAGE, Right.SEE)
    return {
        "stopped": [
            {
                "scope": one.scope,
                "since": one.reading.since,
                "by": one.reading.by,
                "reason": one.reading.reason,
            }
            for one in switchboard.stopped(caller.token.owner)
        ]
    }


@router.put("/killswitch", response={200: dict, **refusals(*BODY)}, operation_id="set_killswitch")
def killswitch_set(request: HttpRequest, payload: SwitchIn) -> Any:
    """Stop sending in a scope, or open it again; what was held then stays held until a person resumes it."""
    caller = caller_of(request)
    caller.need(Scope.MANAGE, Right.STOP if payload.engaged else Right.RESUME)
    if not switch.is_scope(payload.scope):
        return refused(request, 400, "invalid_request", "no scope of the kill switch", field="scope")
    if payload.scope not in {mailbox_scope(pk) for pk in caller.mailbox_ids}:
        caller.need_all_mailboxes()
    try:
        if payload.engaged:
            stopped = switchboard.stop(payload.scope, person=caller.token.owner, reason=payload.reason)
            return {
                "scope": stopped.scope,
                "engaged": True,
                "at": stopped.at,
                "held": stopped.held,
                "waited_seconds": stopped.waited_seconds,
                "in_flight": len(stopped.in_flight),
            }
        held = switchboard.release(payload.scope, person=caller.token.owner, reason=payload.reason)
    except switchboard.SwitchRefused as error:
        raise Refused(str(error)) from error
    return {"scope": payload.scope, "engaged": False, "held": held}


@router.get(
    "/audit",
    response={200: None, **refusals(400)},
    operation_id="export_audit",
    openapi_extra={"responses": {200: {"content": {"application/jsonl": {}, "text/csv": {}}}}},
)
def audit(
    request: HttpRequest,
    since: Moment | None = None,
    until: Moment | None = None,
    format: Literal["jsonl", "csv"] = "jsonl",
) -> Any:
    """The record of a period, oldest first: JSON lines with the text that was hashed, or CSV."""
    caller = caller_of(request)
    caller.need(Scope.AUDIT, Right.AUDIT)
    caller.need_all_mailboxes()
    if not people.may_everywhere(caller.token.owner, Right.AUDIT):
        raise Refused("the record of all mailboxes needs the right to read it everywhere")
    found = export.selected(since=since, until=until)
    lines, kind = (
        (export.csv_lines(found), "text/csv")
        if format == "csv"
        else (export.json_lines(found), "application/jsonl")
    )
    return StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8")


@router.get("/audit/report", response={200: dict, **refusals(400, 404)}, operation_id="get_oversight_report")
def report(
    request: HttpRequest,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    mailbox: str = "",
) -> Any:
    """The oversight report: mail that left with who decided, stops of sending, changes of a mode, interventions.

    The days are days of UTC, both included, the last 30 without them and 366 at most. `mailbox` is an address.
    """
    caller = caller_of(request)
    caller.need(Scope.AUDIT, Right.AUDIT)
    if mailbox:
        named = caller.mailbox(mailbox)
        caller.need(Scope.AUDIT, Right.AUDIT, named)
        mailboxes = [named]
    else:
        audited = caller.mailbox_ids.intersection(people.mailbox_ids_with(caller.token.owner, Right.AUDIT))
        mailboxes = list(Mailbox.objects.filter(pk__in=audited))
    now = database_now()
    try:
        period = oversight_report.period_of(first, last, today=now.date())
    except oversight_report.ReportRefused as refusal:
        return refused(request, 400, "invalid_request", str(refusal), field=refusal.field)
    found = oversight_report.oversight_report(mailboxes, period, made_at=now)
    return StreamingHttpResponse(oversight_report.json_parts(found), content_type="application/json")
