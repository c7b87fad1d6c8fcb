"""A process that really dies in the middle of a batch: nothing is decided twice, and the rest has its turn."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import batches
from approvals.models import Batch, BatchItem, BatchKind, Decision, Draft, Send
from approvals.states import BatchState
from tests.approvals.test_notice_mail import until
from tests.campaign import processes
from tests.campaign.desk import SETTINGS, Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(300)]

KILLED = -9
BODY = "<p>Your parcel has shipped.</p>"


@pytest.fixture
def desk(sandbox: Any, connected_settings: Any) -> Desk:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)
    return Desk(sandbox)


@pytest.mark.parametrize("failpoint", ["C0:2", "C1:2", "C2:2", "B1:1", "B1:2"])
def test_what_was_decided_stays_and_what_waits_has_its_turn(desk: Desk, failpoint: str) -> None:
    mailbox = desk.mailbox("provider_draft")
    rows = [desk.draft(mailbox, body=BODY) for _ in range(3)]
    batch = batches.open_batch(desk.alice, [draft.public_id for draft in rows])
    lines = [batches.line_of(item) for item in batches.items_of(batch, desk.alice)]
    assert [item.obstacle for item in batch.items.all()] == ["", "", ""]
    batches.decide(
        batch,
        person=desk.alice,
        kind=BatchKind.APPROVE,
        lines=lines,
        proof=batches.proof_of(batch, lines),
    )

    died = processes.start(lambda: batches.work(batch.pk) and 0, failpoint=failpoint).wait()
    # The lock of a process that died falls once the database has seen it go.
    until(lambda: batches.work(batch.pk) or Batch.objects.get(pk=batch.pk).state == BatchState.ENDED)

    assert died == KILLED
    batch.refresh_from_db()
    assert batch.state == BatchState.ENDED
    assert list(BatchItem.objects.values_list("result", flat=True)) == ["approved"] * 3
    assert Decision.objects.filter(voided_at__isnull=True).count() == 3
    assert Decision.objects.count() == Send.objects.count() == 3
    assert set(Draft.objects.values_list("state", flat=True)) == {"approved"}
