"""From the provider's events to facts about recipients and work for people.

Facts are only added, so events may come in any order, twice or late; what is shown is computed from the set.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from agentmail import events, mirror
from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import NotFound, ProviderError, RequestRefused
from agentmail.failpoints import reach
from agentmail.models import EventState, GrantState, Mailbox, Message, ProviderEvent
from agentmail.types import SendActivity
from approvals import copies, inbound_rules, intake, mailboxes
from approvals.models import OutcomeKind, RecipientOutcome, Send
from approvals.states import SendState
from approvals.transitions import follow_ups, sends
from approvals.transitions.moves import LostRace, lock_send
from audit.clock import database_now
from audit.record import Actor, record

logger = logging.getLogger(__name__)

PROVIDER = Actor(kind="provider", id="nylas", name="Nylas")

# How often an event is tried that may be about a send whose reply is not written down yet: with the pauses below
# some 14 hours, because the last look-up for an unknown send comes after twelve.
MATCH_TRIES = 20
RETRY_SECONDS = (2, 5, 15, 60, 300, 900, 3600)

NO_REPORT_AFTER = timedelta(hours=72)
POLL_AFTER_SECONDS = (120, 600, 3600, 21_600, 86_400, 172_800, 259_200)
# A provider that is silent when the time is over is asked every hour until this age.
ASKED_AT_MOST_FOR = timedelta(days=7)

# The gravest fact of a recipient is its picture, whatever came first.
GRAVITY = (
    OutcomeKind.NO_REPORT,
    OutcomeKind.SOFT_BOUNCE,
    OutcomeKind.DELIVERED,
    OutcomeKind.SEND_FAILED,
    OutcomeKind.REJECTED,
    OutcomeKind.HARD_BOUNCE,
    OutcomeKind.COMPLAINT,
)
WORK = {
    OutcomeKind.SOFT_BOUNCE: "soft_bounce",
    OutcomeKind.HARD_BOUNCE: "hard_bounce",
    OutcomeKind.COMPLAINT: "complaint",
    OutcomeKind.REJECTED: "rejected",
    OutcomeKind.SEND_FAILED: "send_failed",
}


class NotYetMatched(Exception):
    """The event speaks of a mail that no send is known to be; it may be written down in a moment."""


def process(event_id: int) -> EventState | None:
    """Act on a stored event once; None when it was finished before. Trouble is kept and tried again later."""
    event = ProviderEvent.objects.filter(
        pk=event_id, state__in=[EventState.STORED, EventState.FAILING]
    ).first()
    if event is None:
        return None
    mailbox = Mailbox.objects.filter(grant_id=event.grant_id).first()
    try:
        state = EventState.QUARANTINED if mailbox is None else _act(event, mailbox)
    except NotYetMatched:
        if event.attempts < MATCH_TRIES:
            return _retry(event, EventState.STORED, "")
        state = EventState.IGNORED
    except ProviderError as error:
        return _retry(event, EventState.FAILING, str(error))
    except LostRace:
        return _retry(event, EventState.STORED, "")
    except Exception:
        # Whatever one notification does to us, it waits for another try and lets the others pass.
        logger.exception("event %s could not be acted on", event.pk)
        why = _("It could not be acted on; operators find the reason in the log.")
        return _retry(event, EventState.FAILING, why)
    reach("C12")
    ProviderEvent.objects.filter(pk=event.pk).update(state=state, trouble="", next_attempt_at=None)
    if state == EventState.QUARANTINED:
        with transaction.atomic():
            record(
                "agentmail.event.quarantined", actor=PROVIDER, data={"event": event.pk, "type": event.type}
            )
    return state


def picture(facts: Iterable[RecipientOutcome]) -> dict[str, OutcomeKind]:
    """What is known of each recipient, from all facts about it: the same in whatever order they came."""
    by_address: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        by_address[fact.address].add(fact.kind)
    return {
        address: max((OutcomeKind(kind) for kind in kinds), key=GRAVITY.index)
        for address, kinds in by_address.items()
    }


def add_fact(
    send_id: int,
    *,
    address: str,
    kind: OutcomeKind,
    source: str,
    event: ProviderEvent | None = None,
    code: str = "",
    provider_time: int | None = None,
) -> bool:
    """Add a fact about a recipient and open the work it means; whether it was news.

    The follow-up goes to the person who approved. No fact ever changes the state of a send or sends anything.
    """
    with transaction.atomic():
        send = lock_send(send_id)
        now = database_now()
        key = address.casefold()[:320]
        follow_ups.lock_open(send)
        _, is_new = RecipientOutcome.objects.get_or_create(
            send=send,
            address=key,
            kind=kind,
            source=source[:300],
            defaults={"event": event, "code": code[:300], "provider_time": provider_time, "recorded_at": now},
        )
        if not is_new:
            return False
        facts = list(send.outcomes.all())
        record(
            "approvals.outcome.recorded",
            actor=PROVIDER if event is not None else Actor("system", "system", "Countersign"),
            mailbox_id=send.mailbox_id,
            draft_id=send.draft_id,
            send_id=send.pk,
            thread_id=send.thread_id,
            recipients=[address],
            outcome=kind.value,
            provider_id=send.provider_message_id,
            reason=code[:300],
            data={"event": event.pk if event is not None else None, "source": source},
        )
        shown = picture(facts)
        if kind in WORK and not (kind == OutcomeKind.SOFT_BOUNCE and shown[key] != kind):
            follow_ups.open_for(send, WORK[kind], now=now)
        elif kind == OutcomeKind.DELIVERED and OutcomeKind.SOFT_BOUNCE not in shown.values():
            follow_ups.delivered_afterwards(send, now=now)
        return True


def poll(send_id: int) -> None:
    """Ask the provider what became of an accepted send, for events that were lost.

    Also when something is known: a bounce or a complaint may follow a delivery. After 72 hours without any word of a
    recipient, that is what is noted.
    """
    send = Send.objects.select_related("decision__revision").get(pk=send_id)
    if send.state != SendState.ACCEPTED or send.accepted_at is None:
        Send.objects.filter(pk=send_id).update(next_outcome_poll_at=None)
        return
    age = database_now() - send.accepted_at
    is_over = (_ask_activity(send) and age >= NO_REPORT_AFTER) or age >= ASKED_AT_MOST_FOR
    if is_over:
        reported = picture(send.outcomes.all())
        for address in send.decision.revision.recipients():
            if address.casefold() not in reported:
                add_fact(send_id, address=address, kind=OutcomeKind.NO_REPORT, source="desk")
    Send.objects.filter(pk=send_id).update(
        next_outcome_poll_at=None if is_over else database_now() + _until_next_poll(age)
    )


def _until_next_poll(age: timedelta) -> timedelta:
    seconds = age.total_seconds()
    following = next((after for after in POLL_AFTER_SECONDS if after > seconds), seconds + 3600)
    return timedelta(seconds=max(following - seconds, 60))


def _ask_activity(send: Send) -> bool:
    """Add what the send activity reports; False when the provider gave no answer and is to be asked again."""
    try:
        for entry in configured_client().list_send_activity(
            send.grant_id, message_id=send.provider_message_id
        ):
            if entry.kind in OutcomeKind.values and entry.message_id == send.provider_message_id:
                _add_reported(send.pk, entry)
    except (NotFound, RequestRefused):
        # Only agent accounts have it.
        return True
    except ProviderError:
        logger.info("the send activity of send %s gave no answer", send.pk)
        return False
    return True


def _add_reported(send_id: int, entry: SendActivity) -> None:
    # An event told it in more detail; the activity must not add the same fact under another name.
    told = RecipientOutcome.objects.filter(
        send_id=send_id, address=entry.recipient.casefold(), kind=entry.kind
    )
    if not told.exists():
        add_fact(
            send_id,
            address=entry.recipient,
            kind=OutcomeKind(entry.kind),
            source="activity",
            code=entry.detail or entry.code,
            provider_time=entry.at,
        )


def _act(event: ProviderEvent, mailbox: Mailbox) -> EventState:
    parsed = events.parse(event)
    if isinstance(parsed, events.DeliveryReport | events.SendFailedReport):
        _note_report(event, mailbox, parsed)
        return EventState.DONE
    if isinstance(parsed, events.MessageArrived | events.MessageTruncated):
        _note_message(mailbox, parsed.provider_message_id, parsed.thread_id, configured_client())
        return EventState.DONE
    if isinstance(parsed, events.MessageDeleted):
        _note_deletion(mailbox, parsed.provider_message_id, configured_client())
        return EventState.DONE
    if isinstance(parsed, events.GrantChanged):
        _confirm_grant(mailbox, configured_client())
        return EventState.DONE
    if isinstance(parsed, events.DraftChanged):
        intake.observe_by_id(mailbox, parsed.provider_draft_id, configured_client())
        return EventState.DONE
    return EventState.IGNORED


def _note_report(
    event: ProviderEvent, mailbox: Mailbox, report: events.DeliveryReport | events.SendFailedReport
) -> None:
    send = _send_of(mailbox, report.provider_message_id, report.token)
    if send is None:
        raise NotYetMatched
    if send.state != SendState.ACCEPTED:
        # A report about a mail is evidence that it left.
        if isinstance(report, events.SendFailedReport):
            raise NotYetMatched
        sends.found(send.pk, source="event", provider_message_id=report.provider_message_id, actor=PROVIDER)
    for recipient in report.recipients:
        add_fact(
            send.pk,
            address=recipient.address,
            kind=OutcomeKind(recipient.kind),
            source=f"event:{event.notification_id}",
            event=event,
            code=recipient.detail or recipient.code,
            provider_time=report.at,
        )
    # Only a bounce that a mailbox detected in its own mail may name another message than the one it is about.
    if report.token and send.state == SendState.ACCEPTED and event.type != "message.bounce_detected":
        copies.note_reported(send, report.provider_message_id, configured_client())


def _send_of(mailbox: Mailbox, provider_message_id: str, token: str) -> Send | None:
    mine = Send.objects.filter(mailbox=mailbox)
    if token and (send := mine.filter(token=token).first()):
        return send
    if provider_message_id:
        return mine.filter(provider_message_id=provider_message_id).first()
    return None


def _note_message(mailbox: Mailbox, provider_message_id: str, thread_id: str, client: NylasClient) -> None:
    try:
        snapshot = client.get_message(mailbox.grant_id, provider_message_id, with_headers=True)
    except NotFound:
        # Gone again, or announced before it can be read: its thread tells.
        _note_deletion(mailbox, provider_message_id, client)
        if thread_id:
            intake.check_thread(mailbox, thread_id, client)
        return
    except ProviderError:
        # Known to exist and not read in full: until it is, nothing of its thread can be decided.
        mirror.note_incomplete(mailbox, provider_message_id, thread_id)
        raise
    message = mirror.store_message(mailbox, snapshot)
    inbound_rules.judge_new(mailbox)
    copies.note(message, client, source="event", actor=PROVIDER)
    if snapshot.thread_id:
        intake.check_thread(mailbox, snapshot.thread_id, client)


def _note_deletion(mailbox: Mailbox, provider_message_id: str, client: NylasClient) -> None:
    message = Message.objects.filter(mailbox=mailbox, provider_id=provider_message_id).first()
    if message is None:
        return
    Message.objects.filter(pk=message.pk).update(is_deleted=True)
    if message.thread_id:
        intake.check_thread(mailbox, message.thread_id, client)


def _confirm_grant(mailbox: Mailbox, client: NylasClient) -> None:
    try:
        grant = client.get_grant(mailbox.grant_id)
    except NotFound:
        mailboxes.pause(
            mailbox.pk, state=GrantState.REMOVED, why=_("The provider no longer knows the grant.")
        )
        return
    if grant.is_valid and not grant.is_blocked:
        mailboxes.recover(mailbox.pk)
    else:
        mailboxes.pause(mailbox.pk, why=_("The provider says the grant is not valid."))


def _retry(event: ProviderEvent, state: EventState, trouble: str) -> EventState:
    seconds = RETRY_SECONDS[min(event.attempts, len(RETRY_SECONDS) - 1)]
    ProviderEvent.objects.filter(pk=event.pk).update(
        state=state,
        trouble=trouble[:500],
        attempts=F("attempts") + 1,
        next_attempt_at=database_now() + timedelta(seconds=seconds),
    )
    return state
