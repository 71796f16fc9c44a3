"""Decoding times for the video as a whole, from presentation times alone.

Each part's encoder starts its decoding times a little before its first frame, so that those of two parts can overlap.
Recomputed from the presentation times they grow throughout, and do not depend on where the video was cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ticks: TypeAlias = npt.NDArray[np.int64]
"""int64 [packets], in units of the video's time base."""


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times of one packet, in units of the video's time base."""

    pts: int
    dts: int
    duration: int


@dataclass(frozen=True, slots=True, eq=False)
class VideoTimes:
    """Times of all packets of a video, in decoding order; holds 24 bytes per packet."""

    pts: Ticks
    dts: Ticks
    durations: Ticks

    def __len__(self) -> int:
        return len(self.pts)

    def __iter__(self) -> Iterator[PacketTimes]:
        for pts, dts, duration in zip(self.pts, self.dts, self.durations, strict=True):
            yield PacketTimes(int(pts), int(dts), int(duration))


def packet_times(pts: Sequence[int] | Ticks, *, last_duration: int) -> VideoTimes:
    """Return the times of a video's packets, given their presentation times in decoding order.

    Decoding times grow strictly, and none is later than its packet's presentation time; a duration is the distance to
    the next frame, and `last_duration` for the last one. ValueError when two frames share a time.
    """
    decoded = np.array(pts, dtype=np.int64)
    order = np.argsort(decoded)
    shown = decoded[order]
    steps = np.diff(shown, append=shown[-1:] + last_duration)
    if not steps[:-1].all():
        raise ValueError("two frames have the same time")
    # The frame shown at position p is decoded at position order[p]. Delay = the largest number of positions by which a
    # frame is decoded after its place in the order of presentation: decoding times are the sorted presentation times,
    # moved back by that many places, with earlier times in front.
    delay = int(np.max(order - np.arange(len(order)), initial=0))
    lead = int(steps[0]) if len(steps) > 1 else 1
    early = shown[:1] - lead * np.arange(delay, 0, -1)
    durations = np.empty_like(steps)
    durations[order] = steps
    return VideoTimes(decoded, np.concatenate([early, shown])[: len(decoded)], durations)
