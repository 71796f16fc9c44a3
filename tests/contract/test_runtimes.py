"""What a restoration promises, wherever it runs: checked on every runtime."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidrestore.config import update
from vidrestore.errors import InputError, RestorationError, VidrestoreError, WorkerError
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.restore import restore_video
from vidrestore.media.reader import VideoReader
from vidrestore.report import RestoreReport

pytestmark = pytest.mark.integration

RUNTIMES = [pytest.param("local", id="local"), pytest.param("ray", id="ray", marks=pytest.mark.ray)]
MakeVideo = Callable[..., Path]


def a_job(runtime: str, **restore: object) -> JobConfig:
    lossless = {"encode": {"lossless": True}}
    return update(JobConfig(), {"runtime": runtime, "restore": {**lossless, **restore}})


def frames_of(path: Path) -> list[tuple[Fraction, tuple[np.ndarray, ...]]]:
    with VideoReader(path) as reader:
        return [(frame.seconds, tuple(plane.copy() for plane in frame.planes)) for frame in reader]


def sound_of(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        packets = (packet for packet in container.demux(audio=0) if packet.size)
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in packets]


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("one_ray")
    return str(request.param)


@pytest.fixture(scope="module")
def restored(
    runtime: str, make_portrait_video: MakeVideo, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, RestoreReport]:
    source = make_portrait_video(frames=12)
    destination = tmp_path_factory.mktemp(runtime) / "restored.mkv"
    return source, destination, restore_video(source, destination, a_job(runtime))


def test_every_frame_comes_out_with_its_time(restored: tuple[Path, Path, RestoreReport]) -> None:
    source, destination, report = restored
    before, after = frames_of(source), frames_of(destination)
    assert len(after) == len(before) == 12
    assert report.frames_read == report.frames_written == 12
    assert report.complete
    for (wanted, _), (got, _) in zip(before, after, strict=True):
        assert abs(wanted - got) <= Fraction(1, 2000), "Matroska counts milliseconds"


def test_the_face_changes_and_the_rest_is_bit_identical(restored: tuple[Path, Path, RestoreReport]) -> None:
    source, destination, report = restored
    assert report.faces_restored == 12
    assert report.tracks == report.shots == 1
    for (_, before), (_, after) in zip(frames_of(source), frames_of(destination), strict=True):
        changed = np.argwhere(before[0] != after[0])
        assert len(changed) > 1000
        assert np.hypot(*(changed - [120, 165]).T).max() < 90, "only around the face"
        assert np.array_equal(before[0][:10], after[0][:10])


def test_the_sound_is_copied_packet_for_packet(restored: tuple[Path, Path, RestoreReport]) -> None:
    source, destination, _ = restored
    assert sound_of(destination) == sound_of(source) != []


@pytest.mark.ray
@pytest.mark.usefixtures("one_ray")
def test_ray_and_local_give_the_same_bits(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    """With every part that runs on a worker turned on."""
    source = make_portrait_video(frames=12)
    results = {}
    for place in ("local", "ray"):
        destination = tmp_path / f"{place}.mkv"
        restore_video(source, destination, a_job(place, style={"frames": 2}))
        results[place] = frames_of(destination)
    for (_, local), (_, ray) in zip(results["local"], results["ray"], strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(local, ray, strict=True))


LIVE = {"lookahead": 0, "coast_seconds": 0.3}


@pytest.mark.parametrize(
    ("tracker", "settled", "frames"),
    [
        ({}, 0, 20),
        (LIVE, 20, 32),
        pytest.param({}, 0, 50, marks=pytest.mark.nightly),
        pytest.param(LIVE, 20, 50, marks=pytest.mark.nightly),
    ],
)
def test_a_frozen_video_stays_frozen(
    make_portrait_video: MakeVideo, tmp_path: Path, tracker: dict[str, float], settled: int, frames: int
) -> None:
    """Offline from its first frame, live from when the face has been found often enough and has faded in."""
    still = tmp_path / "still.mkv"
    (_, picture), *_ = frames_of(make_portrait_video(frames=2, frozen=True))
    with av.open(str(still), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.vstack([p.reshape(-1, 320) for p in picture]), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    destination = tmp_path / "out.mkv"
    report = restore_video(still, destination, a_job("local", tracker=tracker))
    assert report.faces_restored > frames - 10
    (_, first), *others = frames_of(destination)[settled:]
    assert not np.array_equal(first[0], picture[0]), "the face was restored"
    assert all(np.array_equal(new, old) for _, planes in others for new, old in zip(planes, first, strict=True))


STAGES = {
    "decode": "vidrestore.media.reader.VideoReader.__iter__",
    "preview": "vidrestore.restoration.detection.schedule.make_preview",
    "detect": "vidrestore.faces.detector.FaceDetector.__call__",
    "track": "vidrestore.faces.tracker.Tracker.push",
    "align": "vidrestore.restoration.face.cropper.FaceCropper.__call__",
    "restore": "vidrestore.restoration.face.restorer.FaceRestorer.__call__",
    "stabilize": "vidrestore.restoration.temporal.stabilizer.Stabilizer.push",
    "composite": "vidrestore.restoration.face.compositor.Compositor.__call__",
    "encode": "vidrestore.media.writer.VideoWriter.write",
    "mux": "vidrestore.jobs.tasks.mux_complete",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_in_any_stage_leaves_nothing_behind(
    stage: str, make_portrait_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_portrait_video(frames=12)

    def broken(*_: object, **__: object) -> Iterator[object]:
        message = f"broken {stage}"
        raise RestorationError(message)

    monkeypatch.setattr(STAGES[stage], broken)
    with pytest.raises(RestorationError, match=f"broken {stage}"):
        restore_video(source, tmp_path / "out.mkv", a_job("local"))
    if stage != "mux":
        assert list(tmp_path.iterdir()) == []
        return
    # what is restored is kept for the next run, and nothing else
    assert [path.name for path in tmp_path.iterdir()] == [".out.mkv.vidrestore"]
    monkeypatch.undo()
    report = restore_video(source, tmp_path / "out.mkv", a_job("local"))
    assert (report.frames_written, report.faces_restored) == (12, 12)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_an_existing_video_survives_a_failed_run(
    make_portrait_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = tmp_path / "out.mkv"
    destination.write_bytes(b"precious")
    monkeypatch.setattr(STAGES["restore"], lambda *_: 1 / 0)
    with pytest.raises(WorkerError, match="ZeroDivisionError"):
        restore_video(make_portrait_video(frames=12), destination, replace(a_job("local"), overwrite=True))
    assert destination.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [destination]


@pytest.mark.ray
@pytest.mark.usefixtures("one_ray")
def test_an_error_in_a_worker_arrives_as_what_it_is(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    with pytest.raises(VidrestoreError, match="no-such-model"):
        restore_video(
            make_portrait_video(frames=12), tmp_path / "out.mkv", a_job("ray", restorer={"model": "no-such-model"})
        )
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_video_is_restored_with_a_warning_or_refused_when_strict(
    make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    source = tmp_path / "cut.mp4"
    with (
        av.open(str(make_portrait_video(frames=12))) as whole,
        av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "+faststart"}) as fast,
    ):
        stream = fast.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                fast.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "fast.mp4").unlink()
    source.write_bytes(data[: int(len(data) * 0.75)])
    destination = tmp_path / "out.mkv"
    report = restore_video(source, destination, a_job("local"))
    assert 0 < report.frames_written < 12
    assert report.frames_missing + report.packets_undecodable + report.frames_read >= 12
    assert any("missing" in warning or "decoded" in warning for warning in report.warnings)
    destination.unlink()
    with pytest.raises(InputError, match="strict"):
        restore_video(source, destination, replace(a_job("local"), strict=True))
    assert list(tmp_path.iterdir()) == [source]
