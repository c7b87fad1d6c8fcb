"""Permanent or passing: what a diagnostic text says about a bounce."""

from __future__ import annotations

import re

_ENHANCED_STATUS = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_SMTP_STATUS = re.compile(r"(?<![\d.])([245])\d\d(?![\d.]*\d)")
_PASSING = ("transient", "temporary", "soft", "delay")


def bounce_kind(diagnostic: str, bounce_type: str = "") -> tuple[str, str]:
    """`hard_bounce` or `soft_bounce`, and the status code it was told by.

    By the class of the enhanced status code (RFC 3463: 5 is permanent, 4 is passing), else by that of the
    SMTP reply code, else by the type's own words. Without any of them the bounce counts as hard: the
    recipient must not be believed reached, and a person looks at it.
    """
    for pattern in (_ENHANCED_STATUS, _SMTP_STATUS):
        found = pattern.search(diagnostic)
        if found is not None and found.group(1) != "2":
            return ("soft_bounce" if found.group(1) == "4" else "hard_bounce"), found.group()
    is_passing = any(word in bounce_type.lower() for word in _PASSING)
    return ("soft_bounce" if is_passing else "hard_bounce"), ""
