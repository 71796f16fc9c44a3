from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from support import video_factory as videos
from vidrestore.media.config import EncodeConfig
from vidrestore.media.output import atomic_output, scratch_dir
from vidrestore.media.pixel_formats import NATIVE_FORMATS, is_rgb
from vidrestore.media.reader import VideoReader
from vidrestore.media.remux.mux import join
from vidrestore.media.writer import VideoWriter
from vidrestore.types import Colour


@pytest.mark.parametrize("native", NATIVE_FORMATS)
def test_lossless_storage_returns_every_sample(tmp_path: Path, native: str) -> None:
    colour = Colour(1, 1, 13, full_range=True) if is_rgb(native) else Colour(9, 9, 16)
    info = videos.make_info(native, width=45, height=35, time_base=Fraction(1, 600), colour=colour)
    frames = videos.make_frames(info, [7, 20, 21, 90])
    with VideoWriter(tmp_path / "part.mp4", info, EncodeConfig(lossless=True)) as writer:
        for frame in frames:
            writer.write(frame)
    with VideoReader(tmp_path / "part.mp4") as reader:
        found = list(reader)
    assert [frame.seconds for frame in found] == [frame.seconds for frame in frames]
    assert all(frame.colour == colour for frame in found)
    for one, other in zip(frames, found, strict=True):
        planes = one.planes
        if native == "gbrp":  # FFV1 stores 8-bit RGB packed
            green, blue, red = planes
            planes = (np.dstack([red, green, blue]),)
        assert all(np.array_equal(plane, back) for plane, back in zip(planes, other.planes, strict=True))


def test_an_animation_survives_reading_cutting_storing_and_joining(gif: Path, tmp_path: Path) -> None:
    check_survival(gif, tmp_path / "result.mkv")


def test_a_recording_survives_reading_cutting_storing_and_joining(webcam: Path, tmp_path: Path) -> None:
    check_survival(webcam, tmp_path / "result.mkv")


def check_survival(source: Path, destination: Path) -> None:
    with scratch_dir(destination) as folder:
        parts = [folder / "0.mp4", folder / "1.mp4"]
        with VideoReader(source) as reader:
            frames = iter(reader)
            for number, part in enumerate(parts):
                with VideoWriter(part, reader.info, EncodeConfig(lossless=True)) as writer:
                    for frame in frames:
                        writer.write(frame)
                        if number == 0 and writer.frames == 20:
                            break
        with atomic_output(destination) as path:
            report = join(parts, source, path)
    with VideoReader(source) as before, VideoReader(destination) as after:
        pairs = list(zip(before, after, strict=True))
    assert report.frames == len(pairs)
    assert report.left_out == ()
    for one, other in pairs:
        assert one.seconds == other.seconds
        assert one.colour == other.colour
        assert all(np.array_equal(plane, back) for plane, back in zip(one.planes, other.planes, strict=True))
