"""Files of a draft on pages of their own: what they are, what of them can be seen, and why not."""

import io

import pytest
from django.urls import reverse
from PIL import Image

from tests.pages import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def kept(settings, tmp_path):
    settings.VAR_DIR = tmp_path


def address(draft, name="attachment_preview", *more):
    sha256 = draft.current_revision.attachments[0]["sha256"]
    return reverse(f"approvals:{name}", args=[draft.public_id, sha256, *more])


def carrying(support, file):
    return scenes.draft_in_thread(support, attachments=(file,))


def letter_of(desk, draft):
    page = desk.page(reverse("approvals:draft", args=[draft.public_id]))
    return page, page.classed("letter")[0]


def test_a_picture_is_shown_as_one_of_ours_on_its_page_and_small_in_the_letter(desk, support):
    draft = carrying(support, scenes.picture(600, 300, "plate.jpg", "image/jpeg", kind="JPEG"))

    page = desk.page(address(draft))
    _draft_page, letter = letter_of(desk, draft)

    [shown] = [image for image in page.all("img") if "preview" in image.get("src")]
    response = desk.get(shown.get("src"))
    assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert Image.open(io.BytesIO(response.content)).size == (600, 300)
    [thumbnail] = [image.get("src") for image in letter.iter("img")]
    assert Image.open(io.BytesIO(desk.get(thumbnail).content)).size == (240, 120)


def test_text_is_shown_with_its_controls_visible(desk, support):
    draft = carrying(support, scenes.file("price \u202e001\x1b[0m <b>".encode(), "prices.txt", "text/plain"))

    page = desk.page(address(draft))

    assert "price [U+202E]001[U+001B][0m <b>" in page.text(page.classed("preview__text")[0])
    assert "text, utf-8" in page.text()


def test_a_file_that_is_not_what_it_says_is_marked_on_its_page_in_the_letter_and_in_a_note(desk, support):
    draft = carrying(support, scenes.file(b"MZ\x90\0", "invoice.pdf", "application/pdf"))

    draft_page, letter = letter_of(desk, draft)

    assert "Not what its name or type says" in desk.page(address(draft)).text()
    assert "Is not what it says: program" in draft_page.text(letter)
    assert "A file is of another kind than its name says. program." in draft_page.text()


def test_a_file_without_preview_says_why_and_can_be_downloaded(desk, support):
    draft = carrying(support, scenes.file(b"PK\x03\x04", "files.zip", "application/zip"))

    page = desk.page(address(draft))

    assert "There is no preview. Files of this kind are not shown here." in page.text()
    assert address(draft, "attachment") in [link.get("href") for link in page.all("a")]
    assert desk.get(address(draft, "attachment_thumbnail"))["Location"] == "/static/img/no-preview.svg"


def test_a_page_that_was_not_drawn_is_not_found(desk, support):
    draft = carrying(support, scenes.picture())

    assert desk.get(address(draft, "attachment_picture", 1)).status_code == 200
    assert [desk.get(address(draft, "attachment_picture", number)).status_code for number in (0, 2)] == [
        404,
        404,
    ]


def test_the_file_of_another_draft_has_no_preview(desk, support):
    other = carrying(support, scenes.picture())
    sha256 = other.current_revision.attachments[0]["sha256"]
    draft = scenes.draft_in_thread(support)

    for name, *more in (("attachment_preview",), ("attachment_picture", 1), ("attachment_thumbnail",)):
        path = reverse(f"approvals:{name}", args=[draft.public_id, sha256, *more])
        assert desk.get(path).status_code == 404
