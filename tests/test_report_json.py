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
