"""Whole videos through `restore_video`: real ones, and odd ones."""

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vidrestore.config import update
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.restore import restore_video
from vidrestore.media.colour import Box, region_to_rgb
from vidrestore.media.reader import VideoReader
from vidrestore.report import RestoreReport
from vidrestore.types import Frame

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
JOB = update(JobConfig(), {"runtime": "local", "restore": {"encode": {"lossless": True}}})


def beginning(source: Path, destination: Path, seconds: float) -> Path:
    """Copy the packets of a film's first moments."""
    with av.open(str(source)) as old, av.open(str(destination), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in (*old.streams.video, *old.streams.audio)}
        for packet in old.demux(*[old.streams[index] for index in streams]):
            if packet.size and (packet.dts or packet.pts or 0) * packet.time_base < seconds:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return destination


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def sound(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in container.demux(audio=0) if packet.size]


def rgb(frame: Frame) -> np.ndarray:
    return region_to_rgb(frame, Box(0, 0, frame.width, frame.height))


def test_a_video_keeps_its_times_and_sound_and_all_but_its_faces(
    make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    check_restoration(make_portrait_video(), tmp_path / "out.mkv", faces=12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds", "faces"),
    [
        pytest.param("sister.mkv", 0.6, 17, marks=pytest.mark.nightly),
        pytest.param("book.mkv", 0.6, 17, marks=pytest.mark.nightly),
        ("short_hamilton_clip.mp4", 0.9, 4),
        pytest.param("short_hamilton_clip.mp4", 1.75, 30, marks=pytest.mark.nightly),
        pytest.param("head-pose-face-detection-female-and-male.gif", 1.0, 12, marks=pytest.mark.nightly),
    ],
)
def test_a_real_video_does_too(shared: Path, tmp_path: Path, name: str, seconds: float, faces: int) -> None:
    source = shared / "clips" / name
    source = beginning(source, tmp_path / f"source{source.suffix}", seconds)
    check_restoration(source, tmp_path / "out.mkv", faces=faces)


def check_restoration(source: Path, destination: Path, *, faces: int) -> None:
    report: RestoreReport = restore_video(source, destination, JOB)
    before, after = read(source), read(destination)
    assert len(before) == len(after) == report.frames_written
    assert report.complete
    assert report.faces_restored >= faces
    assert sound(source) == sound(destination)
    for old, new in zip(before, after, strict=True):
        assert abs(old.seconds - new.seconds) <= Fraction(1, 2000), "Matroska counts milliseconds"
        changed = (rgb(old) != rgb(new)).any(axis=2)
        assert 0.001 < changed.mean() < 0.2, "the faces, and little else"
        assert not changed[-8:].any()


def test_a_sideways_anamorphic_ten_bit_video_is_restored_like_an_upright_one(
    make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    upright = read(make_portrait_video(frames=4))
    sideways = tmp_path / "sideways.mp4"
    with av.open(str(sideways), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "4", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 180, 320, "yuv420p10le"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
        for index, frame in enumerate(upright):
            coded = cv2.resize(
                cv2.rotate(rgb(frame), cv2.ROTATE_90_CLOCKWISE), (180, 320), interpolation=cv2.INTER_AREA
            )
            picture = av.VideoFrame.from_ndarray(coded, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    destination, plain = tmp_path / "out.mp4", tmp_path / "plain.mkv"
    report = restore_video(sideways, destination, JOB)
    restore_video(make_portrait_video(frames=4), plain, JOB)
    assert report.faces_restored == 4
    assert report.streams["left_out"] == []
    for turned, straight, source in zip(read(destination), read(plain), upright, strict=True):
        assert turned.pixel_format == "yuv420p10le"
        assert (turned.rotation, turned.sample_aspect_ratio) == (90, Fraction(4, 3))
        seen = cv2.rotate(cv2.resize(rgb(turned), (240, 320)), cv2.ROTATE_90_COUNTERCLOCKWISE)
        face = (slice(80, 170), slice(120, 215))
        to_restored = np.abs(seen[face].astype(float) - rgb(straight)[face]).mean()
        to_source = np.abs(seen[face].astype(float) - rgb(source)[face]).mean()
        assert to_restored < 6
        assert to_restored < 0.85 * to_source, "it looks like the restored face, not like the source"


def test_a_pixel_aspect_ratio_that_the_container_loses_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "wide.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    lossless = restore_video(source, tmp_path / "out.mkv", JOB)
    assert any("16:15" in line for line in lossless.warnings)
    usual = restore_video(source, tmp_path / "out.mp4", update(JOB, {"restore": {"encode": {"lossless": False}}}))
    assert not any("16:15" in line for line in usual.warnings)
    assert read(tmp_path / "out.mp4")[0].sample_aspect_ratio == Fraction(16, 15)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 25), (2, 2)])
def test_odd_and_tiny_videos_come_through(width: int, height: int, tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(np.full((height, width, 3), 60 * index, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    for name, lossless in (("out.mkv", True), ("out.mp4", False)):
        report = restore_video(source, tmp_path / name, update(JOB, {"restore": {"encode": {"lossless": lossless}}}))
        assert report.frames_written == 3
        assert [(frame.width, frame.height) for frame in read(tmp_path / name)] == [(width, height)] * 3
