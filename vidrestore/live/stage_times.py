"""A recorder that also keeps how long each frame took in each stage."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from vidrestore.live.latency_histogram import Histogram
from vidrestore.report import Recorder


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
