import hashlib
import uuid
from datetime import timedelta

import pytest
from django.urls import reverse

from agentmail.types import Address
from approvals.content import content_of_revision, edited
from approvals.freshness import Staleness
from approvals.models import Decision, Draft, StaleReason
from approvals.states import DraftState
from approvals.transitions import drafts
from audit.models import Entry
from audit.record import SYSTEM
from policies import switch
from tests.pages import scenes
from tests.pages.pages import browser
from tests.statements import statements

GATES_IN_ORDER = [
    "Switch",
    "Database",
    "Grant",
    "Mailbox",
    "Mode",
    "Decision",
    "Recipients",
    "Content",
    "Rules",
    "Tier",
    "Thread",
    "Fresh",
    "Caps",
    "Dry run",
]


def address(draft, name="draft", *more):
    return reverse(f"approvals:{name}", args=[draft.public_id, *more])


def edit(draft, person, **changes):
    draft.refresh_from_db()
    content = edited(content_of_revision(draft.current_revision), changes)
    return drafts.edit(draft.pk, person=person, seen=scenes.seen(draft), content=content)


def stale(draft, *messages):
    drafts.mark_stale(
        draft.pk, Staleness(StaleReason.NEW_INBOUND, tuple(message.provider_id for message in messages))
    )
    draft.refresh_from_db()


@pytest.mark.row("D1")
def test_the_page_shows_every_message_of_the_thread_and_the_draft(desk, support):
    draft = scenes.draft_in_thread(support, length=3, body="The answer of the agent")

    text = desk.page(address(draft)).text()

    for number in (1, 2, 3):
        assert f"Message {number} of the thread" in text
    assert "The answer of the agent" in text


def test_the_answered_message_is_marked(desk, support):
    draft = scenes.draft_in_thread(support, length=3)

    [answered] = desk.page(address(draft)).classed("mail--answering")
    text = " ".join("".join(answered.itertext()).split())

    assert "Answering this message" in text
    assert "Message 3 of the thread" in text


def test_a_draft_outside_any_thread_says_so(desk, support):
    draft = scenes.draft(support)

    assert "starts a conversation of its own" in desk.page(address(draft)).text()


def test_every_recipient_is_shown_and_bcc_is_marked(desk, support):
    draft = scenes.draft_in_thread(
        support,
        to=(Address("to@example.org", "Tom"),),
        cc=(Address("cc@example.org"),),
        bcc=(Address("bcc@example.net"),),
        reply_to=(Address("elsewhere@example.net"),),
    )

    page = desk.page(address(draft))
    [letter] = page.classed("letter")
    text = page.text(letter)

    for email in ("to@example.org", "cc@example.org", "bcc@example.net", "elsewhere@example.net"):
        assert email in text
    assert "New, and hidden from the others" in text


def test_without_bcc_the_page_says_nobody(desk, support):
    page = desk.page(address(scenes.draft_in_thread(support)))
    [letter] = page.classed("letter")

    assert "Bccnobody" in page.text(letter)


def test_an_attachment_shows_name_type_size_and_digest(desk, support):
    data = b"x" * 84_000
    draft = scenes.draft_in_thread(support, attachments=(scenes.file(data, "note.pdf", "application/pdf"),))

    text = desk.page(address(draft)).text()

    assert "note.pdf" in text
    assert "84 kB, application/pdf" in text
    assert hashlib.sha256(data).hexdigest() in text


def test_a_file_that_can_run_programs_is_marked(desk, support):
    draft = scenes.draft_in_thread(support, attachments=(scenes.file(b"MZ", "invoice.pdf.exe"),))

    assert "Can run programs or hide files" in desk.page(address(draft)).text()


def test_an_attachment_is_downloaded_and_never_shown(desk, support):
    file = scenes.file(b"<script>alert(1)</script>", "n\u00e4me\r\n.html", "text/html")
    draft = scenes.draft_in_thread(support, attachments=(file,))

    response = desk.get(address(draft, "attachment", file.sha256))

    assert response.content == b"<script>alert(1)</script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == "attachment; filename*=UTF-8''n%C3%A4me.html"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_file_of_another_draft_is_not_found(desk, support):
    file = scenes.file(b"other")
    scenes.draft_in_thread(support, attachments=(file,))
    draft = scenes.draft_in_thread(support)

    assert desk.get(address(draft, "attachment", file.sha256)).status_code == 404


def test_html_of_a_message_is_framed_and_never_part_of_the_page(desk, support):
    message = scenes.message(
        support, "t", body="<p>Hello <b class=x>planted</b></p><script>alert(1)</script>"
    )
    draft = scenes.draft(support, messages=[message])

    page = desk.page(address(draft))
    frame = desk.get(address(draft, "message_body", message.pk))

    assert "<b>planted" not in page.html
    assert b"planted" in frame.content
    assert b"<script" not in frame.content
    assert frame["Content-Security-Policy"].startswith("default-src 'none';")
    assert "sandbox" in frame["Content-Security-Policy"]
    assert frame["X-Frame-Options"] == "SAMEORIGIN"


def test_a_frame_of_a_message_of_another_thread_is_not_found(desk, support):
    other = scenes.message(support, "other thread", body="<p>secret</p>")
    draft = scenes.draft_in_thread(support)

    assert desk.get(address(draft, "message_body", other.pk)).status_code == 404


def test_a_message_is_not_framed_through_a_draft_without_thread(desk, support):
    message = scenes.message(support, "", body="<p>x</p>")
    draft = scenes.draft(support)

    assert desk.get(address(draft, "message_body", message.pk)).status_code == 404


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</textarea><b>", "a\u202eb\u200bc\0d"],
)
def test_hostile_text_in_every_field_is_shown_as_text(desk, support, hostile):
    safe = hostile.replace("\0", "")
    message = scenes.message(support, "t", body=f"body {safe}", name=safe, subject=safe)
    draft = scenes.draft(
        support,
        messages=[message],
        subject=safe,
        body=f"letter {safe}",
        to=(Address("priya.nair@example.org", safe),),
        attachments=(scenes.file(filename=safe),),
    )

    page = desk.page(address(draft))

    assert "<script>alert" not in page.html
    assert "<img src=x" not in page.html
    assert "\u202e" not in page.html
    assert "\u200b" not in page.html


def test_the_agents_original_and_the_edit_are_told_apart_word_by_word(desk, support, alice):
    draft = scenes.draft_in_thread(support, body="We refund the whole order today.")
    edit(draft, alice, body="We replace the whole order today.")

    page = desk.page(address(draft))

    assert [page.text(element) for element in page.all("del")] == ["refund"]
    assert [page.text(element) for element in page.all("ins")] == ["replace"]


def test_the_original_stays_readable_after_an_edit(desk, support, alice):
    draft = scenes.draft_in_thread(support, body="The first wording")
    edit(draft, alice, body="The second wording")

    page = desk.page(address(draft), data={"view": "original"})

    assert "The first wording" in page.text(page.classed("letter")[0])
    assert "Not what would be sent: that is version 2" in page.text()


def test_an_added_hidden_reader_is_part_of_the_difference(desk, support, alice):
    draft = scenes.draft_in_thread(support)
    edit(draft, alice, bcc=(Address("records@example.net"),))

    page = desk.page(address(draft))

    assert "Bcc, changed" in page.text()
    assert "records@example.net" in [page.text(element) for element in page.all("ins")]


def test_every_gate_is_asked_in_the_fixed_order(desk, support):
    [gates] = desk.page(address(scenes.draft_in_thread(support))).classed("gates")

    words = ["".join(row[1].itertext()).partition(":")[0] for row in gates.iter("li")]

    assert words == GATES_IN_ORDER


@pytest.mark.row("000-32")
def test_a_stopped_switch_is_told_and_the_verbs_stay(desk, support):
    draft = scenes.draft_in_thread(support)
    switch.engage("global", actor=SYSTEM, reason="wrong prices", wait_seconds=0)

    page = desk.page(address(draft))

    assert "an approval is kept and held" in page.text()
    assert page.button("Approve and send").get("disabled") is None


def test_a_draft_that_no_gate_would_let_out_cannot_be_approved_and_says_why(desk, support):
    draft = scenes.draft_in_thread(support, to=())

    page = desk.page(address(draft))

    assert page.button("Approve and send").get("disabled") is not None
    assert "Cannot be approved: There is nobody in To." in page.text()


def test_a_draft_that_is_not_fully_read_says_what_is_missing(desk, support):
    draft = scenes.draft_in_thread(support, incomplete_reason="An attachment could not be read.")

    page = desk.page(address(draft))

    assert "An attachment could not be read." in page.text()
    assert page.button("Approve and send").get("disabled") is not None


@pytest.mark.row("003-07")
def test_notes_name_a_new_recipient_a_new_link_and_a_new_amount(desk, support):
    draft = scenes.draft_in_thread(
        support,
        to=(Address("stranger@evil.example"),),
        body="Pay €500 at https://pay.evil.example/now",
    )

    page = desk.page(address(draft))
    [notes] = page.classed("notes")
    text = page.text(notes)

    assert "stranger@evil.example" in text
    assert "pay.evil.example" in text
    assert "€500" in text


def test_a_link_that_says_another_place_is_marked_and_cannot_be_followed(desk, support):
    draft = scenes.draft_in_thread(
        support,
        body='<p>See <a href="https://evil.example/x">www.bank.example</a>, <a href="https://bücher.example">here</a></p>',
        is_plaintext=False,
    )

    page = desk.page(address(draft))
    text = page.text(page.classed("letter")[0])

    assert "https://evil.example/x" in text
    assert "goes to evil.example" in text
    assert "A link says another place than it goes to." in page.text(page.classed("notes")[0])
    assert [link for link in page.all("a") if "evil.example" in (link.get("href") or "")] == []


def test_hidden_text_of_a_draft_is_told(desk, support):
    draft = scenes.draft_in_thread(
        support, body='<p>Dear Priya</p><p style="display:none">wire the money</p>', is_plaintext=False
    )

    page = desk.page(address(draft))

    assert "It holds text that its reader will not see." in page.text(page.classed("notes")[0])


def full_of_notes(support, **fields):
    return scenes.draft_in_thread(
        support,
        **{
            "to": (Address("oskar@evil.example", "boss@example.org"),),
            "cc": (Address("priya.nair@examp1e.org"),),
            "bcc": (Address("records@stranger.example"),),
            "subject": "Invoice of €500",
            "body": "Dear Ingrid,\n\npay €500 at https://pay.evil.example/now, password: hunter22.\u200b",
            "attachments": (scenes.file(filename="a.exe"),),
        }
        | fields,
    )


def note_links(page):
    return [link.get("href") for link in page.classed("notes")[0].iter("a")]


def test_each_note_leads_to_the_place_that_caused_it(desk, support):
    page = desk.page(address(full_of_notes(support)))

    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    marked = [page.text(element) for element in page.all("mark")]
    assert len(note_links(page)) > 10
    assert [link for link in note_links(page) if link.removeprefix("#") not in ids] == []
    for text in ("Ingrid", "€500", "pay.evil.example", "hunter22.[U+200B]"):
        assert text in marked


def test_each_mark_in_the_letter_leads_to_its_note(desk, support):
    page = desk.page(address(full_of_notes(support)))

    ids = [element.get("id") for element in page.all("li")]
    references = [link.get("href") for link in page.classed("ref")]
    assert len(references) > 3
    assert [link for link in references if link.removeprefix("#") not in ids] == []


def test_notes_lead_to_the_letter_as_sent_from_a_view_of_the_changes(desk, support, alice):
    draft = full_of_notes(support)
    edit(draft, alice, body="pay €500 today")

    page = desk.page(address(draft))

    assert page.all("mark") == []
    assert {link.partition("#")[0] for link in note_links(page)} == {f"{address(draft)}?view=sent"}
    assert "€500" in [
        page.text(element) for element in desk.page(address(draft), data={"view": "sent"}).all("mark")
    ]


def test_an_older_version_is_not_marked_with_notes_about_the_current_one(desk, support, alice):
    draft = full_of_notes(support)
    edit(draft, alice, body="nothing of that")

    assert desk.page(address(draft), data={"view": "original"}).all("mark") == []


@pytest.mark.row("003-07")
def test_an_answer_whose_subject_or_recipient_is_of_another_conversation_is_told(desk, support):
    text = desk.page(address(full_of_notes(support))).text()

    assert "It may answer in the wrong conversation." in text
    assert "Its subject has no word in common with that of the conversation." in text
    assert "Nobody in To took part in the conversation." in text


@pytest.mark.row("003-07")
def test_words_of_a_complaint_in_the_answered_message_are_told(desk, support):
    message = scenes.message(support, "t", body="I am furious about the plates.")

    page = desk.page(address(scenes.draft(support, messages=[message])))

    assert "furious" in page.text(page.classed("notes")[0])
    assert "#answered" in note_links(page)


def test_excerpts_in_notes_are_escaped_and_their_hidden_characters_shown(desk, support):
    hostile = "<script>alert(1)</script>@evil.example\u202e"
    draft = scenes.draft_in_thread(
        support,
        to=(Address("priya.nair@example.org", hostile),),
        subject=f"password: 1{hostile}",
        body="<p>Dear Priya</p><p hidden>&lt;script&gt;alert(1)&lt;/script&gt;\u202e</p>"
        '<a href="https://evil.example/">www.bank.example &lt;script&gt;alert(1)&lt;/script&gt;</a>',
        is_plaintext=False,
        attachments=(scenes.file(filename="<script>alert(1)</script>\u202e.exe"),),
    )

    page = desk.page(address(draft))
    text = page.text(page.classed("notes")[0])

    assert text.count("<script>alert(1)</script>") >= 5
    assert "[U+202E]" in text
    assert "<script>alert" not in page.html
    assert "\u202e" not in page.html


def test_notes_cost_no_more_questions_however_many_there_are(alice, support):
    client = browser(alice)
    cc = tuple(Address(f"x@stranger{number}.example") for number in range(20))
    one, many = full_of_notes(support), full_of_notes(support, cc=cc, body="pay €1, €2, €3 " * 50)
    client.page(address(one))

    asked = queries_of(client, address(many))

    assert len(asked) == len(queries_of(client, address(one)))
    assert len(asked) <= 33, "\n".join(query[:280] for query in asked)


def test_a_plain_answer_has_no_notes(desk, support):
    assert desk.page(address(scenes.draft_in_thread(support))).classed("notes") == []


def test_the_history_shows_both_logs_newest_first(desk, support):
    message = scenes.message(support, "t")
    draft = scenes.draft(support, messages=[message])
    scenes.evaluation(support, message.provider_id, matched_rule_ids=["rule-18"])

    page = desk.page(address(draft))
    lines = [page.text(line) for line in page.all("section", id="history")[0].iter("li")]

    assert len(lines) == 2
    assert "Draft arrived" in lines[0]
    assert "rule-18" in lines[1]


def test_the_history_speaks_in_words_and_not_in_codes(desk, support):
    message = scenes.message(support, "t")
    draft = scenes.draft(support, messages=[message])
    evaluation = scenes.evaluation(support, message.provider_id, stage="inbox_processing")

    [history] = desk.page(address(draft)).all("section", id="history")
    said = "".join(history.itertext())

    assert "The agent put a draft up for review." in said
    assert "arrival of a message" in said.lower()
    for code in ("approvals.draft.arrived", "inbox_processing", evaluation.provider_id):
        assert code not in said


def test_evaluations_of_other_messages_are_left_out(desk, support):
    draft = scenes.draft_in_thread(support)
    scenes.evaluation(support, "another message", matched_rule_ids=["rule-99"])

    assert "rule-99" not in desk.page(address(draft)).text()


def test_a_stale_draft_shows_the_new_message_and_three_ways_out(desk, support):
    draft = scenes.draft_in_thread(support)
    stale(draft, scenes.message(support, draft.thread_id, body="Please forget it", minutes=900))

    page = desk.page(address(draft))

    assert "Please forget it" in page.text(page.classed("mail--new")[0])
    assert "Approve and send" not in page.buttons()
    for name in ("Return to queue", "Request changes", "Reject"):
        assert page.button(name).get("formaction")


def decision_values(page, **changes):
    return page.form_values("decision") | changes


def test_a_rejection_needs_a_reason_and_keeps_what_was_seen(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    answer = desk.submit(address(draft, "reject"), decision_values(page, reason="  "))

    assert answer.status == 422
    assert "Say in a sentence why." in answer.text()
    draft.refresh_from_db()
    assert draft.state == DraftState.PENDING


def test_a_reason_that_is_too_long_names_the_limit_and_is_kept(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    answer = desk.submit(address(draft, "reject"), decision_values(page, reason="x" * 2001))

    assert answer.status == 422
    assert "2000" in answer.text()
    assert answer.form_values("decision")["reason"] == "x" * 2001


def test_an_end_of_a_line_counts_as_one_character_as_it_does_in_the_browser(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    # A browser sends two characters for it.
    values = decision_values(page, reason="x\r\n" * 999 + "xx")
    answer = desk.post(address(draft, "reject"), values)

    assert answer.status_code == 302
    assert draft.decisions.get().reason == "x\n" * 999 + "xx"


def test_a_rejection_is_recorded_with_its_reason_and_shown(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    response = desk.post(address(draft, "reject"), decision_values(page, reason="The price is wrong"))

    assert response.status_code == 302
    shown = desk.page(address(draft)).text()
    assert "Rejected by Alice Reviewer" in shown
    assert "The price is wrong" in shown


def test_a_request_for_changes_goes_back_with_its_note(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    desk.post(address(draft, "request_changes"), decision_values(page, reason="Name the date"))

    assert "Sent back to the agent by Alice Reviewer" in desk.page(address(draft)).text()


def test_a_decision_about_an_older_version_is_refused_and_loses_nothing(desk, support, alice):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))
    edit(draft, alice, body="another wording meanwhile")

    answer = desk.submit(address(draft, "reject"), decision_values(page, reason="My long reason"))

    assert answer.status == 409
    assert "Nothing was decided" in answer.text()
    assert answer.form_values("decision")["reason"] == "My long reason"
    assert not Decision.objects.exists()


def test_the_opposite_of_a_decision_is_a_conflict_that_names_the_first(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))
    desk.post(address(draft, "reject"), decision_values(page, reason="no"))

    answer = desk.submit(address(draft, "approve"), decision_values(page))

    assert answer.status == 409
    assert "Alice Reviewer decided this before" in answer.text()


def test_the_same_decision_again_changes_nothing_and_names_the_first(desk, support):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))
    desk.post(address(draft, "reject"), decision_values(page, reason="no"))
    entries = Entry.objects.count()

    answer = desk.submit(address(draft, "reject"), decision_values(page, reason="no"))

    assert answer.status == 200
    assert "Alice Reviewer decided this before" in answer.text()
    assert Entry.objects.count() == entries


def test_an_approval_without_provider_is_refused_and_sends_nothing(desk, support, settings):
    settings.NYLAS_API_URI = ""
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))

    answer = desk.submit(address(draft, "approve"), decision_values(page))

    assert answer.status == 409
    assert "nothing was approved" in answer.text()
    draft.refresh_from_db()
    assert draft.state == DraftState.PENDING


@pytest.mark.parametrize("missing", ["revision", "content_sha256", "form_id"])
def test_a_decision_without_what_was_seen_is_refused(desk, support, missing):
    draft = scenes.draft_in_thread(support)
    values = decision_values(desk.page(address(draft)), reason="no")
    del values[missing]

    assert desk.submit(address(draft, "reject"), values).status == 422


def test_a_decision_needs_a_post(desk, support):
    draft = scenes.draft_in_thread(support)

    for name in ("approve", "reject", "request_changes", "undo", "look_again"):
        assert desk.get(address(draft, name)).status_code == 405


def test_a_decision_without_csrf_token_is_refused_in_our_words(alice, support):
    draft = scenes.draft_in_thread(support)
    client = browser(alice)
    client.handler.enforce_csrf_checks = True

    answer = client.submit(address(draft, "reject"), {"reason": "no"})

    assert answer.status == 403
    assert "This form is too old" in answer.text()


def test_an_auditor_reads_and_is_offered_no_verb(dave, support):
    draft = scenes.draft_in_thread(support)

    page = browser(dave).page(address(draft))

    assert "Approve and send" not in page.buttons()
    assert "Reviewers of this mailbox decide about it" in page.text()


def refresh_address(page):
    [matter] = page.all("div", id="matter")
    [beside] = page.all("input", name="beside")
    return f"{matter.get('hx-get')}&beside={beside.get('value')}"


def test_a_refresh_without_news_is_answered_with_204(desk, support):
    draft = scenes.draft_in_thread(support)

    response = desk.get(refresh_address(desk.page(address(draft))))

    assert response.status_code == 204


def test_a_decision_elsewhere_reaches_an_open_page(desk, support, carol):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))
    other = scenes.person("second", "reviewer", support, name="Second Reviewer")
    drafts.reject(draft.pk, person=other, seen=scenes.seen(draft), reason="no", form_id=uuid.uuid4())

    response = desk.get(refresh_address(page))

    assert response.status_code == 200
    assert "Rejected by Second Reviewer" in response.content.decode()


def test_a_new_wording_does_not_replace_what_is_being_read(desk, support, alice):
    draft = scenes.draft_in_thread(support)
    page = desk.page(address(draft))
    edit(draft, alice, body="another wording meanwhile")

    response = desk.get(refresh_address(page))

    assert response["HX-Reswap"] == "none"
    assert "This draft changed while it was open here" in response.content.decode()
    assert "another wording" not in response.content.decode()


def test_a_draft_that_answers_a_request_is_linked_with_the_earlier_one(desk, support, alice):
    messages = [scenes.message(support, "t")]
    first = scenes.draft(support, messages=messages)
    drafts.request_changes(
        first.pk, person=alice, seen=scenes.seen(first), note="Name the date", form_id=None
    )
    second = scenes.draft(support, messages=messages, body="On Monday.")

    def links(page):
        return [link.get("href") for link in page.all("a") if "draft" in page.text(link)]

    assert address(first) in links(desk.page(address(second)))
    assert address(second) in links(desk.page(address(first)))


def test_the_next_draft_is_one_click_away(desk, support):
    first = scenes.draft_in_thread(support, subject="first")
    second = scenes.draft_in_thread(support, subject="second")
    Draft.objects.filter(pk=second.pk).update(queue_at=second.queue_at + timedelta(hours=1))

    page = desk.page(address(first))

    [link] = [link for link in page.all("a") if page.text(link) == "Next draft"]
    assert link.get("href") == address(second)


def test_an_unknown_draft_is_not_found_in_our_words(desk):
    page = desk.page(f"/drafts/{uuid.uuid4()}/")

    assert page.status == 404
    assert "Nothing here" in page.text()


def queries_of(client, target):
    with statements() as asked:
        client.page(target)
    return asked


def test_the_draft_page_takes_the_same_queries_for_one_message_and_thirty(alice, support):
    client = browser(alice)
    short, long = scenes.draft_in_thread(support, length=1), scenes.draft_in_thread(support, length=30)
    client.page(address(short))

    one, thirty = queries_of(client, address(short)), queries_of(client, address(long))

    assert len(one) == len(thirty), "\n".join(thirty)
    assert len(thirty) <= 32, "\n".join(query[:280] for query in thirty)


@pytest.mark.parametrize(
    ("body", "is_low"),
    [
        ("<p>It left on Monday.</p>", True),
        (f"<p>{'It left on Monday. ' * 40}</p>", False),
        ("<p>One.</p>" * 12, False),
    ],
)
def test_a_short_mail_takes_a_low_frame(alice, support, body, is_low):
    draft = scenes.draft_in_thread(support, body=body, is_plaintext=False)

    page = browser(alice).page(address(draft))

    assert ("frame--low" in page.html.partition('class="letter"')[2]) is is_low


def test_the_head_of_a_draft_says_its_risk_with_what_no_note_tells(desk, support):
    draft = scenes.draft_in_thread(support, body="Dear Oskar,\n\nthe password is hunter22.")

    [said] = desk.page(address(draft)).classed("talk__risk")

    assert "".join(said.itertext()) == "High risk; no category"


@pytest.mark.parametrize(("state", "seconds"), [("pending", "1.5"), ("rejected", "4")])
def test_an_open_draft_shows_what_others_decide_within_two_seconds(desk, support, state, seconds):
    draft = scenes.draft_in_thread(support)
    Draft.objects.filter(pk=draft.pk).update(state=state)

    [matter] = desk.page(address(draft)).all("div", id="matter")

    assert matter.get("hx-trigger") == f"every {seconds}s, shown"
