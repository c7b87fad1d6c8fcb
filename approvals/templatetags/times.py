from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from approvals import expiry
from approvals.models import Draft

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Write a length of time, seconds or a timedelta, in at most two units.

    "0.38 s", "14 min", "2 h 14 m", "3 d 4 h". Negative lengths are written as zero; None is the empty string.
    """
    if value is None:
        return ""
    seconds = max(value.total_seconds() if isinstance(value, timedelta) else float(value), 0.0)
    if 0 < seconds < 10 and seconds != int(seconds):
        return _("%(seconds)s s") % {"seconds": f"{seconds:.2f}"}
    whole = int(seconds)
    if whole < _MINUTE:
        return _("%(seconds)d s") % {"seconds": whole}
    if whole < _HOUR:
        return _("%(minutes)d min") % {"minutes": whole // _MINUTE}
    if whole < _DAY:
        return _("%(hours)d h %(minutes)02d m") % {
            "hours": whole // _HOUR,
            "minutes": whole % _HOUR // _MINUTE,
        }
    return _("%(days)d d %(hours)d h") % {"days": whole // _DAY, "hours": whole % _DAY // _HOUR}


@register.filter
def age(at: datetime | None, now: datetime | None = None) -> str:
    """Write how long ago a time was, as `duration` does, in whole seconds."""
    return "" if at is None else duration(int(((now or timezone.now()) - at).total_seconds()))


@register.filter
def remaining(at: datetime | None, now: datetime | None = None) -> str:
    """Write how long it is until a time, as `duration` does, in whole seconds; a time that has passed is "0 s"."""
    return "" if at is None else duration(int((at - (now or timezone.now())).total_seconds()))


@register.filter
def expires_soon(draft: Draft, now: datetime | None = None) -> bool:
    """Whether three quarters of the time in which a draft can be decided are over."""
    return expiry.is_near(draft, now or timezone.now())


@register.filter
def from_epoch(seconds: int | None) -> datetime | None:
    """Turn whole seconds since 1970, as the provider counts, into a time in UTC; nonsense becomes None."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


@register.filter
def clock_text(at: datetime) -> str:
    """Write hours and minutes, with the day in front when it is not today."""
    local = timezone.localtime(at)
    return format_date(local, "H:i" if local.date() == timezone.localdate() else "j M H:i")


@register.simple_tag
def moment(at: datetime | None, form: str = "short") -> SafeString | str:
    """A `<time>` with the exact time and its offset as machine value and title.

    `form` is "short" (18 Nov 09:12, with the year when it is another one), "day" (18 November),
    "clock" (09:12:07) or "full" (18 Nov 2026 09:12:07 +00:00).
    """
    if at is None:
        return ""
    local = timezone.localtime(at)
    offset = f"{local:%z}"
    full = f"{format_date(local, 'j M Y H:i:s')} {offset[:3]}:{offset[3:5]}"
    same_year = local.year == timezone.localtime().year
    shown = {
        "short": lambda: format_date(local, "j M H:i" if same_year else "j M Y H:i"),
        "day": lambda: format_date(local, "j F" if same_year else "j F Y"),
        "clock": lambda: format_date(local, "H:i:s"),
        "full": lambda: full,
    }[form]()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(timespec="seconds"), full, shown
    )
