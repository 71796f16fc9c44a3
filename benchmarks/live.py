"""Live streams measured: latency from a camera to another client, and what remains steady when servers misbehave.

Everything runs on one host: in a process of their own a camera that burns numbers into its pictures, two RTSP
servers (the camera's and the viewers') and a viewer; in this process one stream between them. Latency is measured
twice: by the stream itself (a frame's arrival to its packet's departure), and from the camera's shutter to the
viewer's decoder, which adds coding, two servers and the jitter buffers of two clients.
"""

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.cores import cores, pinned_to
from benchmarks.live_peers import Draw, Seen, Viewing
from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from benchmarks.peer_process import PeersElsewhere
from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.files import replace_text
from vidrestore.live.config import StreamConfig
from vidrestore.live.status import StreamStatus
from vidrestore.media.colour import planes_to_rgb
from vidrestore.media.reader import VideoReader
from vidrestore.report_json import to_json
from vidrestore.runtime.streams import LocalStreamRunner, RunningStream, StreamSpec
from vidrestore.types import UInt8

Step = Callable[[str], None]

_MEMORY_EVERY_SECONDS = 2.0
_LIP_MILLISECONDS = 40
_LONGEST_CLIP = 200
"""Most frames of a video that the camera shows, forwards and backwards."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Scene of a measurement: what the camera shows, for how long, and how the servers behave."""

    video: Path
    width: int = 640
    height: int = 360
    rate: int = 15
    seconds: float = 60.0
    share: float = 0.8
    """Height of the video in the camera's picture, 0..0.9; the numbers at the top touch no face."""
    warm_up_seconds: float = 30.0
    """Seconds that are not measured: networks load, and the stream settles on a quality level."""
    trouble_seconds: tuple[float, float] | None = None
    """Least and most seconds between two faults of a server; None: no faults."""
    outage_seconds: tuple[float, float] = (2.0, 8.0)
    """Least and most seconds for which a killed or frozen server stays so."""
    seed: int = 0
    peer_cores: int = 0
    """Cores reserved for camera, servers and viewer, as on hosts of their own; 0: all share all."""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Result of a measurement."""

    machine: Host
    checkout: Checkout
    scene: Scene
    options: dict[str, str]
    seconds: float
    latency_ms: dict[str, float]
    """Latency of the stream itself: p50, p95 and p99."""
    camera_to_viewer_ms: dict[str, float]
    rate_in: float
    rate_out: float
    sound_offset_ms: dict[str, float]
    """Offset of a beep against its picture: median, largest in size, number beyond 40 ms, number of beeps."""
    sound_offsets_ms: tuple[float, ...]
    """Offsets of all beeps, in order."""
    longest_gap_seconds: float
    """Longest time without a picture at the viewer."""
    viewer_sessions: int
    troubles: dict[str, int]
    """Number of server faults by kind."""
    memory_mb: tuple[float, float, float]
    """Median resident size of this process and its children in each third of the time."""
    threads: tuple[int, int]
    """Number of threads after the warm-up and at the end."""
    file_descriptors: tuple[int, int]
    balanced: bool
    """Whether every received frame is accounted for."""
    status: StreamStatus = field(repr=False)

    def write(self, path: Path) -> None:
        """Write all of it as JSON.

        Raises:
            OutputError: the folder cannot be written.
        """
        replace_text(path, to_json(self))


def measure_live(
    scene: Scene, options: Sequence[str] = (), *, config: StreamConfig | None = None, on_step: Step = print
) -> LiveResult:
    """Run one scene on the local runtime.

    Args:
        scene: the scene to run.
        options: description of `config`, for the record.
        config: options of the stream.
        on_step: called with a description of each step.

    Raises:
        ConfigError: the host has no such number of cores to spare.
    """
    config = update(
        config or StreamConfig(), {"source": {"retry": "always", "silence_seconds": 2.0, "open_seconds": 5.0}}
    )
    show = (str(scene.video), scene.width, scene.height, scene.share)
    every = cores()
    if not 0 <= scene.peer_cores < len(every):
        raise ConfigError(f"peer_cores is {scene.peer_cores}; use 0 to {len(every) - 1}, as this host has {len(every)}")
    with ExitStack() as stack:
        with pinned_to(every[: scene.peer_cores] or every):
            peers = stack.enter_context(PeersElsewhere(show_video, show, rate=scene.rate))
        stack.enter_context(pinned_to(every[scene.peer_cores :]))
        place = stack.enter_context(LocalStreamRunner(config.restore, lambda _, message: on_step(message)))
        stream = place.start(StreamSpec("measured", peers.camera_url, (peers.viewer_url,), config))
        stack.enter_context(_ended(stream))
        _await(lambda: len(peers.seen().pictures) > 0, seconds=120)
        time.sleep(scene.warm_up_seconds)
        begun, before, seen_before = time.monotonic(), _status(stream), peers.seen()
        process = psutil.Process()
        threads, descriptors = process.num_threads(), process.num_fds()
        with _misbehaving(scene, peers, on_step) as troubles, _memory_watched(process, peers.pid) as memory:
            time.sleep(scene.seconds)
        if scene.trouble_seconds:
            _await(lambda: _status(stream).state == "live", seconds=60)
            time.sleep(5)
        after, ended, seen = _status(stream), time.monotonic(), peers.seen()
        threads_after, descriptors_after = process.num_threads(), process.num_fds()
        started = peers.started()
        stream.stop()
        stream.join(60)
        last = _status(stream)
    pictures = seen.pictures[len(seen_before.pictures) :]
    heard = Viewing(pictures, seen.beeps[len(seen_before.beeps) :])
    offsets = [1000 * offset for offset in heard.sound_offsets(scene.rate)]
    latency = after.latency.since(before.latency)
    return LiveResult(
        machine=describe_machine(),
        checkout=describe_checkout(),
        scene=scene,
        options=dict(option.split("=", 1) for option in options),
        seconds=ended - begun,
        latency_ms=_quantiles([latency.quantile(share) or 0.0 for share in (0.5, 0.95, 0.99)]),
        camera_to_viewer_ms=_delays(pictures, lambda number: started + number / scene.rate),
        rate_in=(after.frames_in - before.frames_in) / (ended - begun),
        rate_out=len(pictures) / (ended - begun),
        sound_offset_ms=_offsets(offsets),
        sound_offsets_ms=tuple(round(offset, 1) for offset in offsets),
        longest_gap_seconds=max((later.at - one.at for one, later in pairwise(pictures)), default=0.0),
        viewer_sessions=seen.sessions,
        troubles=troubles,
        memory_mb=_thirds(memory),
        threads=(threads, threads_after),
        file_descriptors=(descriptors, descriptors_after),
        balanced=last.frames_in == last.frames_out + sum(last.dropped.values()),
        status=after,
    )


def show_video(video: str, width: int, height: int, share: float) -> Draw:
    """Make pictures of a size, grey, with the video in the middle, forwards and backwards."""
    pictures: list[UInt8] = []
    high = round(height * share)
    with VideoReader(video) as reader:
        for frame in reader:
            rgb = planes_to_rgb(frame.planes, frame)
            wide = round(rgb.shape[1] * high / rgb.shape[0])
            canvas = np.full((height, max(width, wide), 3), 90, np.uint8)
            left = (canvas.shape[1] - wide) // 2
            canvas[height - high :, left : left + wide] = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_AREA)
            side = (canvas.shape[1] - width) // 2
            pictures.append(np.ascontiguousarray(canvas[:, side : side + width]))
            if len(pictures) == _LONGEST_CLIP:
                break
    turn = max(1, 2 * len(pictures) - 2)

    def draw(number: int) -> UInt8:
        place = number % turn
        return pictures[place if place < len(pictures) else turn - place]

    return draw


@contextmanager
def _misbehaving(scene: Scene, peers: PeersElsewhere, tell: Step) -> Iterator[dict[str, int]]:
    """Kill, freeze and kick the camera's server at random; the viewers' server only loses its publisher."""
    troubles: dict[str, int] = {}
    over = threading.Event()
    chance = random.Random(scene.seed)  # noqa: S311  repeatable, not secret

    def misbehave(least: float, most: float) -> None:
        while not over.wait(chance.uniform(least, most)):
            kind = chance.choice(["killed", "frozen", "connection dropped", "publisher dropped"])
            troubles[kind] = troubles.get(kind, 0) + 1
            lasts = chance.uniform(*scene.outage_seconds)
            tell(f"trouble: {kind}")
            if kind == "killed":
                peers.do("cameras", "vanish")
                over.wait(lasts)
                peers.do("cameras", "listen")
            elif kind == "frozen":
                peers.do("cameras", "freeze")
                over.wait(lasts)
                peers.do("cameras", "thaw")
            elif kind == "connection dropped":
                peers.do("cameras", "kick")
            else:
                peers.do("viewers", "kick")

    thread = (
        threading.Thread(target=misbehave, args=scene.trouble_seconds, daemon=True) if scene.trouble_seconds else None
    )
    if thread is not None:
        thread.start()
    yield troubles
    over.set()
    if thread is not None:
        thread.join()


@contextmanager
def _memory_watched(process: psutil.Process, spared: int) -> Iterator[list[float]]:
    sizes: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_MEMORY_EVERY_SECONDS):
            sizes.append(_resident(process, spared) / 1e6)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield sizes
    over.set()
    thread.join()


def _resident(process: psutil.Process, spared: int) -> float:
    total = float(process.memory_info().rss)
    for child in process.children(recursive=True):
        try:
            ours = child.pid != spared and child.ppid() != spared
            total += child.memory_info().rss * ours
        except psutil.NoSuchProcess:
            continue  # a connection's process that ended between the two questions
    return total


def _thirds(sizes: Sequence[float]) -> tuple[float, float, float]:
    third = max(1, len(sizes) // 3)
    first, second, last = (
        statistics.median(part or [0.0]) for part in (sizes[:third], sizes[third : 2 * third], sizes[2 * third :])
    )
    return first, second, last


@contextmanager
def _ended(stream: RunningStream) -> Iterator[None]:
    try:
        yield
    finally:
        stream.stop()
        stream.join(60)


def _status(stream: RunningStream) -> StreamStatus:
    status = stream.status()
    assert status is not None, "a stream of this process always answers"  # noqa: S101
    return status


def _await(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the stream did not become live")
        time.sleep(0.05)


def _delays(pictures: Sequence[Seen], taken: Callable[[int], float]) -> dict[str, float]:
    """Return the delays of pictures seen for the first time: a held picture is old by intent."""
    first: dict[int, float] = {}
    for seen in pictures:
        first.setdefault(seen.number, seen.at)
    delays = [at - taken(number) for number, at in first.items()]
    return _quantiles([float(np.quantile(delays, share)) for share in (0.5, 0.95, 0.99)] if delays else [])


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    return {name: round(1000 * value, 1) for name, value in zip(("p50", "p95", "p99"), seconds, strict=False)}


def _offsets(milliseconds: Sequence[float]) -> dict[str, float]:
    if not milliseconds:
        return {}
    largest = max(milliseconds, key=abs)
    return {
        "median": round(statistics.median(milliseconds), 1),
        "largest": round(largest, 1),
        "beyond_40_ms": sum(abs(offset) > _LIP_MILLISECONDS for offset in milliseconds),
        "beeps": len(milliseconds),
    }
