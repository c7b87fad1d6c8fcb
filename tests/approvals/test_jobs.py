"""Long work that a worker does: its turn, its end, and what stays of it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F

from agentmail.models import Mailbox
from approvals import job_files, jobs
from approvals.models import Job, JobKind
from approvals.simulation import simulate
from approvals.states import JobState
from approvals.transitions import jobs as moves
from approvals.transitions.moves import LostRace
from policies import locks
from tests.pages import scenes

pytestmark = pytest.mark.django_db
SIMULATION = JobKind.SIMULATION


@pytest.fixture
def box() -> Mailbox:
    return scenes.mailbox("support@example.com")


@pytest.fixture
def alice(box: Mailbox) -> Any:
    return scenes.person("alice", "reviewer", box)


@pytest.fixture
def bob(box: Mailbox) -> Any:
    return scenes.person("bob", "reviewer", box)


def asked(person: Any, box: Mailbox) -> Job:
    given = {"mailbox": str(box.public_id), "mode": "read_only", "rules": "", "last": 10}
    return jobs.ask(person, SIMULATION, given)


def aged(job: Job, **past: int) -> None:
    Job.objects.filter(pk=job.pk).update(ended_at=F("ended_at") - timedelta(**past))


def states() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("state", flat=True))


def test_jobs_of_a_kind_have_their_turn_in_the_order_they_were_asked_for(box, alice, bob):
    first, second = asked(alice, box), asked(bob, box)

    assert jobs.work(SIMULATION) == 2

    first.refresh_from_db()
    second.refresh_from_db()
    assert states() == ["done", "done"]
    assert first.ended_at <= second.began_at


def test_a_job_that_is_done_is_not_done_again(box, alice):
    job = asked(alice, box)
    jobs.work(SIMULATION)

    assert jobs.work(SIMULATION) == 0
    assert Job.objects.get(pk=job.pk).run == 1


def test_a_person_has_one_open_job_of_a_kind(box, alice):
    asked(alice, box)

    with pytest.raises(jobs.JobRefused, match="One at a time for each person"):
        asked(alice, box)


def test_the_database_refuses_a_second_open_job(box, alice):
    job = asked(alice, box)

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(person=alice, kind=SIMULATION, asked_at=job.asked_at)


def test_one_is_asked_for_again_when_the_one_before_is_over(box, alice):
    asked(alice, box)
    jobs.work(SIMULATION)

    asked(alice, box)

    assert states() == ["done", "waiting"]


def test_the_sweep_finds_what_waits_and_what_was_begun_and_nothing_that_is_over(box, alice):
    job = asked(alice, box)
    assert jobs.open_kinds() == ["simulation"]
    moves.begin(job.pk)
    assert jobs.open_kinds() == ["simulation"]

    jobs.work(SIMULATION)

    assert jobs.open_kinds() == []


@pytest.mark.django_db(transaction=True)
def test_nobody_begins_a_job_while_another_worker_holds_its_kind(box, alice):
    asked(alice, box)
    held, over = threading.Event(), threading.Event()

    def work_elsewhere() -> None:
        with locks.hold("jobs:simulation"):
            held.set()
            over.wait(30)
        connections.close_all()

    other = threading.Thread(target=work_elsewhere)
    other.start()
    held.wait(30)
    done = jobs.work(SIMULATION)
    over.set()
    other.join()

    assert done == 0
    assert states() == ["waiting"]


def test_a_job_whose_worker_died_is_begun_anew(box, alice):
    job = asked(alice, box)
    moves.begin(job.pk)

    assert jobs.work(SIMULATION) == 1

    job.refresh_from_db()
    assert (job.state, job.run) == ("done", 2)


def test_what_a_worker_writes_does_not_count_once_another_has_begun(box, alice):
    job = asked(alice, box)
    frozen = moves.begin(job.pk)
    moves.begin(job.pk)

    with pytest.raises(LostRace):
        moves.tell(frozen, done=1, total=2)
    with pytest.raises(LostRace):
        moves.finish(frozen, done=2, result={})


def test_a_job_that_ends_every_worker_is_given_up(box, alice):
    job = asked(alice, box)
    for _ in range(jobs.RUNS):
        moves.begin(job.pk)

    jobs.work(SIMULATION)

    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert job.failure == "It was begun 3 times and never came to its end."


def test_an_error_ends_the_job_and_not_the_next_one(box, alice, bob):
    job = asked(alice, box)
    asked(bob, box)
    Job.objects.filter(pk=job.pk).update(parameters=job.parameters | {"last": "many"})

    jobs.work(SIMULATION)

    assert states() == ["failed", "done"]
    job.refresh_from_db()
    assert job.failure == "It could not be done; operators find the reason in the log."


def test_a_run_notices_that_it_was_cancelled(box, alice):
    job = moves.begin(asked(alice, box).pk)
    run = jobs.Run(job)
    assert jobs.cancel(Job.objects.get(pk=job.pk))

    with pytest.raises(LostRace):
        run.tell(1, 2)
    assert states() == ["cancelled"]


def test_a_job_that_is_over_cannot_be_cancelled(box, alice):
    job = asked(alice, box)
    jobs.work(SIMULATION)
    job.refresh_from_db()

    assert not jobs.cancel(job)
    assert states() == ["done"]


def test_a_result_is_let_go_of_after_a_day(box, alice):
    job = asked(alice, box)
    jobs.work(SIMULATION)
    aged(job, hours=jobs.KEPT_HOURS, minutes=-1)
    jobs.forget_old()
    assert states() == ["done"]

    aged(job, minutes=2)
    jobs.forget_old()

    job.refresh_from_db()
    assert (job.state, job.result) == ("expired", {})


def test_five_results_of_a_kind_are_kept_for_a_person(box, alice):
    for _ in range(jobs.KEPT_OF_A_KIND):
        asked(alice, box)
        jobs.work(SIMULATION)

    asked(alice, box)

    assert states() == ["expired", "done", "done", "done", "done", "waiting"]


def test_the_row_of_a_job_goes_a_month_later(box, alice):
    job = asked(alice, box)
    jobs.work(SIMULATION)
    aged(job, days=jobs.REMEMBERED_DAYS + 1)

    jobs.forget_old()

    assert not Job.objects.exists()


def test_a_file_that_no_job_has_is_removed(box, alice):
    job = moves.begin(asked(alice, box).pk)
    job_files.write(job, ["half of"])
    again = moves.begin(job.pk)
    job_files.write(again, ["all of it"])

    jobs.forget_old()

    assert job_files.every() == {job_files.path_of(again)}
    job_files.remove(again)


@pytest.mark.django_db(transaction=True)
def test_a_simulation_holds_no_transaction_while_it_works(box):
    scenes.draft_in_thread(box)
    held = []

    simulate(box, last=10, rules=[], tell=lambda *_: held.append(connection.in_atomic_block))

    assert held == [False, False]
