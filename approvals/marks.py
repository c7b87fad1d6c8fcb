"""Signed marks in the metadata of drafts that this desk made at the provider, so that whoever sees one knows it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.signing import BadSignature, Signer

from agentmail.models import Mailbox
from agentmail.types import DraftSnapshot
from approvals.models import FollowUp, Submission

SEND_KEY = "key1"
CORRECTION_KEY = "key2"
SUBMISSION_KEY = "key3"
KEYS = frozenset({SEND_KEY, CORRECTION_KEY, SUBMISSION_KEY})
_corrections = Signer(salt="countersign.correction")
_submissions = Signer(salt="countersign.submission")


def of_correction(follow_up: FollowUp, person: User) -> str:
    """The mark of a corrected draft."""
    return _corrections.sign(f"{follow_up.public_id}:{person.pk}")


def corrected(snapshot: DraftSnapshot) -> tuple[FollowUp, User] | None:
    """The follow-up that a draft corrects and the person who did, if its mark is true and was not used yet.

    The agent can copy a mark that it has read: each counts once, for a draft of the same mailbox.
    """
    try:
        public_id, person_id = _corrections.unsign(snapshot.metadata.get(CORRECTION_KEY, "")).split(":")
    except (BadSignature, ValueError):
        return None
    follow_up = (
        FollowUp.objects.select_related("send__draft")
        .filter(public_id=public_id, correction__isnull=True, mailbox__grant_id=snapshot.grant_id)
        .first()
    )
    person = User.objects.filter(pk=person_id).first()
    return (follow_up, person) if follow_up is not None and person is not None else None


def of_submission(submission: Submission) -> str:
    """The mark of the draft of a submission."""
    return _submissions.sign(str(submission.public_id))


def submitted(mailbox: Mailbox, snapshot: DraftSnapshot) -> Submission | None:
    """The submission of this mailbox whose mark a draft carries, if it is a true one; also when it has its draft."""
    try:
        public_id = uuid.UUID(_submissions.unsign(snapshot.metadata.get(SUBMISSION_KEY, "")))
    except (BadSignature, ValueError):
        return None
    return Submission.objects.filter(public_id=public_id, mailbox=mailbox, is_revision=False).first()


def without(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as an agent may read it."""
    return {key: value for key, value in metadata.items() if key not in KEYS}
