"""Which faces are restored."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.restoration.config import SelectionConfig
from vidrestore.restoration.face.cropper import FaceCropper
from vidrestore.restoration.face.selection import FACE_WIDTH, FaceSelector, with_blend_weight
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.types import FaceTrack, FrameFaces

MakeItem = Callable[..., FrameFaces[FaceTrack]]


def ids(selector: FaceSelector, item: FrameFaces[FaceTrack]) -> list[int]:
    (chosen,) = selector.push(item)
    return [track.id for track in chosen.faces]


def test_all_faces_large_enough_are_kept(make_item: MakeItem) -> None:
    item = make_item((60.0, 60.0, 80.0, 0.0), (200.0, 60.0, 20.0, 0.0), (250.0, 150.0, 60.0, 0.0))
    assert ids(FaceSelector(SelectionConfig(min_face_px=16)), item) == [0, 2]


def test_the_largest_are_kept_when_a_number_is_asked_for(make_item: MakeItem) -> None:
    item = make_item((60.0, 60.0, 80.0, 0.0), (200.0, 60.0, 120.0, 0.0), (250.0, 150.0, 100.0, 0.0))
    assert ids(FaceSelector(SelectionConfig(max_faces=2)), item) == [1, 2]


def test_two_equals_do_not_take_turns(make_item: MakeItem) -> None:
    selector = FaceSelector(SelectionConfig(max_faces=1))
    sizes = [(80.0, 79.0), (79.0, 80.0), (80.0, 81.0), (80.0, 95.0), (60.0, 95.0)]
    chosen = [ids(selector, make_item((60.0, 60.0, first, 0.0), (200.0, 60.0, second, 0.0))) for first, second in sizes]
    assert chosen == [[0], [0], [0], [0], [1]]


def test_a_face_fades_in_as_it_grows(make_item: MakeItem) -> None:
    config = SelectionConfig(min_face_px=20, full_strength_ratio=2)
    shares = []
    for width in np.linspace(20, 44, 25):
        (face,) = FaceCropper(64)(make_item((150.0, 100.0, width / FACE_WIDTH, 0.0))).faces
        shares.append(with_blend_weight(face, face.crop, config).weight)
    assert shares[0] == pytest.approx(0, abs=1e-9)
    assert shares[-1] == 1
    assert (np.diff(shares) >= 0).all()
    assert np.diff(shares).max() < 0.1


@pytest.mark.parametrize(("option", "whole", "gone"), [("yaw", 40.0, 75.0), ("yaw", -40.0, -75.0), ("score", 0.8, 0.5)])
def test_a_face_fades_as_it_turns_away_or_grows_unsure(
    make_item: MakeItem, option: str, whole: float, gone: float
) -> None:
    (face,) = FaceCropper(64)(make_item((150.0, 100.0, 90.0, 0.0))).faces
    values = np.linspace(whole, gone, 21).tolist()
    tracks = [replace(face.track, **{option: value}) for value in values]
    weights = [with_blend_weight(replace(face, track=track), face.crop, SelectionConfig()).weight for track in tracks]
    assert weights[0] == 1
    assert weights[-1] == 0
    assert (np.diff(weights) <= 0).all()
    assert np.diff(weights).min() > -0.1
    assert weights[10] == pytest.approx(0.5)


def test_a_face_that_would_not_show_is_not_restored(make_item: MakeItem) -> None:
    item = make_item((60.0, 60.0, 80.0, 0.0), (200.0, 60.0, 80.0, 0.0), (250.0, 150.0, 80.0, 0.0))
    first, second, third = item.faces
    item = replace(item, faces=(replace(first, yaw=80.0), replace(second, yaw=-60.0), replace(third, score=0.4)))
    assert ids(FaceSelector(SelectionConfig()), item) == [1]


def test_a_face_that_is_half_there_is_shown_by_half(make_item: MakeItem) -> None:
    (face,) = FaceCropper(64)(make_item((150.0, 100.0, 90.0, 0.0))).faces
    fading = replace(face, track=replace(face.track, presence=0.5))

    assert with_blend_weight(face, face.crop, SelectionConfig()).weight == 1
    assert with_blend_weight(fading, face.crop, SelectionConfig()).weight == pytest.approx(0.5)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="full_yaw is 80; use less than max_yaw"):
        SelectionConfig(full_yaw=80)
    with pytest.raises(ConfigError, match=r"min_score is 0\.9; use less than full_score"):
        SelectionConfig(min_score=0.9)
    with pytest.raises(ConfigError, match="use 0 or more"):
        SelectionConfig(min_face_px=-1)


def test_a_limit_that_falls_lets_faces_fade_instead_of_vanish(make_item: MakeItem) -> None:
    limits = QualityLimits()
    selector = FaceSelector(SelectionConfig(), limits)
    item = make_item((60.0, 60.0, 80.0, 0.0), (200.0, 60.0, 120.0, 0.0))

    def presences() -> dict[int, float]:
        (chosen,) = selector.push(item)
        return {track.id: track.presence for track in chosen.faces}

    assert presences() == {0: 1.0, 1: 1.0}
    limits.faces = 1
    assert [presences() for _ in range(4)] == [{0: 0.75, 1: 1.0}, {0: 0.5, 1: 1.0}, {0: 0.25, 1: 1.0}, {1: 1.0}]
    limits.faces = 0
    assert [presences() for _ in range(4)] == [{1: 0.75}, {1: 0.5}, {1: 0.25}, {}]
    limits.faces = None
    assert presences() == {0: 1.0, 1: 1.0}
