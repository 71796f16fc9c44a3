"""A benchmark as one would have been measured, made up."""

from dataclasses import replace

import pytest

from benchmarks.machine import Host
from benchmarks.results import Benchmark, Check, Clip, MemoryUse, Quartiles, Row, Run, times


def made_up_row(name: str, speeds: list[float], *, is_reference: bool) -> Row:
    runs = tuple(Run(100 / speed, 100, 100, {"decode": 1.0, "restore": 4.0}) for speed in speeds)
    return Row(
        name=name,
        what="Made up.",
        is_reference=is_reference,
        start_seconds=2.5,
        runs=runs,
        frames_per_second=Quartiles.of(speeds),
        stage_frames_per_second={"decode": 100.0, "restore": 25.0},
        times_reference={},
    )


@pytest.fixture
def made_up() -> Benchmark:
    """Ours at 40 frames/s, the reference at 5."""
    ours = made_up_row("ours", [38.0, 40.0, 42.0], is_reference=False)
    rival = made_up_row("rival", [5.0, 5.0, 5.0], is_reference=True)
    ours = replace(ours, times_reference={"rival": times(ours.runs, rival.runs)})
    return Benchmark(
        date="2025-01-02T03:04:05+00:00",
        commit="0123456789abcdef",
        dirty=True,
        machine=Host("Some CPU", 2, ("amx_bf16",), "AVX512", 2, 8 * 2**30, (), "Linux"),
        versions={"python": "3.11.0", "torch": "2.13.0"},
        clip=Clip("film.mp4", 100, 640, 360, "ab" * 32),
        checks=(Check("difference", 0.5, 1.0, "grey levels", at_least=False),),
        rows=(ours, rival),
        memory=(MemoryUse("ray", 10.0, 15000, 400.0, 3 * 2**30, 2 * 2**30, 800),),
    )
