"""The truth's faces: the restorer's masks on them, and no more frames held than the tracker needs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.reference_faces import Scene, scenes
from vidrestore.media.reader import VideoReader
from vidrestore.types import Frame, UInt8

Write = Callable[..., Path]
Drawn = Callable[..., list[UInt8]]
SMALL = ComparisonConfig(crop_size=64, device="cpu")


def all_scenes(path: Path, judges: MetricModels, config: ComparisonConfig) -> list[Scene]:
    with VideoReader(path) as reader:
        return list(scenes(reader, judges.detect, config))


def test_no_more_is_read_ahead_than_the_tracker_holds_back(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    pulled = 0

    def counted(frames: VideoReader) -> Iterator[Frame]:
        nonlocal pulled
        for frame in frames:
            pulled += 1
            yield frame

    with VideoReader(write("long", drawn(40))) as reader:
        for scene in scenes(counted(reader), judges.detect, SMALL):
            assert pulled - scene.frame.index <= 0.51 * 25 + 2
    assert pulled == 40


def test_the_region_of_a_face_is_its_mask_and_elsewhere_is_where_none_reaches(
    write: Write, drawn: Drawn, judges: MetricModels
) -> None:
    for scene in all_scenes(write("film", drawn(4)), judges, SMALL):
        assert scene.faces[34, 32]
        assert not (scene.faces & scene.elsewhere).any()
        ring = ~(scene.faces | scene.elsewhere)
        assert 0.3 < scene.faces.mean() < 0.6
        assert ring.any()
        assert scene.elsewhere[0].all()


def test_a_face_too_small_is_neither_measured_nor_elsewhere(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    path = write("film", drawn(4))
    measured, ignored = (all_scenes(path, judges, replace(SMALL, min_face=width)) for width in (20, 60))
    for one, other in zip(measured, ignored, strict=True):
        assert (len(one.tracks), one.too_small, len(other.tracks), other.too_small) == (1, 0, 0, 1)
        assert not other.faces.any()
        np.testing.assert_array_equal(one.elsewhere, other.elsewhere)
