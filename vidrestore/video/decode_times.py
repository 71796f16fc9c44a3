"""Decoding times for the film as a whole, from presentation times alone.

Each part's encoder starts its decoding times anew, a little before its first picture, so that those of two parts can
overlap. Made anew from the presentation times they grow throughout, and do not depend on where the film was cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times of one packet, in units of the film's time base."""

    pts: int
    dts: int
    duration: int


def packet_times(pts: Sequence[int], *, last_duration: int) -> list[PacketTimes]:
    """Times of a film's packets, given their presentation times in decoding order.

    Decoding times grow strictly, and none is later than its packet's presentation time; a duration is the distance to
    the next picture, and `last_duration` for the last one. ValueError when two pictures share a time.
    """
    shown = sorted(pts)
    if any(first == second for first, second in pairwise(shown)):
        raise ValueError("two pictures have the same time")
    rank = {time: position for position, time in enumerate(shown)}
    delay = max((position - rank[time] for position, time in enumerate(pts)), default=0)
    lead = shown[1] - shown[0] if len(shown) > 1 else 1
    early = [shown[0] - lead * count for count in range(delay, 0, -1)]
    ends = [*shown[1:], shown[-1] + last_duration] if shown else []
    return [PacketTimes(time, dts, ends[rank[time]] - time) for time, dts in zip(pts, [*early, *shown], strict=False)]
