"""Fills an empty sandbox with the stories of the demonstration."""

from __future__ import annotations

import random
import uuid
from email.utils import formatdate

from .arriving import header_address, receive
from .attachments import add_attachment
from .drafts import create_draft
from .people import Person
from .store import Record
from .stories import BLOCKED_DOMAIN, MAILBOXES, STORIES, US, Answer, File, Mail, Story
from .world import World


def seed_demo(world: World) -> None:
    """Create the mailboxes, their threads and the agent's drafts: the same ids and texts for the same seed,
    dated relative to now. Nothing is announced to webhooks."""
    source = random.Random(world.seed)
    world.new_uuid = lambda: uuid.UUID(int=source.getrandbits(128), version=4)
    try:
        with world.events.collected(), world.store.change():
            for email, name in MAILBOXES:
                world.create_grant(email=email, name=name, id=str(world.new_uuid()))
            _block_a_domain(world)
            now = world.clock.seconds()
            for story in STORIES:
                tell(world, story, now, jitter=source.randrange(60))
    finally:
        world.new_uuid = uuid.uuid4


def person(text: str) -> Person:
    """Read `Name <address>`, where the name may hold a comma."""
    name, _, email = text.removesuffix(">").rpartition(" <")
    return {"email": email, "name": name} if name else {"email": email}


def people(texts: tuple[str, ...]) -> list[Person]:
    return [person(text) for text in texts]


def stored(world: World, files: tuple[File, ...]) -> list[Record]:
    return [
        add_attachment(world, file.content, filename=file.name, content_type=file.content_type)
        for file in files
    ]


def tell(world: World, story: Story, now: int, *, jitter: int = 0) -> None:
    """File the messages of a story and the draft that answers the last of them."""
    grant = world.find_grant(story.mailbox)
    assert grant is not None
    thread: list[Record] = []
    for mail in story.mails:
        subject = story.subject if not thread or story.subject.startswith("Re:") else f"Re: {story.subject}"
        date = now - mail.ago * 60 - jitter
        if mail.sender == US:
            thread.append(_file_own(world, grant, thread[-1], subject, mail, date))
        else:
            thread.append(hear(world, grant, thread[-1] if thread else None, subject, mail, date))
    if story.answer is not None:
        answer(world, grant, thread[-1], story.answer, now - story.answer.ago * 60)


def hear(world: World, grant: Record, earlier: Record | None, subject: str, mail: Mail, date: int) -> Record:
    return receive(
        world,
        grant,
        {
            "from": person(mail.sender),
            "cc": people(mail.cc),
            "reply_to": people((mail.reply_to,)) if mail.reply_to else [],
            "subject": subject,
            "body": mail.body,
            "plain_part": mail.plain_part,
            "attachments": stored(world, mail.files),
            "thread_id": earlier["thread_id"] if earlier else "",
            "date": date,
        },
    )


def _file_own(world: World, grant: Record, earlier: Record, subject: str, mail: Mail, date: int) -> Record:
    """File a message that was sent before the sandbox was started; it is in no log."""
    sender = {"email": grant["email"], "name": grant["name"]}
    to = earlier["from"]
    message_id = f"<{world.new_uuid()}@{grant['email'].rpartition('@')[2]}>"
    headers = (
        ("From", header_address(sender)),
        ("To", ", ".join(header_address(entry) for entry in to)),
        ("Subject", subject),
        ("Date", formatdate(date)),
        ("Message-ID", message_id),
        ("In-Reply-To", earlier["message_id"]),
    )
    message = {
        "id": world.new_mail_id(),
        "grant_id": grant["id"],
        "thread_id": earlier["thread_id"],
        "from": [sender],
        "to": to,
        "cc": earlier["cc"],
        "bcc": [],
        "reply_to": [],
        "subject": subject,
        "body": mail.body,
        "is_plaintext": True,
        "date": date,
        "created_at": date,
        "unread": False,
        "starred": False,
        "folders": [world.folder_ids(grant["id"])["sent"]],
        "attachments": stored(world, mail.files),
        "metadata": {},
        "headers": [{"name": name, "value": value} for name, value in headers],
        "message_id": message_id,
        "is_outbound": True,
        "reply_to_message_id": earlier["id"],
    }
    return world.store.put("message", message)


def answer(world: World, grant: Record, parent: Record, text: Answer, date: int) -> Record:
    """Write the agent's draft."""
    subject = parent["subject"]
    fields = {
        "to": people(text.to) or parent["reply_to"] or parent["from"],
        "cc": people(text.cc),
        "bcc": people(text.bcc),
        "subject": subject if subject.startswith("Re:") else f"Re: {subject}",
        "body": text.body,
        "is_plaintext": True,
        "reply_to_message_id": parent["id"],
    }
    draft = create_draft(world, grant, fields, [])
    draft["attachments"] = stored(world, text.files)
    draft["date"] = draft["created_at"] = date
    with world.store.change():
        return world.store.put("draft", draft)


def _block_a_domain(world: World) -> None:
    """Give the provider an outbound rule of its own, so that a refusal by rule can be seen."""
    now = world.clock.seconds()
    made = {**world.ownership, "created_at": now, "updated_at": now}
    list_id, rule_id = str(world.new_uuid()), str(world.new_uuid())
    world.store.put(
        "list", {"id": list_id, "name": "Never write to", "description": "", "type": "domain", **made}
    )
    item = {"id": str(world.new_uuid()), "list_id": list_id, "value": BLOCKED_DOMAIN, "created_at": now}
    world.store.put("list_item", item)
    condition = {"field": "recipient.domain", "operator": "in_list", "value": [list_id]}
    rule = {
        "id": rule_id,
        "name": "Nobody on the list Never write to",
        "description": "",
        "priority": 10,
        "enabled": True,
        "trigger": "outbound",
        "match": {"operator": "all", "conditions": [condition]},
        "actions": [{"type": "block"}],
        **made,
    }
    world.store.put("rule", rule)
    workspace = world.require("workspace", world.application["default_workspace"])
    workspace["rule_ids"] = [rule_id]
    world.store.put("workspace", workspace)
