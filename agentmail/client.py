"""Calls to the provider. Knows no models; reads raise `ProviderError`, sends return a `SendReply`."""

from __future__ import annotations

import http.client
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
import urllib3
from django.conf import settings

from agentmail import failpoints, parsing, replies, wire
from agentmail.exceptions import (
    NotFound,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    RequestRefused,
    TooLarge,
    Unauthenticated,
)
from agentmail.pace import Pace
from agentmail.types import (
    DraftSnapshot,
    FolderSnapshot,
    GrantSnapshot,
    ListSnapshot,
    MessageSnapshot,
    PolicySnapshot,
    RawKind,
    RawPage,
    ReplyClass,
    RuleEvaluationSnapshot,
    RuleSnapshot,
    SendActivity,
    SendReply,
    ThreadSnapshot,
    WebhookSnapshot,
    WorkspaceSnapshot,
)

log = logging.getLogger(__name__)

LARGEST_REPLY_BYTES = 40 * 1024 * 1024
LONGEST_QUIET_WAIT_SECONDS = 2
KEPT_ACTIVITY_SECONDS = 90 * 86_400
# What one request may carry (nylas-v3 sections 7.3 and 7.4).
MOST_ITEMS = 1000
MOST_GRANTS = 500

_CHUNK_BYTES = 64 * 1024
# Ids, names of fields and what else stands around the source of a message in a reply.
_AROUND_RAW_MIME_BYTES = 16 * 1024
_TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
_JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Reply:
    status_code: int
    headers: Mapping[str, str]
    body: bytes


class _ReplyTooLarge(Exception):
    pass


class NylasClient:
    """The provider's API under `api_uri`, with one pooled session for each thread.

    Times in seconds. Whatever trickles in, a call ends after `connect_timeout` + `read_timeout`.
    Reads and writes wait for `pace`; sends do not.
    """

    def __init__(
        self,
        api_uri: str,
        api_key: str,
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
        pace: Pace | None = None,
    ) -> None:
        self._api_uri = api_uri.rstrip("/")
        self._api_key = api_key
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._pace = pace or Pace()
        self._local = threading.local()

    # Reads

    def get_grant(self, grant: str, *, read_timeout: float | None = None) -> GrantSnapshot:
        return self._one(parsing.grant, f"/v3/grants/{_segment(grant)}", read_timeout=read_timeout)

    def list_grants(self, *, read_timeout: float | None = None) -> Iterator[GrantSnapshot]:
        """All grants of the application. This list has an offset instead of a cursor."""
        offset = 0
        seen: set[str] = set()
        while True:
            content = self._json(
                "GET", "/v3/grants", params={"limit": "100", "offset": str(offset)}, read_timeout=read_timeout
            )
            page = self._objects("/v3/grants", content, parsing.grant)[0]
            fresh = [grant for grant in page if grant.id not in seen]
            yield from fresh
            if not fresh:
                return
            seen.update(grant.id for grant in fresh)
            offset += len(page)

    def list_drafts(self, grant: str, *, read_timeout: float | None = None) -> Iterator[DraftSnapshot]:
        return self._pages(
            f"/v3/grants/{_segment(grant)}/drafts",
            lambda data: parsing.draft(data, grant_id=grant),
            {"limit": "200"},
            read_timeout=read_timeout,
        )

    def get_draft(self, grant: str, draft_id: str, *, read_timeout: float | None = None) -> DraftSnapshot:
        return self._one(
            lambda data: parsing.draft(data, grant_id=grant),
            f"/v3/grants/{_segment(grant)}/drafts/{_segment(draft_id)}",
            read_timeout=read_timeout,
        )

    def get_thread(self, grant: str, thread_id: str, *, read_timeout: float | None = None) -> ThreadSnapshot:
        return self._one(
            lambda data: parsing.thread(data, grant_id=grant),
            f"/v3/grants/{_segment(grant)}/threads/{_segment(thread_id)}",
            read_timeout=read_timeout,
        )

    def list_threads(self, grant: str, *, read_timeout: float | None = None) -> Iterator[ThreadSnapshot]:
        return self._pages(
            f"/v3/grants/{_segment(grant)}/threads",
            lambda data: parsing.thread(data, grant_id=grant),
            {"limit": "50"},
            read_timeout=read_timeout,
        )

    def get_message(
        self, grant: str, message_id: str, *, with_headers: bool = False, read_timeout: float | None = None
    ) -> MessageSnapshot:
        return self._one(
            lambda data: _message(data, grant),
            f"/v3/grants/{_segment(grant)}/messages/{_segment(message_id)}",
            params={"fields": "include_headers"} if with_headers else {},
            read_timeout=read_timeout,
        )

    def get_raw_mime(
        self, grant: str, message_id: str, *, limit: int, read_timeout: float | None = None
    ) -> bytes:
        """The source of a message as it arrived (RFC 5322); `TooLarge` above `limit` bytes, which are not read on."""
        content = self._json(
            "GET",
            f"/v3/grants/{_segment(grant)}/messages/{_segment(message_id)}",
            params={"fields": "raw_mime"},
            read_timeout=read_timeout,
            limit=limit * 4 // 3 + _AROUND_RAW_MIME_BYTES,
        )
        raw = self._parsed(lambda data: parsing.raw_mime(_of_grant(data, grant)), content)
        if len(raw) > limit:
            raise TooLarge(f"The source of the message has more than {limit} bytes.")
        return raw

    def list_messages(
        self,
        grant: str,
        *,
        thread_id: str | None = None,
        received_after: int | None = None,
        metadata_pair: str | None = None,
        folder: str | None = None,
        with_headers: bool = False,
        read_timeout: float | None = None,
    ) -> Iterator[MessageSnapshot]:
        """Messages of a mailbox in the provider's order. `received_after` in seconds since the epoch.

        `metadata_pair` is `key1:value` and cannot be combined with the other filters (nylas-v3 section 1.4);
        only messages that show this pair are given. `folder` is a folder id.
        """
        filters = {
            "thread_id": thread_id,
            "received_after": None if received_after is None else str(received_after),
            "metadata_pair": metadata_pair,
            "in": folder,
            "fields": "include_headers" if with_headers else None,
        }
        params = {"limit": "200"} | {name: value for name, value in filters.items() if value is not None}
        messages = self._pages(
            f"/v3/grants/{_segment(grant)}/messages",
            lambda data: _message(data, grant),
            params,
            read_timeout=read_timeout,
        )
        if metadata_pair is None:
            return messages
        # A filter that is not applied lists the whole mailbox, and any mail of it would pass for evidence.
        key, _, value = metadata_pair.partition(":")
        return (message for message in messages if message.metadata.get(key) == value)

    def list_folders(self, grant: str, *, read_timeout: float | None = None) -> Iterator[FolderSnapshot]:
        return self._pages(
            f"/v3/grants/{_segment(grant)}/folders",
            parsing.folder,
            {"limit": "200"},
            read_timeout=read_timeout,
        )

    def download_attachment(
        self,
        grant: str,
        attachment_id: str,
        *,
        parent_id: str,
        limit: int,
        read_timeout: float | None = None,
    ) -> bytes:
        """The bytes of an attachment of the message or draft `parent_id`; `TooLarge` above `limit` bytes."""
        path = f"/v3/grants/{_segment(grant)}/attachments/{_segment(attachment_id)}/download"
        params = {"message_id": parent_id}
        return self._call("GET", path, params=params, read_timeout=read_timeout, limit=limit).body

    def raw_page(
        self, grant: str, kind: RawKind, params: Mapping[str, str], *, read_timeout: float | None = None
    ) -> RawPage:
        """One page of a list as the provider gives it, for whoever gives it on; objects of other grants left out."""
        path = f"/v3/grants/{_segment(grant)}/{kind}"
        content = self._json("GET", path, params=params, read_timeout=read_timeout)
        objects, cursor, _is_empty = self._objects(path, content, lambda data: _of_grant(data, grant))
        return RawPage(tuple(objects), cursor)

    def raw_object(
        self,
        grant: str,
        kind: RawKind,
        object_id: str,
        params: Mapping[str, str],
        *,
        read_timeout: float | None = None,
    ) -> dict[str, Any]:
        """One object as the provider gives it, for whoever gives it on."""
        return self._one(
            lambda data: _of_grant(data, grant),
            f"/v3/grants/{_segment(grant)}/{kind}/{_segment(object_id)}",
            params=params,
            read_timeout=read_timeout,
        )

    def raw_grant(self, grant: str, *, read_timeout: float | None = None) -> dict[str, Any]:
        """The grant as the provider gives it, for whoever gives it on."""
        return self._one(lambda data: data, f"/v3/grants/{_segment(grant)}", read_timeout=read_timeout)

    def list_rule_evaluations(
        self, grant: str, *, read_timeout: float | None = None
    ) -> Iterator[RuleEvaluationSnapshot]:
        """What the provider's rules decided, newest first."""
        return self._pages(
            f"/v3/grants/{_segment(grant)}/rule-evaluations",
            lambda data: parsing.rule_evaluation(data, grant_id=grant),
            {"limit": "200"},
            read_timeout=read_timeout,
        )

    def list_send_activity(
        self,
        grant: str,
        *,
        message_id: str | None = None,
        start: int | None = None,
        read_timeout: float | None = None,
    ) -> Iterator[SendActivity]:
        """What became of sent messages, newest first, one entry for each recipient and event.

        From `start` (seconds since the epoch), without it from as far back as the provider keeps them, which
        is 90 days; its own default would be 7. For agent accounts only. `grant` must be the id, not the address.
        """
        if start is None:
            start = int(time.time()) - KEPT_ACTIVITY_SECONDS
        params = {"limit": "200", "grant_id": grant, "start": str(start)}
        if message_id is not None:
            params["message_id"] = message_id
        return self._pages("/v3/activity/send", parsing.send_activity, params, read_timeout=read_timeout)

    def list_webhooks(self, *, read_timeout: float | None = None) -> Iterator[WebhookSnapshot]:
        return self._pages("/v3/webhooks", parsing.webhook, {}, read_timeout=read_timeout)

    def list_policies(self, *, read_timeout: float | None = None) -> Iterator[PolicySnapshot]:
        return self._pages("/v3/policies", parsing.policy, {"limit": "200"}, read_timeout=read_timeout)

    def get_policy(self, policy_id: str, *, read_timeout: float | None = None) -> PolicySnapshot:
        return self._one(parsing.policy, f"/v3/policies/{_segment(policy_id)}", read_timeout=read_timeout)

    def list_rules(self, *, read_timeout: float | None = None) -> Iterator[RuleSnapshot]:
        return self._pages("/v3/rules", parsing.rule, {"limit": "200"}, read_timeout=read_timeout)

    def get_rule(self, rule_id: str, *, read_timeout: float | None = None) -> RuleSnapshot:
        return self._one(parsing.rule, f"/v3/rules/{_segment(rule_id)}", read_timeout=read_timeout)

    def list_lists(self, *, read_timeout: float | None = None) -> Iterator[ListSnapshot]:
        return self._pages("/v3/lists", parsing.list_, {"limit": "200"}, read_timeout=read_timeout)

    def get_list(self, list_id: str, *, read_timeout: float | None = None) -> ListSnapshot:
        return self._one(parsing.list_, f"/v3/lists/{_segment(list_id)}", read_timeout=read_timeout)

    def list_items(self, list_id: str, *, read_timeout: float | None = None) -> Iterator[str]:
        """The values of a list, in lower case."""
        path = f"/v3/lists/{_segment(list_id)}/items"
        return self._pages(path, parsing.list_item, {"limit": "200"}, read_timeout=read_timeout)

    def list_workspaces(self, *, read_timeout: float | None = None) -> Iterator[WorkspaceSnapshot]:
        """All workspaces of the application. This list has no pages."""
        return self._pages("/v3/workspaces", parsing.workspace, {}, read_timeout=read_timeout)

    def get_workspace(self, workspace_id: str, *, read_timeout: float | None = None) -> WorkspaceSnapshot:
        return self._one(
            parsing.workspace, f"/v3/workspaces/{_segment(workspace_id)}", read_timeout=read_timeout
        )

    # Writes

    def create_draft(self, grant: str, fields: Mapping[str, Any]) -> DraftSnapshot:
        content = self._json("POST", f"/v3/grants/{_segment(grant)}/drafts", fields=fields)
        return self._parsed(lambda data: parsing.draft(data, grant_id=grant), content)

    def update_draft(self, grant: str, draft_id: str, fields: Mapping[str, Any]) -> DraftSnapshot:
        """Replace the named fields, each as a whole, metadata too. The id in the result may be a new one."""
        content = self._json(
            "PUT", f"/v3/grants/{_segment(grant)}/drafts/{_segment(draft_id)}", fields=fields
        )
        return self._parsed(lambda data: parsing.draft(data, grant_id=grant), content)

    def delete_draft(self, grant: str, draft_id: str) -> bool:
        """Delete a draft for good; False when the provider no longer had it."""
        try:
            self._call("DELETE", f"/v3/grants/{_segment(grant)}/drafts/{_segment(draft_id)}")
        except NotFound:
            return False
        return True

    def update_message(
        self, grant: str, message_id: str, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> dict[str, Any]:
        """Set `unread`, `starred` or `folders` of a message, folders as a whole; the message as it is then."""
        path = f"/v3/grants/{_segment(grant)}/messages/{_segment(message_id)}"
        content = self._json("PUT", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(lambda data: _of_grant(data, grant), content)

    def create_webhook(self, url: str, trigger_types: list[str], *, description: str = "") -> WebhookSnapshot:
        """Register a destination; the provider first tries it with a challenge. The result has the secret."""
        fields = {"webhook_url": url, "trigger_types": trigger_types, "description": description}
        return self._parsed(parsing.webhook, self._json("POST", "/v3/webhooks", fields=fields))

    def update_webhook(
        self, webhook_id: str, *, trigger_types: list[str] | None = None, status: str | None = None
    ) -> WebhookSnapshot:
        """Change what is delivered, or set `status` to `active` or `pause`."""
        given = {"trigger_types": trigger_types, "status": status}
        fields = {name: value for name, value in given.items() if value is not None}
        content = self._json("PUT", f"/v3/webhooks/{_segment(webhook_id)}", fields=fields)
        return self._parsed(parsing.webhook, content)

    def delete_webhook(self, webhook_id: str) -> None:
        self._call("DELETE", f"/v3/webhooks/{_segment(webhook_id)}")

    def rotate_webhook_secret(self, webhook_id: str) -> str:
        """Make and return a new secret. The old one is dead at once for whatever is delivered from now on."""
        path = f"/v3/webhooks/rotate-secret/{_segment(webhook_id)}"
        secret = self._parsed(lambda data: parsing.text(data.get("webhook_secret")), self._json("POST", path))
        if not secret:
            raise ProviderUnavailable("The secret was rotated and the reply does not hold the new one.")
        return secret

    def create_policy(
        self, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> PolicySnapshot:
        """Make a policy; a limit that is left out is the maximum of the plan."""
        content = self._json("POST", "/v3/policies", fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.policy, content)

    def update_policy(
        self, policy_id: str, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> PolicySnapshot:
        """Change the named fields. `limits` and `spam_detection` are merged: what they leave out stays as it is."""
        path = f"/v3/policies/{_segment(policy_id)}"
        content = self._json("PUT", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(lambda data: parsing.policy(data, policy_id=policy_id), content)

    def delete_policy(self, policy_id: str, *, read_timeout: float | None = None) -> bool:
        """Delete a policy; False when the provider no longer had it."""
        return self._deleted(f"/v3/policies/{_segment(policy_id)}", read_timeout)

    def create_rule(self, fields: Mapping[str, Any], *, read_timeout: float | None = None) -> RuleSnapshot:
        """Make a rule. It acts where a workspace names it in `rule_ids`."""
        content = self._json("POST", "/v3/rules", fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.rule, content)

    def update_rule(
        self, rule_id: str, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> RuleSnapshot:
        """Replace the named fields, `match` and `actions` each as a whole."""
        path = f"/v3/rules/{_segment(rule_id)}"
        content = self._json("PUT", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.rule, content)

    def delete_rule(self, rule_id: str, *, read_timeout: float | None = None) -> bool:
        """Delete a rule; False when the provider no longer had it."""
        return self._deleted(f"/v3/rules/{_segment(rule_id)}", read_timeout)

    def create_list(self, fields: Mapping[str, Any], *, read_timeout: float | None = None) -> ListSnapshot:
        content = self._json("POST", "/v3/lists", fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.list_, content)

    def update_list(
        self, list_id: str, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> ListSnapshot:
        """Change `name` or `description`; a list keeps its type."""
        path = f"/v3/lists/{_segment(list_id)}"
        content = self._json("PUT", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.list_, content)

    def delete_list(self, list_id: str, *, read_timeout: float | None = None) -> bool:
        """Delete a list with its values; False when the provider no longer had it. Rules that name it match no more."""
        return self._deleted(f"/v3/lists/{_segment(list_id)}", read_timeout)

    def add_items(
        self, list_id: str, values: Sequence[str], *, read_timeout: float | None = None
    ) -> ListSnapshot:
        """Add up to `MOST_ITEMS` values to a list; those it has are left alone."""
        path = f"/v3/lists/{_segment(list_id)}/items"
        content = self._json("POST", path, fields={"items": list(values)}, read_timeout=read_timeout)
        return self._parsed(parsing.list_, content)

    def remove_items(
        self, list_id: str, values: Sequence[str], *, read_timeout: float | None = None
    ) -> ListSnapshot:
        """Remove up to `MOST_ITEMS` values from a list; those it has not are left alone."""
        path = f"/v3/lists/{_segment(list_id)}/items"
        content = self._json("DELETE", path, fields={"items": list(values)}, read_timeout=read_timeout)
        return self._parsed(parsing.list_, content)

    def create_workspace(
        self, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> WorkspaceSnapshot:
        content = self._json("POST", "/v3/workspaces", fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.workspace, content)

    def update_workspace(
        self, workspace_id: str, fields: Mapping[str, Any], *, read_timeout: float | None = None
    ) -> WorkspaceSnapshot:
        """Change the named fields. `policy_id` None and `rule_ids` [] detach; never write "" or None for them."""
        path = f"/v3/workspaces/{_segment(workspace_id)}"
        content = self._json("PATCH", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.workspace, content)

    def delete_workspace(self, workspace_id: str, *, read_timeout: float | None = None) -> bool:
        """Delete a workspace; its grants move to the default one. False when the provider no longer had it."""
        return self._deleted(f"/v3/workspaces/{_segment(workspace_id)}", read_timeout)

    def assign_grants(
        self,
        workspace_id: str,
        *,
        assign: Sequence[str] = (),
        remove: Sequence[str] = (),
        read_timeout: float | None = None,
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Move up to `MOST_GRANTS` grants into a workspace and as many out of it; those it moved, in and out.

        A grant that is moved out is in no workspace and no rule holds for it.
        """
        path = f"/v3/workspaces/{_segment(workspace_id)}/manual-assign"
        fields = {"assign_grants": list(assign), "remove_grants": list(remove)}
        content = self._json("POST", path, fields=fields, read_timeout=read_timeout)
        return self._parsed(parsing.moved_grants, content)

    # Sends

    def send_message(
        self, grant: str, *, body: bytes, content_type: str, idempotency_key: str, attempt_id: int
    ) -> SendReply:
        """Hand over a message: one POST of exactly these bytes, never repeated, no redirects followed.

        `attempt_id` is the id of an attempt row that is already committed. Never raises for what the provider
        or the network does.
        """
        headers = {"Content-Type": content_type, "Idempotency-Key": idempotency_key}
        return self._send(grant, "messages", "send", body=body, headers=headers, attempt_id=attempt_id)

    def send_draft(self, grant: str, draft_id: str, *, attempt_id: int) -> SendReply:
        """Let the provider send its draft as it is now: one POST, which no key protects from a repetition."""
        return self._send(
            grant, "drafts", draft_id, body=None, headers={}, attempt_id=attempt_id, is_draft_send=True
        )

    def _send(
        self,
        *segments: str,
        body: bytes | None,
        headers: dict[str, str],
        attempt_id: int,
        is_draft_send: bool = False,
    ) -> SendReply:
        if attempt_id < 1:
            raise ValueError("a send needs the id of its committed attempt")
        try:
            path = "/v3/grants/" + "/".join(map(_segment, segments))
        except RequestRefused as error:
            return SendReply(ReplyClass.REFUSED, str(error))
        status_code: int | None = None
        with wire.exchange(
            connect_seconds=self._connect_timeout, reply_seconds=self._read_timeout, is_send=True
        ) as exchange:
            try:
                with self._session().post(
                    self._api_uri + path,
                    data=body,
                    headers=headers,
                    timeout=(self._connect_timeout, self._read_timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    status_code = response.status_code
                    reply_body = _read(response, LARGEST_REPLY_BYTES, exchange)
            except (*_TRANSPORT_ERRORS, _ReplyTooLarge) as error:
                kind = type(error).__name__
                log.warning("send attempt %s got no usable reply: %s", attempt_id, kind)
                if not exchange.has_started:
                    return replies.not_started(
                        f"The provider could not be reached ({kind}); nothing was sent."
                    )
                return replies.without_reply(
                    f"The connection failed after the request had begun ({kind}).", status_code=status_code
                )
        failpoints.reach("C8")
        return replies.classify(
            status_code=status_code,
            headers=response.headers,
            body=reply_body,
            grant_id=segments[0],
            is_draft_send=is_draft_send,
        )

    # How a read or a write is done

    def _deleted(self, path: str, read_timeout: float | None) -> bool:
        try:
            self._call("DELETE", path, read_timeout=read_timeout)
        except NotFound:
            return False
        return True

    def _pages(
        self,
        path: str,
        parse: Callable[[dict[str, Any]], T],
        params: dict[str, str],
        *,
        read_timeout: float | None,
    ) -> Iterator[T]:
        # Some lists give a cursor on the last page too, and some repeat one (nylas-v3 section 1.3).
        seen: set[str] = set()
        cursor = ""
        while True:
            page_params = params | ({"page_token": cursor} if cursor else {})
            try:
                content = self._json("GET", path, params=page_params, read_timeout=read_timeout)
            except TooLarge:
                # Some large mails on one page must not hide the whole list.
                limit = int(params.get("limit", "1"))
                if limit <= 1:
                    raise
                params = params | {"limit": str(max(1, limit // 8))}
                continue
            page, cursor, is_empty = self._objects(path, content, parse)
            yield from page
            if is_empty or not cursor or cursor in seen:
                return
            seen.add(cursor)

    def _objects(
        self, path: str, content: Any, parse: Callable[[dict[str, Any]], T]
    ) -> tuple[list[T], str, bool]:
        try:
            objects, cursor = parsing.items(content)
        except ValueError as error:
            raise ProviderUnavailable(f"The list could not be read: {error}.") from error
        parsed = []
        for data in objects:
            try:
                parsed.append(parse(data))
            except NotFound:
                continue
            except ValueError as error:
                # One broken object must not hide the others.
                log.warning("skipped an object of %s: %s", path, error)
        return parsed, cursor, not objects

    def _one(
        self,
        parse: Callable[[dict[str, Any]], T],
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> T:
        return self._parsed(parse, self._json("GET", path, params=params, read_timeout=read_timeout))

    def _parsed(self, parse: Callable[[dict[str, Any]], T], content: Any) -> T:
        try:
            return parse(parsing.one(content))
        except ValueError as error:
            raise ProviderUnavailable(f"The reply could not be read: {error}.") from error

    def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        read_timeout: float | None = None,
        limit: int = LARGEST_REPLY_BYTES,
    ) -> Any:
        reply = self._call(method, path, params=params, fields=fields, read_timeout=read_timeout, limit=limit)
        try:
            return parsing.json_content(reply.body)
        except ValueError as error:
            raise ProviderUnavailable(
                f"{method} answered {reply.status_code} with a body that is not JSON.",
                status_code=reply.status_code,
            ) from error

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        read_timeout: float | None = None,
        limit: int = LARGEST_REPLY_BYTES,
    ) -> _Reply:
        body = None if fields is None else json.dumps(fields).encode()
        has_quiet_retry = method == "GET"
        while True:
            self._pace.wait(_grant_of(path))
            began = time.monotonic()
            try:
                reply = self._attempt(method, path, params, body, read_timeout or self._read_timeout, limit)
            except _ReplyTooLarge as error:
                raise TooLarge(f"{method} gave more than {limit} bytes.") from error
            except (requests.Timeout, TimeoutError) as error:
                raise ProviderUnavailable(f"{method} ran into its time limit.") from error
            except _TRANSPORT_ERRORS as error:
                if has_quiet_retry and time.monotonic() - began < LONGEST_QUIET_WAIT_SECONDS:
                    # Most often a kept connection that the other side had closed meanwhile.
                    has_quiet_retry = False
                    continue
                raise ProviderUnavailable(f"{method} got no answer ({type(error).__name__}).") from error
            if 200 <= reply.status_code < 300:
                return reply
            failure = _failure(method, reply)
            pause = failure.retry_after_seconds
            if not has_quiet_retry or pause is None or pause > LONGEST_QUIET_WAIT_SECONDS:
                raise failure
            has_quiet_retry = False
            time.sleep(pause)

    def _attempt(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        read_timeout: float,
        limit: int,
    ) -> _Reply:
        with (
            wire.exchange(
                connect_seconds=self._connect_timeout, reply_seconds=read_timeout, is_send=False
            ) as exchange,
            self._session().request(
                method,
                self._api_uri + path,
                params=params,
                data=body,
                headers=None if body is None else _JSON,
                timeout=(self._connect_timeout, read_timeout),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            return _Reply(response.status_code, response.headers, _read(response, limit, exchange))

    def _session(self) -> requests.Session:
        # A child process must not speak on the connections of its parent: their replies would mix.
        if getattr(self._local, "process_id", None) != os.getpid():
            session = requests.Session()
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.headers.clear()
            session.headers.update(
                {
                    "Authorization": f"Bearer {self._api_key}",
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    "User-Agent": "countersign",
                }
            )
            adapter = wire.Adapter()
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._local.session = session
            self._local.process_id = os.getpid()
        current: requests.Session = self._local.session
        return current


@lru_cache(maxsize=4)
def _client(api_uri: str, api_key: str, connect_timeout: float, read_timeout: float) -> NylasClient:
    return NylasClient(api_uri, api_key, connect_timeout=connect_timeout, read_timeout=read_timeout)


def configured_client() -> NylasClient:
    """The client of the application in the settings, the same one while they stay the same.

    `ProviderNotConfigured` without an address and a key.
    """
    if not settings.NYLAS_API_URI or not settings.NYLAS_API_KEY:
        raise ProviderNotConfigured("NYLAS_API_URI and NYLAS_API_KEY are not set.")
    return _client(
        settings.NYLAS_API_URI,
        settings.NYLAS_API_KEY,
        float(settings.SEND_CONNECT_SECONDS),
        float(settings.SEND_READ_SECONDS),
    )


def is_provider_local() -> bool:
    """Whether the provider of the settings is on this machine, as a sandbox is; False when there is none."""
    return urlsplit(settings.NYLAS_API_URI).hostname in settings.LOOPBACK_HOSTS


def _grant_of(path: str) -> str:
    # /v3/grants/<id>/... counts for that mailbox, everything else for the application.
    parts = path.split("/")
    return parts[3] if len(parts) > 4 and parts[2] == "grants" else ""


def _message(data: dict[str, Any], grant: str) -> MessageSnapshot:
    # Only the field tells them apart (nylas-v3 section 13), and a draft with our token is no evidence of a send.
    if parsing.text(data.get("object")) == "draft":
        raise NotFound("The object is a draft and no message.")
    return parsing.message(data, grant_id=grant)


def _of_grant(data: dict[str, Any], grant: str) -> dict[str, Any]:
    if parsing.text(data.get("grant_id") or grant) != grant:
        raise NotFound("The object is of another grant.")
    return data


def _segment(identifier: str) -> str:
    # Dots alone would be taken for "this" and "the directory above" on the way, encoded or not.
    if not identifier.strip("."):
        raise RequestRefused("An id that is empty or made of dots cannot be asked for.")
    return quote(identifier, safe="", errors="replace")


def _read(response: requests.Response, limit: int, exchange: wire.Exchange) -> bytes:
    chunks = []
    size = 0
    for chunk in response.iter_content(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise _ReplyTooLarge
        exchange.remaining()
        chunks.append(chunk)
    return b"".join(chunks)


def _failure(method: str, reply: _Reply) -> ProviderError:
    try:
        content = parsing.json_content(reply.body)
    except ValueError:
        content = None
    error_type, error_message = replies.api_error(content)
    kind: type[ProviderError]
    match reply.status_code:
        case 401:
            kind = Unauthenticated
        case 404 if isinstance(content, dict) or not reply.body.strip():
            kind = NotFound
        case 404:
            # Not the API's: something on the way does not know the address, which says nothing of the object.
            kind = ProviderUnavailable
        case 408 | 425 | 429:
            kind = ProviderUnavailable
        case status_code if 400 <= status_code < 500:
            kind = RequestRefused
        case _:
            kind = ProviderUnavailable
    return kind(
        f"{method} was answered with {reply.status_code}.",
        status_code=reply.status_code,
        request_id=replies.request_id(content, reply.headers),
        error_type=error_type,
        error_message=error_message,
        field=replies.named_field(error_message),
        retry_after_seconds=replies.retry_after_seconds(reply.headers),
    )
