"""What every test may use, and in which order and beside what tests run. CONTRIBUTING.md tells the marks."""

import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: several processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut
from xdist.scheduler import LoadGroupScheduling

from support.turns import Turns
from vidrestore import cli
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.types import UInt8

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

SHARED = Path(__file__).parents[2] / "shared"
TURNS = pytest.StashKey[Turns]()
FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
GROUPS = ("live", "ray")
"""Marks whose tests one process runs, one after the other: two Rays at once would fight for the machine."""
FIRST = (*GROUPS, "slow", "integration")
"""Marks of what begins first, for a long test that begins last is waited for by an idle process."""


class ByGroupOrFile(LoadGroupScheduling):
    """Gives a process whole groups, and whole files of what is in none: fixtures of a module are made once."""

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroupOrFile:
    config.option.loadscopereorder = False  # the order of `pytest_collection_modifyitems` is better
    return ByGroupOrFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of the process that distributes: all others take turns by locks in one folder."""
    if FOLDER not in node.config.stash:
        node.config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="turns-")
    node.workerinput["turns"] = node.config.stash[FOLDER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if FOLDER in config.stash:
        config.stash[FOLDER].cleanup()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest groups and files first."""
    if not hasattr(config, "workerinput"):
        return
    config.stash[TURNS] = Turns(Path(config.workerinput["turns"]))
    ranks: dict[str, int] = {}
    keys: list[str] = []
    for item in items:
        group = next((mark for mark in GROUPS if item.get_closest_marker(mark)), None)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
        keys.append(group or item.nodeid.partition("::")[0])
        rank = next((rank for rank, mark in enumerate(FIRST) if item.get_closest_marker(mark)), len(FIRST))
        ranks[keys[-1]] = min(rank, ranks.get(keys[-1], rank))
    order = sorted(range(len(items)), key=lambda index: ranks[keys[index]])
    items[:] = [items[index] for index in order]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Let nothing run beside a test of real time."""
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    turns.enter(alone=item.get_closest_marker("live") is not None)
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.get_closest_marker("live") is None:
            turns.leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a process of the tests cannot send to the one that reports: captured names of odd bytes."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of real material; tests that use it pass without it by skipping."""
    if not SHARED.is_dir():
        pytest.skip("no folder of shared material beside the checkout")
    return SHARED


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vidrestore", *map(str, arguments)])
        for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
            monkeypatch.setattr(module, hook, getattr(module, hook))  # the command replaces them for its process
        monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        monkeypatch.setenv("PYTHONSAFEPATH", "1")  # the command sets it: only for this test
        before = {stop: signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for stop, handler in before.items():
                signal.signal(stop, handler)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """Start Ray once for the tests of a module: whoever finds one running uses it and leaves it running."""
    from vidrestore.runtime.ray.connection import connect, disconnect  # noqa: PLC0415  few tests need Ray

    assert connect(None)
    yield
    disconnect()


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    """A CUDA device; the test is skipped where there is none, and fails under VIDRESTORE_REQUIRE_GPU=1."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("VIDRESTORE_REQUIRE_GPU") == "1":
        pytest.fail("VIDRESTORE_REQUIRE_GPU=1 and torch sees no CUDA device")
    pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def tiny() -> GFPGANConfig:
    """The smallest network that trains, of 64 px."""
    return GFPGANConfig(out_size=64, num_style_feat=16, channel_multiplier=1, num_mlp=2, narrow=1 / 32)


def portrait_at(index: int, width: int, height: int) -> np.ndarray:
    """A public-domain face, 60 px wide, drifting over the frames; uint8 [height, width, 3] RGB."""
    turn = cv2.getRotationMatrix2D((224, 116), 3 * np.sin(index / 5), 0.65)
    turn[:, 2] += [width / 2 - 224 + index, height / 2 - 116]
    return cv2.warpAffine(astronaut(), turn, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)


@pytest.fixture(scope="session")
def make_portrait_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a small film of one moving (or frozen) face with sound, once for each set of options.

    `blur` is a sigma in pixels: a sharp face comes back from the restorer almost as it was.
    """
    folder = tmp_path_factory.mktemp("portraits")

    def build(*, frames: int = 12, frozen: bool = False, width: int = 320, height: int = 240, blur: float = 0) -> Path:
        path = folder / f"portrait-{frames}-{frozen}-{width}x{height}-{blur}.mp4"
        if not path.exists():
            pictures = [portrait_at(0 if frozen else index, width, height) for index in range(frames)]
            _encode(path, [cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture for picture in pictures])
        return path

    return build


def _encode(path: Path, pictures: list[UInt8]) -> None:
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(25), options={"crf": "12", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48000)
        for index, pixels in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(video.encode(picture))
            wave = (2000 * np.sin(np.arange(1920) / 20)).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, index * 1920, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
