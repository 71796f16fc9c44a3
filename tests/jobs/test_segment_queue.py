"""The queue of segments, against a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from vidrestore.jobs.segment_queue import SegmentQueue

PUSHES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), unique=True)


@given(PUSHES, st.data())
def test_the_costliest_segment_comes_first(pushes: list[tuple[int, int]], data: st.DataObject) -> None:
    queue, held = SegmentQueue(), []
    for video, index in pushes:
        cost = float(data.draw(st.integers(1, 4)))
        queue.push(video, index, cost)
        held.append((-cost, video, index))
        if data.draw(st.integers(0, 4)) == 0:
            queue.drop(video)
            held = [one for one in held if one[1] != video]
        assert len(queue) == len(held)
    while (video := queue.costliest_video()) is not None:
        expected = min(held)
        assert (video, queue.pop(video)) == expected[1:]
        held.remove(expected)
    assert not held
    assert len(queue) == 0


def test_the_costliest_of_some_videos() -> None:
    queue = SegmentQueue()
    queue.push(0, 0, 9.0)
    queue.push(1, 0, 2.0)
    queue.push(2, 0, 3.0)
    assert queue.costliest_video() == 0
    assert queue.costliest_video({1, 2, 5}) == 2
    assert queue.costliest_video({5}) is None
