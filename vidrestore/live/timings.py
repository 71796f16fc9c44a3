"""Durations of a stream that never ends, counted in buckets: bounded memory."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vidrestore.report import Recorder

BOUNDS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.14,
    0.16, 0.18, 0.2, 0.225, 0.25, 0.3, 0.35, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0,
)  # fmt: skip
"""Upper bounds of the buckets in seconds; one more bucket counts what is above."""


@dataclass(slots=True)
class Histogram:
    """Number of durations in each bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    """Sum of all durations in seconds."""

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def quantile(self, share: float) -> float | None:
        """Return the duration below which a share, 0..1, of all lies, linear within a bucket; None when there is none.

        Above the last bound, the result is that bound.
        """
        wanted = share * self.count
        if not self.count:
            return None
        below = 0
        for index, count in enumerate(self.counts[:-1]):
            if below + count >= wanted and count:
                low = BOUNDS[index - 1] if index else 0.0
                return low + (BOUNDS[index] - low) * (wanted - below) / count
            below += count
        return BOUNDS[-1]

    def copy(self) -> "Histogram":
        """Return a snapshot."""
        return Histogram(list(self.counts), self.total)

    def since(self, earlier: "Histogram") -> "Histogram":
        """Return what was added after an earlier snapshot."""
        counts = [now - then for now, then in zip(self.counts, earlier.counts, strict=True)]
        return Histogram(counts, self.total - earlier.total)


class StageTimes(Recorder):
    """Counts as any recorder does; its histograms are bounded however long a stream runs."""

    def __init__(self) -> None:
        super().__init__()
        self.histograms: defaultdict[str, Histogram] = defaultdict(Histogram)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Charge the enclosed seconds to a stage, and count them as one duration."""
        before = self.seconds[stage]
        with super().timing(stage):
            yield
        self.histograms[stage].add(max(0.0, self.seconds[stage] - before))

    def snapshot(self) -> dict[str, Histogram]:
        """Return copies of the histograms, by stage."""
        return {stage: histogram.copy() for stage, histogram in list(self.histograms.items())}
