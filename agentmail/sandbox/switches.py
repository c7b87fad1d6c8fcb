"""Behaviour that the provider's documentation leaves open or contradicts, one switch each."""

from __future__ import annotations

from typing import Any

from .errors import ApiError

DEFAULTS: dict[str, Any] = {
    # Open points of the provider's documentation.
    "draft_send_id": "new",
    "second_draft_send": "not_found",
    "draft_send_reply": "message",
    "draft_send_honours_key": False,
    "draft_metadata_carried": True,
    "draft_id_after_put": "unchanged",
    "draft_events": False,
    "draft_shows_reply_to": False,
    "blocked_reply": {
        "status": 403,
        "body": {"error": {"type": "forbidden_access", "message": "message blocked by outbound rule"}},
    },
    "outbound_rule_scope": "workspace",
    "rules_list": "nested",
    "last_page_cursor": "absent",
    "blocked_evaluation_message_id": "null",
    "policy_put_id": "present",
    "paused_reply": {
        "status": 403,
        "body": {"error": {"type": "forbidden_access", "message": "Sending is paused for this account"}},
    },
    "quota_reply": {
        "status": 429,
        "body": {"error": {"type": "rate_limit_error", "message": "Daily sending quota exceeded"}},
    },
    "webhook_timing": "after",
    "schedules": "enveloped",
    "folder_ids": "uuid",
    "message_ids": "plain",
    "over_limit": "clamp",
    "forget_key_on_disconnect": False,
    "hard_delete": False,
    "refuse_charset": True,
    "enforce_from": True,
    "registered_domains": None,
    # How the simulated world behaves.
    "plan": "full",
    "sending_paused": False,
    "rule_engine_broken": False,
    "sends_per_second": 0.0,
    "queue_wait_seconds": 90.0,
    "queue_seconds": 0.5,
    "queued_then": "sent",
    "delivery_seconds": 0.3,
    "bounce_seconds": 0.3,
    "complaint_seconds": 0.6,
    "soft_bounce_then": "nothing",
    "soft_bounce_delivered_seconds": 2.0,
    "slow_reply_seconds": 8.0,
    "sent_copy_seconds": 0.0,
    "metadata_seconds": 0.0,
    "send_success_for_direct_sends": False,
    "webhook_backoff_seconds": [0.5, 1.5],
    "webhook_timeout_seconds": 10.0,
    "truncate_above_bytes": 1_000_000,
    "live": False,
    "live_every_seconds": 120.0,
}

CHOICES: dict[str, tuple[Any, ...]] = {
    "draft_send_id": ("new", "same"),
    "second_draft_send": ("not_found", "sends_again"),
    "draft_send_reply": ("message", "draft"),
    "draft_id_after_put": ("unchanged", "changed"),
    "outbound_rule_scope": ("workspace", "application"),
    "rules_list": ("nested", "flat"),
    "last_page_cursor": ("absent", "null", "present"),
    "blocked_evaluation_message_id": ("null", "absent"),
    "policy_put_id": ("present", "absent"),
    "plan": ("full", "free"),
    "webhook_timing": ("after", "before", "before_with_outcome"),
    "schedules": ("enveloped", "bare"),
    "folder_ids": ("uuid", "name"),
    "message_ids": ("plain", "awkward"),
    "over_limit": ("clamp", "refuse"),
    "queued_then": ("sent", "failed"),
    "soft_bounce_then": ("nothing", "delivered"),
}


class Switches:
    def __init__(self, **initial: Any) -> None:
        self._initial = initial
        self._values = {**DEFAULTS, **initial}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def change(self, changes: dict[str, Any]) -> None:
        """Set switches by name; an unknown name or value raises `ApiError` and changes nothing."""
        for name, value in changes.items():
            if name not in DEFAULTS:
                raise ApiError(400, "unknown_switch", f"there is no switch {name!r}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ApiError(400, "unknown_value", f"{name} is one of {', '.join(CHOICES[name])}")
            default = DEFAULTS[name]
            is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
            if is_number and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ApiError(400, "unknown_value", f"{name} is a number")
            if isinstance(default, bool) and not isinstance(value, bool):
                raise ApiError(400, "unknown_value", f"{name} is true or false")
        self._values.update(changes)

    def restore(self) -> None:
        self._values = {**DEFAULTS, **self._initial}

    def as_json(self) -> dict[str, Any]:
        return dict(self._values)
