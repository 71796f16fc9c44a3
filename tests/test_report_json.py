"""Reports that come back from JSON the same."""

from dataclasses import dataclass

import pytest

from vidrestore.errors import InputError
from vidrestore.report_json import from_json, to_json


@dataclass(frozen=True)
class Part:
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    name: str
    share: float
    part: Part


def test_a_report_comes_back_from_json_the_same() -> None:
    report = Report("first", 0.25, Part((1, 2)))
    assert from_json(Report, to_json(report), what="a test") == report
    assert to_json(report).splitlines()[1] == '  "name": "first",'


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "text"), ("{}", "name"), ('{"name": "a", "share": 1, "part": {"sizes": ["b"]}}', r"part\.sizes\.0")],
)
def test_other_json_is_refused_with_the_place_of_the_fault(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"this is not the JSON of a test: {reason}: "):
        from_json(Report, text, what="a test")


@pytest.mark.parametrize("name", ["not-utf8-\udcff\udc9b", "\x1b]0;x\x07\x9b\u202e\u2028\n\x7f", "映画 👍🏽"])
def test_every_name_comes_back_exactly_and_acts_on_no_terminal(name: str) -> None:
    report = Report(name, 0.25, Part(()))
    written = to_json(report)
    assert written.isascii()
    assert written.replace("\n", "").isprintable()
    assert from_json(Report, written, what="a test") == report


def test_numbers_that_are_not_finite_become_null() -> None:
    assert '"share": null' in to_json(Report("first", float("nan"), Part(())))


def test_json_of_great_depth_is_refused() -> None:
    with pytest.raises(InputError, match="this is not the JSON of a test"):
        from_json(Report, 100_000 * "[", what="a test")
