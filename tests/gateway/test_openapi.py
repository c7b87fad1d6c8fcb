"""The OpenAPI document, and requests made from it: the answers are exactly those that it promises."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from unittest.mock import sentinel
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentmail.models import Mailbox
from gateway.urls import api
from gateway.views.api_pages import PREFIX
from tests.database import read_only
from tests.gateway.conftest import Program
from tests.gateway.documented import HANDING_IN, Desk, Route, desk_of

EXAMPLES = 10
DOCUMENT = "/api/v1/openapi.json"


def document() -> Any:
    return Client().get(DOCUMENT).json()


@cache
def operations() -> dict[str, Any]:
    """The routes of the document by their names, for requests to be made from."""
    found = schemathesis.openapi.from_dict(document()).get_all_operations()
    return {one.ok().definition.raw["operationId"]: one.ok() for one in found}


NAMES = sorted(
    told["operationId"]
    for methods in api.get_openapi_schema(path_prefix=PREFIX)["paths"].values()
    for told in methods.values()
)


@pytest.fixture
def desk(
    agent: Program,
    reviewer: Program,
    admin: Program,
    ada: User,
    mailbox: Mailbox,
    sandbox: Any,
    settings: Any,
) -> Desk:
    return desk_of(agent, reviewer, admin, ada, mailbox, sandbox, settings)


def route(desk: Desk, name: str) -> Route:
    told = operations()[name]
    documented = {int(status) for status in told.definition.raw["responses"]}
    return Route(desk, name, told.method.upper(), told.path, documented)


def test_the_document_names_the_routes_of_the_contract(db: None) -> None:
    paths = document()["paths"]

    assert {
        "/api/v1/emails/send",
        "/api/v1/emails/reply",
        "/api/v1/emails/{id}",
        "/api/v1/emails/{id}/decide",
        "/api/v1/emails/{id}/cancel",
        "/api/v1/mailboxes/{address}",
        "/api/v1/mailboxes/{address}/pending",
        "/api/v1/policies",
        "/api/v1/rules",
        "/api/v1/lists",
        "/api/v1/audit",
        "/api/v1/audit/report",
    } <= set(paths)


def test_the_document_can_be_read_as_a_page_without_a_script(db: None) -> None:
    page = Client().get("/api/v1/docs")

    assert page.status_code == 200
    assert "POST /api/v1/emails/send" in page.content.decode()
    assert "<script" not in page.content.decode().partition("<main")[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_route_answers_with_every_status_and_body_that_it_documents_and_no_other(
    name: str, desk: Desk
) -> None:
    asked = route(desk, name)
    seen = set()

    for answer in (*asked.directed(), *generated(asked)):
        conforms(name, answer)
        seen.add(answer.status_code)

    assert seen == asked.documented


@pytest.mark.django_db(transaction=True)
def test_what_a_database_without_writes_cannot_keep_is_answered_with_503(desk: Desk) -> None:
    writing = [name for name in NAMES if desk.body(name) is not None or name in HANDING_IN]

    with read_only():
        seen = {name: route(desk, name).ask(desk.holder(name)).status_code for name in writing}

    assert seen == dict.fromkeys(writing, 503)


def generated(asked: Route) -> list[Any]:
    """The answers to requests made from the document, half of them about things that are there."""
    answers: list[Any] = []
    there = asked.desk.named(asked.path)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operations()[asked.operation].as_strategy(), is_known=st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        named = dict(case.path_parameters or {})
        if is_known:
            named |= {name: there[name] for name in named}
        for program in (asked.desk.agent, asked.desk.admin):
            answers.append(sent(program, case, named))

    ask()
    return answers


def sent(program: Program, case: Any, named: dict[str, Any]) -> Any:
    path = case.path
    for name, value in named.items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    query = urlencode(case.query or {}, doseq=True)
    body = None if case.body is schemathesis.core.NOT_SET else json.dumps(case.body).encode()
    headers = {name: value for name, value in (case.headers or {}).items() if name == "Idempotency-Key"}
    return program.call(case.method.upper(), f"{path.removeprefix('/api/v1')}?{query}", body, **headers)


def conforms(name: str, answer: Any) -> None:
    """Compare an answer with what the document says of its status."""
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    told = operations()[name]
    responses = told.definition.raw["responses"]
    request = answer.wsgi_request
    assert str(answer.status_code) in responses, (request.method, request.get_full_path(), content)
    kinds = responses[str(answer.status_code)].get("content", {})
    assert not content or answer["Content-Type"].partition(";")[0] in kinds
    told.validate_response(
        schemathesis.Response(
            status_code=answer.status_code,
            headers={field: [value] for field, value in answer.headers.items()},
            content=content,
            request=sentinel.request,
            elapsed=0,
            verify=False,
        )
    )
