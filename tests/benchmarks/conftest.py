"""A benchmark as one would have been measured, made up."""

from dataclasses import replace

import pytest

from benchmarks.bounds import ARITHMETIC, TRAFFIC
from benchmarks.machine import Host
from benchmarks.results import Benchmark, Check, Clip, Limit, MemoryUse, Quartiles, Row, Run, Session
from benchmarks.systems import SYSTEMS
from benchmarks.usage import Usage

NETWORK = "512 px"


def made_up_row(system: str, speeds: list[float], *, frames: int = 100, device: str = "cuda") -> Row:
    chosen = SYSTEMS[system]
    return Row(
        system=chosen.name,
        what=chosen.what,
        is_reference=chosen.is_reference,
        device=device,
        network=NETWORK,
        clip=Clip("1080p-6", frames, 1920, 1080, 6, "ab" * 32),
        runs=tuple(Run(frames / speed, frames, 6 * frames, {"decode": 1.0, "restore": 4.0}) for speed in speeds),
        usages=tuple(Usage(60.0 + number, 2 * 2**30, 3 * 2**30) for number in range(len(speeds))),
    )


def made_up_limit(name: str, rate: float, *, device: str = "cuda", clip: str = "", unit: str = "faces") -> Limit:
    return Limit(name, device, "" if clip else NETWORK, clip, Quartiles(rate, rate, rate), unit)


@pytest.fixture
def session() -> Session:
    """Ours at 40 frames/s with a start of 5 s, the reference at 5; x264 alone does 100."""
    ours, rival = made_up_row("medium", [38.0, 40.0, 42.0], frames=400), made_up_row("reference", [5.0, 5.0, 5.0])
    start = made_up_row("start", [5.0], frames=25)
    return Session(
        date="2025-01-02T03:04:05+00:00",
        commit="0123456789abcdef",
        dirty=True,
        machine=Host("Some CPU", 2, ("amx_bf16",), "AVX512", 2, 8 * 2**30, ("Some GPU",), "Linux"),
        versions={"python": "3.11.0", "torch": "2.13.0"},
        checks=(Check("difference", 0.5, 1.0, "grey levels", at_least=False),),
        rows=(start, ours, rival),
        limits=(
            made_up_limit("x264 medium alone", 100, device="cpu", clip="1080p-6", unit="frames"),
            made_up_limit("x264 medium alone", 10, device="cpu", clip="2160p-6", unit="frames"),
            made_up_limit("decoding alone", 1000, device="cpu", clip="1080p-6", unit="frames"),
            made_up_limit("network alone, eager, bf16, batch 8", 300),
            made_up_limit("network alone, compiled, bf16, batch 8", 1200),
            made_up_limit(ARITHMETIC, 2000),
            made_up_limit(TRAFFIC, 9000),
        ),
        memory=(MemoryUse("ray", 10.0, 15000, 400.0, 3 * 2**30, 2 * 2**30, 800),),
    )


@pytest.fixture
def made_up(session: Session) -> Benchmark:
    """That session alone."""
    return Benchmark((session,))


@pytest.fixture
def later(session: Session) -> Session:
    """A session of another day: ours again, twice as fast, and a limit again."""
    return replace(
        session,
        date="2025-02-02T03:04:05+00:00",
        rows=(made_up_row("medium", [80.0], frames=400),),
        limits=(made_up_limit("decoding alone", 2000, device="cpu", clip="1080p-6", unit="frames"),),
        memory=(),
    )
