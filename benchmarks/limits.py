"""Limits: how fast each part is by itself, and what the machine's arithmetic and memory allow.

A row of the benchmark can be no faster than the slowest part that it needs; `bounds.py` names that part.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cores import cores
from benchmarks.results import Limit, Quartiles
from vidrestore.models.checkpoint import load_gfpgan
from vidrestore.models.cuda_graph import CudaGraphRunner
from vidrestore.models.devices import choose_device
from vidrestore.models.gfpgan import GFPGAN
from vidrestore.restoration.clips.clip import FaceClip
from vidrestore.restoration.clips.restorer import ClipRestorer
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.face.restorer import choose_dtype
from vidrestore.types import UInt8

DECODE, ENCODE, NETWORK, TEMPORAL = "decoding alone", "x264 {preset} alone", "network alone", "work over time alone"
ARITHMETIC, TRAFFIC = "network, by its FLOP and the peak of a matrix product", "network, by its bytes and a copy's rate"
PRODUCT, COPY = "matrix product", "device copy"
_CODED_FRAMES = 24
"""Frames of a video that are encoded again and again."""
_SECONDS = 3.0
"""Least time of a measured round."""
_ROUNDS = 5
_CLIPS, _CLIP_FRAMES, _CLIP_CONTEXT = 4, 32, 8
"""Clips of a call, and frames of each: restored ones, and context on either side."""


@dataclass(frozen=True, slots=True)
class FaceWork:
    """What the network does for one face."""

    flop: int
    """Floating-point operations; a multiply-add is two."""
    moved_bytes: int
    """Bytes that its operations read and write, one after the other, none fused."""


def codec_limits(clip: Path, name: str, presets: Sequence[str]) -> Iterator[Limit]:
    """Measure decoding a video, and encoding its pictures with each preset of x264, on all cores.

    The encoders are as many as are fastest together: one with all cores, half as many as cores, or one for each.
    """
    yield Limit(DECODE, "cpu", "", name, Quartiles.of(_decode(clip) for _ in range(_ROUNDS)), "frames")
    with av.open(str(clip)) as video:
        stream = video.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        pictures = list(islice(video.decode(stream), _CODED_FRAMES))
    for preset in presets:
        counts = sorted({1, max(1, len(cores()) // 2), len(cores())})
        rates = {count: [_encode(pictures, rate, preset, count) for _ in range(3)] for count in counts}
        best = max(rates.values(), key=statistics.median)
        yield Limit(ENCODE.format(preset=preset), "cpu", "", name, Quartiles.of(best), "frames")


def device_limits(device: str, weights: Path, network: str, *, batches: Sequence[int]) -> Iterator[Limit]:
    """Measure the device's matrix products and copies, the network in every way, and what works over time.

    Raises:
        ModelError: the weights cannot be read.
    """
    where = choose_device(device)
    kind = where.type
    dtype = choose_dtype("auto", where)
    product = Limit(f"{PRODUCT}, {_short(dtype)}", kind, "", "", Quartiles.of(_products(where, dtype)), "FLOP")
    copy = Limit(COPY, kind, "", "", Quartiles.of(_copies(where)), "bytes")
    yield from (product, copy)
    work = face_work(weights, where, dtype)
    yield Limit(ARITHMETIC, kind, network, "", _scaled(product.rates, 1 / work.flop), "faces")
    yield Limit(TRAFFIC, kind, network, "", _scaled(copy.rates, 1 / work.moved_bytes), "faces")
    side = load_gfpgan(weights).config.out_size
    for way, make in _ways(where).items():
        plain = load_gfpgan(weights).to(where, dtype).to_channels_last()
        run = make(plain)
        for batch in batches:
            faces_B3HW = torch.rand(batch, 3, side, side, device=where).mul(2).sub(1).to(dtype)
            rates = _network_rates(run, faces_B3HW.to(memory_format=torch.channels_last))
            name = f"{NETWORK}, {way}, {_short(dtype)}, batch {batch}"
            yield Limit(name, kind, network, "", Quartiles.of(rates), "faces")
        del run, plain
        _give_back_memory(where)
    yield Limit(TEMPORAL, kind, network, "", temporal_rate(where, side), "faces")


def temporal_rate(device: torch.device, side: int) -> Quartiles:
    """Measure the work over time on clips of crops alone, in faces a second: the network returns what it gets.

    Crops go up to the device and results come back, context counts as no face.
    """
    config = RestoreConfig(occlusion=replace(RestoreConfig().occlusion, enabled=False))
    network: Any = _NoNetwork(device, side)
    restore = ClipRestorer(network, None, config)
    crops = _drifting_crops(side, _CLIP_FRAMES + 2 * _CLIP_CONTEXT)
    first, last = _CLIP_CONTEXT, _CLIP_CONTEXT + _CLIP_FRAMES
    clip = FaceClip(crops, (side,) * len(crops), first, last)
    given = [clip] * _CLIPS
    return Quartiles.of(_CLIPS * _CLIP_FRAMES * rate for rate in _rates(lambda: restore(given), device))


@dataclass(frozen=True, slots=True)
class _NoNetwork:
    """Stands in for a restorer whose network takes no time."""

    device: torch.device
    crop_size: int

    def check(self, crops: Sequence[UInt8]) -> None:
        """Accept all crops."""

    def restore_images(self, images_B3SS: Tensor) -> Tensor:
        """Return images as they are."""
        return images_B3SS


def _drifting_crops(side: int, count: int) -> tuple[UInt8, ...]:
    """Return smooth noise that moves a pixel a frame, uint8 [S, S, 3] each."""
    noise = np.random.default_rng(0).normal(0, 60, (side, side, 3)).astype(np.float32)
    smooth = np.clip(cv2.GaussianBlur(noise, (0, 0), 3) * 6 + 128, 0, 255).astype(np.uint8)
    return tuple(np.ascontiguousarray(np.roll(smooth, shift, axis=1)) for shift in range(count))


def face_work(weights: Path, device: torch.device, dtype: torch.dtype) -> FaceWork:
    """Count the operations and bytes of one face, by restoring one."""
    network = load_gfpgan(weights).requires_grad_(requires_grad=False).to(device, dtype).to_channels_last()
    face = torch.zeros(1, 3, network.config.out_size, network.config.out_size, dtype=dtype, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as flop, _Traffic() as traffic:
        network(face)
    return FaceWork(flop.get_total_flops(), traffic.bytes)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Adds up the bytes of the tensors that each operation reads and writes; views move nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401  torch's
        types: Any,  # noqa: ANN401  torch's
        args: Any = (),  # noqa: ANN401  torch's
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the operation gives
        del types
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            touched = (leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
            self.bytes += sum(leaf.numel() * leaf.element_size() for leaf in touched)
        return result


def _ways(device: torch.device) -> dict[str, Callable[[GFPGAN], Callable[[Tensor], Tensor]]]:
    eager: dict[str, Callable[[GFPGAN], Callable[[Tensor], Tensor]]] = {"eager": lambda network: network}
    if device.type != "cuda":
        return eager
    return eager | {
        "CUDA graph": CudaGraphRunner,
        "compiled": lambda network: torch.compile(network, dynamic=False),
    }


@torch.inference_mode()
def _network_rates(run: Callable[[Tensor], Tensor], faces_B3HW: Tensor) -> list[float]:
    return [len(faces_B3HW) * rate for rate in _rates(lambda: run(faces_B3HW), faces_B3HW.device)]


def _products(device: torch.device, dtype: torch.dtype) -> list[float]:
    side = 8192 if device.type == "cuda" else 1024
    one, other = (torch.rand(side, side, device=device).sub(0.5).to(dtype) for _ in range(2))
    return [2 * side**3 * rate for rate in _rates(lambda: one @ other, device)]


def _copies(device: torch.device) -> list[float]:
    size = (4 << 30) if device.type == "cuda" else (1 << 28)
    source, destination = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return [2 * size * rate for rate in _rates(lambda: destination.copy_(source), device)]


def _rates(work: Callable[[], object], device: torch.device) -> list[float]:
    """Return how often a second some work is done, for each of a few rounds."""
    for _ in range(3):
        work()
    _finish(device)
    started = time.perf_counter()
    work()
    _finish(device)
    count = max(1, round(_SECONDS / _ROUNDS / max(time.perf_counter() - started, 1e-6)))
    rates = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(count):
            work()
        _finish(device)
        rates.append(count / (time.perf_counter() - started))
    return rates


def _give_back_memory(device: torch.device) -> None:
    """Leave the GPU's memory to the commands that are measured next."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _decode(clip: Path) -> float:
    started = time.perf_counter()
    with av.open(str(clip)) as video:
        stream = video.streams.video[0]
        stream.thread_type = "AUTO"
        frames = sum(1 for _ in video.decode(stream))
    return frames / (time.perf_counter() - started)


def _encode(pictures: Sequence[av.VideoFrame], rate: Fraction, preset: str, encoders: int) -> float:
    """Return frames a second of several encoders together, each in a thread, which share the cores."""
    threads = max(1, len(cores()) // encoders)
    arrays = [picture.to_ndarray(format="yuv420p") for picture in pictures]
    # each has frames of its own, since it sets their times
    own = [[av.VideoFrame.from_ndarray(array, format="yuv420p") for array in arrays] for _ in range(encoders)]
    started = time.perf_counter()
    with ThreadPoolExecutor(encoders) as pool:
        frames = sum(pool.map(lambda frames: _encode_for(_SECONDS, frames, rate, preset, threads), own))
    return frames / (time.perf_counter() - started)


def _encode_for(seconds: float, frames: Sequence[av.VideoFrame], rate: Fraction, preset: str, threads: int) -> int:
    """Encode frames over and over for so long, and return how many."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext), "x264 is one"  # noqa: S101
    context.width, context.height, context.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
    context.time_base, context.framerate = 1 / rate, rate
    context.thread_count, context.options = threads, {"crf": "17", "preset": preset}
    until, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        frame = frames[count % len(frames)]
        frame.pts = count
        context.encode(frame)
        count += 1
    context.encode(None)
    return count


def _scaled(rates: Quartiles, factor: float) -> Quartiles:
    return Quartiles(rates.lower * factor, rates.median * factor, rates.upper * factor)


def _short(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float32: "fp32"}.get(dtype, str(dtype))
