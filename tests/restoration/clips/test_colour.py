"""Colours of many faces at once: an image's result is its own alone."""

import pytest
import torch

from vidrestore.restoration.clips.colour import _sum_of_each


@pytest.mark.parametrize("length", [1, 2, 7, 2411])
def test_rows_are_summed_each_in_the_same_order(length: int) -> None:
    rows = torch.randn(16, length, generator=torch.Generator().manual_seed(length))
    together = _sum_of_each(rows)
    assert torch.allclose(together.double(), rows.double().sum(dim=1), atol=1e-4)
    assert all(torch.equal(one, _sum_of_each(row[None])[0]) for one, row in zip(together, rows, strict=True))
