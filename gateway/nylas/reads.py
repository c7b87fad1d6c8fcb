"""What an agent reads: the provider's answers, asked with our key, less what it may not see."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from agentmail import parsing
from agentmail.client import configured_client
from agentmail.exceptions import ProviderUnavailable
from agentmail.types import RawKind
from approvals import inbound
from approvals.content import MESSAGE_BYTES
from approvals.models import AttachmentBlob, Draft, Submission, SubmissionState
from approvals.states import OPEN_DRAFT_STATES, DraftState, SendState
from gateway.callers import NotThere
from gateway.models import Scope
from gateway.nylas import shapes
from gateway.nylas.door import Call, NotOffered, Unusable, answer
from policies import modes

READ_SECONDS = 15.0
# Where messages are held back, a list is read to its end: at most so many pages of the provider, for so long.
MOST_PAGES = 10
WALK_SECONDS = 30.0
PAGE, LARGEST_PAGE = 50, 200
DRAFT_PAGE = 50
THREAD_PAGE, LARGEST_THREAD_PAGE = 20, 50
VALUE_CHARACTERS = 2000
_cursors = Signer(salt="countersign.nylas.cursor")

_ADDRESSES = frozenset({"any_email", "to", "from", "cc", "bcc"})
_PAGING = frozenset({"limit", "page_token", "select"})
_MATCHING = _ADDRESSES | {
    "subject",
    "in",
    "unread",
    "starred",
    "thread_id",
    "has_attachment",
    "search_query_native",
}
_THREAD_DATES = frozenset({"earliest_message_date", "latest_message_before", "latest_message_after"})
MESSAGES = _PAGING | _MATCHING | {"received_before", "received_after", "fields"}
THREADS = _PAGING | _MATCHING - {"thread_id"} | _THREAD_DATES
CONTACTS = _PAGING | {"email", "phone_number", "source"}
DRAFTS = frozenset({"limit", "page_token", "thread_id"})
# Places of the provider's API that stand where an id would.
_PLACES = frozenset(
    {"send", "schedules", "clean", "smart-compose", "groups", "upload-sessions", "attachment-uploads"}
)


def grant(call: Call) -> HttpResponse:
    call.need(Scope.READ, modes.CHECK_INBOX)
    query(call, frozenset())
    found = configured_client().raw_grant(call.mailbox.grant_id, read_timeout=READ_SECONDS)
    if parsing.text(found.get("id")) != call.mailbox.grant_id:
        raise NotThere
    return answer(shapes.grant(found))


def list_messages(call: Call) -> HttpResponse:
    call.need(Scope.READ, modes.CHECK_INBOX)
    params = query(call, MESSAGES)
    select, limit = params.pop("select", ""), _limit(params, PAGE, LARGEST_PAGE)
    if inbound.hides_some(call.mailbox):
        offset = _place(params.pop("page_token", ""))
        messages, cursor = _cut(_walk(call, params), offset, limit)
    else:
        page = configured_client().raw_page(
            call.mailbox.grant_id, "messages", params | {"limit": str(limit)}, read_timeout=READ_SECONDS
        )
        messages, cursor = _readable(call, page.objects), page.cursor
    return _listed([shapes.selected(shapes.shown(one), select) for one in messages], cursor)


def get_message(call: Call, message_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.READ_EMAIL)
    params = query(call, frozenset({"fields", "select"}))
    select = params.pop("select", "")
    try:
        own = call.mail(message_id)
    except NotThere:
        return answer(shapes.selected(shapes.shown(message(call, message_id, params)), select))
    return answer(shapes.selected(shapes.mail(*own, "message"), select))


def list_threads(call: Call) -> HttpResponse:
    call.need(Scope.READ, modes.CHECK_INBOX)
    params = query(call, THREADS)
    select, limit = params.pop("select", ""), _limit(params, THREAD_PAGE, LARGEST_THREAD_PAGE)
    if inbound.hides_some(call.mailbox):
        unusable = sorted(params.keys() & _THREAD_DATES)
        if unusable:
            raise Unusable(unusable[0], _("Not possible while messages of this mailbox wait for a person."))
        offset = _place(params.pop("page_token", ""))
        found, cursor = _cut(_thread_ids(_walk(call, params)), offset, limit)
        threads = [_thread(call, thread_id) for thread_id in found]
    else:
        page = configured_client().raw_page(
            call.mailbox.grant_id, "threads", params | {"limit": str(limit)}, read_timeout=READ_SECONDS
        )
        hides = inbound.hides_some(call.mailbox)
        threads, cursor = [_seen(call, one, hides=hides) for one in page.objects], page.cursor
    return _listed([shapes.selected(one, select) for one in threads if one is not None], cursor)


def get_thread(call: Call, thread_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.READ_EMAIL)
    select = query(call, frozenset({"select"})).get("select", "")
    given = _object(call, "threads", thread_id, {})
    found = _seen(call, given, hides=inbound.hides_some(call.mailbox))
    if found is None:
        raise NotThere
    return answer(shapes.selected(found, select))


def list_folders(call: Call) -> HttpResponse:
    call.need(Scope.READ, modes.CHECK_INBOX)
    return _plain_list(call, "folders", _PAGING)


def get_folder(call: Call, folder_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.CHECK_INBOX)
    return _plain(call, "folders", folder_id)


def list_contacts(call: Call) -> HttpResponse:
    call.need(Scope.READ, modes.MANAGE_CONTACTS)
    return _plain_list(call, "contacts", CONTACTS)


def get_contact(call: Call, contact_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.MANAGE_CONTACTS)
    return _plain(call, "contacts", contact_id)


def list_drafts(call: Call) -> HttpResponse:
    """The agent's own mail that has not left and was not ended, the newest first."""
    call.need(Scope.READ, modes.LIST_PENDING)
    params = query(call, DRAFTS)
    limit = _limit(params, DRAFT_PAGE, DRAFT_PAGE)
    rows = _own_drafts(call)
    if params.get("thread_id"):
        rows = rows.filter(draft__thread_id=parsing.storable(params["thread_id"]))
    if before := _place(params.get("page_token", "")):
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    cursor = _cursors.sign(str(found[limit - 1].pk)) if len(found) > limit else ""
    return _listed([shapes.mail(one, one.draft) for one in found[:limit]], cursor)


def get_draft(call: Call, draft_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.LIST_PENDING)
    select = query(call, frozenset({"select"})).get("select", "")
    return answer(shapes.selected(shapes.mail(*call.mail(draft_id)), select))


def get_attachment(call: Call, attachment_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.READ_EMAIL)
    return answer(shapes.shown(_attachment(call, attachment_id)[1]))


def download_attachment(call: Call, attachment_id: str) -> HttpResponse:
    call.need(Scope.READ, modes.READ_EMAIL)
    draft, part = _attachment(call, attachment_id)
    if draft is not None:
        content = _kept(draft, attachment_id)
    else:
        content = configured_client().download_attachment(
            call.mailbox.grant_id,
            attachment_id,
            parent_id=call.request.GET["message_id"],
            limit=MESSAGE_BYTES,
            read_timeout=READ_SECONDS,
        )
    response = HttpResponse(content, content_type="application/octet-stream")
    name = "".join(one for one in parsing.text(part.get("filename")) if one.isprintable())
    response["Content-Disposition"] = content_disposition_header(True, name or "attachment") or "attachment"
    return response


def query(call: Call, allowed: frozenset[str]) -> dict[str, str]:
    """The parameters of a request, each once and by name. Raises Unusable for any that is not passed on."""
    params: dict[str, str] = {}
    for name, values in call.request.GET.lists():
        if name not in allowed:
            raise Unusable(name[:100], _("This parameter is not passed on."))
        if len(values) > 1 and name not in _ADDRESSES:
            raise Unusable(name, _("Once only."))
        params[name] = ",".join(values)
        if len(params[name]) > VALUE_CHARACTERS:
            raise Unusable(name, _("At most %(limit)d characters.") % {"limit": VALUE_CHARACTERS})
    return params


def message(call: Call, message_id: str, params: dict[str, str]) -> dict[str, Any]:
    """A message of the mailbox that the agent may read. Raises NotThere."""
    found = _readable(call, [_object(call, "messages", message_id, params)])
    if not found:
        raise NotThere
    return found[0]


def _object(call: Call, kind: RawKind, object_id: str, params: dict[str, str]) -> dict[str, Any]:
    if object_id.lower() in _PLACES:
        raise NotOffered(404, "this address is not offered to agents")
    return configured_client().raw_object(
        call.mailbox.grant_id, kind, object_id, params, read_timeout=READ_SECONDS
    )


def _readable(call: Call, objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    # A provider may list drafts beside messages, and a draft may be another agent's.
    messages = [one for one in objects if one.get("object") == "message"]
    ids = inbound.readable(call.mailbox, [parsing.text(one.get("id")) for one in messages])
    return [one for one in messages if parsing.text(one.get("id")) in ids]


def _walk(call: Call, params: dict[str, str]) -> Iterator[dict[str, Any]]:
    """All messages of a list that the agent may read, so that neither pages nor counts tell of the others."""
    client, cursor, began = configured_client(), "", time.monotonic()
    for _page in range(MOST_PAGES):
        if time.monotonic() - began > WALK_SECONDS:
            raise ProviderUnavailable("The list could not be read in time.")
        place = {"page_token": cursor} if cursor else {}
        page = client.raw_page(
            call.mailbox.grant_id,
            "messages",
            params | {"limit": str(LARGEST_PAGE)} | place,
            read_timeout=READ_SECONDS,
        )
        yield from _readable(call, page.objects)
        if not page.objects or not page.cursor or page.cursor == cursor:
            return
        cursor = page.cursor


def _thread_ids(messages: Iterator[dict[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    for one in messages:
        thread_id = parsing.text(one.get("thread_id"))
        if thread_id and thread_id not in seen:
            seen.add(thread_id)
            yield thread_id


def _seen(call: Call, given: dict[str, Any], *, hides: bool) -> dict[str, Any] | None:
    """A thread as the agent may see it; None when it may see nothing of it. `hides` is asked after it was read.

    Drafts in it may be another agent's, and held messages show in its snippet, people and dates: then it is made anew
    from the rest.
    """
    thread_id, latest = parsing.text(given.get("id")), given.get("latest_draft_or_message")
    has_drafts = bool(given.get("has_drafts") or given.get("draft_ids"))
    is_plain = isinstance(latest, dict) and latest.get("object") == "message" and not has_drafts
    if given.get("object") != "thread" or not thread_id:
        return None
    if is_plain and not hides:
        return dict(shapes.shown(given))
    return _thread(call, thread_id)


def _thread(call: Call, thread_id: str) -> dict[str, Any] | None:
    messages = [
        one
        for one in _walk(call, {"thread_id": thread_id})
        if parsing.text(one.get("thread_id")) == thread_id
    ]
    drafts = [
        one.draft for one in _own_drafts(call).filter(draft__thread_id=thread_id) if one.draft is not None
    ]
    return shapes.thread(call.mailbox, thread_id, messages, drafts) if messages or drafts else None


def _own_drafts(call: Call) -> QuerySet[Submission]:
    is_open = Q(draft__state__in=OPEN_DRAFT_STATES) | Q(
        draft__state=DraftState.APPROVED, draft__send__state__in=[SendState.QUEUED, SendState.STOPPED]
    )
    return (
        Submission.objects.filter(
            mailbox=call.mailbox, agent_id=call.caller.token.agent_id, is_revision=False
        )
        .filter(Q(state=SubmissionState.RECEIVED) | is_open)
        .select_related("mailbox", "draft__mailbox", "draft__current_revision")
        .order_by("-pk")
    )


def _plain_list(call: Call, kind: RawKind, allowed: frozenset[str]) -> HttpResponse:
    params = query(call, allowed)
    select, limit = params.pop("select", ""), _limit(params, PAGE, LARGEST_PAGE)
    page = configured_client().raw_page(
        call.mailbox.grant_id, kind, params | {"limit": str(limit)}, read_timeout=READ_SECONDS
    )
    return _listed([shapes.selected(one, select) for one in _uncounted(call, page.objects)], page.cursor)


def _plain(call: Call, kind: RawKind, object_id: str) -> HttpResponse:
    select = query(call, frozenset({"select"})).get("select", "")
    found = _uncounted(call, [_object(call, kind, object_id, {})])[0]
    return answer(shapes.selected(found, select))


def _uncounted(call: Call, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects without counts of messages that the agent may not see."""
    hidden = {"total_count", "unread_count"} if inbound.hides_some(call.mailbox) else set()
    return [{name: shapes.shown(item) for name, item in one.items() if name not in hidden} for one in given]


def _attachment(call: Call, attachment_id: str) -> tuple[Draft | None, dict[str, Any]]:
    parent_id = query(call, frozenset({"message_id"})).get("message_id", "")
    if not parent_id:
        raise Unusable("message_id", _("Which message it is attached to."))
    try:
        submission, draft = call.mail(parent_id)
        parts: Any = shapes.attachments(submission, draft)
    except NotThere:
        draft, parts = None, message(call, parent_id, {}).get("attachments")
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and part.get("id") == attachment_id:
            return draft, part
    raise NotThere


def _kept(draft: Draft, attachment_id: str) -> bytes:
    parts = draft.current_revision.attachments if draft.current_revision is not None else []
    digest = next((part["sha256"] for part in parts if part["id"] == attachment_id), "")
    blob = AttachmentBlob.objects.filter(sha256=digest).first()
    if blob is None:
        raise NotThere
    return bytes(blob.content)


def _limit(params: dict[str, str], usual: int, largest: int) -> int:
    text = params.pop("limit", "") or str(usual)
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) < 1:
        raise Unusable("limit", _("A number from 1 to %(limit)d.") % {"limit": largest})
    return min(int(text), largest)


def _place(token: str) -> int:
    if not token:
        return 0
    try:
        return int(_cursors.unsign(token))
    except (BadSignature, ValueError) as error:
        raise Unusable("page_token", _("Not a cursor of this list.")) from error


def _cut(found: Iterator[Any], offset: int, limit: int) -> tuple[list[Any], str]:
    page = list(islice(found, offset, offset + limit + 1))
    return page[:limit], _cursors.sign(str(offset + limit)) if len(page) > limit else ""


def _listed(shown: list[dict[str, Any]], cursor: str) -> HttpResponse:
    return answer(shown, next_cursor=cursor or None)
