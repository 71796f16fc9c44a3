"""A comparison as files: report, tables and curves."""

from pathlib import Path

from vidrestore.comparison.plots import PICTURES, check_plots, write_plots
from vidrestore.comparison.results import FilmComparison
from vidrestore.comparison.table import markdown
from vidrestore.errors import OutputError
from vidrestore.files import replace_bytes, replace_text

REPORT, TABLE = "report.json", "table.md"


def open_folder(folder: Path, *, plots: bool = True) -> None:
    """Make the folder that `write_comparison` fills, before minutes are spent.

    Raises:
        ConfigError: plots are wanted and matplotlib is not installed.
        OutputError: it cannot be made or written to.
    """
    if plots:
        check_plots()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}; give another folder for the report") from error
    probe = folder / f".{REPORT}"
    replace_bytes(probe, b"")
    probe.unlink(missing_ok=True)


def write_comparison(comparison: FilmComparison, folder: Path, *, plots: bool = True) -> list[Path]:
    """Write `report.json`, `table.md` and the curves; those of an earlier comparison are replaced or removed.

    Returns:
        What was written.

    Raises:
        ConfigError: plots are wanted and matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    open_folder(folder, plots=plots)
    comparison.write(folder / REPORT)
    replace_text(folder / TABLE, markdown(comparison))
    written = [folder / REPORT, folder / TABLE]
    if plots:
        return written + write_plots(comparison, folder)
    for name in PICTURES:
        _remove(folder / name)
    return written


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} is of an earlier comparison and cannot be removed: {error.strerror}") from error
