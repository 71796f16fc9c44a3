"""The benchmark as a picture: bars of frames a second for each video, and lines where the parts' limits are."""

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bounds import bound_of
from benchmarks.results import Benchmark, Row
from benchmarks.systems import ONE_SECOND, SYSTEMS
from benchmarks.videos import SHAPES
from vidrestore.errors import ConfigError, InputError
from vidrestore.files import replace_bytes

_HASH_SALT = "vidrestore"
_BAR = 0.8
"""Width of a video's bars together, in distances between videos."""


def draw(benchmark: Benchmark, path: Path, *, network: str | None = None, device: str | None = None) -> None:
    """Draw one network's rows on one device, by default the GPU's first, as SVG; the same figures give the same bytes.

    Raises:
        ConfigError: matplotlib is not installed.
        InputError: there is no such row.
        OutputError: the file cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("the plot needs matplotlib; install it with: pip install 'vidrestore[metrics]'")
    from matplotlib import rc_context  # noqa: PLC0415  an optional part
    from matplotlib.figure import Figure  # noqa: PLC0415  an optional part

    rows = _chosen(benchmark, network, device)
    clips = [shape.name for shape in SHAPES if any(row.clip.name == shape.name for row in rows)]
    systems = [system for system in SYSTEMS.values() if any(row.system == system.name for row in rows)]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    width = _BAR / len(systems)
    for number, system in enumerate(systems):
        for row in (row for row in rows if row.system == system.name):
            left = clips.index(row.clip.name) - _BAR / 2 + (number + 0.5) * width
            colour = f"C{number}"
            speed = row.frames_per_second
            errors = [[speed.median - speed.lower], [speed.upper - speed.median]]
            axes.bar(left, speed.median, width * 0.9, color=colour, yerr=errors, label=system.name)
            axes.annotate(f"{speed.median:.3g}", (left, speed.median), ha="center", va="bottom", fontsize=8)
            bound = bound_of(row, benchmark.rows, benchmark.limits)
            if bound and not row.is_reference:
                axes.hlines(bound.frames_per_second, left - width / 2, left + width / 2, colors="black", linewidth=2)
    axes.set_yscale("log")
    axes.set_xticks(range(len(clips)), [name.replace("-", ", faces: ") for name in clips])
    axes.set_ylabel("frames a second (log); black: slowest part alone")
    axes.set_title(f"{rows[0].network}; {'CPU' if rows[0].device == 'cpu' else 'GPU'}", fontsize=10)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(handles.values(), handles.keys(), fontsize=8)
    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": _HASH_SALT}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    replace_bytes(path, drawn.getvalue())


def _chosen(benchmark: Benchmark, network: str | None, device: str | None) -> Sequence[Row]:
    rows = [row for row in benchmark.rows if row.system != ONE_SECOND]
    rows.sort(key=lambda row: row.device == "cpu")
    first = next(
        (row for row in rows if network in {None, row.network} and device in {None, row.device}),
        None,
    )
    if first is None:
        raise InputError("this benchmark has no such row to draw; measure one first")
    return [row for row in rows if row.key[:2] == first.key[:2]]
