"""`vidrestore metrics`: files and tables where all is well, one line where something is not."""

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import pytest

from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.videos import compare, plots
from vidrestore.evaluation.videos.plots import PICTURES
from vidrestore.evaluation.videos.results import VideoComparison
from vidrestore.types import UInt8

pytestmark = pytest.mark.integration

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
Drawn = Callable[..., list[UInt8]]


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, judges: MetricModels) -> Run:
    """Run `vidrestore metrics` in this process with cheap judges; gives exit code, stdout and stderr."""
    monkeypatch.setattr(compare, "load_judges", lambda _device: judges)
    return partial(run, "compare")


@pytest.fixture
def videos(write: Write, drawn: Drawn) -> tuple[Path, Path, Path]:
    """Truth, test and input."""
    soft = [cv2.GaussianBlur(picture, (0, 0), 1) for picture in drawn(6)]
    return write("truth", drawn(6)), write("restored", drawn(6)), write("input", soft)


def test_a_comparison_leaves_report_tables_and_curves(
    run: Run, videos: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    truth, test, source = videos
    out = tmp_path / "new" / "out"
    code, printed, errors = run(truth, test, "--input", source, "--out", out, "--device", "cpu")
    assert (code, errors) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == sorted(["report.json", "table.md", *PICTURES])
    assert "6 frames of 64x64 in 1 shots, 0 without faces; 6 faces in 1 tracks." in printed
    report = VideoComparison.from_json((out / "report.json").read_text())
    assert [video.role for video in report.videos] == ["reference", "input", "test"]
    table = (out / "table.md").read_text()
    assert all(f"| {name} |" in table for name in ("reference: truth.mkv", "input: input.mkv", "restored.mkv"))
    assert "mouth too short" in table
    assert "mouth too short" in printed
    assert "the input's gate weave" in table
    assert "the input's gate weave" in " ".join(printed.split())
    for name in PICTURES:
        assert cv2.imread(str(out / name)).std() > 1


def test_several_videos_are_rows_of_one_table(run: Run, videos: tuple[Path, Path, Path]) -> None:
    code, printed, _ = run(*videos, "--device", "cpu")
    assert code == 0
    assert printed.count("restored.mkv") == printed.count("input.mkv") == 3
    assert "seam energy over both could" not in printed


def test_the_report_is_plain_json(run: Run, videos: tuple[Path, Path, Path], tmp_path: Path) -> None:
    assert run(*videos[:2], "--out", tmp_path / "out", "--quiet", "--no-plots", "--device", "cpu") == (0, "", "")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=refuse)
    assert content["videos"][1]["summary"]["psnr_faces"] == 100
    assert len(content["videos"][1]["frames"]) == 6
    report = VideoComparison.from_json(json.dumps(content))
    content["films"] = content.pop("videos")
    assert VideoComparison.from_json(json.dumps(content)) == report, "a report of the release before"


def test_without_plots_those_of_an_earlier_comparison_go(
    run: Run, videos: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    for name in PICTURES:
        (tmp_path / name).touch()
    assert run(*videos[:2], "--out", tmp_path, "--no-plots", "--quiet", "--device", "cpu")[0] == 0
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".mkv"} == {"report.json", "table.md"}


def test_a_missing_matplotlib_is_said_before_the_work(
    run: Run, videos: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name))
    code, printed, errors = run(*videos[:2], "--out", tmp_path / "out")
    assert (code, printed) == (1, "")
    assert "pip install 'vidrestore[metrics]'" in errors
    assert not (tmp_path / "out").exists()
    assert run(*videos[:2], "--out", tmp_path / "out", "--no-plots", "--quiet", "--device", "cpu")[0] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--out", "/dev/null/out"], "/dev/null/out"), (["--device", "abacus"], "abacus"), (["none.mkv"], "none.mkv")],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, videos: tuple[Path, Path, Path], options: list[str], reason: str
) -> None:
    code, printed, errors = run(*videos[:2], *options)
    assert (code, printed) == (1, "")
    assert reason in errors
    assert errors.count("\n") == 1


def test_a_reference_alone_is_wrong_usage(run: Run, videos: tuple[Path, Path, Path]) -> None:
    assert run(videos[0])[0] == 2


def test_names_of_videos_are_no_markup_and_no_formulas(run: Run, write: Write, drawn: Drawn, tmp_path: Path) -> None:
    truth = write("truth$\\frac$[bold]", drawn(3))
    test = write("_a$\\frac{$|<b>\x1b]0;x\x07\u202e\udcff映", drawn(3))
    out = tmp_path / "out"
    code, printed, errors = run(truth, test, "--out", out, "--device", "cpu")
    assert (code, errors) == (0, "")
    table = (out / "table.md").read_text()
    assert not {"\x1b", "\x07", "\u202e", "\udcff"} & set(printed + table)
    assert r"\|\<b\>\\x1b]0;x\\x07\\u202e\\udcff映.mkv |".replace("x1b]", r"x1b\]") in table
    report = VideoComparison.from_json((out / "report.json").read_text())
    assert report.videos[1].path == str(test)
    assert all((out / name).stat().st_size for name in PICTURES)
