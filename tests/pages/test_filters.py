from datetime import UTC, datetime, timedelta

import html5lib
import pytest
from django.template import Context, Template

from approvals.characters import deceiving_count
from approvals.models import OutcomeKind
from approvals.states import AttemptState, DraftState, SendState
from approvals.templatetags import mail, marks, times

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.38, "0.38 s"),
        (15, "15 s"),
        (59.9, "59 s"),
        (840, "14 min"),
        (8040, "2 h 14 m"),
        (3600, "1 h 00 m"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
        (-5, "0 s"),
        (timedelta(minutes=2), "2 min"),
        (None, ""),
    ],
)
def test_a_duration_is_written_in_two_units_at_most(seconds, written):
    assert times.duration(seconds) == written


def test_an_age_counts_from_the_time_to_now():
    assert times.age(NOW - timedelta(minutes=58), NOW) == "58 min"


def test_an_age_is_written_in_whole_seconds():
    assert times.age(NOW - timedelta(seconds=9.71), NOW) == "9 s"


def test_what_remains_of_a_time_that_has_passed_is_zero():
    assert times.remaining(NOW - timedelta(hours=1), NOW) == "0 s"


def test_a_provider_time_becomes_a_datetime_in_utc():
    assert times.from_epoch(1_795_000_000) == datetime.fromtimestamp(1_795_000_000, UTC)


def test_a_provider_time_out_of_range_becomes_nothing():
    assert times.from_epoch(10**20) is None


def test_a_moment_carries_the_exact_time_and_its_offset():
    shown = times.moment(NOW, "full")

    assert shown == (
        '<time datetime="2026-11-20T14:30:00+00:00" title="20 Nov 2026 14:30:00 +00:00">'
        "20 Nov 2026 14:30:00 +00:00</time>"
    )


def test_a_moment_of_nothing_is_empty():
    assert times.moment(None) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\ttabbed", "two\nlines\ttabbed"),
        ("a\u202eb", 'a<span class="ctl">[U+202E]</span>b'),
        ("a\u200bb", 'a<span class="ctl">[U+200B]</span>b'),
        ("soft\u00adhyphen", 'soft<span class="ctl">[U+00AD]</span>hyphen'),
        ("tag\U000e0041", 'tag<span class="ctl">[U+E0041]</span>'),
        ("dot\ufe0f", 'dot<span class="ctl">[U+FE0F]</span>'),
        ("nul\0", 'nul<span class="ctl">[U+0000]</span>'),
        ("line\u2028end", 'line<span class="ctl">[U+2028]</span>end'),
        ("blank\u3164", 'blank<span class="ctl">[U+3164]</span>'),
        ("Zieliński, 田中, Ωmega", "Zieliński, 田中, Ωmega"),
        (None, ""),
    ],
)
def test_characters_that_deceive_the_eye_are_shown_as_marks(text, shown):
    assert mail.visible(text) == shown


def test_visible_text_is_escaped_around_its_marks():
    assert mail.visible("<b>\u202e&") == '&lt;b&gt;<span class="ctl">[U+202E]</span>&amp;'


def test_visible_text_is_not_escaped_twice_in_a_template():
    page = Template("{% load mail %}{{ text|visible }}").render(Context({"text": "<\u200b"}))

    assert page == '&lt;<span class="ctl">[U+200B]</span>'


def test_deceiving_characters_are_counted():
    assert deceiving_count("a\u202eb\u200bc") == 2


def test_one_line_removes_line_ends():
    assert mail.one_line("Re:\r\n Order\t1") == "Re: Order 1"


@pytest.mark.parametrize(
    ("size", "written"), [(812, "812 B"), (84_200, "84 kB"), (1_240_000, "1.2 MB"), (0, "0 B"), (None, "")]
)
def test_a_file_size_is_written_in_powers_of_ten(size, written):
    assert mail.file_size(size) == written


def test_an_international_domain_is_shown_as_it_reads():
    assert mail.unicode_domain("a@xn--bcher-kva.example") == "bücher.example"


def test_a_plain_domain_has_no_second_reading():
    assert mail.unicode_domain("a@example.com") == ""


def test_an_address_stands_before_the_name():
    page = Template("{% load mail %}{% address entry %}").render(
        Context({"entry": {"email": "priya@example.org", "name": "Priya Nair"}})
    )

    assert page.index("priya@example.org") < page.index("Priya Nair")


def test_a_name_that_looks_like_an_address_is_marked():
    page = Template("{% load mail %}{% address entry %}").render(
        Context({"entry": {"email": "x@evil.example", "name": "ceo@good.example"}})
    )

    assert "The name looks like an address" in page


def test_a_hostile_name_is_escaped():
    page = Template("{% load mail %}{% address entry %}").render(
        Context({"entry": {"email": "x@example.org", "name": "<img src=x onerror=alert(1)>"}})
    )

    assert "<img" not in page


def test_a_quotation_is_folded_with_its_introduction():
    parts = mail.folded("Thanks.\n\nOn Monday Priya wrote:\n> Hello\n> there\nBye")

    assert parts == [
        {"is_quoted": False, "text": "Thanks.\n"},
        {"is_quoted": True, "text": "On Monday Priya wrote:\n> Hello\n> there"},
        {"is_quoted": False, "text": "Bye"},
    ]


def test_text_without_a_quotation_is_one_part():
    assert mail.folded("One\n\ntwo") == [{"is_quoted": False, "text": "One\n\ntwo"}]


@pytest.mark.parametrize(
    ("name", "letters"), [("Mara Okafor", "MO"), ("support", "S"), ("a.b-c d", "AD"), ("", "")]
)
def test_initials_are_the_first_letters_of_first_and_last_word(name, letters):
    assert mail.initials(name) == letters


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("draft", DraftState.values),
        ("send", SendState.values),
        ("attempt", AttemptState.values),
        ("outcome", OutcomeKind.values),
    ],
)
def test_every_stored_state_has_a_word_and_a_shape(kind, codes):
    assert set(codes) <= set(marks.MARKS[kind])


def test_no_two_states_of_a_kind_share_word_and_shape():
    for kind, codes in marks.MARKS.items():
        shown = [(str(found.word), found.shape) for found in codes.values()]
        assert len(shown) == len(set(shown)), kind


def test_every_shape_is_in_the_sprite(settings):
    sprite = (settings.BASE_DIR / "static" / "img" / "icons.svg").read_text()
    shapes = {found.shape for codes in marks.MARKS.values() for found in codes.values()}

    assert [shape for shape in sorted(shapes) if f'id="{shape}"' not in sprite] == []


def test_an_icon_is_hidden_from_screen_readers():
    assert 'aria-hidden="true"' in marks.icon("check")


def test_a_mark_is_valid_html():
    parser = html5lib.HTMLParser(strict=True)

    assert parser.parseFragment(marks.mark("draft", "stale")) is not None


def test_an_unknown_state_cannot_be_shown():
    with pytest.raises(KeyError):
        marks.mark("draft", "nonsense")


def test_a_run_of_one_invisible_character_takes_few_marks():
    shown = mail.visible("a" + "\u200b" * 100_000 + "\u202e" + "b")

    assert shown == (
        'a<span class="ctl">[U+200B]</span><span class="ctl">\u00d7100000</span><span class="ctl">[U+202E]</span>b'
    )
    assert mail.visible("\u200b" * 3).count("[U+200B]") == 3
