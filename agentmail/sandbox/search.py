"""The full-text grammar of `search_query_native`: words, "phrases", AND, OR, -negation and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable

from .errors import invalid
from .mime import TAGS
from .store import Record

Match = Callable[[str], bool]

TOKENS = re.compile(r'\s*(-?"[^"]*"|[()]|-\(|[^\s()"]+)')
LONGEST_BYTES = 512
MOST_NODES = 64
DEEPEST = 8


def matcher(query: str) -> Callable[[Record], bool]:
    """Return a test of records; raises `ApiError` when the query is malformed or too big."""
    if len(query.encode()) > LONGEST_BYTES:
        raise invalid(f"search_query_native has at most {LONGEST_BYTES} bytes")
    tokens = TOKENS.findall(query)
    if len(tokens) > MOST_NODES:
        raise invalid(f"search_query_native has at most {MOST_NODES} terms")
    match, rest = _either(tokens, 0)
    if rest:
        raise invalid("search_query_native is malformed")
    return lambda record: match(_text(record))


def _text(record: Record) -> str:
    people = " ".join(
        f"{person.get('name', '')} {person['email']}"
        for field in ("from", "to", "cc")
        for person in record[field]
    )
    return f"{record['subject']} {people} {TAGS.sub(' ', record['body'])}".lower()


def _either(tokens: list[str], depth: int) -> tuple[Match, list[str]]:
    branches = []
    match, tokens = _all(tokens, depth)
    branches.append(match)
    while tokens and tokens[0].upper() == "OR":
        match, tokens = _all(tokens[1:], depth)
        branches.append(match)
    return lambda text: any(branch(text) for branch in branches), tokens


def _all(tokens: list[str], depth: int) -> tuple[Match, list[str]]:
    terms: list[Match] = []
    while tokens and tokens[0] != ")" and tokens[0].upper() != "OR":
        if tokens[0].upper() == "AND" and terms:
            tokens = tokens[1:]
            continue
        term, tokens = _term(tokens, depth)
        terms.append(term)
    if not terms:
        raise invalid("search_query_native is malformed")
    return lambda text: all(term(text) for term in terms), tokens


def _term(tokens: list[str], depth: int) -> tuple[Match, list[str]]:
    term, rest = tokens[0], tokens[1:]
    is_negated = term.startswith("-") and len(term) > 1
    term = term.removeprefix("-") if is_negated else term
    if term == "(":
        if depth >= DEEPEST:
            raise invalid("search_query_native is nested too deep")
        match, rest = _either(rest, depth + 1)
        if not rest:
            raise invalid("search_query_native misses a closing parenthesis")
        rest = rest[1:]
    else:
        word = term.strip('"').lower()

        def match(text: str) -> bool:
            return word in text

    return (lambda text: match(text) != is_negated), rest
