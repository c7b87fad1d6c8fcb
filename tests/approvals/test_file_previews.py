"""Files of messages, which the provider holds: fetched to be drawn, and not again for what was drawn."""

import base64
import io

import pytest
from django.urls import reverse
from PIL import Image

from agentmail.models import Message
from tests.pages.pages import browser


@pytest.fixture
def shown(settings, tmp_path, alice, customer_writes, agent_writes):
    """The pages about a file of the answered message: the path of each, for a person who may see them."""
    settings.VAR_DIR = tmp_path
    drawn = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(drawn, "PNG")
    part = {
        "filename": "plate.jpg",
        "content_type": "image/jpeg",
        "content": base64.b64encode(drawn.getvalue()).decode(),
    }
    question = customer_writes(
        **{"from": {"email": "casey@example.net"}}, subject="Broken", body="<p>See</p>", attachments=[part]
    )
    draft = agent_writes(reply_to_message_id=question["message_id"])
    message = Message.objects.get(provider_id=draft.parent_message_id)
    [file] = message.attachments

    def path(name, *more):
        address = reverse(f"approvals:message_attachment_{name}", args=[draft.public_id, message.pk, *more])
        return f"{address}?id={file['id']}"

    return path


def test_a_file_of_a_message_is_drawn_and_told_apart_from_what_it_says(shown, alice):
    page = browser(alice).page(shown("preview"))
    [source] = [image.get("src") for image in page.all("img") if "preview" in image.get("src")]

    assert "Not what its name or type says" in page.text()
    assert Image.open(io.BytesIO(browser(alice).get(source).content)).size == (40, 30)


def test_what_was_drawn_of_a_message_is_shown_without_the_provider(shown, alice, connected_settings):
    first = browser(alice).get(shown("picture", 1)).content
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    assert browser(alice).get(shown("picture", 1)).content == first


def test_a_silent_provider_means_no_preview_and_the_page_says_so(shown, alice, connected_settings):
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    response = browser(alice).get(shown("preview"))

    assert response.status_code == 502
    assert "The provider did not give the file." in response.content.decode()
