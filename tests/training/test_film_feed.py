"""Faces that films damaged, drawn ahead by other processes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidrestore.errors import ConfigError, InputError
from vidrestore.training.dataset import FaceBatches, FaceFolder
from vidrestore.training.film_feed import draw_twin
from vidrestore.training.film_share import FilmShareConfig
from vidrestore.types import Float64

FILMS = FilmShareConfig(share=0.5, preset="film16", frames=3, workers=1)


@pytest.fixture
def batches(faces: FaceFolder) -> Iterator[FaceBatches]:
    with FaceBatches(faces, batch=4, seed=3, device="cpu", films=FILMS) as found:
        yield found


def errors(shown: torch.Tensor, truth: torch.Tensor) -> Float64:
    """Mean absolute difference of each pair, in grey levels."""
    return np.asarray((shown.float() - truth.float()).abs().mean(dim=(1, 2, 3)), np.float64)


def test_twins_are_the_first_faces_of_their_batch_damaged_and_in_their_place(batches: FaceBatches) -> None:
    for step in (0, 1, 2):
        batch = batches.batch_at(step)
        assert batch.twins is not None
        assert (batch.twins.shape, batch.twins.dtype) == ((2, 3, 64, 64), torch.uint8)
        own = errors(batch.twins, batch.images[:2])
        assert (own > 0.3).all()
        assert (own < 0.9 * errors(batch.twins, batch.images[2:])).all()
        assert (own < errors(batch.twins, batch.images[:2].flip(-1))).all()


def test_a_step_has_the_same_twins_whenever_it_is_asked_for(batches: FaceBatches, faces: FaceFolder) -> None:
    first, later, again = (batches.batch_at(step).twins for step in (5, 9, 5))
    assert first is not None
    assert later is not None
    assert again is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    with FaceBatches(faces, batch=4, seed=3, device="cpu", films=replace(FILMS, workers=2), cache="memory") as others:
        other = others.batch_at(5).twins
        assert other is not None
        assert torch.equal(first, other)


def test_ranks_and_seeds_draw_other_damage(faces: FaceFolder) -> None:
    path = faces.folder / faces.names[0]
    drawn = [draw_twin(path, 64, FILMS, mirrored=False, seed=(0, 31, 5, rank, 0)) for rank in (0, 1)]
    assert not np.array_equal(*drawn)
    assert np.array_equal(drawn[0], draw_twin(path, 64, FILMS, mirrored=False, seed=(0, 31, 5, 0, 0)))


def test_a_batch_has_no_twins_unless_they_are_asked_for(faces: FaceFolder) -> None:
    with FaceBatches(faces, batch=4, seed=3, device="cpu") as plain:
        assert plain.batch_at(0).twins is None


def test_a_picture_that_cannot_be_decoded_stops_the_training_with_its_name(faces: FaceFolder) -> None:
    gone = replace(faces, names=("gone.png", *faces.names[1:]))
    with FaceBatches(faces, batch=4, seed=3, device="cpu", cache="memory", films=FILMS) as batches:
        assert batches._feed is not None
        batches._feed._paths = [gone.folder / "gone.png"] * len(gone)
        with pytest.raises(InputError, match=r"gone\.png cannot be decoded"):
            batches.batch_at(0)


@pytest.mark.parametrize(("share", "batch", "count"), [(0.15, 64, 10), (0.01, 8, 1), (1.0, 8, 8)])
def test_a_share_is_whole_faces_and_one_at_least(share: float, batch: int, count: int) -> None:
    assert FilmShareConfig(share=share).count(batch) == count


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"share": 0.0}, "share"), ({"share": 1.1}, "share"), ({"frames": 0}, "frames"), ({"workers": -1}, "workers")],
)
def test_an_impossible_feed_is_refused_by_name(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        FilmShareConfig(**changed)  # type: ignore[arg-type]


def test_an_unknown_medium_is_refused_before_the_training_starts(faces: FaceFolder) -> None:
    with pytest.raises(ConfigError, match="'beta' is unknown; give one of vhs"):
        FaceBatches(faces, batch=4, seed=3, device="cpu", films=replace(FILMS, preset="beta"))
