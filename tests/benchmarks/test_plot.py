from pathlib import Path

import pytest

from benchmarks.plot import draw
from benchmarks.results import Benchmark
from vidrestore.errors import InputError


def test_the_same_figures_give_the_same_picture_with_every_system(made_up: Benchmark, tmp_path: Path) -> None:
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    draw(made_up, one)
    draw(made_up, other)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(b"<?xml")


def test_rows_that_do_not_exist_are_not_drawn(made_up: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such row"):
        draw(made_up, tmp_path / "plot.svg", device="cpu")
    with pytest.raises(InputError, match="no such row"):
        draw(Benchmark(), tmp_path / "plot.svg")
    assert not list(tmp_path.iterdir())
