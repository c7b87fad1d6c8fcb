"""A reviewer with a keyboard clears a hundred mixed drafts, and none of the ten traps among them leaves."""

from contextlib import ExitStack

import pytest

from tests.browser import hundred
from tests.browser.demo import running
from tests.browser.desk import Person

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def day(tmp_path_factory, browser, browser_context_args):
    """The day of a desk of its own: a hundred approvals would fill the lists of every other test."""
    with running(tmp_path_factory.mktemp("hundred")) as demo, ExitStack() as stack:
        people = []
        for name in ("admin", "reviewer"):
            context = browser.new_context(**browser_context_args)
            stack.callback(context.close)
            people.append(Person(demo, name, context.new_page(), has_script=True))
            people[-1].sign_in()
        yield hundred.play(demo, *people)
        assert [complaint for one in people for complaint in one.complaints] == []


@pytest.mark.parametrize("trap", hundred.TRAPS, ids=lambda trap: trap.name)
def test_a_trap_shows_its_sign_on_the_screen_before_it_is_decided(day, trap):
    [subject] = [subject for subject, one in day.world.traps.items() if one is trap]

    assert trap.sign in day.shift.rejected.get(subject, [])


def test_the_good_are_approved_the_vague_sent_back_and_the_traps_rejected(day):
    assert day.shift.approved == day.world.good
    assert day.shift.returned == day.world.vague
    assert set(day.shift.rejected) == set(day.world.traps)


def test_no_trap_leaves_and_nothing_leaves_twice(day):
    assert day.sent
    assert set(day.sent) <= day.world.good
    assert len(day.sent) == len(set(day.sent))
