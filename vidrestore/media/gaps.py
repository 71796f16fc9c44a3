"""Limit on the gap between frames: MP4, the container of parts, counts the time between two packets in 31 bits.

FFmpeg's muxer does not fail there but moves the packet to the tick after the one before, and says so in its log only.
"""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vidrestore.errors import InputError
from vidrestore.media.probe import VideoInfo
from vidrestore.media.segments import VideoIndex

MOST_TICKS = 2**31 - 2
"""Largest distance between two packets of a track, in units of the track."""
_LEAST_SCALE = 10_000
"""Units in a second that the muxer wants at least: it halves a video's until there are as many."""
_REORDERED = 8
"""Frames by which encoders reorder at most: a packet may be decoded this many frames before it is shown, and that
distance has the same limit."""


def longest_gap(time_base: Fraction) -> int:
    """Return the longest gap between two frames, in units of a video's time base."""
    scale = 1
    while time_base.denominator * scale < _LEAST_SCALE:
        scale *= 2
    return MOST_TICKS // (scale * time_base.numerator)


def may_have_long_gaps(info: VideoInfo) -> bool:
    """Return whether a video is long enough for a gap that `refuse_long_gaps` refuses; most are not."""
    return info.duration is None or info.duration > longest_gap(info.time_base) * info.time_base


def refuse_long_gaps(path: Path, index: VideoIndex) -> None:
    """Check, before the work, that parts can hold a video's times.

    Raises:
        InputError: there is more time between two frames than can be written.
    """
    times = index.times
    gap = max((times[min(at + _REORDERED, len(times) - 1)] - time for at, time in enumerate(times)), default=0)
    if gap > longest_gap(index.time_base):
        longest = max(later - earlier for earlier, later in pairwise(times))
        raise InputError(f"{path} {why_too_long(longest, index.time_base)}")


def why_too_long(gap: int, time_base: Fraction) -> str:
    """Return the end of a sentence about two frames that are too far from each other."""
    most = float(longest_gap(time_base) * time_base)
    return (
        f"has a gap of {float(gap * time_base):,.0f} s between frames; in its units of {time_base} s at most "
        f"{most:,.0f} s can be written: cut it there, or remux it with a coarser unit"
    )
