import pytest

from approvals.returns import meaning_of


@pytest.mark.parametrize(
    ("code", "heading", "status"),
    [
        ("smtp; 550 5.1.1 user unknown", "No such mailbox.", "5.1.1"),
        ("452 4.2.2 over quota", "Mailbox full.", "4.2.2"),
        ("550 5.7.999 something new", "Refused for security or policy.", "5.7.999"),
        ("5.9.1 unheard of", "Not delivered.", "5.9.1"),
        ("550 user unknown", "No such mailbox.", "550"),
    ],
)
def test_a_reply_of_a_mail_server_is_explained_by_its_most_exact_code(code, heading, status):
    meaning = meaning_of(code)

    assert (str(meaning.heading), meaning.code) == (heading, status)


def test_every_code_of_the_fours_says_that_it_is_tried_again():
    assert "tried again" in str(meaning_of("4.7.500 slow down").advice)


@pytest.mark.parametrize("code", ["", "MailboxFull", "rejected by 10.5.1.1", "smtp; 250 ok", "15.1.10.3"])
def test_what_holds_no_status_is_not_explained(code):
    assert meaning_of(code) is None
