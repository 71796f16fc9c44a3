"""Tables and pictures made of a report."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vidrestore.errors import OutputError
from vidrestore.evaluation.images.grid import TILE_PIXELS, Grid, draw, write_grid
from vidrestore.evaluation.images.results import ContenderInfo, EvaluationReport, Score, StrengthResult
from vidrestore.evaluation.images.table import markdown, tables

SCORE = Score("embedded", 7, 25.304, 0.81234, 0.25, 0.9, 0.431, 0.38, 2.164, 1, 0, 3.456, 2.0, 1.5)
BLIND = Score("input", 7, 100.0, 1.0, 0.0, 1.0, 1.0, 1.0, None, 7, 0, None, None, None)
REPORT = EvaluationReport(
    folder="faces", part="held-out", faces=7, faces_available=9, faces_enlarged=2, size=256, seed=0,
    candidates=(ContenderInfo("embedded", "embedded, 256 px", "ab" * 32), ContenderInfo("input", "as it is", None)),
    versions={"torch": "2"}, results=(StrengthResult("medium", "00", (SCORE, BLIND)),),
)  # fmt: skip


def face(level: int, side: int) -> np.ndarray:
    return np.full((side, side, 3), (level, 0, 0), np.uint8)


def test_every_strength_is_a_table_with_a_row_for_each_contender() -> None:
    (table,) = tables(REPORT)
    assert table.title == "medium"
    assert table.body[0][1:7] == ("25.30", "0.8123", "0.250", "0.900", "0.431 (0.380)", "2.16")
    assert table.body[0][7:] == ("3.46", "2.00", "1.50", "1", "7")
    assert table.body[1][6:11] == ("-", "-", "-", "-", "7")


def test_markdown_says_what_was_measured_on_what() -> None:
    text = markdown(REPORT)
    assert "7 of 9 faces (held-out, 2 of them enlarged) of faces at 256 px, seed 0." in text
    assert "| embedded | 25.30 |" in text
    assert "- *embedded*: embedded, 256 px, sha256 abababababab\n" in text


def test_a_grid_has_a_header_and_its_faces_in_order(tmp_path: Path) -> None:
    grid = Grid("medium", ("input", "truth"), ((face(10, 64), face(20, 64)), (face(30, 64), face(40, 64))))
    picture = draw(grid)
    assert picture.shape == (28 + 128, 64 + 2 + 64, 3)
    assert picture[:28].max() > 200
    assert [picture[40, 5, 0], picture[40, 100, 0], picture[140, 5, 0], picture[140, 100, 0]] == [10, 20, 30, 40]
    write_grid(grid, tmp_path / "grid.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "grid.png"))[..., ::-1], picture)
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_large_faces_are_reduced_and_odd_names_drawn() -> None:
    picture = draw(Grid("größer", ("ein sehr langer Name " * 9, "truth"), ((face(10, 512), face(20, 512)),)))
    assert picture.shape == (28 + TILE_PIXELS, 2 * TILE_PIXELS + 2, 3)


def test_a_grid_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written"):
        write_grid(Grid("clean", ("truth",), ((face(1, 16),),)), tmp_path / "none" / "grid.png")
