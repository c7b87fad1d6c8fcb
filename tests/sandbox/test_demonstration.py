import base64
import struct
import zlib

from tests.processes import Sandbox

from .conftest import Program


def shape(state: dict) -> list[tuple]:
    return [(draft["id"], draft["subject"], draft["to"], draft["body"]) for draft in state["drafts"]]


def test_same_seed_gives_the_same_mail_and_another_other_ids(sandbox: Sandbox) -> None:
    sandbox.post("reset", scenario="demo", seed=7)
    first = shape(sandbox.get("state"))
    sandbox.post("reset", scenario="demo", seed=8)
    other = shape(sandbox.get("state"))
    sandbox.post("reset", scenario="demo", seed=7)

    assert shape(sandbox.get("state")) == first
    assert {draft[0] for draft in other}.isdisjoint(draft[0] for draft in first)


def test_mail_of_the_demonstration_lies_in_the_recent_past(sandbox: Sandbox) -> None:
    sandbox.post("reset", scenario="demo")

    state = sandbox.get("state")
    dates = [entry["date"] for entry in (*state["messages"], *state["drafts"])]

    assert len(state["threads"]) >= 24
    assert len(state["grants"]) == 3
    assert state["now"] - 8 * 86400 < min(dates) <= max(dates) <= state["now"]
    assert len(sandbox.get("log")["sends"]) == 0


def test_every_draft_answers_a_message_of_its_thread(sandbox: Sandbox) -> None:
    sandbox.post("reset", scenario="demo")

    state = sandbox.get("state")

    threads = {message["id"]: message["thread_id"] for message in state["messages"]}
    assert len(state["drafts"]) >= 20
    assert all(threads[draft["reply_to_message_id"]] == draft["thread_id"] for draft in state["drafts"])


def test_attachments_are_real_files(sandbox: Sandbox) -> None:
    sandbox.post("reset", scenario="demo")
    state = sandbox.get("state")
    contents = {}
    for record in (*state["messages"], *state["drafts"]):
        for attachment in record["attachments"]:
            answer = sandbox.session.get(
                f"{sandbox.url}/v3/grants/{record['grant_id']}/attachments/{attachment['id']}/download",
                params={"message_id": record["id"]},
                headers={"Authorization": f"Bearer {sandbox.api_key}"},
                timeout=10,
            )
            contents[attachment["filename"]] = answer.content

    image = contents["plates.png"]
    width, height = struct.unpack(">II", image[16:24])
    data = image[image.index(b"IDAT") + 4 : image.index(b"IEND") - 8]
    assert len(zlib.decompress(data)) == height * (1 + 3 * width)
    document = contents["quote-northgate-60.pdf"]
    table = int(document.split(b"startxref\n")[1].split()[0])
    assert document.startswith(b"%PDF-1.4")
    assert document[table:].startswith(b"xref")


def test_raw_mail_of_the_demonstration_can_be_read(sandbox: Sandbox) -> None:
    sandbox.post("reset", scenario="demo")

    for grant in sandbox.get("state")["grants"]:
        answer = sandbox.session.get(
            f"{sandbox.url}/v3/grants/{grant['id']}/messages",
            params={"fields": "raw_mime", "limit": "200"},
            headers={"Authorization": f"Bearer {sandbox.api_key}"},
            timeout=10,
        ).json()
        assert all(base64.urlsafe_b64decode(message["raw_mime"]) for message in answer["data"])


def test_customers_and_the_agent_go_on_writing(program: Program) -> None:
    program.start("--scenario=demo", "--no-live")
    before = program.get("/_sandbox/state")
    program.control("PATCH", "switches", live=True, live_every_seconds=0.5)

    while True:
        after = program.get("/_sandbox/state")
        if (
            len(after["drafts"]) > len(before["drafts"])
            and len(after["messages"]) > len(before["messages"]) + 2
        ):
            break

    known = {message["id"] for message in before["messages"]}
    assert all(not message["is_outbound"] for message in after["messages"] if message["id"] not in known)


def test_second_start_keeps_the_mail(program: Program) -> None:
    program.start("--scenario=demo", "--no-live")
    first = program.get("/_sandbox/state")
    program.stop()
    program.start("--scenario=demo", "--no-live")

    assert shape(program.get("/_sandbox/state")) == shape(first)
