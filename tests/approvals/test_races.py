"""Decisions at the same moment, each on a connection of its own: H1, H2, H3, H4, H12, H16."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from agentmail.models import Mailbox
from approvals import decisions, dispatch
from approvals.models import Decision, Draft, FollowUp, Send
from approvals.transitions import drafts, sends
from approvals.transitions.drafts import AlreadyDecided, DecisionRefused, DraftExpired
from tests.approvals.conftest import age, approve, at_once, seen, sent
from tests.processes import site

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 20


def decided(results: list[Any]) -> list[Decision]:
    return [result for result in results if isinstance(result, Decision)]


def test_h1_fifty_identical_approvals_make_one_decision_and_one_send(
    transactional_db: None, pending: Draft, alice: User, sandbox: Any
) -> None:
    page, form_id = seen(pending), uuid.uuid4()

    def click() -> Decision:
        draft = Draft.objects.select_related("mailbox").get(pk=pending.pk)
        return decisions.approve(draft, person=alice, seen=page, form_id=form_id)

    results = at_once(*[click] * 50)

    assert len(decided(results)) == 1
    assert {type(r) for r in results if not isinstance(r, Decision)} == {AlreadyDecided}
    send = Send.objects.get()
    at_once(*[lambda: dispatch.dispatch(send.pk)] * 8)
    assert len(sandbox.sends()) == 1
    assert len(sandbox.get("arrivals")["arrivals"]) == 1
    assert send.attempts.count() == 1


class Browser:
    """A signed-in person's browser: cookies, one address, forms as the page gives them."""

    def __init__(self, server: str, person: User) -> None:
        signed_in = Client()
        signed_in.force_login(person)
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set(
            settings.SESSION_COOKIE_NAME, signed_in.cookies[settings.SESSION_COOKIE_NAME].value
        )

    def form(self, draft: Draft) -> dict[str, str]:
        page = self.session.get(f"{self.server}/drafts/{draft.public_id}/", timeout=60)
        assert page.status_code == 200
        names = ("csrfmiddlewaretoken", "revision", "content_sha256", "thread_fingerprint", "form_id", "asks")
        return {name: _value_of(name, page.text) for name in names}

    def post(self, draft: Draft, verb: str, form: dict[str, str]) -> int:
        # A session of requests must not be shared by threads; the cookies may.
        with requests.Session() as session:
            session.trust_env = False
            session.cookies.update(self.session.cookies)
            answer = session.post(
                f"{self.server}/drafts/{draft.public_id}/{verb}/",
                data=form,
                headers={"Origin": self.server},
                timeout=120,
            )
        return answer.status_code


def _value_of(name: str, page: str) -> str:
    for tag in re.findall(r"<input[^>]*>", page):
        if f'name="{name}"' in tag and (found := re.search(r'value="([^"]*)"', tag)):
            return found.group(1)
    raise AssertionError(f"the page has no field {name}")


@pytest.fixture
def server(process_environment: dict[str, str], sandbox: Any) -> Iterator[str]:
    """The address of the desk, served by its own processes and threads as in production."""
    provider = {"NYLAS_API_URI": sandbox.url, "NYLAS_API_KEY": sandbox.api_key}
    with site(process_environment | provider) as (address, _process):
        yield address


@pytest.fixture
def alices_browser(server: str, alice: User) -> Browser:
    return Browser(server, alice)


@pytest.mark.row("D3", "K3", "000-01")
def test_h1_fifty_identical_clicks_on_the_page_make_one_decision_and_one_send(
    pending: Draft, alices_browser: Browser, sandbox: Any
) -> None:
    form = alices_browser.form(pending)

    statuses = at_once(*[lambda: alices_browser.post(pending, "approve", form)] * 50)

    assert set(statuses) <= {200, 409}
    assert Decision.objects.count() == 1
    dispatch.dispatch(Send.objects.get().pk)
    assert len(sandbox.sends()) == 1


@pytest.mark.row("K4")
def test_h3_page_answers_the_opposite_decision_with_a_conflict(
    server: str, pending: Draft, alice: User, bruno: User, alices_browser: Browser
) -> None:
    other = Browser(server, bruno)
    yes, no = alices_browser.form(pending), other.form(pending)

    assert alices_browser.post(pending, "approve", yes) == 200
    assert other.post(pending, "reject", no | {"reason": "No."}) == 409
    assert other.post(pending, "approve", no) == 200

    assert Decision.objects.get().person == alice


def test_h2_two_reviewers_approving_at_once_make_one_decision_that_names_the_winner(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    for _round in range(ROUNDS):
        draft = agent_writes()
        page = seen(draft)

        def approval(person: User, draft: Draft = draft, page: Any = page) -> Callable[[], Decision]:
            own = Draft.objects.select_related("mailbox").get(pk=draft.pk)
            return lambda: decisions.approve(own, person=person, seen=page, form_id=uuid.uuid4())

        results = at_once(approval(alice), approval(bruno))

        (winner,) = decided(results)
        (loser,) = [result for result in results if not isinstance(result, Decision)]
        assert isinstance(loser, AlreadyDecided)
        assert loser.decision == winner
        assert draft.decisions.count() == 1


def test_h3_approval_and_rejection_at_once_leave_one_and_never_send_a_rejected_draft(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, bruno: User, sandbox: Any
) -> None:
    winners = set()
    for _round in range(ROUNDS):
        draft = agent_writes()
        page = seen(draft)
        yes, no = (Draft.objects.select_related("mailbox").get(pk=draft.pk) for _ in range(2))
        works = [
            lambda yes=yes, page=page: decisions.approve(yes, person=alice, seen=page, form_id=None),
            lambda no=no, page=page: decisions.reject(
                no, person=bruno, seen=page, reason="No.", form_id=None
            ),
        ]

        results = at_once(*works)

        (winner,) = decided(results)
        winners.add(winner.kind)
        draft.refresh_from_db()
        assert (draft.state == "approved") == Send.objects.filter(draft=draft).exists()
        assert draft.state == {"approve": "approved", "reject": "rejected"}[winner.kind]
        for send in Send.objects.filter(draft=draft):
            dispatch.dispatch(send.pk)
    approved = set(Send.objects.values_list("token", flat=True))
    assert {line["token"] for line in sandbox.sends()} == approved


def test_h3_transitions_alone_let_one_of_four_ends_win(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    for _round in range(ROUNDS):
        draft = agent_writes()
        age(draft, expires_at=timedelta(hours=71, minutes=59, seconds=59, milliseconds=950))
        page = seen(draft)

        results = at_once(
            lambda draft=draft, page=page: drafts.reject(
                draft.pk, person=alice, seen=page, reason="a", form_id=None
            ),
            lambda draft=draft, page=page: drafts.request_changes(
                draft.pk, person=bruno, seen=page, note="b", form_id=None
            ),
            lambda draft=draft: drafts.expire(draft.pk),
            lambda draft=draft: drafts.withdraw(draft.pk),
        )

        draft.refresh_from_db()
        assert draft.state in ("rejected", "changes_requested", "expired", "withdrawn")
        assert len(decided(results)) <= 1
        live = draft.decisions.filter(voided_at__isnull=True).count()
        assert live == (draft.state in ("rejected", "changes_requested"))


def test_h4_approval_racing_with_expiry_leaves_exactly_one_of_them(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User
) -> None:
    outcomes = set()
    for number in range(ROUNDS):
        draft = agent_writes()
        Draft.objects.filter(pk=draft.pk).update(
            expires_at=draft.expires_at
            - timedelta(hours=71, minutes=59, seconds=59, milliseconds=900 + 5 * number)
        )
        page = seen(draft)
        draft = Draft.objects.select_related("mailbox").get(pk=draft.pk)
        is_over = threading.Event()

        def expire(draft: Draft = draft, is_over: threading.Event = is_over) -> bool:
            while not is_over.is_set():
                if drafts.expire(draft.pk):
                    return True
            return False

        def click(draft: Draft = draft, page: Any = page, is_over: threading.Event = is_over) -> Any:
            try:
                return decisions.approve(draft, person=alice, seen=page, form_id=None)
            finally:
                is_over.set()

        _expired, approval = at_once(expire, click)

        draft.refresh_from_db()
        outcomes.add(draft.state)
        if isinstance(approval, Decision):
            assert draft.state == "approved"
        else:
            assert draft.state in ("expired", "pending")
            assert isinstance(approval, DecisionRefused)
            assert not Send.objects.filter(draft=draft).exists()
    assert outcomes


def test_h4_deadline_that_passes_between_the_page_and_the_lock_refuses_the_approval(
    transactional_db: None, pending: Draft, alice: User
) -> None:
    age(pending, expires_at=timedelta(hours=72))

    with pytest.raises(DraftExpired):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    assert drafts.expire(pending.pk)

    assert not Send.objects.exists()


def test_h12_repeating_an_approval_whose_reply_was_lost_finds_it(
    transactional_db: None, pending: Draft, alice: User
) -> None:
    page, form_id = seen(pending), uuid.uuid4()
    decisions.approve(pending, person=alice, seen=page, form_id=form_id)
    connection.close()

    with pytest.raises(AlreadyDecided) as refusal:
        decisions.approve(pending, person=alice, seen=page, form_id=form_id)

    assert decisions.is_repeat(refusal.value.decision, "approve")


def test_undo_racing_with_the_sender_either_stops_or_is_refused(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=15)
    for number in range(ROUNDS):
        send = approve(agent_writes(), alice)
        left = timedelta(seconds=15, milliseconds=-20 + 3 * number)
        age(send, not_before=left, next_attempt_at=left)

        undone, result = at_once(
            lambda send=send: drafts.undo(send.draft_id, person=alice),
            lambda send=send: dispatch.dispatch(send.pk),
        )

        send.refresh_from_db()
        lines = [line for line in sandbox.sends() if line["token"] == send.token]
        if isinstance(undone, DecisionRefused):
            assert result in ("posted", "nothing")
            assert len(lines) == (result == "posted")
        else:
            assert send.state == "stopped"
            assert lines == []


def test_h16_eight_workers_on_one_send_make_one_post(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    for _round in range(5):
        send = approve(agent_writes(), alice)

        results = at_once(*[lambda send=send: dispatch.dispatch(send.pk)] * 8)

        assert results.count("posted") == 1
        assert send.attempts.count() == 1
    assert len(sandbox.get("arrivals")["arrivals"]) == 5


def test_i19_two_approved_answers_of_a_thread_sent_at_once_leave_one_and_the_other_stale(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    for number in range(1, 6):
        first = agent_writes()
        second = agent_writes(reply_to_message_id=first.parent_message_id, body="<p>Another answer.</p>")
        both = [approve(first, alice), approve(second, alice)]

        results = at_once(*[lambda send=send: dispatch.dispatch(send.pk) for send in both])

        assert results.count("posted") == 1
        assert len(sandbox.sends()) == number
        for send in both:
            send.refresh_from_db()
        assert sorted(send.state for send in both) == ["accepted", "stopped"]


def test_h76_two_operators_resolving_one_unknown_get_one_resolution(
    transactional_db: None, pending: Draft, alice: User, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)

    results = at_once(
        *[lambda: sends.close(send.pk, person=olga, as_sent=True, reason="Seen in the mailbox.")] * 2,
        *[lambda: sends.close(send.pk, person=olga, as_sent=False, reason="Nobody has it.")] * 2,
    )

    send.refresh_from_db()
    assert send.state in ("closed_sent", "closed_not_sent")
    assert sum(isinstance(result, Send) for result in results) == 1


def test_two_corrections_of_one_follow_up_leave_one_draft(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, bruno: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options=refusal())
    send = sent(agent_writes(), alice)
    follow_up = FollowUp.objects.select_related("send__draft__mailbox", "send__decision__revision").get(
        send=send
    )

    def corrected(person: User) -> Callable[[], Any]:
        return lambda: decisions.correct_address(follow_up, person=person, changes={})

    results = at_once(corrected(alice), corrected(bruno))

    assert sum(isinstance(result, Draft) for result in results) == 1
    follow_up.refresh_from_db()
    assert list(Draft.objects.filter(state="pending")) == [follow_up.correction]


def refusal() -> dict[str, Any]:
    return {"status": 400, "body": {"request_id": "1", "error": {"type": "invalid_request", "message": "No"}}}
