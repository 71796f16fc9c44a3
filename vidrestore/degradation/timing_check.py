"""Comparison of a result's timestamps with its source's, frame by frame."""

from array import array
from fractions import Fraction
from pathlib import Path

from vidrestore.media.opening import open_source, video_stream
from vidrestore.media.time_base import time_base_of


def rounded_times(times: "array[int]", time_base: Fraction, destination: Path, *, shift: Fraction) -> list[str]:
    """Report, in at most one sentence, that a container could not hold the times exactly.

    Args:
        times: times of the source's frames, in units of `time_base`, growing; 8 bytes a frame.
        time_base: seconds.
        destination: a whole file.
        shift: seconds by which everything in it is later.
    """
    with open_source(destination) as container:
        stream = video_stream(destination, container)
        unit = time_base_of(stream)
        there = array("q", sorted(packet.pts or 0 for packet in container.demux(stream) if packet.size))
    assert len(there) == len(times), "joining counted the frames"  # noqa: S101
    offsets = (abs(one * unit - other * time_base - shift) for one, other in zip(there, times, strict=True))
    wrong, most = 0, Fraction(0)
    for offset in filter(None, offsets):
        wrong, most = wrong + 1, max(most, offset)
    if not wrong:
        return []
    rounded = f"{wrong} of {len(times)} frames have their time rounded, by up to {float(most) * 1000:.3g} ms"
    return [f"{rounded}: {destination.suffix} counts in units of {unit} s; .mp4 and .mov keep times exactly"]
