"""Secrets of others that the desk must be able to use: kept sealed with the site's own key, never shown again."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class Unreadable(Exception):
    """It was sealed with another SECRET_KEY, or damaged: the secret has to be typed in again."""


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """Raises Unreadable."""
    try:
        return _box().decrypt(sealed.encode("ascii")).decode()
    except (InvalidToken, UnicodeError) as error:
        raise Unreadable from error


def _box() -> Fernet:
    digest = salted_hmac("countersign.sealing", "", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))
