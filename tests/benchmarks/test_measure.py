from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure as measuring
from benchmarks.clips import repeat
from benchmarks.measure import RANDOM, BenchmarkConfig, measure, row_names
from benchmarks.results import Check, Limit, Quartiles, Run, Session
from benchmarks.systems import SYSTEMS, Setting
from benchmarks.usage import Usage
from vidrestore.errors import ConfigError, RestorationError
from vidrestore.models.checkpoint import load_gfpgan

CHOSEN = BenchmarkConfig(rows=("640x360-1:*", "network", "codecs"), runs=2, frames=30, reference_frames=10)


@pytest.mark.parametrize("options", [{"runs": 0}, {"frames": 0}, {"reference_frames": 0}, {"batches": (0,)}])
def test_amounts_that_measure_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        BenchmarkConfig(**options)


def test_a_row_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="1080p-6:as-shipped"):
        BenchmarkConfig(rows=("1080p-7:*",))
    assert all(BenchmarkConfig(rows=(name,)).wants(name) for name in row_names())


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace all systems by one that copies, all checks of pixels by one that passes; gives the order of calls."""
    called: list[str] = []

    def system(name: str, *, is_reference: bool) -> Callable[..., tuple[Run, Usage]]:
        def run(source: Path, destination: Path, setting: Setting) -> tuple[Run, Usage]:
            called.append(name)
            with_frames = setting.reference_frames if is_reference else len(measuring_times(source))
            repeat(source, destination, frames=with_frames)
            return Run(1.0, with_frames, with_frames, {"encode": 0.5}), Usage(50.0, 1, 2)

        return run

    passing = Check("made to pass", 0.0, 1.0, "dB", at_least=False)
    for name, one in SYSTEMS.items():
        monkeypatch.setitem(SYSTEMS, name, replace(one, run=system(name, is_reference=one.is_reference)))
    monkeypatch.setattr(measuring, "_same_work", lambda *_: iter([passing]))
    monkeypatch.setattr(measuring, "check_command", lambda *_: iter([passing]))
    monkeypatch.setattr(measuring, "codec_limits", limits)
    monkeypatch.setattr(measuring, "device_limits", limits)
    return called


def measuring_times(source: Path) -> Sequence[object]:
    from benchmarks.checks import frame_times  # noqa: PLC0415

    return frame_times(source)


def limits(*arguments: object, **_options: object) -> Iterator[Limit]:
    yield Limit(str(arguments[-1]), "cpu", "", "", Quartiles(1, 1, 1), "frames")


def test_systems_take_turns_and_the_order_is_reversed_every_other_round(
    copying: list[str], make_portrait_video: Callable[..., Path]
) -> None:
    sessions: list[Session] = []
    found = measure(make_portrait_video(frames=12), CHOSEN, on_session=sessions.append)
    assert copying == [*SYSTEMS, *reversed(SYSTEMS)]
    assert [row.system for row in found.rows] == [system.name for system in SYSTEMS.values()]
    assert [len(row.runs) for row in found.rows] == [2] * len(SYSTEMS)
    assert {row.system: row.clip.frames for row in found.rows if row.is_reference}.keys() == {
        system.name for system in SYSTEMS.values() if system.is_reference
    }
    assert [row.clip.frames for row in found.rows] == [30, 30, 25, 10, 10, 10]
    assert len(found.limits) == 2
    assert found == sessions[-1]
    assert [len(one.rows) for one in sessions] == [0, 0, len(SYSTEMS), len(SYSTEMS)]


def test_nothing_is_timed_or_written_when_a_check_fails(
    copying: list[str], make_portrait_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Check("made to fail", 2.0, 1.0, "dB", at_least=False)
    monkeypatch.setattr(measuring, "check_command", lambda *_: iter([failing]))
    sessions: list[Session] = []
    config = replace(CHOSEN, rows=("640x360-1:medium",))
    with pytest.raises(RestorationError, match="made to fail"):
        measure(make_portrait_video(frames=12), config, on_session=sessions.append)
    assert (copying, sessions) == ([], [])


def test_random_weights_are_those_of_an_official_network(tmp_path: Path) -> None:
    path, name = measuring._weights(replace(CHOSEN, model=RANDOM), tmp_path)
    assert load_gfpgan(path).config.out_size == 512
    assert "512 px" in name
