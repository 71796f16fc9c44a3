"""The reference flow: GFP-GAN on a video as its users run it, one whole frame after the other.

Each frame becomes BGR; facexlib's `FaceRestoreHelper` searches it at full size, aligns each face, spandrel's network
restores the crops one by one in float32, the helper pastes them back into the whole frame, and x264 encodes the result
(crf 17, medium, as ours). Only the network's noise differs from common use: it is the stored one instead of fresh
noise in each call, so that results can be compared (unless asked for); that costs nothing either way.

Three variants bracket what people run:

- *lightest*: the small detector, and a square mask with soft edges;
- *as shipped*: GFP-GAN's own defaults, RetinaFace ResNet-50 and ParseNet's mask. Their weights are not available
  offline, so both run with random weights on the real pictures and their output is not used: faces come from the list
  of the lightest variant, and the mask is the whole square. Only the time of this variant is meaningful;
- *best*: the lightest with everything that PyTorch offers without changing the flow: GFP-GAN in bfloat16,
  channels_last and compiled, TensorFloat-32 and benchmarked kernels for the detector.

As a program it restores the first frames of a video, and writes the timing:

    python -m benchmarks.reference SRC DST WEIGHTS REPORT --frames 60 --device cuda --variant best
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reference_networks import MOBILENET, RESNET, UnusedParser, load_generator, load_helper, make_fast
from benchmarks.results import Run, with_rest
from vidrestore.errors import InputError, VidrestoreError
from vidrestore.files import replace_text
from vidrestore.media.opening import open_source
from vidrestore.models.devices import choose_device
from vidrestore.report import Recorder
from vidrestore.report_json import to_json
from vidrestore.types import Float32, UInt8

_ENCODER_OPTIONS = {"crf": "17", "preset": "medium"}
_LEAST_EYE_DISTANCE = 5
"""Least distance of the eyes in pixels; GFP-GAN's own choice."""

Faces = NDArray[np.float64]
"""[n, 15]: left, top, right, bottom, score, then five landmarks (x, y), all in frame pixels."""

_WARM_UP_FRAMES = 3


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """A timed run, and when it was."""

    run: Run
    begin: float
    """`time.monotonic()`, with networks loaded and warm."""
    end: float


class ReferenceFlow:
    """The flow with its networks loaded.

    Args:
        weights: weights of GFP-GAN, as for our own restorer.
        device: `cpu`, `cuda` or `cuda:N`.
        best: in its best settings; otherwise float32 as PyTorch computes it by default.
        known_faces: the faces of each frame, which turns the variant *as shipped* on; None means the lightest.
        fresh_noise: draw new noise for the network in each call, as is common.

    Raises:
        ConfigError: spandrel is not installed.
        ModelError: the weights cannot be read.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: str = "cpu",
        best: bool = False,
        known_faces: Sequence[Faces] | None = None,
        fresh_noise: bool = False,
    ) -> None:
        self._device = choose_device(device)
        network, self.crop_size = load_generator(weights)
        self._network = network.to(self._device)
        self._dtype = torch.float32
        if best:
            self._dtype = torch.bfloat16
            torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = True
            torch.set_float32_matmul_precision("high")
            self._network = make_fast(self._network)
        as_shipped = known_faces is not None
        self._helper = load_helper(
            RESNET if as_shipped else MOBILENET,
            face_size=self.crop_size,
            use_parse=as_shipped,
            device=self._device,
        )
        self._known_faces = known_faces
        self._fresh_noise = fresh_noise
        self._detector = self._helper.face_det
        if as_shipped:
            self._helper.face_parse = UnusedParser(self._helper.face_parse)

    def run(self, source: Path, destination: Path, *, frames: int | None = None) -> tuple[Run, list[Faces]]:
        """Restore a video, or its first frames.

        Returns:
            The timing, and the faces of each frame.

        Raises:
            InputError: the source has no constant frame rate to encode with.
        """
        recorder = Recorder()
        found: list[Faces] = []
        started = perf_counter()
        with open_source(source) as video, av.open(str(destination), "w") as result:
            stream = video.streams.video[0]
            stream.thread_type = "AUTO"
            encoder = _encoder(result, stream, source)
            for index, picture in enumerate(recorder.timed("decode", islice(_pictures(video), frames))):
                restored, faces = self._frame(picture, index, recorder)
                found.append(faces)
                with recorder.timing("encode"):
                    result.mux(encoder.encode(_coded(restored, index)))
            with recorder.timing("encode"):
                result.mux(encoder.encode(None))
        seconds = perf_counter() - started
        return Run(seconds, len(found), sum(map(len, found)), with_rest(recorder.seconds, seconds)), found

    def crops(self, source: Path, *, frames: int) -> list[UInt8]:
        """Return the aligned faces of the first frames, uint8 [S, S, 3] RGB."""
        crops = []
        with open_source(source) as video:
            for index, picture in enumerate(islice(_pictures(video), frames)):
                self._find(picture, index)
                self._helper.align_warp_face()
                crops += [np.ascontiguousarray(crop[..., ::-1]) for crop in self._helper.cropped_faces]
        return crops

    def faces(self, source: Path, *, frames: int) -> list[Faces]:
        """Return the faces of each of the first frames."""
        with open_source(source) as video:
            return [self._find(picture, index) for index, picture in enumerate(islice(_pictures(video), frames))]

    def restore(self, crop: UInt8) -> UInt8:
        """Restore one crop by the network, uint8 [S, S, 3] RGB in and out."""
        return self._restored(np.ascontiguousarray(crop[..., ::-1]), fresh_noise=False)[..., ::-1]

    def _frame(self, picture: UInt8, index: int, recorder: Recorder) -> tuple[UInt8, Faces]:
        helper = self._helper
        with recorder.timing("detect"):
            faces = self._find(picture, index)
        with recorder.timing("align"):
            helper.align_warp_face()
        with recorder.timing("restore"):
            for crop in helper.cropped_faces:
                helper.add_restored_face(self._restored(crop, fresh_noise=self._fresh_noise))
        with recorder.timing("composite"):
            helper.get_inverse_affine(None)
            pasted: UInt8 = helper.paste_faces_to_input_image()
        return pasted, faces

    def _find(self, picture: UInt8, index: int) -> Faces:
        helper = self._helper
        helper.clean_all()
        helper.read_image(picture)
        if self._known_faces is not None:
            helper.face_det = _Known(self._detector, self._known_faces[index])
        helper.get_face_landmarks_5(eye_dist_threshold=_LEAST_EYE_DISTANCE)
        landmarks = np.array(helper.all_landmarks_5, np.float64).reshape(-1, 10)
        return np.hstack([np.array(helper.det_faces, np.float64).reshape(-1, 5), landmarks])

    @torch.no_grad()
    def _restored(self, crop: UInt8, *, fresh_noise: bool) -> UInt8:
        """Restore one crop, uint8 [S, S, 3] BGR, by the network."""
        from facexlib.utils import img2tensor  # noqa: PLC0415  torchvision was mended when the networks were loaded
        from torchvision.transforms.functional import normalize  # noqa: PLC0415  mended at the same time

        face = img2tensor(crop / 255.0, bgr2rgb=True, float32=True)
        normalize(face, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), inplace=True)
        layout = torch.contiguous_format if self._dtype == torch.float32 else torch.channels_last
        given = face[None].to(self._device, self._dtype, memory_format=layout)
        output = self._network(given, return_rgb=False, randomize_noise=fresh_noise)[0]
        levels: Float32 = ((output[0].float().clamp(-1, 1) + 1) * 127.5).cpu().numpy()
        return np.ascontiguousarray(levels.transpose(1, 2, 0)[..., ::-1].round().astype(np.uint8))


class _Known:
    """A detector whose faces are known: it runs, and returns the known faces."""

    def __init__(self, detector: Any, faces: Faces) -> None:  # noqa: ANN401  facexlib has no types
        self._detector = detector
        self._faces = faces

    def detect_faces(self, picture: UInt8, threshold: float) -> Faces:
        """Search, and return the known faces."""
        self._detector.detect_faces(picture, threshold)
        return self._faces


def _pictures(video: av.container.InputContainer) -> Iterator[UInt8]:
    """Yield whole frames, uint8 [h, w, 3] BGR."""
    for frame in video.decode(video=0):
        yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def _encoder(result: av.container.OutputContainer, stream: av.VideoStream, source: Path) -> av.VideoStream:
    if not stream.average_rate:
        raise InputError(f"{source} has no frame rate, and the reference flow knows no other time; use another video")
    encoder = result.add_stream("libx264", rate=Fraction(stream.average_rate), options=dict(_ENCODER_OPTIONS))
    encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
    return encoder


def _coded(picture: UInt8, index: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
    frame.pts = index
    return frame


def main(arguments: Sequence[str]) -> None:
    """Restore the first frames of a video once, after warming up, and write a `ReferenceRun`.

    Raises:
        VidrestoreError: as `ReferenceFlow` does.
    """
    parser = ArgumentParser(prog="python -m benchmarks.reference")
    for name in ("source", "destination", "weights", "report"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variant", choices=("lightest", "as-shipped", "best"), default="lightest")
    chosen = parser.parse_args(arguments)
    flow = ReferenceFlow(chosen.weights, device=chosen.device, best=chosen.variant == "best")
    if chosen.variant == "as-shipped":
        known = flow.faces(chosen.source, frames=chosen.frames)
        flow = ReferenceFlow(chosen.weights, device=chosen.device, known_faces=known)
    flow.run(chosen.source, chosen.destination, frames=min(_WARM_UP_FRAMES, chosen.frames))
    begin = time.monotonic()
    run, _ = flow.run(chosen.source, chosen.destination, frames=chosen.frames)
    replace_text(chosen.report, to_json(ReferenceRun(run, begin, time.monotonic())))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except VidrestoreError as error:
        sys.exit(error.message)
