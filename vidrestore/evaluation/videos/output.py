"""A comparison as tables, one for each question with a row for each video, and as a folder of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from vidrestore import files
from vidrestore.evaluation.videos.plots import PICTURES, check_plots, write_plots
from vidrestore.evaluation.videos.results import InputSway, Summary, VideoComparison, VideoFigures
from vidrestore.markdown import Table, cell, markdown_page, markdown_text

REPORT, TABLE = "report.json", "table.md"

Column = tuple[str, Callable[[Summary], float | None], int]
"""Heading, value and decimals."""

LIKENESS: Final[tuple[Column, ...]] = (
    ("PSNR faces dB", lambda row: row.psnr_faces, 2),
    ("SSIM faces", lambda row: row.ssim_faces, 4),
    ("PSNR elsewhere dB", lambda row: row.psnr_elsewhere, 2),
    ("SSIM elsewhere", lambda row: row.ssim_elsewhere, 4),
    ("identity", lambda row: row.identity_cosine, 3),
    ("seam energy", lambda row: row.seam_energy, 3),
    ("seam over both", lambda row: row.seam_energy_over_both, 3),
)
STEADINESS: Final[tuple[Column, ...]] = (
    ("warp error", lambda row: row.warp_error, 3),
    ("sharpness", lambda row: row.sharpness_ratio, 3),
    ("jitter RMS %", lambda row: row.jitter_percent, 2),
    ("jitter median %", lambda row: row.jitter_median_percent, 2),
    ("feature flicker", lambda row: row.temporal_feature_distance, 4),
    ("flicker faces", lambda row: row.flicker_faces, 3),
    ("flicker elsewhere", lambda row: row.flicker_elsewhere, 3),
)
LIFE: Final[tuple[Column, ...]] = (
    ("identity deviation", lambda row: row.identity_deviation, 4),
    ("identity spread", lambda row: row.identity_spread, 3),
    ("mouth correlation", lambda row: row.mouth_correlation, 3),
    ("mouth gain", lambda row: row.mouth_gain, 3),
    ("eyes correlation", lambda row: row.eyes_correlation, 3),
    ("eyes gain", lambda row: row.eyes_gain, 3),
)
NOTES: Final = (
    "The reference against itself is the floor: flow errs, videos flicker, and its jitter is the detector's own.",
    "Higher is better: PSNR, SSIM, identity, correlations (1: moves in time with the reference).",
    "Lower is better: seam energy, warp error and flicker (grey levels), jitter (% of the eye distance), the others.",
    "Seam over both: beyond the reference's and the input's edges, which is what pasting added.",
    "Sharpness (fine detail as a share of the reference's) and gains (size of a movement) are best at 1.",
    "Blur wins warp error, jitter and flicker: read them together with sharpness.",
)


def tables(comparison: VideoComparison) -> list[Table]:
    """Return the tables of likeness, steadiness and faces over time."""
    titles = (("likeness", LIKENESS), ("steadiness", STEADINESS), ("faces over time", LIFE))
    return [
        Table(
            title,
            ("video", *(heading for heading, _, _ in columns)),
            tuple(
                (video.label, *(cell(value(video.summary), digits) for _, value, digits in columns))
                for video in comparison.videos
            ),
        )
        for title, columns in titles
    ]


def setting(comparison: VideoComparison) -> str:
    """Describe in one sentence what was measured, on what, and what was not."""
    small = f", {comparison.faces_too_small} narrower than {comparison.min_face:g} px left out"
    return (
        f"{comparison.frames} frames of {comparison.width}x{comparison.height} in {comparison.shots} shots, "
        f"{comparison.frames_without_faces} without faces; {comparison.faces} faces in {comparison.tracks} tracks"
        f"{small if comparison.faces_too_small else ''}."
    )


def remarks(comparison: VideoComparison) -> list[str]:
    """List what was taken out, and what could not be measured or read, a line each."""
    lines = [line for video in comparison.videos for line in _remarks(video, comparison.videos)]
    return [*_sway(comparison.input_sway), *lines, *comparison.notes]


def markdown(comparison: VideoComparison) -> str:
    """Return all tables as Markdown, with their setting and how to read them."""
    notes = (*NOTES, *map(markdown_text, remarks(comparison)))
    return markdown_page(f"Videos against {comparison.reference}", setting(comparison), tables(comparison), notes)


def _sway(sway: InputSway | None) -> list[str]:
    lines = []
    if sway and sway.weave_pixels is not None and sway.lamp_levels is not None:
        lines.append(
            f"Taken out of warp error, jitter and flicker, from frame to frame: the input's gate weave, "
            f"{sway.weave_pixels:.2f} px, and lamp flicker, {sway.lamp_levels:.2f} grey levels (RMS)."
        )
    if sway and sway.frames_unknown:
        lines.append(f"In {sway.frames_unknown} frames weave or lamp of the input could not be measured.")
    return lines


def _remarks(video: VideoFigures, videos: tuple[VideoFigures, ...]) -> list[str]:
    summary, lines = video.summary, []
    if summary.landmarks_missed:
        lines.append(f"{video.label}: landmarks were not found in {summary.landmarks_missed} faces")
    if video.role == "reference":
        # what cannot be measured in the truth is the same for all
        unmeasured = summary.expressions_unmeasured.items()
        lines += [f"{count} of {len(video.tracks)} stretches of tracks: {reason}" for reason, count in unmeasured]
        lines += [
            f"{name.replace('_', ' ')} could be measured in no frame"
            for name, frames in summary.frames_measured.items()
            if not frames and (name != "seam_energy_over_both" or any(one.role == "input" for one in videos))
        ]
    return lines


def open_folder(folder: Path, *, plots: bool = True) -> None:
    """Make the folder that `write_comparison` fills, before minutes are spent.

    Raises:
        ConfigError: plots are wanted and matplotlib is not installed.
        OutputError: it cannot be made or written to.
    """
    if plots:
        check_plots()
    files.open_folder(folder)


def write_comparison(comparison: VideoComparison, folder: Path, *, plots: bool = True) -> list[Path]:
    """Write `report.json`, `table.md` and the curves; those of an earlier comparison are replaced or removed.

    Returns:
        The written files.

    Raises:
        ConfigError: plots are wanted and matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    open_folder(folder, plots=plots)
    comparison.save(folder / REPORT)
    files.replace_text(folder / TABLE, markdown(comparison))
    written = [folder / REPORT, folder / TABLE]
    if plots:
        return written + write_plots(comparison, folder)
    for name in PICTURES:
        files.remove_outdated(folder / name, of="an earlier comparison")
    return written
