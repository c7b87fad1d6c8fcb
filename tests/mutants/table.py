"""The guards that nothing may remove unnoticed: for each a change of the source, and the test that must fail."""

from __future__ import annotations

from dataclasses import dataclass

REPLIES = "tests/approvals/test_replies.py"
UNKNOWN = "tests/approvals/test_unknown.py"
DECISIONS = "tests/approvals/test_decisions.py"
FRESHNESS = "tests/approvals/test_freshness.py"
SWITCH_LOAD = "tests/approvals/test_switch_load.py"
CONSTRAINTS = "tests/approvals/test_constraints.py"
CLAIM = "tests/approvals/test_claim.py"
PREPARED = "tests/approvals/test_prepared.py"
LATE = "tests/approvals/test_late_evidence.py"
INSTANCE = "tests/approvals/test_instance.py"
STOPS = "tests/approvals/test_stops.py"
CRASHES = "tests/approvals/test_crash_points.py"
SWITCH = "tests/policies/test_switch.py"

DISPATCH = "approvals/dispatch.py"
SENDS = "approvals/transitions/sends.py"
DRAFTS = "approvals/transitions/drafts.py"
GATE_DECISION = "approvals/gates/decision.py"
GATE_SENDING = "approvals/gates/sending.py"
GATE_FRESH = "approvals/gates/fresh.py"
GATE_THREAD = "approvals/gates/thread.py"
MIGRATION = "approvals/migrations/0001_initial.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`changes` are (old, new) texts in `path`; each old text occurs there exactly once."""

    guard: str
    path: str
    changes: tuple[tuple[str, str], ...]
    test: str


def _mutant(guard: str, path: str, test: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(guard, path, changes, test)


MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "C3: the lock of the send is taken",
        DISPATCH,
        f"{SWITCH_LOAD}::test_a_frozen_worker_keeps_its_send_and_finishes_it",
        ("with locks.hold(lock_name(send_id)) as lock:", 'with locks.hold(f"{os.getpid()}") as lock:'),
    ),
    _mutant(
        "a send is abandoned only when its lock is free",
        "approvals/sweeps.py",
        f"{SWITCH_LOAD}::test_a_frozen_worker_keeps_its_send_and_finishes_it",
        (
            "            if lock is not None:\n                found += sends.abandon",
            "            if True:\n                found += sends.abandon",
        ),
    ),
    _mutant(
        "I4: a refusal after an ambiguous attempt stays unknown",
        SENDS,
        f"{CLAIM}::test_a_refusal_after_an_ambiguous_attempt_stays_unknown",
        ("or send.ambiguous or reply.reply_class in _UNPROVEN", "or reply.reply_class in _UNPROVEN"),
    ),
    _mutant(
        "I2: the claim is committed before the POST",
        DISPATCH,
        f"{CRASHES}::test_a_worker_killed_in_the_middle_of_its_post_is_never_repeated",
        (
            "            result = _dispatch_locked(send, lock)\n",
            '            with __import__("django.db.transaction").db.transaction.atomic():\n'
            "                result = _dispatch_locked(send, lock)\n",
        ),
    ),
    _mutant(
        "the claim asks for the state it found",
        SENDS,
        f"{CLAIM}::test_a_finished_send_cannot_be_claimed",
        ("        if not (is_resend or is_due):\n            return None\n", ""),
    ),
    _mutant(
        "I8: the claim is for the approval that the worker prepared",
        SENDS,
        f"{PREPARED}::test_worker_overtaken_by_another_approval_never_sends_the_older_wording",
        ("send.decision_id != decision_id or transport_of(send)", "transport_of(send)"),
    ),
    _mutant(
        "the claim is for the transport that the worker prepared",
        SENDS,
        f"{PREPARED}::test_mailbox_that_changed_its_transport_under_way_sends_with_our_token",
        (" or transport_of(send) != transport:", ":"),
    ),
    _mutant(
        "I5: a draft that is sent itself says what was approved",
        SENDS,
        f"{PREPARED}::test_agents_wording_that_is_back_after_a_change_does_not_leave_for_the_approved_one",
        (
            "        if not is_rehearsal and _waits_for_its_wording(send, transport, look):\n            return None\n",
            "",
        ),
    ),
    _mutant(
        "a state is written by compare-and-set",
        "approvals/transitions/moves.py",
        f"{CONSTRAINTS}::test_move_of_a_row_that_somebody_else_moved_is_refused",
        ("rows.filter(pk=row.pk, state=row.state)", "rows.filter(pk=row.pk)"),
    ),
    _mutant(
        "I3: no automatic repeat after an ambiguous reply",
        SENDS,
        f"{REPLIES}::test_h21_silence_after_accepting_is_unknown",
        ("{ReplyClass.ACCEPTED, ReplyClass.AMBIGUOUS, ReplyClass", "{ReplyClass.ACCEPTED, ReplyClass"),
        (
            "    ReplyClass.NOT_STARTED: _on_not_started,\n",
            "    ReplyClass.NOT_STARTED: _on_not_started,\n    ReplyClass.AMBIGUOUS: _on_not_started,\n",
        ),
    ),
    _mutant(
        "a reply outside the table is ambiguous",
        "agentmail/replies.py",
        "tests/agentmail/test_replies.py::test_each_reply_has_the_class_of_the_table",
        (
            '    return ReplyClass.AMBIGUOUS, f"The provider answered',
            '    return ReplyClass.REFUSED, f"The provider answered',
        ),
    ),
    _mutant(
        "absence in the sent mail is no proof",
        "approvals/lookup.py",
        f"{UNKNOWN}::test_absence_never_ends_an_unknown",
        (
            "        if found is not None:\n            sends.found(",
            "        if found is None:\n"
            "            Send.objects.filter(pk=send_id).update(state=SendState.CLOSED_NOT_SENT)\n"
            "        if found is not None:\n            sends.found(",
        ),
    ),
    _mutant(
        "I8: an approval binds the revision that was seen",
        DRAFTS,
        f"{DECISIONS}::test_approval_is_refused_when_the_page_shows_an_older_revision",
        (
            "    if seen.revision_number != revision.number or seen.content_sha256 != revision.content_sha256:",
            "    if False:",
        ),
    ),
    _mutant(
        "I5: the claim compares the content with the approval's digest",
        GATE_DECISION,
        f"{CLAIM}::test_a_revision_that_was_changed_behind_its_approval_is_not_sent",
        (
            "    if decision.revision_id != facts.revision.pk or decision.content_sha256 != facts.content.sha256:",
            "    if False:",
        ),
    ),
    _mutant(
        "I5: the frozen payload is sent, not the live draft",
        DISPATCH,
        f"{CLAIM}::test_a_draft_edited_under_way_leaves_as_it_was_approved",
        ("    if attempt.transport == Transport.PROVIDER_DRAFT:", "    if True:"),
    ),
    _mutant(
        "I7: the switch is asked at the claim",
        GATE_SENDING,
        f"{SWITCH_LOAD}::test_a_stop_file_holds_what_is_due",
        (
            '    if reading.is_open:\n        return Verdict("switch"',
            '    if True:\n        return Verdict("switch"',
        ),
    ),
    _mutant(
        "I7: the switch is looked at again before the POST",
        DISPATCH,
        f"{SWITCH_LOAD}::test_a_stop_between_claim_and_post_is_seen_by_the_worker",
        ("    if not reading.is_open:", "    if False:"),
    ),
    _mutant(
        "I7: the POST is made inside the fence",
        DISPATCH,
        f"{SWITCH_LOAD}::test_a_stop_names_the_send_whose_post_is_under_way",
        (
            "inside.enter_context(locks.fence_shared(switch.fences(claim.scopes)))",
            'inside.enter_context(locks.fence_shared(["another"]))',
        ),
    ),
    _mutant(
        "I7: what was held stays held after a release",
        SENDS,
        f"{SWITCH_LOAD}::test_nothing_leaves_after_a_release_until_a_person_resumes_it",
        ("        held=result, held_at=database_now()\n", '        held="", held_at=database_now()\n'),
    ),
    _mutant(
        "I7: a stop ends the permissions to resend",
        SENDS,
        f"{STOPS}::test_stop_ends_a_resend_that_was_authorised_before_it",
        ('        _end_resend(send, _("Sending was stopped."), outcome=result)', "        pass"),
    ),
    _mutant(
        "a switch that cannot be read means stopped",
        "policies/switch.py",
        f"{SWITCH}::test_a_switch_that_cannot_be_read_is_stopped",
        ("        return Reading(False, scopes[0], _(", "        return Reading(True, scopes[0], _("),
    ),
    _mutant(
        "a scope without a row means stopped",
        "policies/switch.py",
        f"{SWITCH}::test_a_scope_without_a_row_is_stopped",
        (
            "        if row is None:\n",
            "        if row is None:\n            continue\n        if row is None:\n",
        ),
    ),
    _mutant(
        "I8: the thread is compared at the claim",
        GATE_FRESH,
        f"{FRESHNESS}::test_new_message_between_approval_and_dispatch_makes_the_draft_stale",
        ("    if stale is not None:\n        return _stale(stale.reason)\n", ""),
        (
            "    if facts.decision is not None and facts.decision.thread_fingerprint",
            "    if False and facts.decision.thread_fingerprint",
        ),
    ),
    _mutant(
        "I8: the draft upstream is compared at the claim",
        GATE_FRESH,
        f"{FRESHNESS}::test_h40_h43_any_one_field_changed_after_approval_stops_the_send",
        ("    if facts.look.upstream_sha256 != facts.draft.upstream_sha256:", "    if False:"),
    ),
    _mutant(
        "the last look may not be old at the claim",
        GATE_FRESH,
        f"{FRESHNESS}::test_look_that_is_too_old_at_the_claim_is_taken_again",
        ("    if facts.is_claim and facts.look.age_seconds()", "    if False and facts.look.age_seconds()"),
    ),
    _mutant(
        "the last look may not be old at the POST",
        DISPATCH,
        f"{SWITCH_LOAD}::test_a_worker_frozen_past_the_freshness_of_its_look_looks_again",
        (
            "    if look is None or look.age_seconds() > settings.APPROVAL_FRESHNESS_SECONDS:",
            "    if look is None:",
        ),
    ),
    _mutant(
        "what became known since the claim is asked for before the POST",
        DISPATCH,
        f"{LATE}::test_resend_is_not_posted_once_the_first_copy_is_known",
        (
            "    if not Attempt.objects.filter(pk=claim.attempt.pk, state=AttemptState.DISPATCHED).exists():",
            "    if False:",
        ),
    ),
    _mutant(
        "I15: the person is asked for again at the claim",
        GATE_DECISION,
        f"{DECISIONS}::test_h7_right_revoked_between_approval_and_dispatch_stops_the_send",
        (
            "    if not people.is_still_allowed(decision.person_id",
            "    if False and not people.is_still_allowed(decision.person_id",
        ),
    ),
    _mutant(
        "I15: only a person with the right decides",
        DRAFTS,
        "tests/approvals/test_rights.py::test_only_a_reviewer_of_the_mailbox_decides",
        (
            "    if not people.is_still_allowed(person.pk, people.Right.DECIDE, draft.mailbox_id):\n        raise",
            "    if False:\n        raise",
        ),
    ),
    _mutant(
        "an approval runs out",
        GATE_DECISION,
        f"{DECISIONS}::test_approval_that_ran_out_waits_again_and_a_new_one_reuses_the_send",
        ("    if _valid_until(facts, decision) <= facts.now:", "    if False:"),
    ),
    _mutant(
        "nothing leaves during the undo hold",
        SENDS,
        f"{DECISIONS}::test_nothing_leaves_before_the_undo_hold_is_over",
        ("    not_before = now + timedelta(seconds=undo_seconds)", "    not_before = now"),
    ),
    _mutant(
        "I9: a decided draft is not decided again",
        DRAFTS,
        "tests/approvals/test_races.py::test_h3_transitions_alone_let_one_of_four_ends_win",
        (
            "        raise AlreadyDecided(decision)\n"
            "    if draft.state not in (DECIDABLE_STATES if may_be_stale else (DraftState.PENDING,)):\n"
            "        raise NotOpen(draft.state)\n",
            "        pass\n",
        ),
    ),
    _mutant(
        "a new key after a 429",
        SENDS,
        f"{REPLIES}::test_h24_h25_rate_limited_sends_wait_and_take_a_new_key_each_time",
        (
            "        seconds=min(seconds, 86_400),\n        key_epoch=send.key_epoch + 1,\n",
            "        seconds=min(seconds, 86_400),\n",
        ),
    ),
    _mutant(
        "another payload under a known key stops the mailbox",
        DISPATCH,
        f"{REPLIES}::test_h27_other_payload_under_the_same_key_stops_the_mailbox",
        ("    elif reply.reply_class is ReplyClass.PAYLOAD_MISMATCH:", "    elif False:"),
    ),
    _mutant(
        "I20: the token is looked for before the POST",
        DISPATCH,
        f"{UNKNOWN}::test_resend_of_a_mail_that_can_be_found_by_now_posts_nothing",
        ("            if _found_by_token(send, client):", "            if False:"),
    ),
    _mutant(
        "I20: a database that has grown again after a restore is not its own",
        "approvals/instance.py",
        f"{INSTANCE}::test_a_restored_database_that_has_grown_again_still_sends_nothing",
        (' or mark.entry_hash not in ("", row.entry_hash)', ""),
    ),
    _mutant(
        "I19: one send of a thread at a time",
        GATE_THREAD,
        f"{FRESHNESS}::test_h48_unknown_send_keeps_the_others_of_its_thread_waiting",
        ("    if other is None:", "    if True:"),
    ),
    _mutant(
        "I19: a send makes the others of its thread stale",
        SENDS,
        f"{FRESHNESS}::test_i19_second_approval_does_not_leave_though_the_copy_of_the_first_is_not_seen_yet",
        ("    _outdate(outdated, provider_message_id, now=now)\n", ""),
    ),
    _mutant(
        "no redirects on a send",
        "agentmail/client.py",
        "tests/agentmail/test_sends.py::test_redirect_of_a_send_is_not_followed",
        (
            "allow_redirects=False,\n                    stream=True,\n                ) as response:\n",
            "allow_redirects=True,\n                    stream=True,\n                ) as response:\n",
        ),
    ),
    _mutant(
        "no hidden retries on a send",
        "agentmail/wire.py",
        "tests/agentmail/test_sends.py::test_reset_after_the_whole_request_is_ambiguous_and_not_repeated",
        ("max_retries=0)", 'max_retries=__import__("urllib3").Retry(3, allowed_methods=None))'),
    ),
    _mutant(
        "I13: an unsigned notification changes nothing",
        "agentmail/webhooks.py",
        "tests/agentmail/test_webhooks.py::test_wrong_signature_is_refused_and_counted",
        ("    if not is_signed(body, signature):", "    if False:"),
    ),
    _mutant(
        "constraint: one live attempt of a send",
        MIGRATION,
        f"{CONSTRAINTS}::test_send_has_one_live_attempt",
        (
            'condition=models.Q(("state__in", ["dispatched", "unknown"])),\n                fields=("send",)',
            'condition=models.Q(("state__in", ["gone"])),\n                fields=("send",)',
        ),
    ),
    _mutant(
        "constraint: one send of a thread in flight",
        MIGRATION,
        f"{CONSTRAINTS}::test_one_send_of_a_thread_is_in_flight",
        ('("state__in", ["dispatched", "unknown"]), models.Q', '("state__in", ["gone"]), models.Q'),
    ),
    _mutant(
        "constraint: ambiguity sticks",
        MIGRATION,
        f"{CONSTRAINTS}::test_ambiguity_sticks",
        (
            '("ambiguous", True), ("state__in", ["failed", "stopped", "queued"])',
            '("ambiguous", True), ("state", "gone")',
        ),
    ),
    _mutant(
        "constraint: one live decision of a draft",
        MIGRATION,
        f"{CONSTRAINTS}::test_draft_has_one_live_decision",
        (
            'fields=("draft",),\n                name="one_live',
            'fields=("draft", "made_at", "id"),\n                name="one_live',
        ),
    ),
)
