"""Contribution of each temporal stage: the same damaged video restored in many ways, then compared.

The first way is the common one, frame by frame with fresh noise; every further one adds a part. All use the same
weights and encoder (x264, crf 17), so that only the parts differ.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from benchmarks.reference import ReferenceFlow
from benchmarks.worst_frames import draw_frames, worst_frames
from vidrestore.config import update
from vidrestore.degradation.medium.profiles import profile_preset
from vidrestore.degradation.video import DegradeConfig, degrade_video
from vidrestore.evaluation.videos.compare import compare_videos
from vidrestore.evaluation.videos.results import Summary, VideoComparison
from vidrestore.files import replace_text
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.restore import restore_video
from vidrestore.markdown import markdown_table
from vidrestore.models import zoo
from vidrestore.report_json import from_json, to_json
from vidrestore.restoration.config import VideoRestoreConfig

DAMAGED = "damaged"
Step = Callable[[str], None]

_NO_FADES = {"full_yaw": 179.0, "max_yaw": 180.0, "min_score": 0.0, "full_score": 1e-6, "max_weight_step": 1.0}
_OFF: Mapping[str, Any] = {
    "denoiser": {"frames": 0},
    "style": {"frames": 0},
    "stabilizer": {"blend": False, "colour_lock": 0.0},
    "selection": _NO_FADES,
    "occlusion": {"enabled": False},
}
"""Settings that turn off everything after the alignment."""
_CODES = {"frames": 4}
_LIVE = {"coast_seconds": 0.3}


def _with(*parts: str) -> Mapping[str, Any]:
    """Return the settings with some parts turned on again."""
    on = {"denoiser": {}, "style": _CODES, "blend": {"colour_lock": 0.0}, "colour": {}}
    chosen = {"stabilizer" if part in {"blend", "colour"} else part: on[part] for part in parts}
    return {**_OFF, **chosen}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to restore a video."""

    name: str
    settings: Mapping[str, Any] | None
    """Changes of `VideoRestoreConfig`; None: the reference flow."""
    fresh_noise: bool = False
    """Whether the reference flow draws fresh noise."""


ALL = "+ masks and fades (all of it)"
LIVE = "live, lag 0"
REFERENCE = "frame by frame, fresh noise"
WAYS = (
    Way(REFERENCE, None, fresh_noise=True),
    Way("+ stored noise", None),
    Way("+ tracked, smoothed alignment", _with()),
    Way("+ film averaged along its motion", _with("denoiser")),
    Way("+ steady style codes", _with("denoiser", "style")),
    Way("+ blend along the motion", _with("denoiser", "blend")),
    Way("+ colour lock", _with("denoiser", "colour")),
    Way(ALL, {}),
    Way(LIVE, {"lag": 0, "tracker": _LIVE}),
    Way("live, lag 4", {"tracker": _LIVE, "lag": 4}),
)
"""All compared ways. Style codes are steadied in their own row only: by default they are not."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One video under one damage."""

    video: str
    preset: str
    frames: int
    rows: dict[str, Summary]
    """Summaries by the name of the way; also "damaged" and "truth"."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """All scenes, and the host that they were made on."""

    machine: Host
    checkout: Checkout
    model_sha256: str
    scenes: tuple[Scene, ...] = field(repr=False)

    def write(self, path: Path) -> None:
        """Write all of it as JSON.

        Raises:
            OutputError: the folder cannot be written.
        """
        replace_text(path, to_json(self))

    @classmethod
    def read(cls, path: Path) -> "Steadiness":
        """Read what `write` wrote.

        Raises:
            InputError: the text is something else.
        """
        return from_json(cls, path.read_text(encoding="utf-8"), what="a measurement of steadiness")


def measure_steadiness(
    videos: Sequence[Path], presets: Sequence[str], folder: Path, *, ways: Sequence[Way] = WAYS, on_step: Step = print
) -> Steadiness:
    """Damage every video in every way, restore it in every way, and compare with the truth.

    Args:
        videos: undamaged videos with faces.
        presets: presets of `vidrestore degrade`.
        folder: folder for the videos and comparisons of each scene.
        ways: ways of restoring.
        on_step: called with a description of each step.

    Raises:
        ConfigError, InputError, ModelError, OutputError: as the parts raise them.
    """
    weights = zoo.resolve("embedded")
    scenes = []
    for video in videos:
        for preset in presets:
            place = folder / f"{video.stem}-{preset}"
            place.mkdir(parents=True, exist_ok=True)
            scenes.append(_scene(video, preset, place, ways, weights, on_step))
    return Steadiness(describe_machine(), describe_checkout(), zoo.sha256_of(weights), tuple(scenes))


def _scene(video: Path, preset: str, place: Path, ways: Sequence[Way], weights: Path, on_step: Step) -> Scene:
    on_step(f"{video.name}, {preset}")
    damaged = place / "damaged.mp4"
    degrade_video(video, damaged, DegradeConfig(profile=profile_preset(preset), overwrite=True))
    made = {way.name: place / f"{number}.mp4" for number, way in enumerate(ways)}
    for way in ways:
        on_step(f"  {way.name}")
        _restore(way, damaged, made[way.name], weights)
    on_step("  comparing")
    found = compare_videos(video, list(made.values()), degraded=damaged)
    found.save(place / "comparison.json")
    _draw_worst(video, damaged, made, found, place / "worst.png")
    return Scene(video.name, preset, found.frames, _rows(found, list(made)))


def _draw_worst(video: Path, damaged: Path, made: Mapping[str, Path], found: VideoComparison, path: Path) -> None:
    """Draw the worst ten frames of the last offline way, next to the results of the common flow and a live stream."""
    tests = dict(zip(made, (one for one in found.videos if one.role == "test"), strict=True))
    if ALL in tests:
        shown = {name: made[name] for name in (REFERENCE, ALL, LIVE) if name in made}
        draw_frames(path, video, {DAMAGED: damaged, **shown}, worst_frames(tests[ALL]))


def _restore(way: Way, damaged: Path, destination: Path, weights: Path) -> None:
    if way.settings is None:
        ReferenceFlow(weights, fresh_noise=way.fresh_noise).run(damaged, destination)
    else:
        config = JobConfig(restore=update(VideoRestoreConfig(), way.settings), runtime="local", overwrite=True)
        restore_video(damaged, destination, config)


def _rows(found: VideoComparison, names: Sequence[str]) -> dict[str, Summary]:
    tests = [video for video in found.videos if video.role == "test"]
    roles = {video.role: video.summary for video in found.videos}
    rows = {"truth": roles["reference"], DAMAGED: roles["input"]}
    return rows | {name: video.summary for name, video in zip(names, tests, strict=True)}


_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("warp error", "warp_error", 3),
    ("sharpness", "sharpness_ratio", 3),
    ("landmark jitter %", "jitter_percent", 2),
    ("feature flicker", "temporal_feature_distance", 4),
    ("flicker of still parts", "flicker_faces", 3),
    ("PSNR dB", "psnr_faces", 2),
    ("identity", "identity_cosine", 3),
    ("identity deviation", "identity_deviation", 4),
    ("mouth", "mouth_correlation", 3),
    ("eyes", "eyes_correlation", 3),
    ("seam", "seam_energy_over_both", 3),
)


def table(measured: Steadiness) -> str:
    """Format a Markdown table with a row for each way: means over the scenes in which a figure could be measured."""
    names = list(measured.scenes[0].rows)
    rows = []
    for name in names:
        summaries = [scene.rows[name] for scene in measured.scenes]
        cells = [_cell([getattr(summary, field) for summary in summaries], decimals) for _, field, decimals in _COLUMNS]
        rows.append([name, *cells])
    return markdown_table(["", *(title for title, _, _ in _COLUMNS)], rows)


def footnotes(measured: Steadiness) -> list[str]:
    """Describe what was measured on what, and how to read it."""
    scenes = ", ".join(f"{scene.video} as {scene.preset} ({scene.frames} frames)" for scene in measured.scenes)
    machine, checkout = measured.machine, measured.checkout
    dirty = " with uncommitted changes" if checkout.dirty else ""
    commit = f"`{(checkout.commit or 'unknown')[:12]}`{dirty}"
    setting = f"Commit {commit}; {machine.cpu}, {machine.cores} cores; weights {measured.model_sha256[:12]}."
    reading = (
        "The truth against itself is the floor of each figure. Warp error, jitter and flicker are better when lower, "
        "but blur wins them: read them together with sharpness. Mouth and eyes: correlation of their opening with the "
        "truth's."
    )
    return [f"Means over: {scenes}. {setting}", reading]


def markdown(measured: Steadiness) -> str:
    """Return the table and its footnotes."""
    return "\n".join([table(measured), "", *(f"- {note}" for note in footnotes(measured))])


def _cell(values: Sequence[float | None], decimals: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):.{decimals}f}" if known else "-"
