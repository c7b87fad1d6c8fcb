from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A reply other than success, in the provider's shape."""

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = body if body is not None else {"error": {"type": type, "message": message}}


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found_error", f"requested {what} not found")


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message)
