"""The compared systems: our command and the reference flow, each a process of its own, behind one way to run them."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.reference import ReferenceRun
from benchmarks.results import Run, with_rest
from benchmarks.usage import GpuSampler, Usage, gpu_sampler, watch
from vidrestore.report_json import from_json

OUR_COMMAND = (sys.executable, "-P", "-c", "from vidrestore.cli import main; main()")
_REFERENCE_COMMAND = (sys.executable, "-P", "-m", "benchmarks.reference")
_ROOT = Path(__file__).parents[1]

_OURS = "`vidrestore restore` as users start it, x264 crf 17 {preset}, timed from the start of the process to its end."
_FLOW = (
    "facexlib's `FaceRestoreHelper` and spandrel's GFP-GAN frame by frame, batch 1, the same weights, x264 crf 17 "
    "medium; timed without loading; its rate does not depend on the length, so it restores the first frames only."
)
_LIGHTEST = f"{_FLOW} RetinaFace mobilenet0.25, square mask, fp32."
_AS_SHIPPED = (
    "the same with GFP-GAN's own defaults, RetinaFace ResNet-50 and ParseNet's mask, in fp32; both ran with random "
    "weights and their results were not used (theirs cannot be had offline, and the cost does not depend on the "
    "values)."
)
_BEST = (
    "the lightest reference in its best settings: GFP-GAN in bf16, channels_last, compiled; TF32 and chosen kernels "
    "for the detector; compiled before timing."
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What systems share in one comparison."""

    device: str
    """`cpu`, `cuda` or `cuda:N`."""
    weights: Path
    reference_frames: int
    """Frames after which the reference stops."""


@dataclass(frozen=True, slots=True)
class System:
    """A way to restore a video in a process of its own."""

    name: str
    what: str
    """Description in one sentence, for the table."""
    is_reference: bool
    run: Callable[[Path, Path, Setting], tuple[Run, Usage]]
    """Restores a source to a destination, watched."""
    preset: str = "medium"
    """x264's preset."""


def restore(
    source: Path, destination: Path, setting: Setting, *, options: tuple[str, ...], sampler: GpuSampler | None = None
) -> tuple[Run, Usage]:
    """Run our whole command once.

    Raises:
        RestorationError: it failed.
    """
    report = destination.with_suffix(".json")
    paths = (str(source), str(destination), "--report", str(report))
    settings = ("--model", str(setting.weights), "--device", setting.device, "--overwrite", "--quiet", *options)
    chosen = (lambda: sampler) if sampler else partial(gpu_sampler, setting.device)
    watched = watch([*OUR_COMMAND, "restore", *paths, *settings], sampler=chosen, environment=_environment())
    told = json.loads(report.read_text(encoding="utf-8"))
    stages = with_rest(told["seconds_per_stage"], told["seconds"])
    return Run(watched.seconds, told["frames_written"], told["faces_restored"], stages), watched.usage()


def _run_reference(source: Path, destination: Path, setting: Setting, *, variant: str) -> tuple[Run, Usage]:
    report = destination.with_suffix(".json")
    settings = ("--frames", str(setting.reference_frames), "--device", setting.device, "--variant", variant)
    arguments = (str(source), str(destination), str(setting.weights), str(report), *settings)
    sampler = partial(gpu_sampler, setting.device)
    watched = watch([*_REFERENCE_COMMAND, *arguments], sampler=sampler, environment=_environment())
    told = from_json(ReferenceRun, report.read_text(encoding="utf-8"), what="a run of the reference flow")
    return told.run, watched.usage(told.begin, told.end)


def _environment() -> dict[str, str]:
    """Return the environment in which the processes find this checkout, whatever the current folder is."""
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{before}" if before else str(_ROOT)}


def _ours(preset: str) -> System:
    run = partial(restore, options=("--preset", preset))
    return System(f"vidrestore, {preset}", _OURS.format(preset=preset), is_reference=False, run=run, preset=preset)


SYSTEMS = {
    "medium": _ours("medium"),
    "veryfast": _ours("veryfast"),
    "start": replace(
        _ours("medium"),
        name="vidrestore, one second",
        what="the same, medium, on the first 25 frames: what starting costs.",
    ),
    "reference": System(
        "lightest reference", _LIGHTEST, is_reference=True, run=partial(_run_reference, variant="lightest")
    ),
    "as-shipped": System(
        "reference as shipped", _AS_SHIPPED, is_reference=True, run=partial(_run_reference, variant="as-shipped")
    ),
    "best": System("reference, best settings", _BEST, is_reference=True, run=partial(_run_reference, variant="best")),
}
"""All systems by the names that `--rows` takes."""
ONE_SECOND = SYSTEMS["start"].name
START_FRAMES = 25
