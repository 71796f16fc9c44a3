"""Cuts a video into segments that can be restored anywhere, in any order, and muxed to the result of a single pass."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.stream import Discard

from vidrestore.errors import InputError
from vidrestore.media.losses import declared_end
from vidrestore.media.opening import is_out_of_memory, needs_too_much_memory, open_source, video_stream
from vidrestore.media.reader import SegmentRange
from vidrestore.media.timestamps import time_base_of, to_fraction

_NEAR = 0.1
"""Share of a segment's length by which a border may move to a better place: the longest segment ends last."""
_SHORT_GROUP = 0.9
"""A group of pictures shorter than this share of the usual one was ended by the encoder, mostly for a shot change."""
_SECONDS_LACKING = 1


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """Times of all frames of a video; 8 bytes per frame."""

    time_base: Fraction
    times: "array[int]"
    """Presentation times of all frames, ascending, in units of `time_base`."""
    keys: "array[int]"
    """Times of the keyframes among them."""
    unsplittable_reason: str | None = None
    """Reason that the video must be restored in one piece; None if it need not."""


@dataclass(frozen=True, slots=True)
class TemporalSupport:
    """The time around a frame that its restoration depends on: seconds, and frames beyond them."""

    past_seconds: float = 0.0
    past_frames: int = 0
    future_seconds: float = 0.0
    future_frames: int = 0


def index_video(path: Path) -> VideoIndex:
    """Read the times of all packets of a video stream; nothing is decoded.

    A video is not cut where its packets do not state when every frame is shown, and where something of it is missing:
    only a reader of the whole video can account for that.

    Raises:
        InputError: it is not a readable video.
    """
    with open_source(path) as container:
        stream = video_stream(path, container)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        time_base = time_base_of(stream)
        times, keys = array("q"), array("q")
        problem: str | None = None
        latest: int | None = None
        try:
            for packet in container.demux(stream):
                problem = problem or _bad_packet(packet, latest)
                latest = packet.dts if packet.dts is not None else latest
                if packet.size and packet.pts is not None:
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
        except (av.FFmpegError, OSError, MemoryError) as error:
            if is_out_of_memory(error):
                raise InputError(needs_too_much_memory(path)) from error
            problem = f"reading it stops early: {error}"
        shown = array("q", sorted(times))
        found = problem or _bad_timestamps(shown, stream) or _truncated(path, shown, container, stream)
        return VideoIndex(time_base, shown, array("q", sorted(keys)), found)


def _bad_packet(packet: "av.Packet[av.VideoStream]", latest: int | None) -> str | None:
    """Return what is wrong with a packet, after one that was to be decoded at `latest`; None for nothing."""
    if not packet.size:
        return None if packet.dts is None else "it has packets without a frame"
    if packet.pts is None:
        return "some of its frames have no time"
    if packet.is_corrupt:
        return "some of its packets are damaged"
    if packet.dts is not None and latest is not None and packet.dts < latest:
        return "its times step back"
    return None


def _bad_timestamps(times: Sequence[int], stream: av.VideoStream) -> str | None:
    if not times:
        return "it has no packets"
    if any(later == earlier for earlier, later in pairwise(times)):
        return "some of its frames have the same time"
    if stream.frames and stream.frames != len(times):
        return f"its container counts {stream.frames} frames and holds {len(times)} packets"
    return None


def _truncated(
    path: Path, times: Sequence[int], container: "av.container.InputContainer", stream: av.VideoStream
) -> str | None:
    """Return what is promised and not there; the reader of a whole video says more exactly how much."""
    time_base = time_base_of(stream)
    longest = max((later - earlier for earlier, later in pairwise(times)), default=0) * time_base
    promise = declared_end(path, container, stream)
    if promise is not None and promise.end - times[-1] * time_base > max(Fraction(_SECONDS_LACKING), 2 * longest):
        return "it is shorter than its container says"
    rate = to_fraction(stream.average_rate)
    if "mp4" in container.format.name and stream.duration and rate:
        shown = stream.duration * time_base
        held = times[-1] * time_base - times[0] * time_base + longest
        if held > shown + max(Fraction(2, 1000), 2 / rate):
            return "an edit list cuts some of its frames"
    return None


def plan_spans(index: VideoIndex, reach: TemporalSupport, *, frames_per_segment: int) -> tuple[SegmentRange, ...]:
    """Cut a video into spans of about this many frames, each with the lead-in and lead-out that it needs.

    Borders lie, where one is near, on keyframes that end a group of pictures early, for encoders begin a group where
    a shot begins; else on any keyframe, else on any frame. Wherever they lie, the result is the same.

    Returns:
        The spans, in order; their `start`..`stop` make up the whole video.
    """
    whole = (SegmentRange(),)
    count = round(len(index.times) / frames_per_segment)
    if index.unsplittable_reason or count < 2:  # noqa: PLR2004  one is the whole
        return whole
    borders = sorted(
        {_border(index, round(len(index.times) * number / count), frames_per_segment) for number in range(1, count)}
    )
    inside = [border for border in borders if 0 < border < len(index.times)]
    edges = [0, *inside, len(index.times)]
    return tuple(_span(index, reach, first, last) for first, last in pairwise(edges)) if inside else whole


def _border(index: VideoIndex, wanted: int, length: int) -> int:
    """Return the best frame to begin a segment with, near the one that is wanted."""
    slack = int(length * _NEAR)
    times = index.times
    low, high = times[max(0, wanted - slack)], times[min(len(times) - 1, wanted + slack)]
    near = index.keys[bisect_left(index.keys, low) : bisect_right(index.keys, high)]
    if not near:
        return wanted
    early = [key for key in near if _ends_early(index, key)]
    best = min(early or near, key=lambda key: (abs(key - times[wanted]), key))
    return bisect_left(times, best)


def _ends_early(index: VideoIndex, key: int) -> bool:
    """Return whether the group of pictures before a keyframe is shorter than the longest around it."""
    position = bisect_left(index.keys, key)
    around = index.keys[max(0, position - 4) : position + 5]
    lengths = [later - earlier for earlier, later in pairwise(around)]
    own = key - index.keys[position - 1] if position else 0
    return bool(lengths) and 0 < own < _SHORT_GROUP * max(lengths)


def _span(index: VideoIndex, reach: TemporalSupport, first: int, last: int) -> SegmentRange:
    # widen the frames that count, first..last, by what their restoration depends on, and seek to a keyframe before
    times, unit = index.times, index.time_base
    past = round(Fraction(reach.past_seconds) / unit)
    future = round(Fraction(reach.future_seconds) / unit)
    begin = bisect_left(times, times[first] - past) - reach.past_frames
    end = bisect_right(times, times[last - 1] + future) + reach.future_frames
    start = times[first] if first else None
    stop = times[last] if last < len(times) else None
    if begin <= 0:
        return SegmentRange(None, start, stop, times[end] if end < len(times) else None)
    # not the keyframe at or before it but the one before that: frames shown around a keyframe may depend on both
    position = bisect_right(index.keys, times[begin]) - 2
    seek = index.keys[position] if position >= 0 else None
    return SegmentRange(times[begin], start, stop, times[end] if end < len(times) else None, seek)
