"""`vidrestore evaluate`: files and tables where all is well, one line where something is not."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch

from vidrestore.errors import ConfigError
from vidrestore.evaluation.images import run as evaluation_run
from vidrestore.evaluation.images.evaluate import EvaluationConfig
from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.images.results import EvaluationReport
from vidrestore.evaluation.images.run import evaluate_models

pytestmark = pytest.mark.integration

MakeFaces = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, judges: MetricModels) -> Run:
    """Run `vidrestore evaluate` in this process with cheap judges; gives exit code, stdout and stderr."""
    monkeypatch.setattr(evaluation_run, "load_judges", lambda _device: judges)
    return partial(run, "evaluate-model")


def test_an_evaluation_leaves_report_table_and_pictures(
    run: Run, make_faces: MakeFaces, tiny_model: Path, tmp_path: Path
) -> None:
    folder, out = make_faces(3, side=256), tmp_path / "new" / "out"
    options = ["--damage", "clean", "--damage", "light", "--count", 2, "--all", "--grid-faces", 1]
    code, printed, errors = run("--model", tiny_model, folder, *options, "--device", "cpu", "--out", out)
    assert (code, errors) == (0, "")
    assert re.search(r"^tiny( +-?[\d.]+){5} \([\d.]+\) +([\d.]+|-) +\d +2 *$", printed, re.MULTILINE | re.ASCII)
    assert re.search(r"^tiny( +[\d.]+){3} *$", printed, re.MULTILINE | re.ASCII), "colours"
    assert "…" not in printed
    assert "2 of 3 faces (all)" in printed
    assert sorted(path.name for path in out.iterdir()) == ["grid-clean.png", "grid.png", "report.json", "table.md"]
    report = EvaluationReport.from_json((out / "report.json").read_text())
    assert [result.strength for result in report.results] == ["clean", "light"]
    assert [score.candidate for score in report.results[0].scores] == ["input", "bicubic", "tiny"]
    assert report.candidates[2].sha256 is not None
    assert "## light" in (out / "table.md").read_text()
    assert cv2.imread(str(out / "grid.png")).shape == (28 + 256, 4 * 256 + 3 * 2, 3)


def test_a_later_evaluation_takes_its_predecessors_pictures_away(
    run: Run, make_faces: MakeFaces, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "grid-clean.png").touch()
    options = ["--model", tiny_model, make_faces(1, side=256), "--all", "--device", "cpu", "--quiet"]
    assert run(*options, "--damage", "light", "--out", tmp_path) == (0, "", "")
    assert {path.name for path in tmp_path.glob("*.*")} == {"grid.png", "report.json", "table.md"}


def empty(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "options", "reason"),
    [
        (lambda folder: folder / "none", [], "is no folder"),
        (empty, [], "holds no pictures"),
        (empty, ["--model", "gfpgan-v9"], "did you mean"),
        (empty, ["--model", "none/tiny.pth"], "no weights at none/tiny.pth"),
        (empty, ["--damage", "gentle"], "gentle"),
        (empty, ["--precision", "fp16"], "fp16"),
        (empty, ["--out", "/dev/null/out"], "/dev/null/out"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, tiny_model: Path, tmp_path: Path, make: Callable[[Path], Path], options: list[str], reason: str
) -> None:
    model = [] if "--model" in options else ["--model", tiny_model]
    code, printed, errors = run(make(tmp_path), *model, *options, "--device", "cpu")
    assert code == 1
    assert reason in errors
    assert errors.count("\n") == 1
    assert printed == ""


def test_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one or more"):
        evaluate_models(tmp_path, [], EvaluationConfig())


def test_the_report_is_plain_json_without_what_json_does_not_know(
    run: Run, make_faces: MakeFaces, tiny_model: Path, tmp_path: Path
) -> None:
    options = ["--model", tiny_model, make_faces(1, side=256), "--all", "--damage", "clean", "--quiet"]
    run(*options, "--device", "cpu", "--out", tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert content["results"][0]["scores"][0]["psnr_decibels"] == 100
    assert content["versions"]["torch"] == torch.__version__
