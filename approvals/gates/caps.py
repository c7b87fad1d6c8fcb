"""Whether the hour and the day of the mailbox, and of the organisation, allow one more mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from approvals.gates.verdicts import Consequence, Facts, Standing, Verdict
from approvals.states import SendState
from audit.clock import database_now
from policies import caps
from policies.cap_usage import Answer, Limit, Use

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_WAITS: Mapping[Limit, str | _StrPromise] = {
    Limit.HOUR: gettext_lazy("Waits for the hour cap: next at %(time)s. %(used)d of %(cap)d this hour."),
    Limit.DAY: gettext_lazy("Waits for the day cap: next at %(time)s. %(used)d of %(cap)d today."),
    Limit.SPACING: gettext_lazy("Waits for the spacing between two sends: next at %(time)s."),
    Limit.ORGANISATION_HOUR: gettext_lazy(
        "Waits for the hour cap of the organisation: next at %(time)s. %(used)d of %(cap)d this hour."
    ),
    Limit.ORGANISATION_DAY: gettext_lazy(
        "Waits for the day cap of the organisation: next at %(time)s. %(used)d of %(cap)d today."
    ),
}
_REFUSALS: Mapping[Limit, str | _StrPromise] = {
    Limit.HOUR: gettext_lazy("The hour cap is reached: %(used)d of %(cap)d this hour. A person may decide."),
    Limit.DAY: gettext_lazy("The day cap is reached: %(used)d of %(cap)d today. A person may decide."),
    Limit.ORGANISATION_HOUR: gettext_lazy(
        "The hour cap of the organisation is reached: %(used)d of %(cap)d this hour. A person may decide."
    ),
    Limit.ORGANISATION_DAY: gettext_lazy(
        "The day cap of the organisation is reached: %(used)d of %(cap)d today. A person may decide."
    ),
}


def caps_gate(facts: Facts) -> Verdict:
    send_key = facts.send.token if facts.send is not None else ""
    if facts.send is not None and facts.send.state == SendState.UNKNOWN and caps.is_reserved(send_key):
        return Verdict("caps", Standing.PASSED, _("Counted when it was first handed over."))
    now = facts.now
    if facts.is_claim:
        caps.lock(facts.mailbox.pk)
        now = database_now()
    # Under the lock they are read anew.
    settings = None if facts.is_claim else facts.policies.settings
    answer = caps.ask(facts.mailbox.pk, now=now, send_key=send_key, settings=settings)
    rules = _rules(answer)
    full = answer.full
    if full is None:
        return Verdict("caps", Standing.PASSED, _room(answer), rules=rules)
    waits = facts.is_reviewed or full.limit is Limit.SPACING
    return Verdict(
        "caps",
        Standing.REFUSED,
        _sentence(full, waits=waits, now=now),
        "blocked_rate_cap",
        Consequence.WAIT if waits else Consequence.STOP,
        rules=rules,
        retry_at=full.opens_at if waits else None,
    )


def time_text(at: datetime, now: datetime) -> str:
    """A time of day in UTC, with its date when that is another day."""
    at = at.astimezone(UTC)
    text = at.strftime("%H:%M:%S UTC" if at.second else "%H:%M UTC")
    return text if at.date() == now.astimezone(UTC).date() else f"{at.date().isoformat()} {text}"


def _sentence(full: Use, *, waits: bool, now: datetime) -> str:
    words = (_WAITS if waits else _REFUSALS)[full.limit]
    time = time_text(full.opens_at, now) if full.opens_at is not None else ""
    return str(words) % {"time": time, "used": full.used, "cap": full.cap}


def _room(answer: Answer) -> str:
    used = {use.limit: use for use in answer.uses}
    hour, day = used[Limit.HOUR], used[Limit.DAY]
    sentence = _("%(hour)d of %(hour_cap)d this hour, %(day)d of %(day_cap)d today.") % {
        "hour": hour.used,
        "hour_cap": hour.cap,
        "day": day.used,
        "day_cap": day.cap,
    }
    if answer.effective.ramp_until is not None:
        sentence += " " + _("First day of sending live.")
    return sentence


def _rules(answer: Answer) -> tuple[str, ...]:
    policy = answer.effective.policy
    return (f"policy:{policy.pk}:{policy.version}",) if policy.pk is not None else ()
