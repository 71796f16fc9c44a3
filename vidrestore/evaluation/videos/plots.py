"""A comparison as curves over time: an image for each question, a panel for each figure, a line for each video."""

import importlib.util
import io
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vidrestore.errors import ConfigError
from vidrestore.evaluation.videos.results import VideoComparison, VideoFigures
from vidrestore.files import replace_bytes
from vidrestore.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = tuple[str, str]
"""Field of `FrameFigures`, and the axis's label."""

LIKENESS: Final[tuple[Panel, ...]] = (
    ("psnr_faces", "PSNR faces, dB"),
    ("ssim_faces", "SSIM faces"),
    ("psnr_elsewhere", "PSNR elsewhere, dB"),
    ("identity_cosine", "identity cosine"),
    ("seam_energy", "seam energy"),
)
STEADINESS: Final[tuple[Panel, ...]] = (
    ("warp_error", "warp error, levels"),
    ("sharpness_ratio", "sharpness"),
    ("jitter_percent", "jitter, % of eyes"),
    ("temporal_feature_distance", "feature flicker"),
    ("flicker_faces", "flicker faces, levels"),
    ("flicker_elsewhere", "flicker elsewhere, levels"),
)
PICTURES: Final = {"likeness.png": LIKENESS, "steadiness.png": STEADINESS}
_TRIVIAL: Final = frozenset({"psnr_faces", "ssim_faces", "psnr_elsewhere", "identity_cosine", "seam_energy"})
"""Figures that are perfect for the reference against itself: its line would only squeeze the others."""
_WIDTH_INCHES, _PANEL_INCHES, _DOTS_PER_INCH = 10, 1.7, 110


def check_plots() -> None:
    """Make sure that curves can be drawn, before the work that they show.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "the curves are drawn with matplotlib, which is not installed; install it with: pip install "
            "'vidrestore[metrics]', or leave them out with --no-plots"
        )


def write_plots(comparison: VideoComparison, folder: Path) -> list[Path]:
    """Write the pictures of `PICTURES` as PNG.

    Returns:
        The written files.

    Raises:
        ConfigError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    check_plots()
    for name, panels in PICTURES.items():
        replace_bytes(folder / name, draw(comparison, panels))
    return [folder / name for name in PICTURES]


def draw(comparison: VideoComparison, panels: tuple[Panel, ...]) -> bytes:
    """Draw curves of some figures over time, as PNG; frames without a figure are gaps."""
    from matplotlib.figure import Figure  # noqa: PLC0415  an optional part

    figure = Figure(figsize=(_WIDTH_INCHES, _PANEL_INCHES * len(panels) + 1), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, text) in zip(axes, panels, strict=True):
        for number, video in enumerate(comparison.videos):
            if video.role != "reference" or name not in _TRIVIAL:
                _line(axis, video, name, number)
        axis.set_ylabel(text, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(visible=True, alpha=0.3)
    axes[-1].set_xlabel("seconds")
    handles = {line.get_gid(): line for axis in axes for line in axis.get_lines()}
    names = [printable(comparison.videos[number].label) for number in map(int, handles)]
    legend = figure.legend(list(handles.values()), names, loc="outside upper center", ncols=len(handles), fontsize=8)
    for shown in legend.get_texts():
        shown.set_parse_math(False)  # a name may hold $, and what stands between two is no formula
    png = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the font lacks letters of most scripts: boxes are drawn for them
        figure.savefig(png, format="png", dpi=_DOTS_PER_INCH)
    return png.getvalue()


def _line(axis: "Axes", video: VideoFigures, name: str, number: int) -> None:
    """Return a video's line style, dots included: a figure with gaps on both sides would show no line."""
    values = [getattr(frame, name) for frame in video.frames]
    known = [math.nan if value is None else value for value in values]
    style = "--" if video.role == "reference" else "-"
    seconds = [frame.seconds for frame in video.frames]
    axis.plot(seconds, known, style, color=f"C{number}", linewidth=1, marker=".", markersize=2, gid=str(number))
