import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser.demo import Demo, running
from tests.browser.desk import Person, connected

NUMBERS = itertools.count(70001)


@dataclass(frozen=True)
class Letter:
    """A question of a customer and the agent's draft that answers it."""

    grant: str
    question: dict[str, Any]
    draft_id: str
    subject: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(scope="session")
def signed_in(demo: Demo, browser: Any, browser_context_args: dict[str, Any]) -> Callable[[str], Any]:
    """The cookies of a person, who signs in once: signing in often is refused, and is tested by itself."""
    kept: dict[str, Any] = {}

    def cookies(name: str) -> Any:
        if name not in kept:
            context = browser.new_context(**browser_context_args)
            Person(demo, name, context.new_page(), has_script=True).sign_in()
            kept[name] = context.storage_state()
            context.close()
        return kept[name]

    return cookies


@pytest.fixture
def person(
    demo: Demo,
    browser: Any,
    browser_context_args: dict[str, Any],
    signed_in: Callable[[str], Any],
) -> Iterator[Callable[..., Person]]:
    """Make a signed-in person; at the end no page of theirs may have broken a rule or thrown an error."""
    made: list[tuple[Any, Person]] = []

    def make(name: str, *, script: bool = True, afresh: bool = False, **options: Any) -> Person:
        context = browser.new_context(
            **{
                **browser_context_args,
                "java_script_enabled": script,
                "storage_state": None if afresh else signed_in(name),
                **options,
            }
        )
        one = Person(demo, name, context.new_page(), has_script=script)
        made.append((context, one))
        if afresh:
            one.sign_in()
        return one

    yield make
    for context, _ in made:
        context.close()
    assert [complaint for _, one in made for complaint in one.complaints] == []


@pytest.fixture(scope="session")
def grants(
    demo: Demo, browser: Any, browser_context_args: dict[str, Any], signed_in: Callable[[str], Any]
) -> dict[str, str]:
    """Two empty mailboxes: `quick` lets a mail leave after one second, `slow` holds it for a minute."""
    context = browser.new_context(**browser_context_args, storage_state=signed_in("admin"))
    admin = Person(demo, "admin", context.new_page(), has_script=True)
    made = {
        "quick": connected(demo, admin, "quick@harbourlane.example", 1),
        "slow": connected(demo, admin, "slow@harbourlane.example", 60),
    }
    # All tests send from these two, and enough of it bounces to stop them by itself.
    admin.go("/policies/trips/")
    admin.page.get_by_label("Stop mailboxes by these limits").uncheck()
    admin.page.get_by_label("Why").fill("The tests bounce mail on purpose.")
    admin.press("Keep these limits")
    admin.says("Kept")
    context.close()
    return made


@pytest.fixture
def letter(demo: Demo, grants: dict[str, str]) -> Callable[..., Letter]:
    """Let a customer ask and the agent draft an answer, under a subject that nothing else has."""

    def make(
        to: str = "casey@example.net", *, mailbox: str = "quick", body: str = "It leaves today."
    ) -> Letter:
        subject = f"Order {next(NUMBERS)}"
        grant = grants[mailbox]
        question = demo.customer(
            grant, subject=subject, body="<p>Where is it?</p>", **{"from": {"email": to, "name": "Casey Lin"}}
        )
        draft_id = demo.reply(grant, question, to=to, subject=subject, body=f"<p>{body}</p>")
        return Letter(grant, question, draft_id, f"Re: {subject}")

    return make


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def script(request: pytest.FixtureRequest) -> bool:
    return request.param
