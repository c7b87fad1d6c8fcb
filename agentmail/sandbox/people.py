"""Address lists as the API writes them, and what a recipient of the sandbox does with its mail."""

from __future__ import annotations

from typing import Any

from .errors import ApiError, invalid

Person = dict[str, str]

RECIPIENT_FIELDS = ("to", "cc", "bcc")

# Local parts of recipients that decide about the reply to the send itself.
REPLY_ADDRESSES = frozenset({"timeout-after-accept", "reset-after-accept", "error-after-accept", "queued"})


def read_people(value: Any, field: str) -> list[Person]:
    """Parse a list of `{name?, email}`; raises `ApiError` naming the field."""
    if value is None:
        return []
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise invalid(f"{field} must be an array of participants")
    people = []
    for entry in value:
        if not isinstance(entry, dict) or not isinstance(entry.get("email"), str):
            raise invalid(f"{field} must be an array of objects with an email")
        email = entry["email"].strip()
        if "@" not in email.strip("@") or any(character in email for character in " \r\n<>,;"):
            raise invalid(f"{field} contains an invalid email address")
        person = {"email": email}
        if entry.get("name"):
            person["name"] = str(entry["name"])
        people.append(person)
    return people


def refuse_foreign_letters(people: list[Person]) -> None:
    if any(not person["email"].isascii() for person in people):
        raise ApiError(
            402, "provider_error", "A recipient address contains characters the server does not accept"
        )


def behaviour(email: str) -> str:
    """Return the base of the local part, lower-case and without a plus tag."""
    return email.rpartition("@")[0].partition("+")[0].lower()


def same(first: str, second: str) -> bool:
    return first.lower() == second.lower()


def addresses(people: list[Person]) -> list[str]:
    return [person["email"] for person in people]
