"""The policy rows in force for one mailbox, each read once, by whoever asks first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from policies import categories, mailbox_settings, rules
from policies.classifier import Rulebook
from policies.models import MailboxSettings, Rule, Trigger
from policies.scopes import scopes_of


class InForce:
    """What one run of the chain goes by. `supposed` are all rules of our own to ask instead of those there are."""

    def __init__(self, mailbox_id: int, *, supposed: Sequence[Rule] | None = None) -> None:
        self.mailbox_id = mailbox_id
        self.supposed = supposed

    @cached_property
    def scopes(self) -> list[str]:
        return scopes_of(self.mailbox_id)

    @cached_property
    def settings(self) -> MailboxSettings:
        return mailbox_settings.of(self.mailbox_id)

    @cached_property
    def rulebook(self) -> Rulebook:
        """What decides about the category of a mail, the same for every mailbox."""
        return categories.rulebook()

    @cached_property
    def outbound_rules(self) -> list[Rule]:
        if self.supposed is not None:
            return rules.asked_among(self.supposed, self.scopes, Trigger.OUTBOUND)
        return rules.in_force(self.scopes, Trigger.OUTBOUND)
