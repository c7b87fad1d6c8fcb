"""Notices by email, through Django's mail settings: kept before, handed over once it may be, tried again if it fails.

A process may die between the hand-over and our note of it. The mail is then handed over once more under the same
Message-ID, by which whoever gets it knows that it is the same.
"""

from __future__ import annotations

import logging
import smtplib
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import InterfaceError, OperationalError, transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.failpoints import reach
from approvals.notices import audience, digests, wishes, words
from approvals.notices.models import Notice, NoticeKind, NoticeMail, NoticeSettings
from approvals.outgoing_mail import is_configured
from audit.clock import database_now
from policies import locks

logger = logging.getLogger(__name__)

# After the first, second … failed try; then it is given up.
RETRY_SECONDS = (60, 300, 1800, 7200, 21_600)
TRIES = len(RETRY_SECONDS) + 1
# How long everything waits for a mail server that cannot be reached.
REST_SECONDS = 60
# So many that are due at once are so many mails; more are one.
SINGLE = 3
MAILS_PER_HOUR = 20
LINES = 50
PEOPLE_AT_ONCE = 200
# A server that is slow with each mail leaves the rest to the next round.
LONGEST_SECONDS = 120.0


class ServerDown(Exception):
    """The mail server takes nothing from anybody at the moment."""


def deliver_due() -> int:
    """Hand over every mail that is due, one person after another; how many mails. Safe to call at any time.

    A mail server that hangs keeps one thread of the process that tells people, and nothing else.
    """
    if not is_configured():
        return 0
    sent = 0
    with locks.hold("notices:mail") as lock:
        if lock is None:
            return 0
        began = time.monotonic()
        for person_id in _due_people():
            if time.monotonic() - began > LONGEST_SECONDS:
                break
            try:
                sent += _deliver_to(person_id)
            except ServerDown:
                now = database_now()
                NoticeMail.objects.filter(next_try_at__lte=now).update(
                    next_try_at=now + timedelta(seconds=REST_SECONDS)
                )
                break
    return sent


def is_due() -> bool:
    return is_configured() and NoticeMail.objects.filter(next_try_at__lte=database_now()).exists()


def _due_people() -> list[int]:
    rows = NoticeMail.objects.filter(next_try_at__lte=database_now()).order_by("next_try_at", "pk")
    return list(dict.fromkeys(rows.values_list("person_id", flat=True)[: PEOPLE_AT_ONCE * 10]))[
        :PEOPLE_AT_ONCE
    ]


def _deliver_to(person_id: int) -> int:
    # Read afresh, with rights and wishes as they are now.
    person = User.objects.select_related("notice_settings").get(pk=person_id)
    wished = wishes.wishes_of(person)
    now = database_now()
    rows = list(
        NoticeMail.objects.filter(person=person, next_try_at__lte=now)
        .select_related("notice__mailbox", "notice__draft")
        .defer("notice__draft__search_text", "notice__draft__thread_pinned")
        .order_by("pk")
    )
    sent = 0
    tried_before: dict[uuid.UUID, list[NoticeMail]] = defaultdict(list)
    fresh, unwanted = [], []
    late: dict[datetime, list[NoticeMail]] = defaultdict(list)
    for row in rows:
        until = wishes.quiet_until(wished, now, is_urgent=row.notice.is_urgent)
        if not _is_wanted(row, person):
            unwanted.append(row)
        elif until is not None:
            late[until].append(row)
        elif row.message is not None:
            tried_before[row.message].append(row)
        else:
            fresh.append(row)
    _drop(unwanted)
    for until, held in late.items():
        _put_off(held, until)
    groups = list(tried_before.values())
    groups += [fresh] if len(fresh) > SINGLE else [[row] for row in fresh]
    for number, group in enumerate(groups):
        room_at = _room_at(person_id, now)
        if room_at is not None:
            _put_off([row for one in groups[number:] for row in one], room_at)
            break
        sent += _hand_over(group, person, wished)
    return sent


def _is_wanted(row: NoticeMail, person: User) -> bool:
    """Whether a person is to be mailed about a notice: still there, still allowed, and not settled before it began."""
    is_settled = row.notice.closed_at is not None and row.message is None
    if is_settled or not person.is_active or not person.email or not audience.is_for(row.notice, person):
        return False
    return row.notice.kind != NoticeKind.DIGEST or digests.has_something_to_say(row.notice, person)


def _drop(rows: Sequence[NoticeMail]) -> None:
    if rows:
        NoticeMail.objects.filter(pk__in=[row.pk for row in rows]).update(
            next_try_at=None, trouble=_("Not needed any more, or not allowed any more.")
        )


def _put_off(rows: Sequence[NoticeMail], until: datetime) -> None:
    NoticeMail.objects.filter(pk__in=[row.pk for row in rows]).update(next_try_at=until)


def _room_at(person_id: int, now: datetime) -> datetime | None:
    """When a person may get another mail; None for now."""
    since = now - timedelta(hours=1)
    sent = NoticeMail.objects.filter(person_id=person_id, delivered_at__gt=since, message__isnull=False)
    messages = sent.values_list("message", flat=True).distinct()
    if len(messages[:MAILS_PER_HOUR]) < MAILS_PER_HOUR:
        return None
    oldest = sent.order_by("delivered_at").values_list("delivered_at", flat=True)[0]
    return (oldest or now) + timedelta(hours=1)


def _hand_over(rows: list[NoticeMail], person: User, wished: NoticeSettings) -> bool:
    message = rows[0].message or uuid.uuid4()
    ids = [row.pk for row in rows]
    # Before anything leaves, so that what is handed over again is the same mail.
    if not NoticeMail.objects.filter(pk__in=ids).update(message=message):
        return False
    try:
        mail = mail_of([row.notice for row in rows], person, wished, message)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        # What cannot be told to one person must not keep the others from theirs.
        logger.exception("notices %s could not be put into words", ids)
        _write_down(rows, message, _("It could not be written: %(why)s") % {"why": type(error).__name__})
        return False
    trouble, is_down = "", False
    try:
        with get_connection() as connection:
            mail.connection = connection
            mail.send()
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        # The text of some of these names the address, so only the kind is kept.
        trouble = _("It was refused: %(why)s") % {"why": type(error).__name__}
    except Exception as error:  # noqa: BLE001 - a mail server fails in many ways; each means that nobody was told
        trouble, is_down = _("No answer: %(why)s") % {"why": type(error).__name__}, True
    reach("N2")
    _write_down(rows, message, trouble)
    if trouble:
        logger.warning("notices %s could not be mailed: %s", ids, trouble)
    if is_down:
        raise ServerDown
    return not trouble


def _write_down(rows: Sequence[NoticeMail], message: uuid.UUID, trouble: str) -> None:
    with transaction.atomic():
        now = database_now()
        ids = [row.pk for row in rows]
        found = NoticeMail.objects.filter(pk__in=ids)
        if not trouble:
            found.update(delivered_at=now, next_try_at=None, trouble="")
            carried = NoticeMail.objects.filter(
                digest__in=[row.notice_id for row in rows],
                person_id=rows[0].person_id,
                delivered_at__isnull=True,
            )
            carried.update(delivered_at=now, message=message)
            return
        tries = rows[0].tries + 1
        is_last = tries >= TRIES
        found.update(
            tries=tries,
            trouble=trouble[:300],
            next_try_at=None if is_last else now + timedelta(seconds=RETRY_SECONDS[tries - 1]),
            given_up_at=now if is_last else None,
        )


def mail_of(
    notices: Sequence[Notice], person: User, wished: NoticeSettings, message: uuid.UUID
) -> EmailMultiAlternatives:
    """One mail about one notice or several. Of a draft it quotes the subject and who it is to, nothing else."""
    only = notices[0] if len(notices) == 1 else None
    blocks = [_block(notice, wished) for notice in notices[:LINES]]
    left = len(notices) - len(blocks)
    if only is not None and only.kind == NoticeKind.DIGEST:
        carried = digests.carried_by(only, person)
        blocks += [_block(notice, wished) for notice in carried[:LINES]]
        left = max(0, len(carried) - LINES)
    if only is not None:
        subject = words.title_of(only)
        if only.mailbox is not None:
            subject = f"{subject} ({words.quoted(only.mailbox.address)})"
    else:
        subject = ngettext("%(count)s notice", "%(count)s notices", len(notices)) % {"count": len(notices)}
    more = ngettext("and %(count)s more", "and %(count)s more", left) % {"count": left} if left else ""
    context: dict[str, Any] = {
        "subject": subject,
        "blocks": blocks,
        "more": more,
        "more_address": address_of(reverse("approvals:notices")),
        "settings_address": address_of(reverse("approvals:notice_settings")),
    }
    host = urlsplit(settings.BASE_URL).hostname or "countersign.localhost"
    headers = {
        "Message-ID": f"<notice.{message}@{host}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "List-Id": f"Countersign notices <notices.{host}>",
    }
    if only is not None and only.draft is not None:
        thread = f"<draft.{only.draft.public_id}.{person.pk}@{host}>"
        headers |= {"In-Reply-To": thread, "References": thread}
    mail = EmailMultiAlternatives(
        subject=f"[Countersign] {subject}", body=_text(context), to=[person.email], headers=headers
    )
    mail.attach_alternative(render_to_string("approvals/notice_mail.html", context), "text/html")
    return mail


def address_of(path: str) -> str:
    return f"{settings.BASE_URL}{path}"


def _block(notice: Notice, wished: NoticeSettings) -> dict[str, Any]:
    lines = words.lines_of(notice)
    expires_at = words.expires_at_of(notice)
    if expires_at is not None:
        zone = wishes.zone_in(wished)
        here = expires_at.astimezone(zone)
        lines.append((words.expires_word(notice), f"{here:%Y-%m-%d %H:%M} ({zone})"))
    settled = words.settled_of(notice)
    if settled:
        lines.append((_("Settled"), settled))
    return {"title": words.title_of(notice), "lines": lines, "address": address_of(notice.path)}


def _text(context: dict[str, Any]) -> str:
    parts = []
    for block in context["blocks"]:
        parts += [block["title"], *(f"{label}: {value}" for label, value in block["lines"])]
        parts += [block["address"], ""]
    if context["more"]:
        parts += [f"{context['more']}: {context['more_address']}", ""]
    parts += [
        _(
            "Each address opens a page of the desk for whoever is signed in. Nothing is decided by opening it."
        ),
        _("How you are told:") + f" {context['settings_address']}",
    ]
    return "\n".join(parts) + "\n"
