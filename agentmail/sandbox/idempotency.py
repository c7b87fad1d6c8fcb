from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from .clock import Clock
from .errors import ApiError
from .exchange import Request
from .store import Store

LIFETIME_SECONDS = 3600
LONGEST_KEY = 256


@dataclass(slots=True)
class Stored:
    fingerprint: str
    first_used_at: float
    status: int = 0
    body: bytes = b""
    content_type: str = "application/json"
    is_done: bool = False


class Keys:
    """Outcomes by grant and Idempotency-Key, kept for one hour of the provider's clock from the first use."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        # Outcomes outlive the process; a request that was running when it ended has none.
        self._stored: dict[tuple[str, str], Stored] = {
            (record["grant_id"], record["key"]): Stored(
                record["fingerprint"],
                record["first_used_at"],
                record["status"],
                record["body"].encode("latin-1"),
                record["content_type"],
                is_done=True,
            )
            for record in store.all("key")
        }

    def begin(self, grant_id: str, key: str, request: Request) -> Stored | None:
        """Claim a key for this request, or return the stored outcome to replay.

        Raises `ApiError` 400 for a key that is too long, 409 when it is used with another payload or when
        its first request still runs.
        """
        if len(key) > LONGEST_KEY:
            raise ApiError(
                400, "api.invalid_idempotency_key", "Idempotency-Key is longer than 256 characters"
            )
        seen = "\n".join((request.method, request.path, request.query_string)).encode() + b"\n" + request.body
        fingerprint = hashlib.sha256(seen).hexdigest()
        now = self._clock.now()
        with self._lock:
            stored = self._stored.get((grant_id, key))
            if stored is not None and stored.is_done and now - stored.first_used_at >= LIFETIME_SECONDS:
                stored = None
            if stored is None:
                self._stored[grant_id, key] = Stored(fingerprint, now)
                return None
            if stored.fingerprint != fingerprint:
                raise ApiError(
                    409, "api.invalid_idempotent_request", "Idempotency-Key was used with a different payload"
                )
            if not stored.is_done:
                raise ApiError(
                    409,
                    "api.concurrent_idempotent_request",
                    "A request with this Idempotency-Key is still running",
                )
            return stored

    def finish(self, grant_id: str, key: str, *, status: int, body: bytes, content_type: str) -> None:
        with self._lock:
            stored = self._stored.get((grant_id, key))
            if stored is None:
                return
            stored.status, stored.body, stored.content_type = status, body, content_type
            stored.is_done = True
        record = {
            "id": f"{grant_id}/{key}",
            "grant_id": grant_id,
            "key": key,
            "fingerprint": stored.fingerprint,
            "first_used_at": stored.first_used_at,
            "status": status,
            "body": body.decode("latin-1"),
            "content_type": content_type,
        }
        with self._store.change():
            self._store.put("key", record)

    def forget(self, grant_id: str, key: str) -> None:
        with self._lock:
            self._stored.pop((grant_id, key), None)
        with self._store.change():
            self._store.remove("key", f"{grant_id}/{key}")

    def clear(self) -> None:
        with self._lock:
            self._stored.clear()
