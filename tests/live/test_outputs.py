"""Recordings and playlists: whole, in order, and readable whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from vidrestore.live.stream import LiveStream

pytestmark = pytest.mark.integration

MakeStream = Callable[..., LiveStream]


def pictures_of(path: Path, *, up_to_damage: bool = False) -> list[Fraction]:
    times = []
    with av.open(str(path)) as container, suppress(*[av.error.InvalidDataError] * up_to_damage):
        for frame in container.decode(video=0):
            times.append(frame.pts * frame.time_base)  # noqa: PERF401  what came before the damage counts
    return times


def sounds_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(audio=0) if packet.size)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_complete_mode_records_every_picture_and_every_sound(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path, extension: str, worker: Any
) -> None:
    worker.seconds = 0.03  # slower than the video: the source waits
    stream = make_stream(make_portrait_video(frames=25), tmp_path / f"rec.{extension}", mode="complete")
    stream.run()
    (recorded,) = tmp_path.glob(f"rec-*.{extension}")
    times = pictures_of(recorded)
    assert len(times) == 25
    steps = [float(after - before) for before, after in pairwise(times)]
    assert steps == pytest.approx([0.04] * 24, abs=0.0021)
    assert sounds_of(recorded) >= 20
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"
    assert stream.status().state == "ended"


def test_a_recording_goes_on_in_files_of_the_stated_length(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    stream = make_stream(
        make_portrait_video(frames=50),
        tmp_path / "rec.mp4",
        mode="complete",
        output={"record_seconds": 0.8},
        sink={"keyframe_seconds": 0.4},
    )
    stream.run()
    files = sorted(tmp_path.glob("rec-*.mp4"))
    assert len(files) >= 2
    assert sum(len(pictures_of(file)) for file in files) == 50


def test_a_playlist_lists_segments_that_play(make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path) -> None:
    stream = make_stream(make_portrait_video(frames=60), f"{tmp_path}/wall/", mode="complete")
    stream.run()
    playlist = tmp_path / "wall" / "stream.m3u8"
    assert "#EXTINF" in playlist.read_text()
    with av.open(str(playlist)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60


def test_several_outputs_get_the_same_pictures(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    stream = make_stream(
        make_portrait_video(frames=12), tmp_path / "a.mp4", tmp_path / "b.mkv", f"{tmp_path}/c/", mode="complete"
    )
    stream.run()
    (first,), (second,) = tmp_path.glob("a-*.mp4"), tmp_path.glob("b-*.mkv")
    assert len(pictures_of(first)) == len(pictures_of(second)) == 12


def test_one_output_that_cannot_be_written_leaves_the_others_alone(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    stream = make_stream(make_portrait_video(frames=12), blocked / "x.mp4", tmp_path / "b.mkv", mode="complete")
    stream.run()
    (second,) = tmp_path.glob("b-*.mkv")
    assert len(pictures_of(second)) == 12
    failed = stream.status().outputs[str(blocked / "x.mp4")]
    assert failed.failures >= 1
    assert str(blocked) in failed.last_problem


CRASH = """
import sys
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.fallback import GuardCounts
from vidrestore.live.stream import LiveStream
from vidrestore.live.config import StreamConfig
from vidrestore.config import update
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.stages import Inline

parts = InferenceModels(Inline(lambda batch: [() for _ in batch]), Inline(list), crop_size=64, batch_size=1)
config = update(StreamConfig(), {"source": {"loop": True}, "sink": {"keyframe_seconds": 0.2}})
LiveStream("x", parse_source(sys.argv[1]), [parse_target(t) for t in sys.argv[2:]], config, parts,
           workers=GuardCounts()).run()
"""


def test_a_recording_survives_a_killed_process(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    extension = "mp4"  # Matroska needs no fragments for it
    video = make_portrait_video(frames=25)
    process = subprocess.Popen([sys.executable, "-c", CRASH, video, tmp_path / f"cam.{extension}"])
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size > 60_000 for file in tmp_path.glob(".cam-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob("cam-*")), "no half file under a final name"
    stream = make_stream(video, tmp_path / f"cam.{extension}", mode="complete")
    stream.run()
    (unfinished,) = tmp_path.glob(f"cam-*-unfinished.{extension}")
    assert len(pictures_of(unfinished, up_to_damage=True)) > 10, "found again, and playable"
    assert len(list(tmp_path.glob(f"cam-*.{extension}"))) == 2


def test_planted_links_are_neither_adopted_nor_written_through(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    """In a folder that others may write to, somebody foresees the names of the files that grow."""
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    now = time.time()
    planted = {
        folder / f".rec-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now + second))}.part.mp4"
        for second in range(-2, 60)
    }
    for number, plant in enumerate(sorted(planted)):
        (plant.hardlink_to if number % 2 else plant.symlink_to)(victim)
    old = folder / ".rec-20200101-000000.part.mp4"
    old.write_bytes(b"left by an earlier run")
    stream = make_stream(
        make_portrait_video(frames=50),
        folder / "rec.mp4",
        mode="complete",
        output={"record_seconds": 0.8},
        sink={"keyframe_seconds": 0.4},
    )
    stream.run()
    made = [path for path in sorted(folder.glob("rec-*.mp4")) if "unfinished" not in path.name]
    assert sum(len(pictures_of(path)) for path in made) == 50
    assert len(made) >= 2
    assert not any(path.is_symlink() for path in folder.glob("rec-*"))
    assert victim.read_text() == "precious"
    assert {path for path in folder.iterdir() if path.name.startswith(".")} == planted, "what others made stays theirs"
    assert (folder / "rec-20200101-000000-unfinished.mp4").exists()
