"""What people may call the things that they set up: tokens, webhooks, channels."""

from __future__ import annotations

from django.utils.translation import gettext as _

NAME_CHARACTERS = 100


def fault_of_name(name: str) -> str:
    """Why a name does not do, as a sentence; empty when it does."""
    if name.strip() and len(name) <= NAME_CHARACTERS and name.isprintable():
        return ""
    return _("1 to %(limit)d printable characters.") % {"limit": NAME_CHARACTERS}
