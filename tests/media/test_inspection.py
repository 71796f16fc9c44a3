"""Films that ask for more memory, time or pixels than their size suggests."""

import os
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest

from support import video_factory as videos
from vidrestore.errors import InputError
from vidrestore.media import inspection
from vidrestore.media.config import EncodeConfig
from vidrestore.media.encoding import plan_encoding
from vidrestore.media.inspection import InspectionLimits, inspect, inspect_and_index
from vidrestore.media.pixel_formats import frame_bytes
from vidrestore.media.reader import VideoReader, probe
from vidrestore.media.segments import index_video
from vidrestore.media.writer import VideoWriter
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.support import within_budget

SMALL = 1_000_000
"""Pixels."""


def sample_table_bomb(path: Path, samples: int) -> Path:
    """An MP4 of three kilobytes whose index claims so many frames of one byte."""
    videos.make_video(path, frames=12, options={"bf": "0", "g": "1"})
    video = bytearray(path.read_bytes())

    def patch(box: bytes, offset: int, *values: int) -> None:
        struct.pack_into(f">{len(values)}I", video, video.rindex(box) + 4 + offset, *values)

    patch(b"stts", 8, samples)
    patch(b"stsc", 4, 1, 1, samples)
    patch(b"stsz", 4, 1, samples)
    path.write_bytes(video)
    return path


def test_inspection_says_what_probe_and_index_say(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", frames=30, audio="aac", chapters=2)
    assert inspect(video) == probe(video)
    assert inspect_and_index(video) == (probe(video), index_video(video))


def test_index_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    bomb = sample_table_bomb(tmp_path / "bomb.mp4", 150_000_000)
    with pytest.raises(InputError, match=r"more memory to be opened than is allowed|not one frame can be decoded"):
        inspect(bomb, limits=InspectionLimits(memory_mib=256), max_pixels=SMALL)
    process = inspection._inspections._process
    if process is not None and process.poll() is None:
        peak = (Path("/proc") / str(process.pid) / "status").read_text().partition("VmHWM:")[2].split()[0]
        assert int(peak) < 512 * 1024  # KiB; the table is 3.4 GiB
    # the next video is looked at as ever
    assert inspect(videos.make_video(tmp_path / "film.mp4")).width == 64


@pytest.mark.parametrize(
    "limits",
    [
        InspectionLimits(wall_seconds=0.001, wall_seconds_per_gib=0),
        InspectionLimits(cpu_seconds=0.0, cpu_seconds_per_gib=0),
    ],
)
def test_inspection_that_takes_too_long_is_ended(limits: InspectionLimits, tmp_path: Path) -> None:
    bomb = sample_table_bomb(tmp_path / "bomb.mp4", 60_000_000)
    with pytest.raises(InputError, match="could not be looked through within"):
        inspect(bomb, limits=limits)
    assert inspect(videos.make_video(tmp_path / "film.mp4")).width == 64


def test_crash_of_the_demuxer_costs_one_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = videos.make_video(tmp_path / "film.mp4")
    inspect(video)
    begin = inspection._inspections._begin

    def crashing() -> tuple[subprocess.Popen[bytes], object]:
        process, connection = begin()
        os.kill(process.pid, signal.SIGSEGV)
        process.wait()
        return process, connection

    with monkeypatch.context() as patched:
        patched.setattr(inspection._inspections, "_begin", crashing)
        with pytest.raises(InputError, match="was ended by SIGSEGV"):
            inspect(video)
    assert inspect(video) == probe(video)


def test_process_imports_little_and_nothing_of_the_current_folder(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4")
    for name in ("av.py", "numpy.py", "vidrestore.py"):
        (tmp_path / name).write_text("raise SystemExit('code of the folder ran')")
    script = f"""
import sys
sys.path.remove("") if "" in sys.path else None
from vidrestore.media.inspection import inspect
print(inspect({str(video)!r}).width, sorted({{"torch", "cv2", "ray"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "64 []\n"


def big_video(path: Path, *, width: int = 1280, height: int = 960) -> Path:
    return videos.make_video(path, frames=3, width=width, height=height, options={"preset": "ultrafast"})


def test_video_of_too_large_pictures_is_refused_in_words(tmp_path: Path) -> None:
    video = big_video(tmp_path / "film.mp4")
    with pytest.raises(InputError, match="has frames of 1280x960 pixels; at most 1,000,000 pixels"):
        probe(video, max_pixels=SMALL)
    with pytest.raises(InputError, match="has frames of 1280x960 pixels; at most 1,000,000 pixels"):
        inspect(video, max_pixels=SMALL)
    assert probe(video, max_pixels=1280 * 960).width == 1280


def test_sides_have_a_limit_of_their_own(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mkv", frames=2, width=16400, height=2, codec="ffv1")
    with pytest.raises(InputError, match="has frames of 16400x2 pixels"):
        probe(video)


def raw_h264(path: Path, folder: Path, *sizes: tuple[int, int]) -> Path:
    """Streams of different sizes, one behind the other."""
    streams = []
    for number, (width, height) in enumerate(sizes):
        one = videos.make_video(
            folder / f"{number}.h264",
            frames=5,
            width=width,
            height=height,
            container="h264",
            options={"preset": "ultrafast"},
        )
        streams.append(one.read_bytes())
    path.write_bytes(b"".join(streams))
    return path


def test_pictures_that_grow_in_mid_video_are_left_out_and_told(tmp_path: Path) -> None:
    mixed = raw_h264(tmp_path / "film.h264", tmp_path, (64, 48), (2000, 2000), (64, 48))
    with VideoReader(mixed, max_pixels=SMALL) as reader:
        assert {(frame.width, frame.height) for frame in reader} == {(64, 48)}
    told = reader.statistics
    assert (told.frames, told.undecodable_packets, told.oversized_pictures) == (10, 5, 5)
    assert any("5 hold frames larger than restore.max_pixels" in line for line in told.losses())


def test_header_that_claims_a_small_picture_does_not_help(tmp_path: Path) -> None:
    video = big_video(tmp_path / "film.mkv", width=2400, height=2000)
    lying = video.read_bytes().replace(b"\xb0\x82\x09\x60\xba\x82\x07\xd0", b"\xb0\x82\x00\x40\xba\x82\x00\x30")
    assert lying != video.read_bytes()
    (tmp_path / "lying.mkv").write_bytes(lying)
    with pytest.raises(InputError, match="has frames of 2400x2000 pixels"):
        probe(tmp_path / "lying.mkv", max_pixels=SMALL)


def test_chapters_beyond_count_are_refused(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mkv", chapters=3)
    with av.open(str(video)) as container:
        assert len(container.chapters()) == 3
    many = tmp_path / "many.mkv"
    with av.open(str(video)) as source, av.open(str(many), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        output.set_chapters(
            [
                {"id": n + 1, "start": n, "end": n + 1, "time_base": stream.time_base or 1, "metadata": {}}
                for n in range(10_001)
            ]
        )
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(InputError, match="has 10,001 chapters; at most 10,000 are handled"):
        inspect(many)


def test_huge_frames_are_held_back_in_smaller_numbers() -> None:
    usual = VideoRestoreConfig()
    for pixel_format, width, height in (("yuv420p", 4096, 2304), ("yuv420p", 4096, 2160), ("yuv420p10le", 1920, 1080)):
        same = within_budget(usual, frame_bytes(pixel_format, width, height))
        assert replace(same, restorer=usual.restorer) == usual  # the length of clips changes no result
    bounded = within_budget(usual, frame_bytes("yuv420p", 8192, 4352))
    of_networks = max(9 * bounded.detection.frames_per_batch, 3 * bounded.restorer.clip_frames)
    held = bounded.tracker.lookahead + of_networks
    assert held * frame_bytes("yuv420p", 8192, 4352) <= usual.buffer_mib * 2**20
    assert bounded.tracker.lookahead >= 31  # half a second of 60 frames
    least = within_budget(VideoRestoreConfig(buffer_mib=1), frame_bytes("rgb24", 8192, 4352))
    assert (least.tracker.lookahead, least.detection.frames_per_batch) == (1, 1)


@pytest.mark.parametrize(
    ("codec", "usual", "option"),
    [
        ("libx264", "crf=17", "rc-lookahead"),
        ("libx265", "x265-params", "rc-lookahead"),
        ("libvpx-vp9", "b=0", "lag-in"),
    ],
)
def test_encoders_look_less_far_ahead_at_huge_frames(codec: str, usual: str, option: str) -> None:
    def options(width: int, height: int) -> str:
        info = videos.make_info(width=width, height=height)
        return " ".join(f"{key}={value}" for key, value in plan_encoding(info, EncodeConfig(codec=codec)).options)

    assert usual.split("=", maxsplit=1)[0] in options(4096, 2304)
    assert option not in options(4096, 2304)
    assert option in options(8192, 4352)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_encoders_take_the_shorter_look_ahead(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every preset: encoders refuse a look-ahead that is shorter than their groups of pictures."""
    monkeypatch.setattr("vidrestore.media.encoding._USUAL_PIXELS", 64)
    info = videos.make_info()
    frames = videos.make_frames(info, [512 * number for number in range(20)])
    for preset in ("ultrafast", "medium", "placebo"):
        path = tmp_path / preset
        with VideoWriter(path, info, EncodeConfig(codec=codec, preset=preset)) as writer:
            for frame in frames:
                writer.write(frame)
        assert len(index_video(path).times) == 20
