from __future__ import annotations

from collections.abc import Callable

import pytest

from approvals import search
from approvals.models import Draft


@pytest.fixture
def two_drafts(agent_writes: Callable[..., Draft]) -> tuple[Draft, Draft]:
    plates = agent_writes(subject="Re: Broken plates", to=[{"email": "Priya.Nair@example.org"}])
    bowl = agent_writes(
        subject='Re: 100% wool_bowl "large"', to=[{"email": "sora@example.net", "name": "Søra"}]
    )
    return plates, bowl


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plates", "plates"),
        ("PLATES", "plates"),
        ("late", "plates"),
        ("priya.nair@example.org", "plates"),
        ("nair broken", "plates"),
        ("nair bowl", ""),
        ("søra", "bowl"),
        ("100%", "bowl"),
        ("wool_bowl", "bowl"),
        ("woolxbowl", ""),
        ('"large"', "bowl"),
        ("so", "bowl"),
        ("example", "plates bowl"),
        ("* OR plates", ""),
    ],
)
def test_every_word_is_found_as_a_part(two_drafts: tuple[Draft, Draft], text: str, found: str) -> None:
    names = dict(zip(("plates", "bowl"), two_drafts, strict=True))

    matches = set(search.matching(Draft.objects.all(), text))

    assert matches == {names[name] for name in found.split()}


def test_a_new_wording_is_found_and_the_old_one_is_not(two_drafts: tuple[Draft, Draft]) -> None:
    Draft.objects.filter(pk=two_drafts[0].pk).update(search_text="cracked cups")

    assert list(search.matching(Draft.objects.all(), "plates")) == []
    assert list(search.matching(Draft.objects.all(), "cracked")) == [two_drafts[0]]
