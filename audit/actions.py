"""Every action the record knows. An action that is not here cannot be recorded."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Action:
    """`sentence` may use %(actor)s, %(outcome)s and %(reason)s."""

    name: str
    label: str | Promise
    sentence: str | Promise


_ALL = (
    # Submissions
    Action(
        "approvals.submission.received",
        _("Submission received"),
        _("%(actor)s handed in a mail for review."),
    ),
    Action(
        "approvals.submission.blocked",
        _("Submission blocked"),
        _("%(actor)s tried to hand in a mail and was refused: %(reason)s"),
    ),
    Action(
        "approvals.submission.key_reused",
        _("Idempotency key reused"),
        _("%(actor)s used the idempotency key of another mail again. Nothing was kept."),
    ),
    Action(
        "approvals.submission.refused",
        _("Submission refused by the provider"),
        _("The provider did not take the draft of a mail that was handed in: %(reason)s"),
    ),
    Action(
        "approvals.submission.cancelled",
        _("Submission cancelled"),
        _("%(actor)s took a mail back before it was in the queue."),
    ),
    # Notices
    Action(
        "approvals.notice_settings.changed",
        _("Notice settings changed"),
        _("%(actor)s changed how they are told of notices."),
    ),
    Action("approvals.notice_channel.tested", _("Channel tested"), _("%(actor)s sent a test to a channel.")),
    # Tokens
    Action("gateway.token.made", _("Token made"), _("%(actor)s made a token.")),
    Action("gateway.token.revoked", _("Token revoked"), _("%(actor)s revoked a token.")),
    Action(
        "gateway.attempt.refused",
        _("Attempt refused"),
        _("%(actor)s tried what its token does not allow: %(reason)s"),
    ),
    Action(
        "gateway.message.marked",
        _("Message marked"),
        _("%(actor)s asked the provider to mark or move a message."),
    ),
    # Webhooks
    Action("gateway.webhook.made", _("Webhook made"), _("%(actor)s made a webhook.")),
    Action("gateway.webhook.changed", _("Webhook changed"), _("%(actor)s changed a webhook.")),
    Action("gateway.webhook.rotated", _("Secret rotated"), _("%(actor)s rotated the secret of a webhook.")),
    Action("gateway.webhook.switched_on", _("Webhook switched on"), _("%(actor)s switched a webhook on.")),
    Action("gateway.webhook.switched_off", _("Webhook switched off"), _("%(actor)s switched a webhook off.")),
    Action("gateway.webhook.removed", _("Webhook removed"), _("%(actor)s removed a webhook.")),
    # Drafts
    Action("approvals.draft.arrived", _("Draft arrived"), _("%(actor)s put a draft up for review.")),
    Action("approvals.draft.revised", _("Draft revised"), _("%(actor)s changed the draft at the provider.")),
    Action("approvals.draft.edited", _("Draft edited"), _("%(actor)s edited the draft.")),
    Action("approvals.draft.approved", _("Draft approved"), _("%(actor)s approved the draft.")),
    Action("approvals.draft.rejected", _("Draft rejected"), _("%(actor)s rejected the draft.")),
    Action(
        "approvals.draft.changes_requested",
        _("Changes requested"),
        _("%(actor)s asked for changes to the draft."),
    ),
    Action(
        "approvals.draft.undone",
        _("Approval undone"),
        _("%(actor)s took the approval back before it was sent."),
    ),
    Action("approvals.draft.stale", _("Draft stale"), _("The draft no longer answers its conversation.")),
    Action(
        "approvals.draft.returned_to_pending",
        _("Draft returned to pending"),
        _("%(actor)s looked at the draft again and returned it to the queue."),
    ),
    Action("approvals.draft.expired", _("Draft expired"), _("Nobody decided in time.")),
    Action(
        "approvals.draft.cancelled",
        _("Draft cancelled"),
        _("%(actor)s cancelled the draft with all that waited in the mailbox."),
    ),
    Action("approvals.draft.claimed", _("Draft claimed"), _("%(actor)s began to decide about the draft.")),
    Action(
        "approvals.draft.claim_released",
        _("Claim released"),
        _("A person stopped deciding about the draft."),
    ),
    Action(
        "approvals.draft.claim_taken_over",
        _("Claim taken over"),
        _("%(actor)s took over deciding about the draft."),
    ),
    Action(
        "approvals.draft.assigned",
        _("Draft assigned"),
        _("%(actor)s said who is to decide about the draft."),
    ),
    Action(
        "approvals.draft.escalated",
        _("Draft escalated"),
        _("%(actor)s asked for help with the draft: %(reason)s"),
    ),
    Action(
        "approvals.draft.escalation_ended",
        _("Escalation ended"),
        _("%(actor)s ended the escalation of the draft."),
    ),
    Action(
        "approvals.draft.snoozed", _("Draft snoozed"), _("%(actor)s put the draft off in their own queue.")
    ),
    Action(
        "approvals.draft.unsnoozed",
        _("Snooze ended"),
        _("%(actor)s put the draft back into their own queue."),
    ),
    Action("approvals.draft.withdrawn", _("Draft withdrawn"), _("The draft is gone at the provider.")),
    Action(
        "approvals.draft.sent_elsewhere",
        _("Draft sent elsewhere"),
        _("Its mail left the mailbox without this desk."),
    ),
    Action(
        "approvals.message.sent_elsewhere",
        _("Sent elsewhere"),
        _("A message left the mailbox, and no decision allowed it."),
    ),
    Action(
        "approvals.message.acknowledged",
        _("Sent elsewhere, acknowledged"),
        _("%(actor)s acknowledged a message that was sent elsewhere."),
    ),
    Action(
        "approvals.draft.superseded", _("Draft superseded"), _("Another draft takes the place of this one.")
    ),
    Action(
        "approvals.draft.compared",
        _("Draft compared"),
        _("%(actor)s said what they would have done with a draft of the dry run."),
    ),
    # What people keep for everybody
    Action(
        "approvals.view.kept",
        _("View of everybody kept"),
        _("%(actor)s kept or renamed a filter of the queue for everybody."),
    ),
    Action(
        "approvals.view.moved",
        _("View of everybody moved"),
        _("%(actor)s moved a filter of the queue that everybody has to another place."),
    ),
    Action(
        "approvals.view.removed",
        _("View of everybody removed"),
        _("%(actor)s removed a filter of the queue that everybody had."),
    ),
    Action(
        "approvals.reason.kept",
        _("Reason of everybody kept"),
        _("%(actor)s kept or changed a reason for everybody."),
    ),
    Action(
        "approvals.reason.removed",
        _("Reason of everybody removed"),
        _("%(actor)s removed a reason that everybody had."),
    ),
    # Batches
    Action(
        "approvals.batch.opened",
        _("Batch opened"),
        _("%(actor)s opened several drafts to read them together."),
    ),
    Action(
        "approvals.batch.decided",
        _("Batch decided"),
        _("%(actor)s decided about several drafts together: %(outcome)s."),
    ),
    Action(
        "approvals.batch.item_done",
        _("Decided in a batch"),
        _("The draft had its turn in a batch of %(actor)s: %(outcome)s."),
    ),
    Action(
        "approvals.batch.stopped",
        _("Batch stopped"),
        _("%(actor)s left out what still waited in a batch."),
    ),
    Action(
        "approvals.batch.ended", _("Batch ended"), _("Every draft of the batch of %(actor)s had its turn.")
    ),
    Action(
        "approvals.images.loaded",
        _("Remote images loaded"),
        _("%(actor)s had the remote images of a mail loaded, which tells its sender that it was opened."),
    ),
    Action(
        "approvals.send.judged",
        _("Sent mail judged"),
        _("%(actor)s said whether a mail that was sent was right."),
    ),
    Action(
        "approvals.draft.turned_away",
        _("Draft turned away"),
        _("Only a person may answer this; the agent's draft was turned away."),
    ),
    # Sends
    Action("approvals.send.queued", _("Send queued"), _("The message waits to be sent.")),
    Action("approvals.send.held", _("Send held"), _("The message is held until a person resumes it.")),
    Action("approvals.send.resumed", _("Send resumed"), _("%(actor)s resumed the held message.")),
    Action(
        "approvals.send.claimed", _("Send begun"), _("The message is about to be handed to the provider.")
    ),
    Action(
        "approvals.send.not_started",
        _("Send not started"),
        _("Nothing left this desk; it will be tried again."),
    ),
    Action(
        "approvals.send.rehearsed",
        _("Would have been sent"),
        _("Every check passed; the mailbox is in its dry run, so nothing was sent."),
    ),
    Action("approvals.send.accepted", _("Send accepted"), _("The provider accepted the message.")),
    Action("approvals.send.refused", _("Send refused"), _("The message was not sent: a check refused it.")),
    Action("approvals.send.deferred", _("Send deferred"), _("The message waits and will be tried again.")),
    Action(
        "approvals.send.explained",
        _("Refusal explained"),
        _("The provider's rule evaluation that refused the message was found."),
    ),
    Action("approvals.send.failed", _("Send failed"), _("The provider refused the message.")),
    Action("approvals.send.stopped", _("Send stopped"), _("The message will not be sent.")),
    Action(
        "approvals.send.unknown",
        _("Send unknown"),
        _("It is not known whether the provider took the message; it is not sent again by itself."),
    ),
    Action(
        "approvals.send.looked_up",
        _("Send looked up"),
        _("The provider was asked for a trace of the message."),
    ),
    Action("approvals.send.found", _("Send found"), _("The message was found at the provider.")),
    Action("approvals.send.closed_sent", _("Closed as sent"), _("%(actor)s closed the send as sent.")),
    Action(
        "approvals.send.closed_not_sent", _("Closed as not sent"), _("%(actor)s closed the send as not sent.")
    ),
    Action(
        "approvals.send.resend_authorised",
        _("Resend authorised"),
        _("%(actor)s authorised another attempt, knowing that the first may have arrived."),
    ),
    Action(
        "approvals.send.content_differs",
        _("Sent content differs"),
        _("The copy at the provider differs from what was approved."),
    ),
    Action(
        "approvals.send.crossed",
        _("Crossed with a new message"),
        _("A message arrived in the conversation while this one was being sent."),
    ),
    Action(
        "approvals.send.second_copy",
        _("Second copy sent"),
        _("The same message was sent again outside this desk."),
    ),
    Action(
        "approvals.send.contradicted",
        _("Send contradicted"),
        _("The provider reported something that contradicts what is known of the send."),
    ),
    Action(
        "approvals.send.draft_deleted",
        _("Draft deleted at the provider"),
        _("The draft was deleted at the provider after its message was sent."),
    ),
    # Outcomes and follow-ups
    Action("approvals.outcome.recorded", _("Outcome recorded"), _("The provider reported: %(outcome)s.")),
    Action("approvals.follow_up.opened", _("Follow-up opened"), _("A delivery problem needs a person.")),
    Action("approvals.follow_up.corrected", _("Address corrected"), _("%(actor)s wrote a corrected draft.")),
    Action(
        "approvals.follow_up.escalated", _("Follow-up escalated"), _("%(actor)s passed the follow-up on.")
    ),
    Action("approvals.follow_up.closed", _("Follow-up closed"), _("%(actor)s closed the follow-up.")),
    # Mail that only people answer
    Action("approvals.needs_person.opened", _("Needs a person"), _("A message needs a person to answer it.")),
    Action(
        "approvals.needs_person.closed", _("Done by a person"), _("%(actor)s closed what needed a person.")
    ),
    # The kill switch
    Action("policies.switch.engaged", _("Sending stopped"), _("%(actor)s stopped sending.")),
    Action("policies.switch.released", _("Sending allowed again"), _("%(actor)s allowed sending again.")),
    Action(
        "policies.switch.waited",
        _("Waited for sends under way"),
        _("After the stop, sends already under way were waited for: %(outcome)s."),
    ),
    Action(
        "policies.switch.tripped",
        _("Limit passed"),
        _("The desk stopped the mailbox by itself: %(reason)s"),
    ),
    Action(
        "approvals.stages.started",
        _("Resuming in stages"),
        _("%(actor)s began to resume held mail a few at a time."),
    ),
    Action(
        "approvals.stages.ended",
        _("Resuming in stages ended"),
        _("No more held mail is resumed by itself: %(reason)s"),
    ),
    # Policies
    Action("policies.row.created", _("Policy added"), _("%(actor)s added to the policies.")),
    Action(
        "policies.rows.created",
        _("Policies added together"),
        _("%(actor)s added several rows to the policies at once."),
    ),
    Action("policies.row.changed", _("Policy changed"), _("%(actor)s changed the policies.")),
    Action("policies.row.removed", _("Policy removed"), _("%(actor)s removed something from the policies.")),
    # Oversight modes
    Action(
        "approvals.mode.changed",
        _("Oversight mode changed"),
        _("%(actor)s changed the oversight mode of the mailbox: %(outcome)s."),
    ),
    Action("approvals.inbound.held", _("Message held"), _("A message waits to be released to the agent.")),
    Action(
        "approvals.inbound.released", _("Message released"), _("%(actor)s released the message to the agent.")
    ),
    Action(
        "approvals.notification.given_up",
        _("Notification given up"),
        _("The mailbox's channel could not be told."),
    ),
    # The provider's policies, rules, lists and workspaces
    Action(
        "approvals.provider.asked",
        _("Provider asked to change"),
        _("%(actor)s asked the provider to change its policies, rules, lists or workspaces."),
    ),
    Action(
        "approvals.provider.answered",
        _("Provider answered"),
        _("The provider answered the change: %(outcome)s."),
    ),
    # Mailboxes and events
    Action("agentmail.mailbox.connected", _("Mailbox connected"), _("%(actor)s connected the mailbox.")),
    Action(
        "agentmail.mailbox.changed", _("Mailbox changed"), _("%(actor)s changed the settings of the mailbox.")
    ),
    Action(
        "agentmail.mailbox.paused",
        _("Mailbox paused"),
        _("The mailbox can no longer be used at the provider."),
    ),
    Action(
        "agentmail.mailbox.recovered", _("Mailbox recovered"), _("The mailbox works again at the provider.")
    ),
    Action("agentmail.mailbox.removed", _("Mailbox removed"), _("The mailbox was removed.")),
    Action(
        "agentmail.event.quarantined",
        _("Event set aside"),
        _("An event of the provider could not be used and was set aside."),
    ),
    # People
    Action("approvals.person.created", _("Person added"), _("%(actor)s added a person.")),
    Action("approvals.person.changed", _("Person changed"), _("%(actor)s changed a person's rights.")),
    Action("approvals.sign_in.succeeded", _("Signed in"), _("%(actor)s signed in.")),
    Action("approvals.sign_in.failed", _("Sign-in failed"), _("A sign-in was refused.")),
)

ACTIONS: dict[str, Action] = {action.name: action for action in _ALL}
