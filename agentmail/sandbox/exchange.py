"""One HTTP request and the reply to it, free of sockets."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from .errors import ApiError, invalid, not_found

if TYPE_CHECKING:
    from .world import World


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes = b""
    arrived_at: float = field(default_factory=time.time)
    arrived_monotonic: float = field(default_factory=time.monotonic)
    parameters: dict[str, str] = field(default_factory=dict)
    route: str = ""
    # The reset of the sandbox this request came after.
    generation: int = 0
    # What fault rules want done to the message this request sends.
    effects: dict[str, Any] = field(default_factory=dict)
    _query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            self._query = parse_qs(self.query_string, keep_blank_values=True)
        return self._query

    def text(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[-1] if values else default

    def flag(self, name: str) -> bool | None:
        """Read a boolean of the query string; SDKs write true, True and 1."""
        value = self.text(name).strip().lower()
        if value == "":
            return None
        if value in {"true", "1"}:
            return True
        if value in {"false", "0"}:
            return False
        raise invalid(f"{name} must be true or false")

    def whole_number(self, name: str) -> int | None:
        value = self.text(name)
        if value == "":
            return None
        try:
            return int(value)
        except ValueError as error:
            raise invalid(f"{name} must be a whole number") from error

    def json(self) -> dict[str, Any]:
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "invalid_request_error", "request body is not valid JSON") from error
        if not isinstance(value, dict):
            raise invalid("request body must be a JSON object")
        return value


@dataclass(slots=True)
class Conduct:
    """How a reply is spoiled on its way out: silence, reset, truncate, wrong_json or empty."""

    kind: str
    at_bytes: int | None = None


@dataclass(slots=True)
class Reply:
    status: int = 200
    body: dict[str, Any] | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    conduct: Conduct | None = None
    accepted: bool = False

    def encoded(self, request_id: str) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        body = self.body if "request_id" in self.body else {"request_id": request_id, **self.body}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


Handler = Callable[["World", Request], Reply]


def data(value: Any, status: int = 200) -> Reply:
    return Reply(status, {"data": value})


class Routes:
    """Path patterns with `{name}` segments; each route has a name that fault rules can use."""

    def __init__(self) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[tuple[str, ...], str, Handler]]] = {}

    def add(self, method: str, pattern: str, name: str, handler: Handler) -> None:
        segments = tuple(pattern.strip("/").split("/"))
        shape = (method, len(segments))
        self._by_shape.setdefault(shape, []).append((segments, name, handler))
        # Literal segments win over parameters: messages/schedules is not a message called schedules.
        self._by_shape[shape].sort(key=lambda entry: [segment.startswith("{") for segment in entry[0]])

    def find(self, method: str, path: str) -> tuple[str, Handler, dict[str, str]]:
        """Return name, handler and decoded parameters, or raise the provider's 404."""
        given = path.strip("/").split("/")
        for segments, name, handler in self._by_shape.get((method, len(given)), ()):
            parameters: dict[str, str] = {}
            for pattern, value in zip(segments, given, strict=True):
                if pattern.startswith("{"):
                    parameters[pattern[1:-1]] = unquote(value)
                elif pattern != value:
                    break
            else:
                return name, handler, parameters
        raise not_found("route")


def new_request_id() -> str:
    return str(uuid.uuid4())
