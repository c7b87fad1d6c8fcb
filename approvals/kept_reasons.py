"""Short texts that people keep for a reason: their own, and those of everybody. The most used stand first."""

from __future__ import annotations

import logging

from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from approvals import people
from approvals.models import KeptReason
from approvals.people import Person, Right
from audit.clock import database_now
from audit.record import record

logger = logging.getLogger(__name__)

TEXT_CHARACTERS = 500
# Of one person, and of those that everybody has.
LIMIT = 30


class ReasonRefused(Exception):
    """Nothing was kept or changed; the message says why. `is_input` when another text would do."""

    def __init__(self, sentence: str, *, is_input: bool = False) -> None:
        super().__init__(sentence)
        self.is_input = is_input


def reasons_of(person: Person) -> QuerySet[KeptReason]:
    """The reasons that a person can choose, the most used first."""
    return KeptReason.objects.filter(Q(person_id=person.pk or 0) | Q(person__isnull=True)).order_by(
        "-used", "-used_at", "pk"
    )


def keep(person: User, *, text: str, is_shared: bool = False) -> KeptReason:
    """Keep a text for a person or for everybody. Raises ReasonRefused."""
    text = _checked(text)
    if is_shared and not may_share(person):
        raise ReasonRefused(_("Only an admin keeps reasons for everybody."))
    owner = None if is_shared else person
    try:
        with transaction.atomic():
            if KeptReason.objects.filter(person=owner).count() >= LIMIT:
                raise ReasonRefused(
                    _("There are %(limit)d reasons already. Remove one first.") % {"limit": LIMIT},
                    is_input=True,
                )
            reason = KeptReason.objects.create(person=owner, text=text)
            _record_shared("approvals.reason.kept", reason, person)
            return reason
    except IntegrityError as error:
        raise ReasonRefused(_("This reason is kept already."), is_input=True) from error


def change(reason: KeptReason, person: User, *, text: str) -> None:
    """Give a reason another wording; how often it was used stays. Raises ReasonRefused."""
    _check_may_change(reason, person)
    text = _checked(text)
    try:
        with transaction.atomic():
            KeptReason.objects.filter(pk=reason.pk).update(text=text)
            _record_shared("approvals.reason.kept", reason, person)
    except IntegrityError as error:
        raise ReasonRefused(_("This reason is kept already."), is_input=True) from error


def remove(reason: KeptReason, person: User) -> None:
    """Remove a reason; decisions made with it keep their words. Raises ReasonRefused."""
    _check_may_change(reason, person)
    with transaction.atomic():
        _record_shared("approvals.reason.removed", reason, person)
        reason.delete()


def note_use(person: User, text: str) -> None:
    """Count a decision that was made in the very words of a kept reason; it stands, whether this can be kept or not."""
    try:
        reasons_of(person).filter(text=text.strip()).update(used=F("used") + 1, used_at=database_now())
    except DatabaseError:
        logger.warning("the use of a kept reason could not be counted", exc_info=True)


def may_change(reason: KeptReason, person: User) -> bool:
    return reason.person_id == person.pk or (reason.person_id is None and may_share(person))


def may_share(person: Person) -> bool:
    return people.may_everywhere(person, Right.MANAGE)


def _check_may_change(reason: KeptReason, person: User) -> None:
    if not may_change(reason, person):
        raise ReasonRefused(_("Only an admin changes the reasons of everybody."))


def _checked(text: str) -> str:
    text = "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
    if not text:
        raise ReasonRefused(_("Write a reason first."), is_input=True)
    if len(text) > TEXT_CHARACTERS:
        raise ReasonRefused(
            _("The reason has %(count)d characters; it can have %(limit)d.")
            % {"count": len(text), "limit": TEXT_CHARACTERS},
            is_input=True,
        )
    return text


def _record_shared(action: str, reason: KeptReason, person: User) -> None:
    """A person's own reasons are their own affair; those of everybody are on record."""
    if reason.person_id is None:
        record(action, actor=people.actor_for(person), data={"reason": reason.pk})
