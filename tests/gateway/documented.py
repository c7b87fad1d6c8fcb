"""Requests for each route of the OpenAPI document: one that succeeds, and one for each refusal that it documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import dispatch, intake
from approvals.models import Send
from approvals.states import SendState
from audit.record import SYSTEM
from policies import lists
from tests.database import unreachable
from tests.gateway.conftest import API, Program, mail, taken_in, token_of
from tests.gateway.test_operators import POLICY, RULE

UNKNOWN_MAIL = "00000000-0000-4000-8000-000000000000"
NEW_ADDRESS = "sales@harbour.example"
TOO_LARGE = b" " * 4_300_000
HANDING_IN = {"send_email", "reply_email", "cancel_message"}


class HalfSent:
    """The body of a request whose client is gone before its end."""

    def read(self, *sizes: int) -> bytes:
        raise OSError("the connection was closed")

    readline = read


@dataclass
class Desk:
    """A desk with a mail that waits, a message to answer, a rule and a list, and a program of each kind."""

    agent: Program
    reviewer: Program
    admin: Program
    owner: User
    mailbox: Mailbox
    settings: Any
    mail: str
    message: str
    rule: dict[str, Any]
    list_id: int

    def holder(self, operation: str) -> Program:
        """The program that may do it."""
        if operation in HANDING_IN:
            return self.agent
        return self.reviewer if operation in ("decide_email", "decide_emails") else self.admin

    def named(self, path: str) -> dict[str, Any]:
        """What is there by the names in a path."""
        thing: Any = self.mail
        if "/rules/" in path:
            thing = self.rule["id"]
        elif "/lists/" in path:
            thing = self.list_id
        return {"id": thing, "address": self.mailbox.address}

    def body(self, operation: str) -> Any:
        return {
            "send_email": mail(),
            "reply_email": {"from": self.mailbox.address, "message_id": self.message, "body": "Monday."},
            "decide_emails": {"decisions": [{"id": self.mail, "action": "reject", "reason": "Off-topic."}]},
            "decide_email": {"action": "reject", "reason": "Off-topic."},
            "create_mailbox": {"address": NEW_ADDRESS},
            "update_mailbox": {"oversight_mode": "read_only"},
            "create_policy": POLICY,
            "create_rule": RULE,
            "update_rule": {"enabled": False, "version": self.rule["version"]},
            "add_list_items": {"items": ["rival.example"]},
            "remove_list_items": {"items": ["rival.example"]},
            "set_killswitch": {"engaged": True, "reason": "Wrong prices."},
        }.get(operation)

    def query(self, operation: str) -> str:
        return {
            "wait_email": "code=received&seconds=1",
            "delete_rule": f"version={self.rule['version']}",
        }.get(operation, "")

    def decided_and_sent(self, body: Any, path: str, key: str) -> Any:
        """Hand a mail in, let it leave, and hand it in again with the same key; the last answer."""
        told = self.agent.post(path, body, **{"Idempotency-Key": key}).json()
        taken_in()
        self.reviewer.post(f"/emails/{told['id']}/decide", {"action": "approve"})
        dispatch.dispatch(Send.objects.get(state=SendState.QUEUED).pk)
        return self.agent.post(path, body, **{"Idempotency-Key": key})


def desk_of(
    agent: Program,
    reviewer: Program,
    admin: Program,
    owner: User,
    mailbox: Mailbox,
    sandbox: Any,
    settings: Any,
) -> Desk:
    sandbox.post("grants", email=NEW_ADDRESS, name="Sales")
    asked = sandbox.post(
        "customer",
        grant=mailbox.grant_id,
        **{"from": {"email": "priya@example.net"}},
        subject="Order 48213",
        body="<p>When does it arrive?</p>",
    )
    intake.fetch_messages(mailbox, [asked["message_id"]], configured_client())
    told = agent.post("/emails/send", mail()).json()
    taken_in()
    return Desk(
        agent=agent,
        reviewer=reviewer,
        admin=admin,
        owner=owner,
        mailbox=mailbox,
        settings=settings,
        mail=told["id"],
        message=asked["message_id"],
        rule=admin.post("/rules", RULE | {"name": "Known"}).json(),
        list_id=lists.create({"name": "Rivals", "type": "domain"}, actor=SYSTEM).pk,
    )


@dataclass
class Route:
    """A route of the document, at a desk."""

    desk: Desk
    operation: str
    method: str
    path: str
    documented: set[int]

    def ask(self, program: Program, **changes: Any) -> Any:
        """The request that succeeds, with some of `named`, `query` and `body` changed."""
        named = self.desk.named(self.path) | changes.get("named", {})
        path = self.path.removeprefix(API)
        for name, value in named.items():
            path = path.replace("{" + name + "}", quote(str(value), safe=""))
        query = changes.get("query", self.desk.query(self.operation))
        body = changes.get("body", self.desk.body(self.operation))
        return program.call(self.method, f"{path}?{query}", body)

    def directed(self) -> Iterator[Any]:
        """The answers to a request for each documented status, that of its success last."""
        holder = self.desk.holder(self.operation)
        yield self.ask(Program("cs_agent_wrong"))
        yield self.ask(self._without_scope())
        with unreachable():
            yield self.ask(holder)
        if self.desk.body(self.operation) is not None:
            yield from self._with_bad_bodies(holder)
        if "{" in self.path:
            unknown = 0 if "/rules/" in self.path or "/lists/" in self.path else UNKNOWN_MAIL
            yield self.ask(holder, named={"id": unknown, "address": "nobody@elsewhere.example"})
        if "{id}" in self.path:
            yield self.ask(holder, named={"id": "x"})
        for more in ALSO.get(self.operation, ()):
            yield more(self)
        yield self.ask(holder)

    def _without_scope(self) -> Program:
        scope = "read" if self.operation in HANDING_IN else "send"
        return Program(token_of(self.desk.owner, self.desk.mailbox, scopes=[scope], name="Half").secret)

    def _with_bad_bodies(self, holder: Program) -> Iterator[Any]:
        yield self.ask(holder, body=b"{")
        yield self.ask(holder, body=TOO_LARGE)
        yield self.ask(holder, body=b"[]")
        whole = json.dumps(self.desk.body(self.operation)).encode()
        yield holder.client.generic(
            self.method,
            self.path.format(**self.desk.named(self.path)),
            whole,
            content_type="application/json",
            headers={"Authorization": f"Bearer {holder.secret}"},
            **{"wsgi.input": HalfSent()},
        )


def _key_of_another_mail(route: Route) -> Any:
    desk, path = route.desk, route.path.removeprefix(API)
    body = desk.body(route.operation)
    desk.agent.post(path, body, **{"Idempotency-Key": "one"})
    return desk.agent.post(path, body | {"subject": "Another"}, **{"Idempotency-Key": "one"})


def _already_sent(route: Route) -> Any:
    desk, path = route.desk, route.path.removeprefix(API)
    return desk.decided_and_sent(desk.body(route.operation), path, "gone")


def _revising_what_is_not_there(route: Route) -> Any:
    return route.ask(route.desk.agent, body=route.desk.body(route.operation) | {"revises": UNKNOWN_MAIL})


def _taken_back_too_late(route: Route) -> Any:
    told = route.desk.decided_and_sent(mail(), "/emails/send", "gone").json()
    return route.ask(route.desk.agent, named={"id": told["id"]})


def _decided_otherwise(route: Route) -> Any:
    told = route.desk.agent.post("/emails/send", mail()).json()
    taken_in()
    route.ask(route.desk.reviewer, named={"id": told["id"]})
    return route.ask(route.desk.reviewer, named={"id": told["id"]}, body={"action": "approve"})


def _connected_already(route: Route) -> Any:
    grants = configured_client().list_grants()
    own = next(one for one in grants if one.id == route.desk.mailbox.grant_id)
    return route.ask(route.desk.admin, body={"address": own.email})


def _without_a_provider(route: Route) -> Any:
    address, route.desk.settings.NYLAS_API_URI = route.desk.settings.NYLAS_API_URI, ""
    try:
        return route.ask(route.desk.admin)
    finally:
        route.desk.settings.NYLAS_API_URI = address


def _seen_otherwise(route: Route) -> Any:
    return route.ask(route.desk.admin, body={"oversight_mode": "read_only", "seen_mode": "autonomous"})


def _of_another_version(route: Route) -> Any:
    return route.ask(route.desk.admin, query="version=99", body={"enabled": False, "version": 99})


def _unknown_query(route: Route) -> Any:
    return route.ask(route.desk.holder(route.operation), query="limit=0&since=never")


def _of_no_mailbox(route: Route) -> Any:
    return route.ask(route.desk.admin, query="mailbox=nobody@elsewhere.example")


def _of_no_period(route: Route) -> Any:
    return route.ask(route.desk.admin, query="from=2024-01-01&to=2025-01-01")


def _no_domain(route: Route) -> Any:
    return route.ask(route.desk.admin, body={"items": ["no domain"]})


ALSO: dict[str, tuple[Callable[[Route], Any], ...]] = {
    "send_email": (_key_of_another_mail, _already_sent, _revising_what_is_not_there),
    "reply_email": (_key_of_another_mail, _already_sent, _revising_what_is_not_there),
    "cancel_message": (_taken_back_too_late,),
    "decide_email": (_decided_otherwise,),
    "list_pending": (_unknown_query,),
    "create_mailbox": (_connected_already, _without_a_provider),
    "update_mailbox": (_seen_otherwise,),
    "update_rule": (_of_another_version,),
    "delete_rule": (_of_another_version,),
    "add_list_items": (_no_domain,),
    "remove_list_items": (_no_domain,),
    "export_audit": (_unknown_query,),
    "get_oversight_report": (_of_no_mailbox, _of_no_period),
}
