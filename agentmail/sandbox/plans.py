"""What each plan of the provider allows, in bytes, pieces and days; -1 is unlimited (nylas-v3 section 7.5)."""

from __future__ import annotations

from typing import Any

from .errors import ApiError
from .world import World

MEGABYTE = 1024 * 1024

PLAN_LIMITS: dict[str, dict[str, Any]] = {
    "full": {
        "limit_attachment_size_limit": 50 * MEGABYTE,
        "limit_attachment_count_limit": 20,
        "limit_attachment_allowed_types": [],
        "limit_size_total_mime": 100 * MEGABYTE,
        "limit_storage_total": 10 * 1024 * MEGABYTE,
        "limit_count_daily_message_received": -1,
        "limit_count_daily_email_sent": -1,
        "limit_inbox_retention_period": 365,
        "limit_spam_retention_period": 30,
    },
    "free": {
        "limit_attachment_size_limit": 50 * MEGABYTE,
        "limit_attachment_count_limit": 10,
        "limit_attachment_allowed_types": [],
        "limit_size_total_mime": 50 * MEGABYTE,
        "limit_storage_total": 3 * 1024 * MEGABYTE,
        "limit_count_daily_message_received": 500,
        "limit_count_daily_email_sent": 200,
        "limit_inbox_retention_period": 30,
        "limit_spam_retention_period": 7,
    },
}
# Where the plan's maximum is unlimited, or nothing below it can be.
MAY_BE_UNLIMITED = frozenset(
    {
        "limit_storage_total",
        "limit_count_daily_message_received",
        "limit_count_daily_email_sent",
        "limit_inbox_retention_period",
        "limit_spam_retention_period",
    }
)
MOST_OBJECTS = {"full": {"rule": 30, "list": 50}, "free": {"rule": 5, "list": 10}}


def limits_of(world: World) -> dict[str, Any]:
    return PLAN_LIMITS[world.switches["plan"]]


def require_room(world: World, kind: str) -> None:
    """Raise the provider's 403 when the plan allows no further rule or list."""
    most = MOST_OBJECTS[world.switches["plan"]][kind]
    if len(world.store.all(kind)) >= most:
        raise ApiError(403, "forbidden_access", f"Maximum number of {kind}s ({most}) reached for this plan")
