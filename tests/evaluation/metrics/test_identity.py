"""Identity: the cosine by hand, and the embedded network on a real face."""

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.identity import cosines, embeddings_of
from vidrestore.models.identity import load_identity


def test_cosines_are_those_of_the_angle_whatever_the_length() -> None:
    first = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[5.0, 0.0], [0.0, 3.0], [-1.0, -1.0]])
    found = cosines(first, second)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([1, 0, -1])


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), "twice"),
        (torch.ones(3), torch.ones(3), "twice"),
        (torch.ones(1, 2), torch.zeros(1, 2), "no direction"),
        (torch.ones(1, 2), torch.full((1, 2), torch.nan), "no direction"),
    ],
)
def test_embeddings_without_an_angle_are_refused(first: torch.Tensor, second: torch.Tensor, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        cosines(first, second)


def test_a_face_is_itself_and_the_less_so_the_more_it_is_blurred() -> None:
    face = cv2.resize(astronaut()[30:190, 140:300], (128, 128), interpolation=cv2.INTER_AREA)
    steps = np.stack([face, *(cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (2, 6))])
    embeddings = embeddings_of(load_identity().eval(), torch.from_numpy(steps).permute(0, 3, 1, 2))
    same, soft, gone = cosines(embeddings, embeddings[:1].expand_as(embeddings)).tolist()
    assert same == pytest.approx(1, abs=1e-6)
    assert same > soft > gone >= -1
