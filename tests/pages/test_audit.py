from datetime import datetime

import pytest

from agentmail.models import RuleEvaluation
from audit.models import Entry
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def noor():
    return scenes.person("noor", "auditor", name="Noor Haddad")


def get(person, query=""):
    response = sends.signed_in(person).get(f"/audit/{query}")
    assert response.status_code == 200
    return response


def page(person, query=""):
    return sends.words(get(person, query))


def entries(person, query=""):
    """The actions of the page's entries, without the sign-ins by which the tests themselves read it."""
    shown = [line["entry"].action for line in get(person, query).context["lines"] if line["entry"]]
    return [action for action in shown if action != "approvals.sign_in.succeeded"]


def judged(send, **fields):
    return scenes.evaluation(send.mailbox, send.provider_message_id, **fields)


def test_an_auditor_reads_what_was_decided_newest_first(box, mara, noor):
    sends.accepted(scenes.draft(box, subject="Re: Two plates"), mara)

    assert entries(noor) == [
        "approvals.send.accepted",
        "approvals.send.claimed",
        "approvals.draft.approved",
        "approvals.send.queued",
        "approvals.draft.arrived",
    ]
    assert "Re: Two plates" in page(noor)


@pytest.mark.row("000-28")
def test_an_entry_unfolds_its_checks_in_words_with_hash_and_ids(box, mara, noor):
    sends.accepted(scenes.draft(box), mara)

    shown = page(noor, "?action=approvals.send.claimed")

    assert "Sending is on." in shown
    assert "Approved by Mara Okafor." in shown
    assert Entry.objects.get(action="approvals.send.claimed").hash in shown


@pytest.mark.row("D5")
def test_the_providers_evaluation_stands_beside_the_entry_of_the_same_mail(box, mara, noor):
    send = sends.accepted(scenes.draft(box), mara)
    judged(send, matched_rule_ids=["rule-press"])

    lines = get(noor).context["lines"]

    [linked] = [line for line in lines if line["is_linked"]]
    assert linked["entry"].action == "approvals.send.accepted"
    assert linked["evaluation"].matched_rule_ids == ["rule-press"]
    assert len([line for line in lines if line["evaluation"]]) == 1


def test_an_evaluation_of_other_mail_stands_alone(box, noor):
    scenes.evaluation(box, "message-of-a-stranger", applied_actions={"blocked": True})

    shown = page(noor)

    assert "Blocked" in shown
    assert "message-of-a-stranger" in shown


def test_a_reviewer_reads_only_the_own_actions(box, mara):
    omar = scenes.person("omar", "reviewer", box)
    sends.accepted(scenes.draft(box), mara)
    sends.accepted(scenes.draft(box), omar)
    scenes.evaluation(box, "message-of-a-stranger")

    shown = get(mara)

    assert entries(mara) == ["approvals.draft.approved", "approvals.send.queued"]
    assert "omar" not in sends.words(shown)
    assert "message-of-a-stranger" not in sends.words(shown)


def test_an_operator_reads_the_own_mailboxes_and_the_own_actions(box, mara):
    other = scenes.mailbox("sales@example.com")
    olga = scenes.person("olga", "operator", box)
    scenes.draft(box, subject="Re: Ours")
    scenes.draft(other, subject="Re: Theirs")

    shown = page(olga)

    assert "Re: Ours" in shown
    assert "Re: Theirs" not in shown


@pytest.mark.row("001-02")
def test_filters_narrow_by_mailbox_action_person_and_draft(box, mara, noor):
    other = scenes.mailbox("sales@example.com", undo_seconds=0)
    nina = scenes.person("nina", "reviewer", other)
    sends.accepted(scenes.draft(box, subject="Re: Plates"), mara)
    send = sends.accepted(scenes.draft(other, subject="Re: Quote"), nina)

    assert "Re: Plates" not in page(noor, f"?mailbox={other.public_id}")
    assert entries(noor, "?action=approvals.draft.approved") == ["approvals.draft.approved"] * 2
    assert "Re: Plates" not in page(noor, f"?person={nina.pk}")
    assert "Re: Quote" in page(noor, f"?person={nina.pk}")
    assert len(entries(noor, f"?draft={send.draft.public_id}")) == 5


def test_a_foreign_draft_shows_nothing(box, mara):
    olga = scenes.person("olga", "operator", scenes.mailbox("sales@example.com"))
    draft = scenes.draft(box, subject="Re: Not yours")

    assert "Re: Not yours" not in page(olga, f"?draft={draft.public_id}")


@pytest.mark.row("001-30")
def test_pages_of_both_logs_lose_and_double_nothing_whatever_is_written_meanwhile(box, noor):
    for number in range(40):
        scenes.draft(box, subject=f"Letter {number}")
    at = int(datetime.now().astimezone().timestamp())
    for number in range(40):
        scenes.evaluation(box, f"message-{number}")
    RuleEvaluation.objects.update(evaluated_at=at - 5)
    RuleEvaluation.objects.filter(pk__in=RuleEvaluation.objects.order_by("pk").values("pk")[:20]).update(
        evaluated_at=at + 60
    )
    reader = sends.signed_in(noor)
    wanted = set(Entry.objects.values_list("sequence", flat=True)) | {
        f"e{pk}" for pk in RuleEvaluation.objects.values_list("pk", flat=True)
    }

    seen, address = [], "/audit/"
    while address:
        response = reader.get(address)
        seen += [
            line["entry"].sequence if line["entry"] else f"e{line['evaluation'].pk}"
            for line in response.context["lines"]
        ]
        scenes.draft(box, subject="Written meanwhile")
        address = response.context["paging"]["next_address"]

    assert len(seen) == len(set(seen))
    assert set(seen) == wanted


@pytest.mark.parametrize("query", ["?after=x", "?draft=nonsense", "?person=0", "?mailbox=1", "?action=none"])
def test_a_faulty_filter_is_named_and_the_record_is_shown(box, noor, query):
    scenes.draft(box)

    assert entries(noor, query) == ["approvals.draft.arrived"]


@pytest.mark.parametrize("count", [1, 3])
def test_audit_asks_the_database_equally_often_for_one_row_and_three(box, mara, noor, count):
    for _ in range(count):
        judged(sends.accepted(scenes.draft(box), mara))
    assert sends.questions(noor, "/audit/") == 12
