"""What a gate is asked about, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from agentmail.models import Mailbox
from approvals.classification import classification_of
from approvals.content import Content, content_of_revision
from approvals.freshness import Look
from approvals.models import Decision, Draft, Revision, Send
from policies.classifier import Classification, Reason
from policies.in_force import InForce


class Standing(StrEnum):
    PASSED = "passed"
    REFUSED = "refused"
    OPEN = "open"  # a question for a person: the decision itself, or what an approval answers
    NOT_ASKED = "not_asked"  # could not be asked in this preview


class Consequence(StrEnum):
    """What a refusal means for a queued send."""

    HOLD = "hold"  # kept, until a person resumes it
    WAIT = "wait"  # kept, asked again by itself
    STOP = "stop"  # the approval is void; the draft goes back to pending
    STALE = "stale"  # the approval is void; the draft no longer answers its thread
    CHANGED = "changed"  # the approval is void; the draft is another one
    WITHDRAW = "withdraw"  # the draft is gone
    REHEARSED = "rehearsed"  # it would have been sent, and never is


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's answer; `result` is a code of the contract when it refused, `sentence` is for people.

    An open verdict with `asks` is a question which the approval of a person answers who was shown it; `result` is
    what it becomes when nobody does. `rules` names the policy rows that decided, as "kind:id:version"; `evaluation` is
    what the rules were given and said, kept with the verdict. `retry_at` is when a refusal that waits can end at the
    earliest; an approval does not run out before. `parts` are
    the answers to what was asked one by one, such as each recipient, as pairs of name and answer; `reasons` are what
    the classifier found.
    """

    gate: str
    standing: Standing
    sentence: str
    result: str = ""
    consequence: Consequence | None = None
    asks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    evaluation: Mapping[str, Any] | None = None
    retry_at: datetime | None = None
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "gate": self.gate,
            "standing": self.standing.value,
            "result": self.result,
            "sentence": self.sentence,
        }
        return said if self.evaluation is None else said | {"evaluation": dict(self.evaluation)}


@dataclass(frozen=True)
class Facts:
    """What the gates are asked about. Without a decision, and without a look, it is a preview.

    `is_reviewed` says whether a person decides about this mail, or decided; without one a question is a "no".
    `is_rehearsal` says that the claim was prepared for a mailbox in its dry run, so that nothing may leave.
    `policies` are the rows in force, or supposed to be in a simulation.
    """

    draft: Draft
    mailbox: Mailbox
    revision: Revision
    content: Content
    now: datetime
    policies: InForce
    decision: Decision | None = None
    send: Send | None = None
    look: Look | None = None
    trouble: str = ""
    is_claim: bool = False
    is_reviewed: bool = True
    is_rehearsal: bool = False

    @cached_property
    def classification(self) -> Classification:
        """What the classifier says about the mail, asked once, by whoever reads it first."""
        return classification_of(self.draft, self.revision, self.policies)


def facts_about(
    draft: Draft,
    revision: Revision,
    *,
    now: datetime,
    decision: Decision | None = None,
    send: Send | None = None,
    look: Look | None = None,
    trouble: str = "",
    is_claim: bool = False,
    is_reviewed: bool | None = None,
    is_rehearsal: bool = False,
    policies: InForce | None = None,
) -> Facts:
    """Gather what the gates are asked about. Who decides follows the decision; without one, a person would.

    `policies` are the rows that the caller has read, or supposes in a simulation.
    """
    return Facts(
        draft=draft,
        mailbox=draft.mailbox,
        revision=revision,
        content=content_of_revision(revision),
        now=now,
        policies=policies or InForce(draft.mailbox_id),
        decision=decision,
        send=send,
        look=look,
        trouble=trouble,
        is_claim=is_claim,
        is_reviewed=decision is None or decision.person_id is not None
        if is_reviewed is None
        else is_reviewed,
        is_rehearsal=is_rehearsal,
    )
