"""Thousands of damaged films: no crash, no hang, bounded memory, and errors in words."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support import mutations

pytestmark = pytest.mark.integration

PEAK_MIB = 1200
"""Of the process, which may have 2 GiB more than at its start."""
KEPT = (("flv", 18), ("ts", 1000), ("ts", 1204))
"""Films that were once lost after the work, by frames moved in a part and by damaged sound: container and seed."""


def tree(folder: Path, *, apart_from: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and apart_from not in path.parents
    }


def put_through(chosen: Iterable[tuple[str, int]], trials: Any, bases: dict[str, bytes], folder: Path) -> list[Any]:
    """Outcomes of mutated films, each of which goes to a container of its own or to MP4."""
    outcomes = []
    (folder / "arch").mkdir()
    (folder / "arch" / "film.mp4").write_bytes(bases["mp4"])  # what a playlist would find beside it
    for suffix, seed in chosen:
        video = folder / "arch" / f"{seed}.{suffix}"
        video.write_bytes(mutations.mutated(bases[suffix], seed))
        before = tree(folder, apart_from=trials.scratch)
        outcomes.append(trials.of(video, (".mp4", ".mkv", ".mov")[seed % 3]))
        assert tree(folder, apart_from=trials.scratch) == before, f"{video.name} changed something else"
        video.unlink()
    return outcomes


def check(outcomes: list[Any]) -> None:
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    peak = max(outcome.peak_mib for outcome in outcomes)
    print(len(outcomes), "films:", dict(Counter(outcome.kind for outcome in outcomes)))  # noqa: T201  for the record
    print(f"slowest {slowest.video}: {slowest.seconds:.1f} s; peak {peak:.0f} MiB")  # noqa: T201
    allowed = {"restored", "InputError", "OutputError"}
    assert [outcome for outcome in outcomes if outcome.kind not in allowed] == []
    assert [outcome for outcome in outcomes if "this is a bug" in outcome.message] == []
    assert peak < PEAK_MIB


def spread(bases: dict[str, bytes], seeds: Iterable[int]) -> list[tuple[str, int]]:
    suffixes = list(bases)
    return [(suffixes[seed % len(suffixes)], seed) for seed in seeds]


def test_videos_are_sound_before_they_are_mutated(trials: Any, bases: dict[str, bytes], tmp_path: Path) -> None:
    for suffix, video in bases.items():
        path = tmp_path / f"film.{suffix}"
        path.write_bytes(video)
        outcome = trials.of(path, ".mkv")
        assert outcome.kind == "restored", outcome


def test_mutated_videos(trials: Any, bases: dict[str, bytes], tmp_path: Path) -> None:
    check(put_through([*KEPT, *spread(bases, range(150))], trials, bases, tmp_path))


@pytest.mark.parametrize("seed", [seed for suffix, seed in KEPT if suffix == "ts"])
def test_damaged_sound_does_not_cost_the_video(seed: int, trials: Any, bases: dict[str, bytes], tmp_path: Path) -> None:
    video = tmp_path / "film.ts"
    video.write_bytes(mutations.mutated(bases["ts"], seed))
    assert trials.of(video, ".mkv").kind == "restored"


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_five_thousand_mutated_videos(first: int, trials: Any, bases: dict[str, bytes], tmp_path: Path) -> None:
    check(put_through(spread(bases, range(first, first + 500)), trials, bases, tmp_path))
