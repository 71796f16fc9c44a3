"""Whether a face is in a frame, given where it was found and where it was looked for."""

from bisect import bisect_right
from collections.abc import Sequence


def misses(hits: Sequence[int], looks: Sequence[int], ordinal: int) -> int:
    """Looks in vain since the face was last found, up to and with frame `ordinal`."""
    found = hits[: bisect_right(hits, ordinal)]
    return bisect_right(looks, ordinal) - bisect_right(looks, found[-1]) if found else 0


def is_present(
    hits: Sequence[int], looks: Sequence[int], ordinal: int, *, min_hits: int, max_gap: int, coast: int
) -> bool:
    """Whether a face counts as present in frame `ordinal`.

    It does where it was found; between two looks of which neither failed, and beyond the first or last look of a shot;
    in a gap of at most `max_gap` frames between finds; and for `coast` frames after it was found last.

    Args:
        hits: numbers of the frames in the window in which it was found, rising.
        looks: numbers of the frames in the window that were looked at, rising; they contain the hits.
        ordinal: number of the frame in question.
        min_hits: finds that make a face of a detection; all looks of the window where it holds fewer.
        max_gap: longest gap to fill, in frames without a find.
        coast: frames to go on after the last find.
    """
    if not hits or len(hits) < min(min_hits, len(looks)):
        return False
    following = bisect_right(hits, ordinal)
    if following == 0:
        return looks[0] == hits[0]
    last = hits[following - 1]
    upcoming = hits[following] if following < len(hits) else None
    failed = bisect_right(looks, upcoming - 1 if upcoming else looks[-1]) - bisect_right(looks, last)
    if not failed:
        return True
    return (upcoming is not None and upcoming - last - 1 <= max_gap) or ordinal - last <= coast
