"""Rules that make the sandbox misbehave at a chosen request or event."""

from __future__ import annotations

import fnmatch
import random
import threading
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError
from .exchange import Request

REQUEST_ACTIONS = frozenset(
    {
        "delay",
        "reply",
        "reset",
        "silence",
        "truncate",
        "wrong_json",
        "empty",
        "hide_sent_copy",
        "hide_metadata",
        "edit_draft",
        "insert_message",
        "revoke_grant",
        "swap_attachment",
        "partial",
    }
)
EVENT_ACTIONS = frozenset({"drop", "duplicate", "delay", "shuffle", "forge"})
ONLY_AFTER = frozenset({"truncate", "wrong_json", "empty"})
SEND_ROUTES = frozenset({"send_message", "send_draft"})
FIELDS = frozenset(
    {
        "method",
        "path",
        "route",
        "event",
        "contains",
        "grant",
        "nth",
        "times",
        "probability",
        "action",
        "when",
        "options",
    }
)


@dataclass(slots=True)
class Fault:
    id: int
    action: str
    method: str = "*"
    path: str = "*"
    route: str = ""
    event: str = ""
    contains: str = ""
    grant: str = ""
    nth: int = 1
    times: int = 1
    probability: float = 1.0
    when: str = "before"
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def is_for_head(self) -> bool:
        return self.action == "reset" and "after_bytes" in self.options

    def matches(self, request: Request) -> bool:
        if self.event or self.method not in {"*", request.method}:
            return False
        if self.route == "send":
            if request.route not in SEND_ROUTES:
                return False
        elif self.route and self.route != request.route:
            return False
        if not fnmatch.fnmatchcase(request.path, self.path):
            return False
        if self.grant and request.parameters.get("grant_id") != self.grant:
            return False
        if not self.contains:
            return True
        target = f"{request.path}?{request.query_string}"
        return self.contains in target or self.contains.encode() in request.body


class Faults:
    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._next_id = 1
        self.random = random.Random(seed)

    def add(self, raw: dict[str, Any]) -> Fault:
        """Add a rule and return it; raises `ApiError` naming the field that is wrong."""
        unknown = sorted(set(raw) - FIELDS)
        if unknown:
            raise ApiError(400, "bad_rule", f"unknown fields: {', '.join(unknown)}")
        action = raw.get("action")
        allowed = EVENT_ACTIONS if raw.get("event") else REQUEST_ACTIONS
        if action not in allowed:
            raise ApiError(400, "bad_rule", f"action is one of {', '.join(sorted(allowed))}")
        when = raw.get("when", "after" if action in ONLY_AFTER else "before")
        if when not in {"before", "after"} or (action in ONLY_AFTER and when != "after"):
            raise ApiError(400, "bad_rule", "when is before or after")
        if not isinstance(raw.get("options", {}), dict):
            raise ApiError(400, "bad_rule", "options is an object")
        for name in ("method", "path", "route", "event", "contains", "grant"):
            if not isinstance(raw.get(name, ""), str):
                raise ApiError(400, "bad_rule", f"{name} is a text")
        for name, least in (("nth", 1), ("times", 0)):
            value = raw.get(name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ApiError(400, "bad_rule", f"{name} is a whole number of at least {least}")
        if not isinstance(raw.get("probability", 1), (int, float)):
            raise ApiError(400, "bad_rule", "probability is a number")
        with self._lock:
            fault = Fault(**{**raw, "id": self._next_id, "when": when})
            self._faults[fault.id] = fault
            self._next_id += 1
        return fault

    def remove(self, id: int) -> bool:
        with self._lock:
            return self._faults.pop(id, None) is not None

    def clear(self, seed: int | None = None) -> None:
        with self._lock:
            self._faults.clear()
            if seed is not None:
                self.random.seed(seed)

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults.values())

    def chance(self) -> float:
        with self._lock:
            return self.random.random()

    def _fire(self, fault: Fault) -> bool:
        fault.seen += 1
        if fault.seen < fault.nth or (fault.times and fault.fired >= fault.times):
            return False
        if fault.probability < 1.0 and self.random.random() >= fault.probability:
            return False
        fault.fired += 1
        return True

    def for_head(self, request: Request) -> Fault | None:
        """Return the rule that resets this request while its body is still being read, if one fires."""
        with self._lock:
            for fault in self._faults.values():
                if fault.is_for_head() and fault.matches(request) and self._fire(fault):
                    return fault
        return None

    def for_request(self, request: Request) -> list[Fault]:
        with self._lock:
            return [
                fault
                for fault in self._faults.values()
                if not fault.is_for_head() and fault.matches(request) and self._fire(fault)
            ]

    def for_event(self, type: str, grant_id: str, text: str) -> list[Fault]:
        with self._lock:
            return [
                fault
                for fault in self._faults.values()
                if fault.event
                and fnmatch.fnmatchcase(type, fault.event)
                and (not fault.grant or fault.grant == grant_id)
                and (not fault.contains or fault.contains in text)
                and self._fire(fault)
            ]
