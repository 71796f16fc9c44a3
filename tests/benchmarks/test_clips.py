from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import clips
from benchmarks.clips import cut, make_sparse_video, repeat
from vidrestore.errors import OutputError


def decoded(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("frames", [4, 12, 30])
def test_a_video_is_cut_or_repeated_to_the_frames_asked_for(
    make_portrait_video: Callable[..., Path], tmp_path: Path, frames: int
) -> None:
    repeat(make_portrait_video(frames=12), tmp_path / "repeated.mp4", frames=frames)
    assert len(decoded(tmp_path / "repeated.mp4")) == frames


def test_a_cut_video_has_the_same_first_pictures_evenly_timed(
    make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_portrait_video(frames=12)
    cut(source, tmp_path / "cut.mkv", frames=5)
    made = decoded(tmp_path / "cut.mkv")
    assert np.allclose(np.diff([time for time, _ in made]), 1 / 25)
    for (_, wanted), (_, got) in zip(decoded(source)[:5], made, strict=True):
        assert np.array_equal(wanted, got)
    with pytest.raises(OutputError, match="cannot cut"):
        cut(source, tmp_path / "nowhere" / "cut.mkv", frames=5)


def test_a_repeated_video_goes_on_in_time_with_the_same_pictures(
    make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    repeat(make_portrait_video(frames=12), tmp_path / "repeated.mp4", frames=24)
    frames = decoded(tmp_path / "repeated.mp4")
    assert np.allclose(np.diff([time for time, _ in frames]), 1 / 25)
    for (_, first), (_, second) in zip(frames[:12], frames[12:], strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_sparse_video_is_as_long_as_asked_and_shows_faces_in_each_cycle(
    make_portrait_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "CYCLE_SECONDS", 1)
    monkeypatch.setattr(clips, "FACE_SECONDS", 0.2)
    make_sparse_video(make_portrait_video(frames=12), tmp_path / "sparse.mp4", minutes=3 / 60)
    frames = [picture.astype(float) for _, picture in decoded(tmp_path / "sparse.mp4")]
    assert len(frames) == 75
    detail = [np.abs(np.diff(frame, axis=1)).mean() for frame in frames]
    shown = [index for index, value in enumerate(detail) if value > max(detail) / 2]
    assert shown == [cycle + index for cycle in (0, 25, 50) for index in range(5)]
