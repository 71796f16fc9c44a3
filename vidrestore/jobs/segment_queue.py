"""The segments of all videos that wait for a worker, the costliest first."""

import heapq
from collections.abc import Iterable


class SegmentQueue:
    """Segments that wait, by video.

    The costliest goes first, so that no long one is left for the end; of equal ones the first video's first segment.
    """

    def __init__(self) -> None:
        # A heap for each video, and one of the costliest of each. An entry of the latter counts only while it is the
        # top of its video's heap; so a video is dropped by dropping its heap.
        self._waiting: dict[int, list[tuple[float, int]]] = {}
        self._costliest: list[tuple[float, int]] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, video: int, index: int, cost: float) -> None:
        """Add a segment of a video."""
        waiting = self._waiting.setdefault(video, [])
        heapq.heappush(waiting, (-cost, index))
        self._length += 1
        heapq.heappush(self._costliest, (waiting[0][0], video))

    def costliest_video(self, among: Iterable[int] | None = None) -> int | None:
        """Return the video of the costliest segment, of all videos or of some; None where nothing of them waits."""
        if among is not None:
            return min(((self._waiting[one][0][0], one) for one in among if one in self._waiting), default=(0, None))[1]
        while self._costliest:
            cost, video = self._costliest[0]
            waiting = self._waiting.get(video)
            if waiting and waiting[0][0] == cost:
                return video
            heapq.heappop(self._costliest)
        return None

    def pop(self, video: int) -> int:
        """Take the costliest segment of a video that has one, and return its index."""
        waiting = self._waiting[video]
        _, index = heapq.heappop(waiting)
        self._length -= 1
        if waiting:
            heapq.heappush(self._costliest, (waiting[0][0], video))
        else:
            del self._waiting[video]
        return index

    def drop(self, video: int) -> None:
        """Drop all segments of a video."""
        self._length -= len(self._waiting.pop(video, []))
