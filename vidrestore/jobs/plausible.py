"""What a journal may tell: it lies where others may write, and what it says is acted on."""

import math
import re
from dataclasses import asdict
from itertools import pairwise

from vidrestore.jobs.journal import Finished, PartDone
from vidrestore.media.reader import SegmentRange
from vidrestore.runtime.orders import FilmPlan

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 1 << 53
"""Of any count, size and time: what JSON holds exactly, and no film reaches."""
_MOST_SIDE = 1 << 16
_FRAMES_A_PACKET = 2
"""Frames that a packet of a film that is not cut may hold, such as two fields."""


def is_plausible_plan(plan: FilmPlan) -> bool:
    """Whether spans make up a film, one after the other, and counts fit."""
    held = plan.frames_in_spans
    return (
        _SHA256.fullmatch(plan.sha256) is not None
        and _are_counts(plan.frames, *held)
        and sum(held) == plan.frames
        and 0 < plan.width < _MOST_SIDE
        and 0 < plan.height < _MOST_SIDE
        and _is_amount(plan.seconds)
        and len(plan.spans) == len(held) > 0
        and _make_up_a_film(plan.spans)
    )


def is_plausible_part(entry: PartDone, plan: FilmPlan) -> bool:
    """Whether a part may be what came of a segment of a plan."""
    segment, report = entry.report.segment, entry.report
    read = segment.read
    counts = {name: value for name, value in asdict(read).items() if name != "read_error"}
    if not (
        0 <= entry.number < len(plan.spans)
        and _SHA256.fullmatch(report.sha256)
        and _are_counts(
            entry.attempts, report.bytes, segment.frames_written, *counts.values(), *segment.counts.values()
        )
        and all(map(_is_amount, (entry.seconds, *segment.seconds.values())))
    ):
        return False
    held = plan.frames_in_spans[entry.number]
    if len(plan.spans) > 1:
        whole = read.frames + read.undecodable_packets + read.empty_packets
        return whole == held and segment.frames_written == read.frames
    return segment.frames_written <= _FRAMES_A_PACKET * held + 1


def is_plausible_end(entry: Finished) -> bool:
    """Whether a film may have ended so."""
    joined = entry.joined
    return _SHA256.fullmatch(joined.sha256) is not None and _are_counts(
        joined.bytes, joined.report.frames, entry.unrestored_frames, joined.report.frames - entry.unrestored_frames
    )


def _make_up_a_film(spans: tuple[SegmentRange, ...]) -> bool:
    if spans[0].start is not None or spans[-1].stop is not None:
        return False
    if any(one.stop is None or one.stop != other.start for one, other in pairwise(spans)):
        return False
    return all(map(_is_in_order, spans))


def _is_in_order(span: SegmentRange) -> bool:
    """Whether it is read from its key frame on, and holds something: seek <= begin <= start < stop <= end."""
    if any(time is not None and abs(time) > _MOST for time in (span.seek, span.begin, span.start, span.stop, span.end)):
        return False
    if span.start is not None and span.stop is not None and span.start >= span.stop:
        return False
    before = [time for time in (span.seek, span.begin, span.start) if time is not None]
    after = [time for time in (span.stop, span.end) if time is not None]
    return before == sorted(before) and after == sorted(after)


def _are_counts(*numbers: int) -> bool:
    return all(0 <= number < _MOST for number in numbers)


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and 0 <= number < _MOST
