"""A Slack on loopback: its two methods for a bot and an incoming webhook, with its limits and its refusals."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.agentmail.loopback import Line, Request, Server


class Slack:
    """`messages` are the cards as they stand in the channel, by their time; `faults` answer first, one a request."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.faults: list[Any] = []
        self.is_archived = False
        self.hangs = threading.Event()
        self.server = Server([self._answer])

    @property
    def api(self) -> str:
        return f"{self.server.uri}/api"

    @property
    def hook(self) -> str:
        return f"{self.server.uri}/services/T0/B0/secret"

    @property
    def requests(self) -> list[Request]:
        return self.server.requests

    def words(self) -> list[str]:
        """What each card says, in the order of their going up."""
        return [json.dumps(one["blocks"], ensure_ascii=False) for one in self.messages.values()]

    def _answer(self, line: Line) -> None:
        request = line.read_request()
        if request is None:
            return
        if self.hangs.is_set():
            line.stay_silent()
            return
        if self.faults:
            status, content, headers = self.faults.pop(0)
            line.answer(status, content, **headers)
            return
        said = json.loads(request.body)
        if request.target.startswith("/services/"):
            if self.is_archived:
                line.answer(410, b"channel_is_archived")
                return
            self.messages[str(len(self.messages))] = said
            line.answer(200, b"ok")
            return
        if request.headers.get("authorization") != "Bearer xoxb-the-token-of-the-bot":
            line.answer(200, {"ok": False, "error": "invalid_auth"})
        elif self.is_archived:
            line.answer(200, {"ok": False, "error": "is_archived"})
        elif request.target == "/api/chat.update":
            if said["ts"] not in self.messages or said["channel"] != "C024BE91L":
                line.answer(200, {"ok": False, "error": "message_not_found"})
                return
            self.messages[said["ts"]] = said
            line.answer(200, {"ok": True, "channel": said["channel"], "ts": said["ts"]})
        else:
            stamp = f"1790000000.{len(self.messages):06}"
            self.messages[stamp] = said
            line.answer(200, {"ok": True, "channel": "C024BE91L", "ts": stamp})


def limited(seconds: int) -> Any:
    return (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(seconds)})


def broken() -> Any:
    return (500, {}, {})
