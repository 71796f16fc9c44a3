"""Strict configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from vidrestore.config import apply_settings, read_toml, update
from vidrestore.errors import ConfigError


@dataclass(frozen=True)
class Part:
    lookahead: int = 12
    mode: Literal["fast", "good"] = "good"
    options: tuple[str, ...] = ()
    limit: float | None = None


@dataclass(frozen=True)
class Whole:
    tracker: Part = field(default_factory=Part)
    name: str = "film"


def test_nested_options_change_and_the_rest_stays() -> None:
    changed = update(Whole(), {"tracker": {"lookahead": 4, "options": ["a", "b"]}})
    assert changed == Whole(Part(lookahead=4, options=("a", "b")))


def test_settings_are_read_as_toml_or_as_text() -> None:
    changed = apply_settings(Whole(), ["tracker.lookahead=3", "tracker.mode=fast", "name=a b", "tracker.limit=1.5"])
    assert changed == Whole(Part(lookahead=3, mode="fast", limit=1.5), name="a b")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["tracker.lokahead=3"], "did you mean 'lookahead'"),
        (["tracker=3"], "tracker is a table of options"),
        (["tracker.lookahead=many"], "tracker.lookahead is 'many'; use an integer"),
        (["tracker.mode=slow"], "tracker.mode is 'slow'; use fast or good"),
        (["lookahead"], "not of the form"),
        (["zzz=1"], "known here: name, tracker"),
    ],
)
def test_what_is_wrong_is_refused_with_advice(settings: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        apply_settings(Whole(), settings)


def test_a_toml_file_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('name = "x"\n[tracker]\nlookahead = 7\n')
    assert read_toml(Whole(), path) == Whole(Part(lookahead=7), name="x")


def test_a_broken_or_missing_toml_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML"):
        read_toml(Whole(), broken)
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_toml(Whole(), tmp_path / "none.toml")
