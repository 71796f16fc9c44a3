"""Cutting a stream into clips, and joining it again."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.restoration.clips import clip as clips
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip, restore_in_clips
from vidrestore.restoration.config import SelectionConfig
from vidrestore.stages import Inline
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces

UNIT = np.eye(3)[:2]
SIDE = 4
Scene = Sequence[tuple[int, dict[int, int]]]
"""For each frame its shot, and the value of each track's crop."""


def stream(scene: Scene) -> Iterator[FrameFaces[AlignedFace]]:
    for index, (shot, faces) in enumerate(scene):
        frame = Frame(index, index, Fraction(1, 25), 1, 2, 2, "gray", ())
        crops = {track: np.full((SIDE, SIDE, 3), value, np.uint8) for track, value in faces.items()}
        yield FrameFaces(
            frame,
            tuple(
                AlignedFace(FaceTrack(track, UNIT, 99.0, 0.9, np.eye(4)), crop, UNIT) for track, crop in crops.items()
            ),
            shot,
        )


class Smear:
    """Replaces each crop by the rounded mean of those at most `reach` frames away; what clips hold is noted."""

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self.calls: list[list[FaceClip]] = []

    def __call__(self, batch: Sequence[FaceClip]) -> list[RestoredClip]:
        self.calls.append(list(batch))
        return [self._one(clip) for clip in batch]

    def _one(self, clip: FaceClip) -> RestoredClip:
        crops = np.stack(clip.crops).astype(float)
        means = [crops[max(0, t - self.reach) : t + self.reach + 1].mean(axis=0) for t in range(clip.start, clip.stop)]
        return RestoredClip(np.stack(means).round().astype(np.uint8), None)


def restored(scene: Scene, *, length: int, reach: int = 2) -> tuple[list[dict[int, int]], Smear]:
    stage = Smear(reach)
    found = list(restore_in_clips(stream(scene), Inline(stage), length=length, context=reach, config=SelectionConfig()))
    assert [item.frame.index for item in found] == list(range(len(scene)))
    assert [item.shot for item in found] == [shot for shot, _ in scene]
    return [{face.face.track.id: int(face.crop[0, 0, 0]) for face in item.faces} for item in found], stage


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.dictionaries(st.integers(0, 3), st.integers(0, 255), max_size=4)), max_size=30
    ),
    st.integers(1, 12),
    st.integers(0, 5),
)
def test_the_length_of_clips_changes_nothing(
    frames: list[tuple[bool, dict[int, int]]], length: int, reach: int
) -> None:
    shots = np.cumsum([cut for cut, _ in frames]).tolist()
    scene = [(shot, faces) for shot, (_, faces) in zip(shots, frames, strict=True)]
    whole, _ = restored(scene, length=1000, reach=reach)
    assert restored(scene, length=length, reach=reach)[0] == whole
    assert [faces.keys() for faces in whole] == [faces.keys() for _, faces in scene]


def test_a_clip_ends_where_the_track_or_the_shot_does() -> None:
    scene = [(0, {7: 10})] * 3 + [(0, {})] + [(0, {7: 20})] * 2 + [(1, {7: 30})] * 2
    found, stage = restored(scene, length=100, reach=4)
    assert [faces.get(7) for faces in found] == [10, 10, 10, None, 20, 20, 30, 30]
    assert [len(clip.crops) for clip in stage.calls[0]] == [3, 2, 2]


def test_context_lies_on_both_sides() -> None:
    _, stage = restored([(0, {1: index}) for index in range(10)], length=4, reach=2)
    spans = [(int(clip.crops[0][0, 0, 0]), clip.start, clip.stop, len(clip.crops)) for (clip,) in stage.calls]
    assert spans == [(0, 0, 4, 6), (2, 2, 6, 8), (6, 2, 4, 4)]


def test_a_crowd_shortens_the_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "_MOST_FACES", 6)
    scene = [(0, dict.fromkeys(range(3), index)) for index in range(7)]
    found, stage = restored(scene, length=100)
    assert [sum(clip.stop - clip.start for clip in call) for call in stage.calls] == [6, 6, 6, 3]
    assert found == restored(scene, length=1000)[0]


def test_a_frame_without_faces_passes() -> None:
    found, stage = restored([(0, {})] * 3, length=2)
    assert found == [{}, {}, {}]
    assert [len(call) for call in stage.calls] == [0, 0]


def test_nothing_comes_of_nothing() -> None:
    assert restored([], length=5)[0] == []
