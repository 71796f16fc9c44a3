"""Foreign text as a line of output."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidrestore.printable import MOST, printable, printable_lines, shorten

ANY_TEXT = st.text(st.characters())
HOSTILE_TEXT = st.text(
    st.sampled_from(
        "ab1 \\[/]❤\u0915\x1b\x07\x00\n\r\t\x7f\x85\x9b\u202e"
        "\u2066\u200e\u061c\u200b\u200d\ufe0f\u0301\u2028\ud800\udcff\ue000"
    )
)
HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@settings(derandomize=True, deadline=None)
@given(ANY_TEXT | HOSTILE_TEXT)
@example("\u0915\u200d\u200d\ufe0f")
@example("e" + 30 * "\u0301" + "\u200d")
def test_any_text_becomes_one_harmless_line_and_stays_it(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(one) for one in shown if one not in "\u200c\u200d"} & HARMFUL
    assert printable(shown) == shown
    assert len(shown) <= MOST


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=300) | HOSTILE_TEXT, st.integers(60, 100))
def test_a_long_text_is_cut_to_the_length_that_is_wanted(text: str, most: int) -> None:
    assert len(printable(text, most=most)) <= most


@pytest.mark.parametrize(
    "text",
    [
        "film.mp4",
        r"C:\films\a[1080p].mp4",
        "Ünïcode ÿ, e\u0301, ﬁ",
        "фильм, 映画, 영화, ภาพยนตร์, סרט, فيلم, फ़िल्म",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: a non-joiner inside the word
        "\u0d15\u0d4d\u200d",  # Malayalam: virama and joiner
        "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82",  # the tallest stack of Tibetan
        "👨\u200d👩\u200d👧, ❤\ufe0f\u200d🔥, 1\ufe0f\u20e3, 🇳🇱, 👍🏽",
        "\u8fbb\U000e0100",  # an ideograph and its variant
        "Screenshot 10.30\u202fAM, 全角\u3000, no\u00a0break",
    ],
)
def test_letters_of_all_scripts_and_emoji_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("one\ntwo\r\tthree", r"one\ntwo\r\tthree"),
        ("\x00\x7f\x85\x9b31m", r"\x00\x7f\x85\x9b31m"),
        ("\u202egpj.4pm\u202c", r"\u202egpj.4pm\u202c"),
        ("\u2066\u2069\u200e\u200f\u061c", r"\u2066\u2069\u200e\u200f\u061c"),
        ("a\u200bb\ufeffc\u00add\u2060e", r"a\u200bb\ufeffc\xadd\u2060e"),
        ("pass\u200dword", r"pass\u200dword"),
        ("\u3164\u2800\uffa0", r"\u3164\u2800\uffa0"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\ue000\U000e0041\U0010ffff", r"\ue000\U000e0041\U0010ffff"),
        ("e" + 10 * "\u0301", "e" + 8 * "\u0301" + r"\u0301\u0301"),
    ],
)
def test_what_could_do_harm_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_of_a_long_text_beginning_and_end_are_kept_and_what_is_missing_is_said() -> None:
    shown = printable("begin" + 1_000_000 * "\x1b" + "end")
    assert shown.startswith(r"begin\x1b")
    assert shown.endswith("end")
    assert "characters ...]" in shown
    assert shorten("short") == "short"


def test_lines_that_are_meant_stay_lines() -> None:
    assert printable_lines("a\x1b\nb\u2028") == "a\\x1b\nb\\u2028"
