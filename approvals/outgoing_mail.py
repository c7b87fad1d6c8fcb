"""Whether this desk can write mail of its own to people: what it sends for agents never goes this way."""

from __future__ import annotations

from django.conf import settings


def is_configured() -> bool:
    """Whether a mail server is named; without one nothing is mailed to anybody."""
    is_smtp = settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
    return bool(settings.EMAIL_HOST) or not is_smtp
