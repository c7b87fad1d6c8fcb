"""A process that really dies in the middle of a job: the next one begins it anew and leaves one whole file."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import job_files, jobs
from approvals.models import JobKind
from approvals.states import JobState
from policies.models import RecipientEntry
from tests.approvals.test_notice_mail import until
from tests.campaign import processes
from tests.pages import scenes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(300)]

KILLED = -9


def one_work() -> int:
    return jobs.work(JobKind.RECIPIENTS) and 0


@pytest.fixture
def alice() -> Any:
    return scenes.person("alice", "admin")


def test_an_export_is_written_anew_and_whole(alice: Any) -> None:
    for number in range(3):
        RecipientEntry.objects.create(kind="allow", scope="global", pattern=f"n{number}.example.com")
    job = jobs.ask(alice, JobKind.RECIPIENTS, {"kind": "", "scope": "", "q": ""})

    died = processes.start(one_work, failpoint="J1:3").wait()
    # The lock of a process that died falls once the database has seen it go.
    until(lambda: jobs.work(JobKind.RECIPIENTS))
    jobs.forget_old()

    assert died == KILLED
    job.refresh_from_db()
    assert (job.state, job.run, job.done) == (JobState.DONE, 2, 3)
    assert job_files.every() == {job_files.path_of(job)}
    assert len(job_files.path_of(job).read_text().splitlines()) == 4
    job_files.remove(job)


def test_a_job_that_ends_its_worker_every_time_has_failed(alice: Any) -> None:
    job = jobs.ask(alice, JobKind.RECIPIENTS, {"kind": "", "scope": "", "q": ""})

    for _ in range(jobs.RUNS):
        until(lambda: processes.start(one_work, failpoint="J1:1").wait() == KILLED)
    until(lambda: jobs.work(JobKind.RECIPIENTS))

    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert job.failure == f"It was begun {jobs.RUNS} times and never came to its end."
