"""A comparison as files: report, tables and curves."""

from pathlib import Path

from vidrestore import files
from vidrestore.evaluation.videos.plots import PICTURES, check_plots, write_plots
from vidrestore.evaluation.videos.results import VideoComparison
from vidrestore.evaluation.videos.table import markdown

REPORT, TABLE = "report.json", "table.md"


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
