"""Quantiles from bounded memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.live.timings import BOUNDS, Histogram


@given(st.lists(st.floats(0.0, 4.9), min_size=5, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    true = float(np.quantile(values, share, method="inverted_cdf"))
    upper = min(bound for bound in BOUNDS if bound >= true)
    lower = max((bound for bound in BOUNDS if bound < true), default=0.0)
    found = histogram.quantile(share)
    assert found is not None
    assert lower <= found <= upper


def test_without_values_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_what_lies_beyond_counts_as_the_last_bound() -> None:
    histogram = Histogram()
    histogram.add(100.0)
    assert histogram.quantile(0.5) == BOUNDS[-1]
    assert (histogram.count, histogram.total) == (1, 100.0)


def test_what_came_since_a_snapshot_is_told_apart() -> None:
    histogram = Histogram()
    histogram.add(0.1)
    before = histogram.copy()
    histogram.add(0.3)
    recent = histogram.since(before)
    assert (recent.count, round(recent.total, 6)) == (1, 0.3)
