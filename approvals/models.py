from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agentmail.models import Mailbox, Message, OversightMode, ProviderEvent, RuleEvaluation
from approvals.notices import models as notice_models  # noqa: F401 - tables of this application
from approvals.states import (
    IN_FLIGHT_SEND_STATES,
    LIVE_ATTEMPT_STATES,
    OPEN_JOB_STATES,
    AttemptState,
    BatchItemState,
    BatchState,
    DraftState,
    JobState,
    SendState,
)


class Role(models.TextChoices):
    REVIEWER = "reviewer", _("Reviewer")
    OPERATOR = "operator", _("Operator")
    ADMIN = "admin", _("Admin")
    AUDITOR = "auditor", _("Auditor")
    LIST_EDITOR = "list_editor", _("List editor")


class Membership(models.Model):
    """A person's role on one mailbox, or on all of them when `mailbox` is empty. An admin's is always on all."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    mailbox = models.ForeignKey(
        Mailbox, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "mailbox"], name="membership_once_per_mailbox"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(mailbox__isnull=True), name="membership_once_for_all"
            ),
            models.CheckConstraint(
                condition=~Q(role="admin") | Q(mailbox__isnull=True), name="admin_is_for_all_mailboxes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class Origin(models.TextChoices):
    AGENT = "agent", _("Agent")
    CORRECTION = "correction", _("Correction")


class StaleReason(models.TextChoices):
    NEW_INBOUND = "new_inbound", _("A new message arrived")
    ANSWERED = "answered", _("Somebody already answered")
    MESSAGE_GONE = "message_gone", _("A message of the thread was deleted")
    PARENT_CHANGED = "parent_changed", _("The answered message changed")
    THREAD_GONE = "thread_gone", _("The thread is gone or was merged")


class Risk(models.IntegerChoices):
    """How much attention a draft asks for; the lower number stands first."""

    HIGH = 1, _("High risk")
    NORMAL = 2, _("Normal risk")
    LOW = 3, _("Low risk")


class Draft(models.Model):
    """One draft of an agent, one row for ever. Its state is written by `approvals.transitions` only."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="drafts")
    grant_id = models.CharField(max_length=255)
    provider_draft_id = models.CharField(max_length=255)
    state = models.CharField(max_length=20, choices=DraftState, default=DraftState.PENDING)
    mode = models.CharField(max_length=16, choices=OversightMode)
    origin = models.CharField(max_length=16, choices=Origin, default=Origin.AGENT)
    # Which agent wrote it, where that is known; the kill switch can stop one agent.
    agent_id = models.CharField(max_length=128, blank=True)
    linked_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="linked_drafts"
    )
    current_revision = models.OneToOneField(
        "Revision", on_delete=models.PROTECT, null=True, related_name="+", editable=False
    )
    # Of the current revision, so that lists need not load bodies.
    subject = models.TextField(blank=True)
    counterpart = models.CharField(max_length=320, blank=True)
    search_text = models.TextField(blank=True)
    # Of the current revision, see `approvals.bulk`: whether it looks like bulk mail by itself, which mail it is like
    # (empty for an answer), and a digest of its recipients.
    looks_bulk = models.BooleanField(default=False)
    family = models.CharField(max_length=16, blank=True)
    audience = models.CharField(max_length=16, blank=True)
    # Of the current revision, see `approvals.risk`: its level (None: not told yet) and the keys of what made it so,
    # the most consequential first; after the key of a category of high risk, a colon and the names of those categories.
    risk = models.PositiveSmallIntegerField(choices=Risk, null=True)
    risk_reasons: models.JSONField[list[str]] = models.JSONField(default=list)

    # What the draft answers, pinned by us: the provider does not give it back.
    thread_id = models.CharField(max_length=255, blank=True)
    parent_message_id = models.CharField(max_length=255, blank=True)
    thread_fingerprint = models.CharField(max_length=64, blank=True)
    thread_pinned = models.JSONField(default=dict)
    # Digest of the draft as the provider last returned it; the current revision may be a person's edit.
    upstream_sha256 = models.CharField(max_length=64, blank=True)
    is_complete = models.BooleanField(default=True)
    incomplete_reason = models.CharField(max_length=300, blank=True)

    # Key of the category that names the current revision, empty for none; see `policies.classifier`.
    category = models.CharField(max_length=48, blank=True)
    # What the agent says about its own draft; it can only tighten.
    agent_category = models.CharField(max_length=100, blank=True)
    agent_confidence = models.FloatField(null=True)

    stale_reason = models.CharField(max_length=20, choices=StaleReason, blank=True)
    stale_message_ids = models.JSONField(default=list)

    # Who is to decide, and who was asked for help; written by `approvals.transitions.assignments` only.
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="assigned_drafts",
        db_index=False,
    )
    escalated_at = models.DateTimeField(null=True)
    escalated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    escalation_reason = models.TextField(blank=True)

    arrived_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # Its place among those that wait, the earliest on top; see `approvals.risk.place_of`.
    queue_at = models.DateTimeField()
    state_changed_at = models.DateTimeField()
    looked_at = models.DateTimeField(null=True)
    discarded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant_id", "provider_draft_id"], name="draft_once_for_ever"),
            models.CheckConstraint(condition=Q(state__in=list(DraftState)), name="draft_state_is_known"),
            models.CheckConstraint(
                condition=Q(risk__isnull=True) | Q(risk__in=list(Risk)), name="draft_risk_is_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue_at", "id"], name="draft_pending_by_place", condition=Q(state="pending")
            ),
            models.Index(
                fields=["mailbox", "queue_at", "id"],
                name="draft_pending_box_by_place",
                condition=Q(state="pending"),
            ),
            models.Index(
                fields=["category", "queue_at", "id"],
                name="draft_pending_by_category",
                condition=Q(state="pending"),
            ),
            models.Index(
                fields=["risk", "queue_at", "id"],
                name="draft_pending_by_risk",
                condition=Q(state="pending"),
            ),
            models.Index(
                fields=["agent_id", "queue_at", "id"],
                name="draft_pending_by_agent",
                condition=Q(state="pending") & ~Q(agent_id=""),
            ),
            models.Index(
                fields=["id"], name="draft_risk_untold", condition=Q(state="pending", risk__isnull=True)
            ),
            models.Index(
                fields=["mailbox", "expires_at", "id"],
                name="draft_pending_by_mailbox",
                condition=Q(state="pending"),
            ),
            models.Index(fields=["state", "expires_at", "id"], name="draft_by_state"),
            models.Index(fields=["mailbox", "thread_id"], name="draft_by_thread"),
            models.Index(fields=["arrived_at", "id"], name="draft_by_arrival"),
            models.Index(fields=["category", "state"], name="draft_by_category"),
            models.Index(
                fields=["assigned_to", "state"],
                name="draft_assigned",
                condition=Q(assigned_to__isnull=False),
            ),
            models.Index(
                fields=["state", "escalated_at"],
                name="draft_escalated",
                condition=Q(escalated_at__isnull=False),
            ),
            models.Index(
                fields=["mailbox", "family", "arrived_at"], name="draft_by_family", condition=~Q(family="")
            ),
            models.Index(
                fields=["-state_changed_at"],
                name="draft_to_discard",
                condition=Q(discarded_at__isnull=True, state__in=["rejected", "expired", "superseded"]),
            ),
        ]

    def __str__(self) -> str:
        return str(self.public_id)

    @property
    def is_low_risk(self) -> bool:
        """Whether its current revision was found to be of low risk; not while that has not been told."""
        return self.risk == Risk.LOW


class SubmissionState(models.TextChoices):
    RECEIVED = "received", _("Received")
    DRAFTED = "drafted", _("Drafted")
    REFUSED = "refused", _("Refused by the provider")
    CANCELLED = "cancelled", _("Cancelled by the agent")


class Submission(models.Model):
    """A mail that an agent handed in, kept from the moment it is acknowledged. Written by `approvals.submissions` only.

    `content` holds the fields of a draft as the provider takes them. The draft gets the public id of the submission;
    one that gives an older draft a new wording names it in `draft` from the beginning.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="submissions")
    agent_id = models.CharField(max_length=128)
    agent_name = models.CharField(max_length=256, blank=True)
    # Who answers for the agent, and so may not approve what it wrote.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=SubmissionState, default=SubmissionState.RECEIVED)
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, null=True, related_name="submissions")
    is_revision = models.BooleanField(default=False)
    content: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    # The plain text that came beside the HTML of `content`, which alone is sent.
    plain_part = models.TextField(blank=True)
    # What the agent says about it; reviewers see it, recipients never do.
    note = models.TextField(blank=True)
    sources = models.JSONField(default=list)
    category = models.CharField(max_length=100, blank=True)
    confidence = models.FloatField(null=True)

    client_key = models.CharField(max_length=256, blank=True)
    payload_sha256 = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agent_id", "client_key"],
                condition=~Q(client_key=""),
                name="client_key_once_per_agent",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"],
                name="submission_due",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["draft", "-id"], name="submission_by_draft"),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class AttachmentBlob(models.Model):
    """The frozen bytes of an attachment, kept once by digest.

    `kind` is what its content is (`approvals.file_kinds`), empty where that was not looked at yet.
    """

    sha256 = models.CharField(max_length=64, unique=True)
    size = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, blank=True)
    content = models.BinaryField()

    def __str__(self) -> str:
        return self.sha256


class AuthorKind(models.TextChoices):
    AGENT = "agent", _("Agent")
    PERSON = "person", _("Person")


class Revision(models.Model):
    """What a draft said at one time: everything that would be sent. Never changed after it is written.

    Addresses are lists of {"email", "name"?}; attachments are lists of {"id", "filename", "content_type",
    "size", "sha256", "content_id", "is_inline", "kind"} whose bytes are in `AttachmentBlob`.
    """

    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    author_kind = models.CharField(max_length=8, choices=AuthorKind)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    author_name = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField()
    sender = models.JSONField(default=list)
    to = models.JSONField(default=list)
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list)
    reply_to = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    body = models.TextField(blank=True)
    is_plaintext = models.BooleanField(default=False)
    parent_message_id = models.CharField(max_length=255, blank=True)
    attachments = models.JSONField(default=list)
    content_sha256 = models.CharField(max_length=64)
    # The plain text that came beside this HTML and is not sent; empty when there was none.
    plain_part = models.TextField(blank=True)
    # Made once from the body, for showing: sanitised HTML (empty for plain text) and text.
    body_html = models.TextField(blank=True)
    body_text = models.TextField(blank=True)
    # Word-level difference to the revision before, see approvals.difference; empty for the first.
    difference = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draft", "number"], name="revision_number_once")]

    def __str__(self) -> str:
        return f"{self.draft_id} v{self.number}"

    def recipients(self) -> list[str]:
        """Every address that would receive the mail, in the order to, cc, bcc."""
        return [str(entry["email"]) for field in (self.to, self.cc, self.bcc) for entry in field]


class DecisionKind(models.TextChoices):
    APPROVE = "approve", _("Approve")
    REJECT = "reject", _("Reject")
    REQUEST_CHANGES = "request_changes", _("Request changes")


class VoidReason(models.TextChoices):
    UNDONE = "undone", _("Undone by the person")
    STALE = "stale", _("The thread moved")
    CHANGED = "changed", _("The draft changed")
    RAN_OUT = "ran_out", _("The approval ran out")
    BLOCKED = "blocked", _("A gate refused it")
    UNREACHABLE = "unreachable", _("The provider could not be reached")
    WITHDRAWN = "withdrawn", _("The draft was withdrawn")
    ANSWERED = "answered", _("The agent answered")
    CANCELLED = "cancelled", _("Cancelled with all of the mailbox")
    SENT_ELSEWHERE = "sent_elsewhere", _("Sent without this desk")


class Decision(models.Model):
    """What was decided about one revision, seen with one state of the thread.

    Without a person it is an approval by the oversight mode, which `person_name` then names.
    """

    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=16, choices=DecisionKind)
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="decisions"
    )
    person_name = models.CharField(max_length=256)
    made_at = models.DateTimeField()
    content_sha256 = models.CharField(max_length=64)
    thread_fingerprint = models.CharField(max_length=64)
    valid_until = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    form_id = models.UUIDField(null=True, unique=True)
    # What the chain asked and this approval answered, see approvals.gates.
    answers = models.JSONField(default=list)
    voided_at = models.DateTimeField(null=True)
    void_reason = models.CharField(max_length=16, choices=VoidReason, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["draft"], condition=Q(voided_at__isnull=True), name="one_live_decision_per_draft"
            ),
            models.CheckConstraint(
                condition=Q(voided_at__isnull=True, void_reason="")
                | (Q(voided_at__isnull=False) & ~Q(void_reason="")),
                name="voided_decision_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(person__isnull=False) | Q(kind="approve"), name="only_an_approval_lacks_a_person"
            ),
        ]
        indexes = [
            models.Index(fields=["draft", "-made_at"], name="decision_by_draft"),
            models.Index(fields=["-made_at", "-id"], name="decision_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.draft_id}"


class Send(models.Model):
    """The once-only row of a draft. Its state is written by `approvals.transitions` only.

    `held` is a gate result (`blocked_kill_switch`, `blocked_grant`) that only a person lifts; `waiting_for`
    is a sentence about what ends by itself.
    """

    draft = models.OneToOneField(Draft, on_delete=models.PROTECT, related_name="send")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="sends")
    grant_id = models.CharField(max_length=255)
    thread_id = models.CharField(max_length=255, blank=True)
    token = models.CharField(max_length=26, unique=True)
    state = models.CharField(max_length=16, choices=SendState, default=SendState.QUEUED)
    state_changed_at = models.DateTimeField()
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    ambiguous = models.BooleanField(default=False)
    evidence = models.JSONField(null=True)
    key_epoch = models.PositiveIntegerField(default=0)

    queued_at = models.DateTimeField()
    not_before = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    held = models.CharField(max_length=32, blank=True)
    held_at = models.DateTimeField(null=True)
    waiting_for = models.CharField(max_length=300, blank=True)
    connect_failures = models.PositiveSmallIntegerField(default=0)
    stop_reason = models.CharField(max_length=300, blank=True)
    # Set while a cap keeps it waiting, so that its approval does not run out for that; see approvals.gates.
    valid_until = models.DateTimeField(null=True)

    accepted_at = models.DateTimeField(null=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    provider_thread_id = models.CharField(max_length=255, blank=True)

    lookups_done = models.PositiveSmallIntegerField(default=0)
    next_lookup_at = models.DateTimeField(null=True)
    resend_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    resend_at = models.DateTimeField(null=True)
    resend_reason = models.TextField(blank=True)

    # What is done after acceptance, each once: C10, C11 and the outcome poll.
    draft_deleted_at = models.DateTimeField(null=True)
    looked_after_at = models.DateTimeField(null=True)
    crossed_message_id = models.CharField(max_length=255, blank=True)
    next_outcome_poll_at = models.DateTimeField(null=True)
    alarm = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=list(SendState)), name="send_state_is_known"),
            models.UniqueConstraint(
                fields=["grant_id", "thread_id"],
                condition=Q(state__in=list(IN_FLIGHT_SEND_STATES)) & ~Q(thread_id=""),
                name="one_send_in_flight_per_thread",
            ),
            models.CheckConstraint(
                condition=~Q(ambiguous=True, state__in=["failed", "stopped", "queued"]),
                name="ambiguity_sticks",
            ),
            models.CheckConstraint(
                condition=~Q(state="accepted") | Q(evidence__isnull=False), name="accepted_has_evidence"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at", "id"], name="send_due", condition=Q(state="queued", held="")
            ),
            models.Index(fields=["state", "state_changed_at", "id"], name="send_by_state"),
            models.Index(
                fields=["next_lookup_at", "id"], name="send_lookup_due", condition=Q(state="unknown")
            ),
            models.Index(
                fields=["next_outcome_poll_at", "id"],
                name="send_outcome_due",
                condition=Q(next_outcome_poll_at__isnull=False),
            ),
            models.Index(
                fields=["-accepted_at"],
                name="send_unfinished",
                condition=Q(state="accepted")
                & (Q(draft_deleted_at__isnull=True) | Q(looked_after_at__isnull=True)),
            ),
            models.Index(fields=["provider_message_id"], name="send_by_provider_message"),
            models.Index(fields=["-accepted_at", "-id"], name="send_by_acceptance"),
            models.Index(fields=["mailbox", "-accepted_at", "-id"], name="send_by_mailbox_acceptance"),
        ]

    def __str__(self) -> str:
        return self.token


class Attempt(models.Model):
    """One POST, written and committed before its first byte leaves."""

    send = models.ForeignKey(Send, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=AttemptState, default=AttemptState.DISPATCHED)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="attempts")
    transport = models.CharField(max_length=16)
    idempotency_key = models.CharField(max_length=64)
    payload_sha256 = models.CharField(max_length=64)
    worker = models.CharField(max_length=100)
    gates = models.JSONField(default=list)
    request_started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reply_class = models.CharField(max_length=20, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    provider_request_id = models.CharField(max_length=255, blank=True)
    is_replay = models.BooleanField(default=False)
    detail = models.CharField(max_length=500, blank=True)
    # The evaluation that refused it: the provider names no message there, so it is matched once, when fetched.
    rule_evaluation = models.ForeignKey(
        RuleEvaluation, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["send", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["send"], condition=Q(state__in=list(LIVE_ATTEMPT_STATES)), name="one_live_attempt"
            ),
            models.CheckConstraint(condition=Q(state__in=list(AttemptState)), name="attempt_state_is_known"),
        ]
        indexes = [models.Index(fields=["-request_started_at", "-id"], name="attempt_newest")]

    def __str__(self) -> str:
        return f"{self.send_id} attempt {self.number}"


class DomainContact(models.Model):
    """A domain to which a mailbox has sent, written with the first acceptance; `domain` in A-labels, lower case."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="+")
    domain = models.CharField(max_length=253)
    first_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "domain"], name="domain_contact_once")]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.domain}"


class Stage(models.TextChoices):
    ARRIVAL = "arrival", _("Arrival")
    WITHOUT_PERSON = "without_person", _("For leaving without a person")
    APPROVAL = "approval", _("Approval")
    CLAIM = "claim", _("Just before sending")


class Judgement(models.Model):
    """One run of the gate chain over one draft, with every gate's verdict. Never changed after it is written.

    `result` is a code of the contract when a gate refused, "pending" while the chain waits for a person, and
    "passed"; `policy_version` is the number of the last policy change that was in force.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="judgements")
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="judgements")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    stage = models.CharField(max_length=16, choices=Stage)
    at = models.DateTimeField()
    policy_version = models.BigIntegerField()
    result = models.CharField(max_length=32)
    gate = models.CharField(max_length=16, blank=True)
    sentence = models.TextField(blank=True)
    verdicts = models.JSONField(default=list)
    rules = models.JSONField(default=list)

    class Meta:
        indexes = [
            models.Index(fields=["mailbox", "-at", "-id"], name="judgement_by_mailbox"),
            models.Index(fields=["draft", "-id"], name="judgement_by_draft"),
            models.Index(fields=["-at", "-id"], name="judgement_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.draft_id} {self.stage} {self.result}"


class WrongKind(models.TextChoices):
    FACT = "fact", _("A fact is wrong")
    THREAD = "thread", _("It answers the wrong thing")
    TONE = "tone", _("The tone is wrong")
    RECIPIENT = "recipient", _("Wrong recipient")
    POLICY = "policy", _("Against our policy")


class Comparison(models.Model):
    """What a person would have done with a draft that a dry run would have sent, one for each person and draft."""

    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="comparisons")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="comparisons")
    would_send = models.BooleanField()
    wrong_kind = models.CharField(max_length=16, choices=WrongKind, blank=True)
    note = models.TextField(blank=True)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["draft", "person"], name="comparison_once_per_person"),
            models.CheckConstraint(
                condition=Q(would_send=True, wrong_kind="") | (Q(would_send=False) & ~Q(wrong_kind="")),
                name="wrong_comparison_says_what",
            ),
        ]
        indexes = [models.Index(fields=["-made_at"], name="comparison_by_time")]

    def __str__(self) -> str:
        return f"{self.draft_id} {self.person_id}"


class JudgementRule(models.Model):
    """A policy row that decided in a judgement, so that a rule finds what it did. `rule` is "kind:id"."""

    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, related_name="named_rules")
    rule = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["rule", "-judgement"], name="judgement_by_rule")]

    def __str__(self) -> str:
        return f"{self.rule}:{self.version}"


class InboundJudgement(models.Model):
    """What our rules said about a message that arrived, once per message; that none matched is a row, too.

    `rules` are "rule:id:version" in the order asked; `category` is empty when no rule gave one.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="inbound_judgement")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="inbound_judgements")
    at = models.DateTimeField()
    policy_version = models.BigIntegerField()
    rules = models.JSONField(default=list)
    evaluation_input = models.JSONField(default=dict)
    applied_actions = models.JSONField(default=dict)
    category = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [models.Index(fields=["mailbox", "-at", "-id"], name="inbound_judgement_newest")]

    def __str__(self) -> str:
        return f"{self.message_id} {self.category}"


class Lookup(models.Model):
    """One question about an unknown send: which source, when, what it said. Absence proves nothing."""

    send = models.ForeignKey(Send, on_delete=models.PROTECT, related_name="lookups")
    round = models.PositiveSmallIntegerField()
    source = models.CharField(max_length=32)
    asked_at = models.DateTimeField()
    found = models.BooleanField()
    said = models.CharField(max_length=300)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.send_id} {self.source}"


class OutcomeKind(models.TextChoices):
    DELIVERED = "delivered", _("Delivered")
    SOFT_BOUNCE = "soft_bounce", _("Soft bounce")
    HARD_BOUNCE = "hard_bounce", _("Hard bounce")
    COMPLAINT = "complaint", _("Complaint")
    REJECTED = "rejected", _("Rejected")
    SEND_FAILED = "send_failed", _("Send failed")
    NO_REPORT = "no_report", _("No report")


class RecipientOutcome(models.Model):
    """A fact about one recipient of one send. Facts are only ever added; the picture is computed from them."""

    send = models.ForeignKey(Send, on_delete=models.PROTECT, related_name="outcomes")
    address = models.CharField(max_length=320)
    kind = models.CharField(max_length=16, choices=OutcomeKind)
    source = models.CharField(max_length=300)
    event = models.ForeignKey(ProviderEvent, on_delete=models.PROTECT, null=True, related_name="+")
    code = models.CharField(max_length=300, blank=True)
    provider_time = models.BigIntegerField(null=True)
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["send", "address", "kind", "source"], name="outcome_fact_once")
        ]

    def __str__(self) -> str:
        return f"{self.send_id} {self.kind}"


class FollowUpState(models.TextChoices):
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class FollowUp(models.Model):
    """Work that came back from a send, for the person who approved it until it is passed on.

    Assigned to nobody, it is for everybody who may follow up on its mailbox.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    send = models.ForeignKey(Send, on_delete=models.PROTECT, related_name="follow_ups")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="follow_ups")
    kind = models.CharField(max_length=24)
    state = models.CharField(max_length=8, choices=FollowUpState, default=FollowUpState.OPEN)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="follow_ups"
    )
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    close_reason = models.TextField(blank=True)
    correction = models.ForeignKey(Draft, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["send"], condition=Q(state="open"), name="one_open_follow_up_per_send"
            )
        ]
        indexes = [
            models.Index(fields=["state", "assigned_to", "-opened_at"], name="follow_up_by_person"),
            models.Index(fields=["state", "-opened_at", "-id"], name="follow_up_by_opening"),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class NeedsPersonState(models.TextChoices):
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class NeedsPerson(models.Model):
    """A message that only a person may answer. It holds nothing of what an agent wrote.

    `draft` is the one that was turned away last; `reasons` are lists of a sentence and the words that were found.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="needs_person")
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="needs_person")
    thread_id = models.CharField(max_length=255, blank=True)
    message_id = models.CharField(max_length=255, blank=True)
    category = models.CharField(max_length=48, blank=True)
    category_name = models.CharField(max_length=100, blank=True)
    reasons = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=NeedsPersonState, default=NeedsPersonState.OPEN)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    is_answered_elsewhere = models.BooleanField(default=False)
    close_reason = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "needs a person"
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox", "thread_id"],
                condition=Q(state="open") & ~Q(thread_id=""),
                name="one_open_item_per_thread",
            )
        ]
        indexes = [models.Index(fields=["state", "-opened_at", "-id"], name="needs_person_by_opening")]

    def __str__(self) -> str:
        return str(self.public_id)


class SentMessage(models.Model):
    """A message that left a mailbox since it was connected, and the send that allowed it.

    Without a send it was sent elsewhere: past this desk, or by a forger of the address. `draft` is then the one whose
    words it says, if there is one. Written by `approvals.transitions.sent_messages` only.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="sent_message")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="sent_messages")
    send = models.ForeignKey(Send, on_delete=models.PROTECT, null=True, related_name="sent_messages")
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, null=True, related_name="sent_messages")
    noted_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    acknowledge_note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(send__isnull=True) | Q(acknowledged_at__isnull=True),
                name="what_a_send_allowed_is_not_acknowledged",
            )
        ]
        indexes = [
            models.Index(
                fields=["-noted_at", "-id"],
                name="sent_elsewhere_open",
                condition=Q(send__isnull=True, acknowledged_at__isnull=True),
            ),
            models.Index(
                fields=["-noted_at", "-id"],
                name="sent_elsewhere_acknowledged",
                condition=Q(send__isnull=True, acknowledged_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class FollowUpNote(models.Model):
    """What was said when a follow-up was passed on."""

    follow_up = models.ForeignKey(FollowUp, on_delete=models.CASCADE, related_name="notes")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.follow_up_id} note {self.pk}"


class ModeChange(models.Model):
    """One change of a mailbox's oversight mode, with what was known then. Without a person the desk made it."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="mode_changes")
    before = models.CharField(max_length=16, choices=OversightMode)
    after = models.CharField(max_length=16, choices=OversightMode)
    at = models.DateTimeField()
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    person_name = models.CharField(max_length=256)
    reason = models.TextField(blank=True)
    # See `approvals.evidence.Evidence`.
    evidence: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["mailbox", "-id"], name="mode_change_by_mailbox")]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.before} to {self.after}"


class Claim(models.Model):
    """That a person is deciding about a draft, and until when. Written by `approvals.transitions.claims` only.

    `taken_from` is who had to let go of it, when it was taken over.
    """

    draft = models.OneToOneField(Draft, on_delete=models.CASCADE, related_name="claim")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="claims")
    began_at = models.DateTimeField()
    until = models.DateTimeField()
    taken_from = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["until"], name="claim_by_end")]

    def __str__(self) -> str:
        return f"{self.draft_id} {self.person_id}"


class Presence(models.Model):
    """That a person has a draft open, as their page said last; see `approvals.presence`. No state and no record."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="presences")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="presences")
    # Which of the person's pages said it: only that one can say that it is gone.
    page = models.CharField(max_length=32)
    is_editing = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draft", "person"], name="presence_once_per_draft")]
        indexes = [models.Index(fields=["seen_at"], name="presence_by_time")]

    def __str__(self) -> str:
        return f"{self.draft_id} {self.person_id}"


class Snooze(models.Model):
    """That a person does not want to see a draft in their queue for a while.

    It ends at `until`, and before that when the draft gets another revision than `revision` or moves.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="snoozes")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="snoozes")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    made_at = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "draft"], name="snooze_once_per_draft")]
        indexes = [models.Index(fields=["until"], name="snooze_by_end")]

    def __str__(self) -> str:
        return f"{self.draft_id} {self.person_id}"


class Keyboard(models.Model):
    """A person's own keys; see `approvals.keyboard`."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="keyboard")
    has_letters = models.BooleanField(default=True)
    # Whether the next draft is opened after a decision; otherwise the one that was decided stays open.
    opens_next = models.BooleanField(default=True)
    keys: models.JSONField[dict[str, str]] = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"keys of {self.person_id}"


class SavedView(models.Model):
    """A filter of the queue under a name, of one person or, without one, of everybody; see `approvals.saved_views`.

    `query` is what stands behind "?" in the address of the queue.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="saved_views"
    )
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=600)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["person", "name"], name="view_name_once_per_person"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(person__isnull=True), name="view_name_once_for_everybody"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class QueueStart(models.Model):
    """The view that a person starts with."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="queue_start"
    )
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"{self.person_id} starts with {self.view_id}"


class KeptReason(models.Model):
    """A short text for a reason, of one person or, without a person, of everybody; see `approvals.kept_reasons`."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="kept_reasons"
    )
    text = models.CharField(max_length=500)
    used = models.PositiveIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "text"], name="reason_once_per_person"),
            models.UniqueConstraint(
                fields=["text"], condition=Q(person__isnull=True), name="reason_once_for_everybody"
            ),
        ]

    def __str__(self) -> str:
        return self.text[:40]


class FirstSync(models.Model):
    """How far the first reading of a mailbox is; see `approvals.first_sync`."""

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="first_sync")
    began_at = models.DateTimeField()
    told_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    messages = models.PositiveIntegerField(default=0)
    drafts = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.messages}+{self.drafts}"


class BatchKind(models.TextChoices):
    APPROVE = "approve", _("Approve")
    REJECT = "reject", _("Reject")


class Batch(models.Model):
    """Letters that one person reads and decides about together; see `approvals.batches`.

    `kind` is empty until it was decided. Its state is written by `approvals.transitions.batches` only.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="batches")
    state = models.CharField(max_length=8, choices=BatchState, default=BatchState.READING)
    kind = models.CharField(max_length=8, choices=BatchKind, blank=True)
    reason = models.TextField(blank=True)
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    # When the person asked to leave out what still waits.
    stopped_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "batches"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=list(BatchState)), name="batch_state_is_known"),
            models.CheckConstraint(
                condition=Q(state="reading", decided_at__isnull=True, kind="")
                | (~Q(state="reading") & Q(decided_at__isnull=False) & ~Q(kind="")),
                name="decided_batch_has_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="batch_running", condition=Q(state="running")),
            models.Index(fields=["opened_at"], name="batch_being_read", condition=Q(state="reading")),
            models.Index(fields=["person", "-id"], name="batch_by_person"),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class BatchItem(models.Model):
    """One letter of a batch as it was shown: the wording, the thread and the questions that a decision binds.

    `obstacle` says why it cannot be approved with the others; `verdicts` and `notes` are those shown. `result` is a
    code of `approvals.batches.Result`, `sentence` says it to people.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="+")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    place = models.PositiveSmallIntegerField()
    content_sha256 = models.CharField(max_length=64)
    thread_fingerprint = models.CharField(max_length=64, blank=True)
    asks = models.JSONField(default=list)
    category = models.CharField(max_length=48, blank=True)
    verdicts = models.JSONField(default=list)
    notes = models.JSONField(default=list)
    obstacle = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=8, choices=BatchItemState, default=BatchItemState.LISTED)
    result = models.CharField(max_length=24, blank=True)
    sentence = models.CharField(max_length=1000, blank=True)
    # The decision about it is made with this id, so that it is made once.
    form_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, null=True, related_name="batch_item")
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "draft"], name="draft_once_in_a_batch"),
            models.CheckConstraint(
                condition=Q(state__in=list(BatchItemState)), name="batch_item_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(decision__isnull=False, state__in=["approved", "rejected"])
                | Q(decision__isnull=True, state__in=["listed", "waiting", "refused", "left_out"]),
                name="decided_batch_item_has_decision",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.place} {self.state}"


class JobKind(models.TextChoices):
    SIMULATION = "simulation", _("Simulation")
    OVERSIGHT_REPORT = "oversight_report", _("Oversight report")
    RECIPIENTS = "recipients", _("Lists of recipients")


class Job(models.Model):
    """Long work that a person asked for and a worker does; see `approvals.jobs`.

    `result` is what the page of a simulation shows, or what an export covers; the file of an export lies under
    `approvals.job_files`. `run` numbers the beginnings: only the latest may write. The state is written by
    `approvals.transitions.jobs` only.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=16, choices=JobKind)
    state = models.CharField(max_length=9, choices=JobState, default=JobState.WAITING)
    parameters = models.JSONField(default=dict)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True)
    run = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField()
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)
    failure = models.CharField(max_length=1000, blank=True)
    file_name = models.CharField(max_length=100, blank=True)
    file_bytes = models.PositiveBigIntegerField(null=True)
    file_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=list(JobState)), name="job_state_is_known"),
            models.CheckConstraint(condition=Q(kind__in=list(JobKind)), name="job_kind_is_known"),
            models.UniqueConstraint(
                fields=["person", "kind"],
                condition=Q(state__in=list(OPEN_JOB_STATES)),
                name="one_open_job_of_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(OPEN_JOB_STATES), ended_at__isnull=True)
                | (~Q(state__in=list(OPEN_JOB_STATES)) & Q(ended_at__isnull=False)),
                name="ended_job_says_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["kind", "id"], name="job_open", condition=Q(state__in=list(OPEN_JOB_STATES))
            ),
            models.Index(fields=["person", "kind", "-id"], name="job_by_person"),
            models.Index(fields=["ended_at"], name="job_ended", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"


class UnsavedEdit(models.Model):
    """What a person typed about a draft and did not save, theirs alone; see `approvals.unsaved`.

    `fields` are those of the edit form as typed, against `revision`; none when only a reason was typed.
    """

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="unsaved_edits"
    )
    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="unsaved_edits")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, null=True, related_name="+")
    fields: models.JSONField[dict[str, str]] = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    kept_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["draft", "person"], name="unsaved_edit_once_per_person")
        ]
        indexes = [models.Index(fields=["kept_at"], name="unsaved_edit_by_age")]

    def __str__(self) -> str:
        return f"{self.person_id} on {self.draft_id}"


class Notification(models.Model):
    """One thing a mailbox's channel is to be told, kept until it was delivered or given up."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="notifications")
    send = models.ForeignKey(Send, on_delete=models.PROTECT, null=True, related_name="notifications")
    type = models.CharField(max_length=32)
    payload: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    made_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["send", "type"], name="notification_once_per_send")]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"],
                name="notification_due",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["mailbox", "-id"], name="notification_by_mailbox"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"


class InboundRelease(models.Model):
    """An incoming message that the agent may read only once a person released it."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="release")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="inbound_releases")
    held_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_by__isnull=True)
                | Q(released_at__isnull=False, released_by__isnull=False),
                name="released_message_has_person",
            )
        ]
        indexes = [
            models.Index(fields=["mailbox", "id"], name="inbound_held", condition=Q(released_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.message_id} {'released' if self.released_at else 'held'}"


class Heartbeat(models.Model):
    """The last sign of life of a process, by its kind and name."""

    kind = models.CharField(max_length=16)
    name = models.CharField(max_length=100, unique=True)
    at = models.DateTimeField()
    detail: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name


class Pace(models.Model):
    """When the next call of a kind may be made, over all processes."""

    name = models.CharField(max_length=32, unique=True)
    next_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Instance(models.Model):
    """The identity of this database, one row; see `approvals.instance`."""

    identity = models.UUIDField(editable=False)

    def __str__(self) -> str:
        return str(self.identity)


class StagedRelease(models.Model):
    """Held sends of a scope that are resumed a few at a time, oldest first; see `approvals.stages`."""

    scope = models.CharField(max_length=300)
    per_hour = models.PositiveSmallIntegerField()
    total = models.PositiveIntegerField()
    resumed = models.PositiveIntegerField(default=0)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    next_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope"], condition=Q(ended_at__isnull=True), name="one_staged_release_per_scope"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.resumed}/{self.total}"
