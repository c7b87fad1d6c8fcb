"""What a view answers when the database takes no writes: locked, read-only or full. Reading often still works."""

from __future__ import annotations

import logging

from django.db import InternalError, OperationalError
from django.utils.translation import gettext as _

logger = logging.getLogger(__name__)

# The transaction that met it is undone.
NotWritable = (InternalError, OperationalError)


def nothing_changed() -> str:
    """The sentence for the page, which shows again what was typed; for the handler of a `NotWritable`."""
    logger.exception("a change could not be written")
    return _(
        "The database takes no writes at the moment. Nothing was changed and nothing you typed is lost; "
        "try again in a moment."
    )
