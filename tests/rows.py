"""Every requirement row that the product answers to: what it asks, and the page on which it is seen.

Tests name the rows they show with `@pytest.mark.row("000-17")`. `python -m tests.rows` writes docs/requirements.md from
both; a row without a test says here why.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "requirements.md"

# row: (what it asks, the page)
ROWS: dict[str, tuple[str, str]] = {
    "D1": ("pending drafts with their thread", "/queue/"),
    "D2": ("the thread is fetched again for the decision", "/drafts/"),
    "D3": ("once per draft, for ever", "/drafts/"),
    "D4": ("bounce and failure come back", "/follow-ups/"),
    "D5": ("rule history beside the audit log", "/audit/"),
    "D6": ("reviewers decide in a browser, others do not", "/drafts/"),
    "D7": ("operators stop and resume", "/operations/"),
    "D8": ("admins choose the oversight mode of a mailbox", "/mailboxes/<id>/mode/"),
    "000-01": ("five independent guardrails", "/policies/"),
    "000-02": ("narrow, recoverable mail as candidates only", "/policies/categories/"),
    "000-03": ("money, contracts and law are never automated by accident", "/policies/categories/"),
    "000-05": ("fourteen days of trial and nothing wrong", "/policies/caps/"),
    "000-06": ("beyond the cap is refused", "/policies/caps/"),
    "000-07": ("50 an hour and 200 a day to begin with", "/policies/caps/"),
    "000-08": ("both caps must allow", "/policies/caps/"),
    "000-09": ("warnings against the provider's ceilings", "/policies/caps/"),
    "000-10": ("counted per mailbox, in our own store", "/policies/caps/"),
    "000-11": ("fixed windows", "/policies/caps/"),
    "000-13": ("only a send counts, not the question", "/policies/caps/"),
    "000-14": ("a recipient on no list is refused where nobody decides", "/policies/recipients/"),
    "000-15": ("whole domains on a list", "/policies/recipients/"),
    "000-16": ("a deny list for single people", "/policies/recipients/"),
    "000-17": ("deny, exact allow, domain allow, default", "/policies/recipients/"),
    "000-18": ("recipients are judged before caps", "/drafts/"),
    "000-19": ("addresses are normalised", "/policies/recipients/"),
    "000-20": ("a webhook twice, work replayed", "/operations/"),
    "000-21": ("`Idempotency-Key` of agents, 256 characters", ""),
    "000-22": ("derived key, the same for the same input", "/drafts/"),
    "000-23": ("same key, original result", "/unknown/"),
    "000-24": ("same key, other payload: stop and alarm", "/operations/"),
    "000-26": ("one record per decision, every gate in it", "/audit/"),
    "000-27": ("append-only", "/audit/"),
    "000-28": ('"why" in a minute', "/policies/history/"),
    "000-29": ("declined sends are logged", "/policies/history/"),
    "000-30": ("line with the guardrails' keys", "/audit/"),
    "000-31": ("anybody hits the switch, outside the process", "/operations/"),
    "000-32": ("stopped means: keeps reading", "/operations/"),
    "000-33": ("stops in time under load", "/policies/switch/"),
    "000-34": ("the gates' order", "/drafts/"),
    "000-35": ("result names", "/policies/history/"),
    "000-37": ("dry run with every gate asked", "/policies/caps/"),
    "000-38": ("a hundred compared before it counts", "/policies/caps/"),
    "000-39": ("five an hour on the first live day", "/policies/caps/"),
    "000-40": ("no model in any gate", ""),
    "001-01": ("rules at the provider as a second layer", "/policies/provider/"),
    "001-02": ("actions of each agent kept apart", "/audit/"),
    "001-03": ("named runaways: loop, foreign recipient, burst", "/policies/history/"),
    "001-04": ("policies, rules and lists as objects", "/policies/"),
    "001-05": ("policies come through the workspace", "/policies/caps/"),
    "001-06": ("outbound rules hold everywhere unless scoped", "/policies/rules/"),
    "001-07": ("an error in a rule is a refusal", "/policies/history/"),
    "001-08": ("1,000 values a request, 500 characters each", "/policies/lists/"),
    "001-09": ("a daily cap per mailbox", "/policies/caps/"),
    "001-10": ("no policy still means caps", "/policies/caps/"),
    "001-11": ("the provider's policy body", "/policies/provider/"),
    "001-12": ("spam is kept for less time than the inbox", "/policies/provider/"),
    "001-13": ("other ceilings for other workspaces", "/policies/caps/"),
    "001-15": ("the hour cap stops a burst", "/policies/caps/"),
    "001-16": ("block: 403, no sent copy", "/policies/provider/"),
    "001-17": ("any recipient of To, Cc, Bcc", "/policies/rules/"),
    "001-18": ("a rule in the provider's words", "/policies/rules/"),
    "001-19": ("a list editor edits the blocked set", "/policies/lists/"),
    "001-20": ("an allow list on our side", "/policies/recipients/"),
    "001-21": ("one way to send", ""),
    "001-23": ("a dry run answers with every recipient", "/drafts/"),
    "001-25": ("own mailbox, notified of arrivals", "/mailboxes/"),
    "001-26": ("the sender is the mailbox", "/drafts/"),
    "001-28": ("truncated mail is fetched first", "/drafts/"),
    "001-29": ("an evaluation for every judged mail", "/policies/history/"),
    "001-30": ("newest first, stable pages", "/policies/history/"),
    "001-31": ('"why was this blocked"', "/policies/history/"),
    "001-32": ("fields of an evaluation", "/policies/history/"),
    "001-33": ("own log on top", "/audit/"),
    "001-34": ("where each rule is enforced", "/policies/rules/"),
    "001-35": ("first contact with a domain is a person's question", "/policies/recipients/"),
    "003-05": ("routine mail the agent may do", "/policies/categories/"),
    "003-06": ("sensitive topics go to a person", "/policies/categories/"),
    "003-07": ("everyday failures are pointed at", "/drafts/"),
    "003-08": ("a deterministic gate between text and customer", ""),
    "003-09": ("from arrival to the decision", "/queue/"),
    "003-11": ("nothing leaves before a person signs", "/drafts/"),
    "003-13": ("reject deletes, edit keeps", "/drafts/"),
    "003-14": ("the reply threads", "/sent/"),
    "003-15": ("edited or sent elsewhere", "/drafts/"),
    "003-16": ("exactly three tiers", "/policies/categories/"),
    "003-17": ("automatic needs low risk and a known family", "/policies/categories/"),
    "003-18": ("each trigger alone asks a person", "/policies/categories/"),
    "003-19": ("human only: an item without the agent's text", "/needs-a-person/"),
    "003-20": ("the agent drafts, a person sends", "/drafts/"),
    "003-21": ("how many reviewers the load needs", "/insights/"),
    "003-22": ("an overfull queue suggests what to loosen", "/insights/"),
    "003-23": ("a backstop for any path around us", "/policies/provider/"),
    "003-24": ("the backstop rule", "/policies/provider/"),
    "003-25": ("attached through the workspace", "/policies/provider/"),
    "003-26": ("blocked mail leaves no copy", "/policies/provider/"),
    "003-27": ("a hidden reader is caught", "/policies/recipients/"),
    "003-28": ("which rule, which stage, what action", "/policies/history/"),
    "003-29": ("reply or compose", "/policies/rules/"),
    "003-30": ("every compose is held", "/policies/rules/"),
    "003-31": ("outcomes in any order", "/sent/"),
    "003-32": ("correct the address, pass on, close", "/follow-ups/"),
    "003-33": ("no decision on a truncated thread", "/drafts/"),
    "003-34": ("stale drafts", "/drafts/"),
    "003-35": ("double approval is a no-op", "/drafts/"),
    "003-37": ("everything gated on a fresh install", "/mailboxes/"),
    "003-38": ("share approved untouched, by category", "/policies/categories/"),
    "004-01": ("five modes in order", "/mailboxes/<id>/mode/"),
    "004-02": ("the mode is kept here, whatever the agent says", "/mailboxes/<id>/mode/"),
    "004-03": ("every action and decision in the audit", "/audit/"),
    "004-04": ("the mode is asked before anything is sent", "/drafts/"),
    "004-05": ("gated sends, free reads", "/mailboxes/<id>/mode/"),
    "004-06": ("monitored tells somebody of every send", "/mailboxes/<id>/mode/"),
    "004-07": ("executed, pending or blocked", "/mailboxes/<id>/mode/"),
    "004-08": ("list and decide through the API", ""),
    "004-09": ("approved leaves, rejected is cancelled with its reason", "/drafts/"),
    "004-10": ("webhooks to the agent on both outcomes", "/webhooks/"),
    "004-11": ("the audit holds actions, decisions and mode changes", "/audit/"),
    "004-12": ("evidence before loosening", "/mailboxes/<id>/mode/"),
    "004-13": ("a new mode holds for the next action", "/mailboxes/<id>/mode/"),
    "004-14": ("every rung can be reversed", "/mailboxes/<id>/mode/"),
    "004-15": ("create a mailbox through the API", ""),
    "004-16": ("bearer tokens", ""),
    "004-17": ("gated sends hold all outbound mail", "/queue/"),
    "004-18": ("fetch the queue through the API", ""),
    "004-19": ("decide through the API", ""),
    "004-20": ("change the mode through the API", ""),
    "004-22": ("signed notices", "/mailboxes/<id>/mode/"),
    "004-23": ("event types for agents", "/webhooks/"),
    "004-24": ("read only: the refusal in the seed's words", "/mailboxes/<id>/mode/"),
    "004-25": ("read only reads and manages contacts", "/mailboxes/<id>/mode/"),
    "004-26": ("nothing in a mail changes the mode", "/drafts/"),
    "004-27": ("time and actor on every entry", "/audit/"),
    "004-28": ("identifiable sender and opt-out", "/mailboxes/<id>/"),
    "004-29": ("gated_all holds what arrives", "/mailboxes/<id>/inbound/"),
    "004-30": ("changing without downtime", "/mailboxes/<id>/mode/"),
    "004-31": ("hundreds pending, in batches", ""),
    "004-32": ("one thread, in order", "/drafts/"),
    "004-33": ("several mailboxes in several modes", "/policies/"),
    "004-34": ("gated_send by default", "/mailboxes/"),
    "004-36": ("no agent changes its own mode", "/mailboxes/<id>/mode/"),
    "004-37": ("pending mail keeps its state over a change", "/mailboxes/<id>/mode/"),
    "004-38": ("cancel all that is pending", "/mailboxes/"),
    "004-39": ("expiry of 72 h, 1 h to 30 d", "/mailboxes/"),
    "004-40": ("monitored needs a channel", "/mailboxes/<id>/mode/"),
    "004-41": ("export through the API", ""),
    "004-43": ("one mode a mailbox", "/mailboxes/"),
    "004-44": ("an agent is told how long a review takes", ""),
    "004-45": ("the tools of agents by their usual names", ""),
    "004-42": ("each outbound mail with its decider", "/audit/report/"),
    "004-47": ("a report of oversight for a period", "/audit/report/"),
    "K1": ("fixed windows, sliding by choice", "/policies/caps/"),
    "K2": ("the order of the chain", "/drafts/"),
    "K3": ("the draft is the key, for ever", "/drafts/"),
    "K4": ("same decision is quiet, another conflicts", "/drafts/"),
    "K5": ("our ledger outlives the provider's memory", "/unknown/"),
    "K6": ("counted per mailbox, with a cap for all", "/policies/caps/"),
    "K7": ("reserved under a lock, kept when unknown", "/policies/caps/"),
    "K8": ("fail closed everywhere", "/policies/history/"),
    "K9": ("monitored without a channel", "/mailboxes/<id>/mode/"),
    "K10": ("scopes of rules", "/policies/rules/"),
    "K11": ("deny anywhere beats allow anywhere", "/policies/recipients/"),
    "K12": ("every recipient is checked", "/policies/recipients/"),
    "K13": ("unknown recipients: ask or block", "/policies/recipients/"),
    "K14": ("fields of the record", "/audit/"),
    "K15": ("reject cancels and keeps the content", "/drafts/"),
    "K16": ("a tier only tightens the mode", "/policies/categories/"),
    "K17": ("gated_all", "/mailboxes/<id>/inbound/"),
    "K18": ("one thread at a time", "/drafts/"),
    "K19": ("thresholds of evidence", "/mailboxes/<id>/mode/"),
    "K20": ("the undo hold", "/drafts/"),
    "K21": ("stale and expired are two things", "/drafts/"),
    "K22": ("truncation by event, not by size", "/drafts/"),
    "K23": ("all may stop, few may go on", "/operations/"),
    "K24": ("the switch is asked for each message", "/operations/"),
    "K25": ("200 a day is ours, ceilings only warn", "/policies/caps/"),
    "K26": ("seed routes beside the vendor's", ""),
    "K27": ("one notification address", "/mailboxes/<id>/mode/"),
    "K28": ("our draft outlives the provider's ids", "/drafts/"),
    "K29": ("reserved once a draft", "/policies/caps/"),
    "K30": ("all gates in every mode", "/drafts/"),
    "K31": ("what was held is judged again", "/operations/"),
    "K32": ("approved before a mailbox became read only", "/drafts/"),
}

# Rows that nothing shows yet, and why.
LATER: dict[str, str] = {}

HEAD = """# Requirement rows, the tests that show them, and the page

Made by `python -m tests.rows` from the marks of the tests; a test compares. Rows of the design card (D), of the seed
documents (000, 001, 003, 004) and the settled contradictions (K).

| Row | What | Shown by | Page |
|---|---|---|---|
"""


def marked() -> dict[str, list[str]]:
    """For each row the tests that name it, as "file::test", sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for row in _rows_of(node):
                    found[row].append(f"{file.relative_to(TESTS).as_posix()}::{node.name}")
    return {row: sorted(tests) for row, tests in found.items()}


def _rows_of(function: ast.FunctionDef) -> list[str]:
    return [
        str(argument.value)
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.row"
        for argument in mark.args
        if isinstance(argument, ast.Constant)
    ]


def page() -> str:
    shown = marked()
    lines = []
    for row, (what, place) in ROWS.items():
        tests = [f"`{test}`" for test in shown.get(row, [])]
        by = "<br>".join(tests) or f"not yet: {LATER.get(row, 'missing')}"
        lines.append(f"| {row} | {what} | {by} | {f'`{place}`' if place else ''} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    missing = [row for row in ROWS if row not in marked() and row not in LATER]
    print(f"{len(ROWS)} rows, {len(missing)} without a test and without a reason: {' '.join(missing)}")
