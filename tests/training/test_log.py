"""The log of a run: lines that survive a crash and do not come twice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidrestore.errors import OutputError
from vidrestore.training.loop import log as journal_module
from vidrestore.training.loop.log import TrainingLog, last_figures, last_step, tiled, to_levels

OPEN_BOARD = journal_module._open_board


@pytest.fixture(autouse=True)
def without_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard takes seconds to import; one test brings it back."""
    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write(folder: Path, steps: range) -> None:
    journal = TrainingLog(folder, step=0)
    for step in steps:
        journal.log(step, {"l1": step / 10})
    journal.close()


def test_a_line_holds_the_step_and_its_numbers(tmp_path: Path) -> None:
    write(tmp_path, range(1, 3))
    assert lines_of(tmp_path) == [{"step": 1, "l1": 0.1}, {"step": 2, "l1": 0.2}]


def test_lines_after_the_resumed_step_are_dropped_and_those_up_to_it_kept(tmp_path: Path) -> None:
    write(tmp_path, range(1, 8))
    journal = TrainingLog(tmp_path, step=4)
    journal.log(5, {"l1": 9.0})
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3, 4, 5]
    assert lines_of(tmp_path)[-1]["l1"] == 9.0


@pytest.mark.parametrize("cut", ['{"step": 3, "l1', '{"step"', '"step"', "[3]", "{}", ""])
def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path, cut: str) -> None:
    write(tmp_path, range(1, 3))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(cut)
    TrainingLog(tmp_path, step=10).log(3, {"l1": 0.3})
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3]
    assert not list(tmp_path.glob("*.part"))


def test_a_picture_keeps_its_colours(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 200, 50
    path = TrainingLog(tmp_path, step=0).picture(12, "faces", picture)
    assert path == tmp_path / "pictures" / "faces-00000012.png"
    read = cv2.imread(str(path))
    assert read is not None
    assert (read[..., ::-1] == picture).all()


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the log of the training"):
        TrainingLog(tmp_path / "file" / "run", step=0)


def test_a_picture_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    journal = TrainingLog(tmp_path, step=0)
    (tmp_path / "pictures").rmdir()
    with pytest.raises(OutputError, match="could not be written"):
        journal.picture(1, "faces", np.zeros((2, 2, 3), np.uint8))


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    class Board:
        def add_scalar(self, *arguments: object) -> None:
            told.append(arguments)

        def add_image(self, name: str, picture: np.ndarray, step: int, *, dataformats: str) -> None:
            told.append((name, picture.shape, step, dataformats))

        def close(self) -> None:
            told.append(("closed",))

    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: Board())  # noqa: ARG005
    journal = TrainingLog(tmp_path, step=0)
    journal.log(3, {"l1": 0.5, "total": 2.0})
    journal.picture(3, "faces", np.zeros((2, 4, 3), np.uint8))
    journal.close()
    assert told == [("l1", 0.5, 3), ("total", 2.0, 3), ("faces", (2, 4, 3), 3, "HWC"), ("closed",)]


def test_curves_of_the_real_tensorboard_are_written_and_warn_of_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    board = OPEN_BOARD(tmp_path / "tensorboard", 0)
    board.add_scalar("l1", 0.5, 1)
    board.close()
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_the_last_figures_of_a_run_are_those_of_its_last_evaluation(tmp_path: Path) -> None:
    assert last_figures(tmp_path) == {}
    lines = [{"step": 1, "evaluation/psnr": 20.0}, {"step": 2, "evaluation/psnr": 21.0}, {"step": 3, "l1": 0.5}]
    cut_short = '{"step": 4, "eva'
    (tmp_path / "metrics.jsonl").write_text("\n".join([*map(json.dumps, lines), cut_short]))
    assert last_figures(tmp_path) == {"psnr": 21.0}


def test_the_last_step_of_a_run_is_that_of_its_last_whole_line(tmp_path: Path) -> None:
    assert last_step(tmp_path) == 0
    write(tmp_path, range(1, 4))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40')
    assert last_step(tmp_path) == 3


def test_levels_span_black_to_white_and_clip() -> None:
    row = torch.tensor([-1.0, 0.0, 1.0, 1.5, -3.0]).expand(1, 3, 1, 5)
    levels = to_levels(row)
    assert levels.dtype == np.uint8
    assert levels.shape == (1, 1, 5, 3)
    assert levels[0, 0, :, 0].tolist() == [0, 128, 255, 255, 0]


def test_every_level_survives_the_way_to_minus_one_and_one_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 256).expand(1, 3, 1, 256)
    assert (to_levels(levels.float() / 127.5 - 1)[0, 0, :, 1] == np.arange(256)).all()


def test_pictures_are_laid_row_by_row_and_the_rest_is_black() -> None:
    pictures = np.stack([np.full((2, 3, 3), 10 * (index + 1), np.uint8) for index in range(5)])
    grid = tiled(pictures, columns=2)
    assert grid.shape == (6, 6, 3)
    assert grid[::2, ::3, 0].tolist() == [[10, 20], [30, 40], [50, 0]]
    assert (grid[4:, 3:] == 0).all()
