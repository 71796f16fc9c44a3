import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import checks
from benchmarks.checks import check_command, check_run, frame_times, require
from benchmarks.clips import cut, repeat
from benchmarks.results import Check, Run
from benchmarks.systems import Setting
from benchmarks.usage import Usage
from benchmarks.videos import VideoShape
from vidrestore.errors import RestorationError

SHAPE = VideoShape("640x360", 1)
USED = Usage(None, None, 0)


@pytest.mark.parametrize(("value", "at_least"), [(2.0, False), (0.5, True), (math.nan, True), (math.nan, False)])
def test_a_failed_check_ends_the_benchmark_with_its_value(value: float, at_least: bool) -> None:  # noqa: FBT001
    with pytest.raises(RestorationError, match=f"difference is {value:.3f}, wanted at"):
        require([Check("difference", value, 1.0, "grey levels", at_least=at_least)])


def test_missing_frames_wrong_times_and_lost_faces_are_found(
    make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_portrait_video(frames=12)
    whole, short = tmp_path / "whole.mp4", tmp_path / "short.mkv"
    repeat(source, whole, frames=12)
    cut(source, short, frames=8)
    run = Run(1.0, 12, 12, {})
    assert all(check.passed for check in check_run(run, source, whole, SHAPE))
    assert not check_run(run, source, short, SHAPE)[0].passed
    assert check_run(run, source, short, SHAPE, frames=8)[0].passed
    assert not check_run(replace(run, faces=11), source, whole, SHAPE)[1].passed
    assert frame_times(source) == [Fraction(number, 25) for number in range(12)]


def changing(*spots: tuple[int, int]) -> Callable[..., tuple[Run, Usage]]:
    """A command that inverts the luma at a spot (x, y) of every frame, another one in each of its runs."""
    left = list(spots)

    def restore(source: Path, destination: Path, _setting: Setting, *, options: object) -> tuple[Run, Usage]:
        assert options == ("--lossless",)
        x, y = left.pop(0)
        with av.open(str(source)) as video, av.open(str(destination), "w") as result:
            encoder = result.add_stream("ffv1", rate=25)
            encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
            count = 0
            for count, frame in enumerate(video.decode(video=0), 1):
                planes = frame.to_ndarray()
                planes[y, x] = 255 - planes[y, x]
                made = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                made.pts = count - 1
                result.mux(encoder.encode(made))
            result.mux(encoder.encode(None))
        return Run(1.0, count, count, {}), USED

    return restore


FACE, CORNER = (160, 120), (2, 2)


@pytest.mark.parametrize(
    ("spots", "failing"),
    [
        ((FACE, FACE), None),
        ((FACE, (161, 120)), "differ between two runs"),
        ((CORNER, CORNER), "outside the faces"),
    ],
)
def test_pixels_must_be_equal_between_runs_and_outside_the_faces(
    spots: tuple[tuple[int, int], ...],
    failing: str | None,
    make_portrait_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = tmp_path / "source.mp4"
    repeat(make_portrait_video(frames=4), source, frames=4)
    monkeypatch.setattr(checks, "restore", changing(*spots))
    found = list(check_command(source, SHAPE, Setting("cpu", Path("weights"), 4)))
    failed = [check.what for check in found if not check.passed]
    assert (failing in failed[0]) if failing else not failed
    assert np.isfinite([check.value for check in found]).all()
