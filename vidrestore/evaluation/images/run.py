"""An evaluation from names to files: models by name against a folder of faces; report, tables and images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from vidrestore.errors import ConfigError
from vidrestore.evaluation.images.candidates import baselines, load_models
from vidrestore.evaluation.images.evaluate import Evaluation, EvaluationConfig, OnProgress, evaluate
from vidrestore.evaluation.images.grid import write_grid
from vidrestore.evaluation.images.metric_models import load_judges
from vidrestore.evaluation.images.table import markdown
from vidrestore.files import open_folder, remove_outdated, replace_text
from vidrestore.models.devices import choose_device
from vidrestore.restoration.config import RestorerConfig

REPORT, TABLE, GRID, CLEAN_GRID = "report.json", "table.md", "grid.png", "grid-clean.png"
_CLEAN: Final = "clean"
_SHOWN_FIRST: Final = ("protocol", "medium")
"""Strengths that `grid.png` shows by preference: the first evaluated one, else the first that does damage."""


def evaluate_models(
    folder: Path,
    models: Sequence[str],
    config: EvaluationConfig | None = None,
    *,
    restorer: RestorerConfig | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Evaluate models together with the baselines, at the size of the smallest of them.

    Args:
        folder: folder of aligned square faces.
        models: names of the zoo, or paths.
        config: options: faces and damage; its size and the strengths of its grids are set here.
        restorer: device, precision and batch of the models; the metric models work on the same device.
        on_progress: called after every batch of a candidate.

    Raises:
        VidrestoreError: as `load_models`, `load_judges` and `evaluate` do.
    """
    if not models:
        raise ConfigError("no model was named; give one or more")
    config, restorer = config or EvaluationConfig(), restorer or RestorerConfig()
    candidates = load_models(models, restorer)
    first = _first_shown(config.strengths)
    smallest = min(one.crop_size for one in candidates if one.crop_size)
    config = replace(config, size=smallest, grid_strengths=(first, _CLEAN))
    judges = load_judges(choose_device(restorer.device))
    return evaluate(folder, [*baselines(), *candidates], judges, config, on_progress=on_progress)


def write_evaluation(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `report.json`, `table.md`, `grid.png` and, where clean faces were evaluated as well as others, theirs.

    Returns:
        The written files. Files of an earlier evaluation are replaced; a grid that this evaluation lacks is removed.

    Raises:
        OutputError: a file cannot be written.
    """
    open_folder(folder)
    evaluation.report.write(folder / REPORT)
    replace_text(folder / TABLE, markdown(evaluation.report))
    written = [folder / REPORT, folder / TABLE]
    first = _first_shown([result.strength for result in evaluation.report.results])
    shown = {grid.title: grid for grid in evaluation.grids}
    for strength, name in ((first, GRID), (_CLEAN if first != _CLEAN else "", CLEAN_GRID)):
        if strength in shown:
            write_grid(shown[strength], folder / name)
            written.append(folder / name)
        else:
            remove_outdated(folder / name, of="an earlier evaluation")
    return written


def _first_shown(strengths: Sequence[str]) -> str:
    damaged = [strength for strength in strengths if strength != _CLEAN]
    return next((strength for strength in (*_SHOWN_FIRST, *damaged) if strength in strengths), _CLEAN)
