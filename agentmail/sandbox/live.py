"""Keeps the demonstration alive: customers go on writing, and the agent goes on drafting answers."""

from __future__ import annotations

import dataclasses
import logging
import random
import threading

from .scenario import answer, hear
from .store import Record
from .stories import LATER, MAILBOXES, SECOND_THOUGHTS, Mail, Story
from .world import World

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# Of all the mail that comes, this part answers into a thread whose draft still waits.
SECOND_THOUGHT_SHARE = 0.3
# The agent reads and writes for this part of the time between two mails.
DRAFTING_SHARE = 0.25


class Live:
    def __init__(self, world: World) -> None:
        self._world = world
        # Not a matter of secrets: the seed makes a demonstration repeatable.
        self._random = random.Random(world.seed)
        self._told = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name="live", daemon=True).start()

    def _run(self) -> None:
        elapsed = 0.0
        while not self._world.is_closing.wait(LOOK_SECONDS):
            if not self._world.switches["live"]:
                elapsed = 0.0
                continue
            elapsed += LOOK_SECONDS
            every = float(self._world.switches["live_every_seconds"])
            if elapsed >= every:
                elapsed = 0.0
                try:
                    self.play(every * DRAFTING_SHARE)
                except Exception:
                    # The edge of a thread: one story that fails must not end the demonstration.
                    logger.exception("playing failed")

    def play(self, drafting_seconds: float) -> None:
        """Let one customer write, into a waiting thread or a new one, and the agent answer a new one."""
        world = self._world
        waiting = [
            draft for draft in world.store.all("draft") if draft["thread_id"] and draft["reply_to_message_id"]
        ]
        if waiting and self._random.random() < SECOND_THOUGHT_SHARE:
            self._write_again(self._random.choice(waiting))
            return
        story = LATER[self._told % len(LATER)]
        grant = world.find_grant(story.mailbox)
        if grant is None or grant["grant_status"] != "valid":
            return
        self._told += 1
        numbered = _numbered(story, 48400 + self._random.randrange(500))
        message = hear(world, grant, None, numbered.subject, numbered.mails[0], world.clock.seconds())
        if not world.is_closing.wait(drafting_seconds) and numbered.answer is not None:
            if world.store.get("message", message["id"]) is None:
                return
            answer(world, grant, message, numbered.answer, world.clock.seconds())

    def _write_again(self, draft: Record) -> None:
        world = self._world
        parent = world.store.get("message", draft["reply_to_message_id"])
        grant = world.store.get("grant", draft["grant_id"])
        houses = {email for email, _ in MAILBOXES}
        if parent is None or grant is None or parent["from"][0]["email"] in houses:
            return
        sender = parent["from"][0]
        text = Mail(0, f"{sender.get('name', '')} <{sender['email']}>", self._random.choice(SECOND_THOUGHTS))
        hear(world, grant, parent, draft["subject"], text, world.clock.seconds())


def _numbered(story: Story, number: int) -> Story:
    def filled(text: str) -> str:
        return text.replace("{number}", str(number))

    mails = tuple(dataclasses.replace(mail, body=filled(mail.body)) for mail in story.mails)
    text = dataclasses.replace(story.answer, body=filled(story.answer.body)) if story.answer else None
    return dataclasses.replace(story, subject=filled(story.subject), mails=mails, answer=text)
