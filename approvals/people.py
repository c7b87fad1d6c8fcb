"""Who may do what: the rights of each role, per mailbox. Every page and every decision asks here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, User

from agentmail.models import Mailbox
from approvals.models import Membership, Role
from audit.record import Actor

Person = User | AnonymousUser


class Right(StrEnum):
    SEE = "see"  # queue, thread, draft, outcomes
    DECIDE = "decide"  # approve, edit, reject, request changes
    FOLLOW_UP = "follow_up"  # act on what came back
    STOP = "stop"  # engage the kill switch
    RESUME = "resume"  # release the switch, resume held sends
    RESOLVE = "resolve"  # close or resend an unknown send
    CANCEL = "cancel"  # end every waiting draft of a mailbox at once
    MANAGE = "manage"  # people, grants, mailboxes, tokens
    REVOKE = "revoke"  # end the tokens of programs
    AUDIT = "audit"  # read the whole record, not only one's own actions
    SEE_REVIEWERS = "see_reviewers"  # see by name how fast people approve
    READ_POLICIES = "read_policies"  # see rules, lists, caps and modes
    EDIT_LISTS = "edit_lists"  # change lists, and nothing else
    EDIT_POLICIES = "edit_policies"  # change rules, caps, tiers and the provider's
    TIGHTEN = "tighten"  # choose a stricter oversight mode
    LOOSEN = "loosen"  # choose a looser oversight mode


ROLE_RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.REVIEWER: frozenset({Right.SEE, Right.DECIDE, Right.FOLLOW_UP, Right.STOP, Right.READ_POLICIES}),
    Role.OPERATOR: frozenset(
        {
            Right.SEE,
            Right.FOLLOW_UP,
            Right.STOP,
            Right.RESUME,
            Right.RESOLVE,
            Right.CANCEL,
            Right.REVOKE,
            Right.AUDIT,
            Right.READ_POLICIES,
            Right.TIGHTEN,
        }
    ),
    Role.ADMIN: frozenset(
        {
            Right.SEE,
            Right.FOLLOW_UP,
            Right.STOP,
            Right.RESUME,
            Right.RESOLVE,
            Right.CANCEL,
            Right.MANAGE,
            Right.REVOKE,
            Right.AUDIT,
            Right.SEE_REVIEWERS,
            Right.READ_POLICIES,
            Right.EDIT_LISTS,
            Right.EDIT_POLICIES,
            Right.TIGHTEN,
            Right.LOOSEN,
        }
    ),
    Role.AUDITOR: frozenset({Right.SEE, Right.STOP, Right.AUDIT, Right.SEE_REVIEWERS, Right.READ_POLICIES}),
    Role.LIST_EDITOR: frozenset({Right.EDIT_LISTS}),
}


def roles_with(right: Right) -> list[Role]:
    return [role for role, rights in ROLE_RIGHTS.items() if right in rights]


def mailbox_ids_with(person: Person, right: Right) -> list[int]:
    """The ids of the mailboxes on which a person has a right; none for somebody signed out or disabled.

    The memberships are read once and remembered on the person, that is for the length of a request.
    """
    granted, everywhere = _standing(person)
    if right in everywhere:
        return _all_mailbox_ids(person)
    return sorted(mailbox_id for mailbox_id, rights in granted.items() if right in rights)


def may(person: Person, right: Right, mailbox_id: int | None = None) -> bool:
    """Whether a person has a right on a mailbox; without a mailbox, whether on any of them or on all."""
    granted, everywhere = _standing(person)
    if right in everywhere:
        return True
    if mailbox_id is None:
        return any(right in rights for rights in granted.values())
    return right in granted.get(mailbox_id, frozenset())


def may_everywhere(person: Person, right: Right) -> bool:
    """Whether a person has a right on all mailboxes, those connected later included."""
    return right in _standing(person)[1]


def is_still_allowed(person_id: int, right: Right, mailbox_id: int) -> bool:
    """Ask the database afresh, as the claim must: nothing remembered from a request counts."""
    person = get_user_model().objects.filter(pk=person_id, is_active=True).first()
    return person is not None and may(person, right, mailbox_id)


def roles_of(person: Person) -> list[str]:
    """The person's roles in the order of the vocabulary, each once."""
    if not person.is_authenticated:
        return []
    held = {membership.role for membership in _memberships(person)}
    return [role for role in Role.values if role in held]


def name_of(person: User) -> str:
    return (person.get_full_name() or person.get_username())[:256]


def actor_for(person: User) -> Actor:
    return Actor(kind="person", id=str(person.pk), name=name_of(person))


def _memberships(person: Any) -> list[Membership]:
    remembered: list[Membership] | None = getattr(person, "_countersign_memberships", None)
    if remembered is None:
        remembered = list(Membership.objects.filter(user_id=person.pk))
        person._countersign_memberships = remembered
    return remembered


def _all_mailbox_ids(person: Any) -> list[int]:
    remembered: list[int] | None = getattr(person, "_countersign_mailbox_ids", None)
    if remembered is None:
        remembered = list(Mailbox.objects.order_by("pk").values_list("pk", flat=True))
        person._countersign_mailbox_ids = remembered
    return remembered


def _standing(person: Person) -> tuple[dict[int, frozenset[Right]], frozenset[Right]]:
    if not person.is_authenticated or not person.is_active:
        return {}, frozenset()
    granted: dict[int, frozenset[Right]] = {}
    everywhere: frozenset[Right] = frozenset()
    for membership in _memberships(person):
        rights = ROLE_RIGHTS[Role(membership.role)]
        if membership.mailbox_id is None:
            everywhere |= rights
        else:
            granted[membership.mailbox_id] = granted.get(membership.mailbox_id, frozenset()) | rights
    return granted, everywhere
