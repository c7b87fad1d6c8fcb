"""Every class of reply to a send, as fault rules of the sandbox, and where a send of that class may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentmail.models import Transport
from approvals.states import SendState

FROZEN, LIVE = Transport.FROZEN_MESSAGE, Transport.PROVIDER_DRAFT
BOTH = (FROZEN, LIVE)
ACCEPTED = frozenset({SendState.ACCEPTED})
UNKNOWN = frozenset({SendState.UNKNOWN})
FAILED = frozenset({SendState.FAILED})


@dataclass(frozen=True, slots=True)
class Reply:
    """How the provider answers the first send of a mail. `ends` are the states that an undisturbed send reaches."""

    name: str
    ends: frozenset[SendState]
    faults: tuple[dict[str, Any], ...] = ()
    transports: tuple[str, ...] = BOTH
    recipient: str = ""
    is_refused_connection: bool = False

    def __str__(self) -> str:
        return self.name


def _fault(action: str, when: str = "before", **options: Any) -> dict[str, Any]:
    return {"route": "send", "action": action, "when": when, "options": options}


def _status(status: int, when: str = "before", **options: Any) -> dict[str, Any]:
    return _fault("reply", when, status=status, **options)


def _error(kind: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "by rule"}}


INVALID = _error("api.invalid_idempotent_request")
CONCURRENT = _error("api.concurrent_idempotent_request")

REPLIES: tuple[Reply, ...] = (
    Reply("200", ACCEPTED),
    Reply("200 empty", ACCEPTED, (_fault("empty", "after"),)),
    Reply("200 broken", ACCEPTED, (_fault("wrong_json", "after"),)),
    Reply("200 cut off", ACCEPTED, (_fault("truncate", "after"),)),
    Reply("202 queued", ACCEPTED, recipient="queued"),
    Reply("202 and nothing", UNKNOWN, (_status(202, body={"data": {}}),)),
    Reply("no connection", ACCEPTED, is_refused_connection=True),
    Reply("400", FAILED, (_status(400),)),
    Reply("400 of a proxy", UNKNOWN, (_status(400, body="<html>", content_type="text/html"),)),
    Reply("413", FAILED, (_status(413),)),
    Reply("422", FAILED, (_status(422),)),
    Reply("401", ACCEPTED, (_status(401),)),
    Reply("402 in part", ACCEPTED, (_fault("partial"),)),
    Reply("402", UNKNOWN, (_status(402),)),
    Reply("403", FAILED, (_status(403),)),
    Reply("404", UNKNOWN, (_status(404),), (FROZEN,)),
    Reply("404 of a draft", frozenset({SendState.STOPPED}), (_status(404),), (LIVE,)),
    Reply("409 other payload", UNKNOWN, (_status(409, body=INVALID),)),
    Reply("409 still running", UNKNOWN, (_status(409, body=CONCURRENT),)),
    Reply("409 still running and sent", ACCEPTED, (_status(409, "after", body=CONCURRENT),)),
    Reply("429", ACCEPTED, (_status(429),)),
    Reply("429 with a time", ACCEPTED, (_status(429, headers={"Retry-After": "1"}),)),
    Reply("307", UNKNOWN, (_status(307, headers={"Location": "/elsewhere"}),)),
    *(Reply(f"{status}", UNKNOWN, (_status(status),)) for status in (500, 502, 503, 504)),
    *(Reply(f"{status} and sent", ACCEPTED, (_status(status, "after"),)) for status in (500, 502, 503, 504)),
    Reply("502 and hidden", UNKNOWN, (_fault("hide_sent_copy"), _status(502, "after"))),
    Reply("silence", UNKNOWN, (_fault("silence"),)),
    Reply("silence and sent", ACCEPTED, (_fault("silence", "after"),)),
    Reply("reset", UNKNOWN, (_fault("reset"),)),
    Reply("reset and sent", ACCEPTED, (_fault("reset", "after"),)),
    Reply("reset at 0 bytes", UNKNOWN, (_fault("reset", after_bytes=0),)),
    Reply("reset at half", UNKNOWN, (_fault("reset", after_bytes="half"),), (FROZEN,)),
    Reply("reset at the last byte", UNKNOWN, (_fault("reset", after_bytes="all"),)),
)


def replies_for(transport: str) -> list[Reply]:
    return [reply for reply in REPLIES if transport in reply.transports]
