"""Detection of faces and their five landmarks in images."""

import logging
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import nn

from vidrestore.errors import RestorationError
from vidrestore.faces.boxes import box_iou, nms
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.retinaface import anchors, decode, load_network
from vidrestore.models.cuda_graph import CudaGraphRunner
from vidrestore.models.devices import choose_device
from vidrestore.types import Detection, Float32, UInt8

_log = logging.getLogger(__name__)

_MEAN_BGR = (104.0, 117.0, 123.0)
_SAME_FACE_OVERLAP = 0.5


class FaceDetector:
    """A batch stage from images, uint8 [h, w, 3] RGB of any sizes, to the faces in each, best first.

    Landmarks and boxes are in pixels of the image (pixel centres at integers), not in display pixels: `boxes.scale`
    converts them. The result for an image does not depend on the rest of the batch: each image is one forward pass on
    the CPU, where batches are no faster and change the last bits; on a GPU, passes have one fixed shape. A `network`
    like that of `retinaface.load_network` replaces the one that the configuration names.

    Raises:
        ModelError: the weights cannot be loaded or do not fit.
    """

    def __init__(self, config: DetectorConfig | None = None, *, network: nn.Module | None = None) -> None:
        self._config = config or DetectorConfig()
        self._device = choose_device(self._config.device, option="detector.device")
        plain = network or load_network(self._config.name, self._device)
        _log.info("detector %s on %s", self._config.name, self._device)
        self._network = CudaGraphRunner(plain) if self._device.type == "cuda" else plain

    def __call__(self, items: Sequence[UInt8], /) -> list[tuple[Detection, ...]]:
        """Return the faces of each image.

        Raises:
            RestorationError: an item is not an image uint8 [h, w, 3].
        """
        found: dict[int, tuple[Detection, ...]] = {}
        for positions in self._groups(items):
            found |= zip(positions, self._detect([items[position] for position in positions]), strict=True)
        return [found[position] for position in range(len(items))]

    def _groups(self, items: Sequence[UInt8]) -> Iterator[list[int]]:
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, item in enumerate(items):
            if item.ndim != 3 or item.shape[2] != 3 or item.dtype != np.uint8 or not item.size:  # noqa: PLR2004  RGB
                raise RestorationError(
                    f"the detector got an array {item.dtype} {list(item.shape)}; it wants an image, uint8 [h, w, 3]"
                )
            by_shape.setdefault(item.shape, []).append(position)
        longest = self._config.batch_size_gpu if self._device.type == "cuda" else 1
        for positions in by_shape.values():
            for start in range(0, len(positions), longest):
                yield positions[start : start + longest]

    @torch.inference_mode()
    def _detect(self, images: list[UInt8]) -> Iterator[tuple[Detection, ...]]:
        height, width, _ = images[0].shape
        boxes, scores, landmarks = self._network(self._input(images))
        prior = anchors(height, width).to(self._device)
        for index in range(len(images)):
            sure = scores[index, :, 1] > self._config.score_threshold
            pixels = decode(boxes[index, sure], landmarks[index, sure], prior[sure], height=height, width=width)
            yield self._faces(*(tensor.cpu().numpy() for tensor in (*pixels, scores[index, sure, 1])))

    def _input(self, images: list[UInt8]) -> torch.Tensor:
        batch = len(images) if self._device.type == "cpu" else self._config.batch_size_gpu
        stacked = np.zeros((batch, *images[0].shape), np.uint8)
        for index, image in enumerate(images):
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=stacked[index])
        tensor = torch.from_numpy(stacked).to(self._device).permute(0, 3, 1, 2)
        mean = torch.tensor(_MEAN_BGR, device=self._device).reshape(1, 3, 1, 1)
        return (tensor.float() - mean).contiguous(memory_format=torch.channels_last)

    def _faces(self, boxes: Float32, landmarks: Float32, scores: Float32) -> tuple[Detection, ...]:
        kept = nms(boxes, scores, threshold=self._config.nms_threshold)
        # The best anchor changes from frame to frame and takes the landmarks along; the mean over all anchors that see
        # the same face does not jump.
        votes = np.where(box_iou(boxes[kept], boxes) > _SAME_FACE_OVERLAP, scores, 0)
        votes /= votes.sum(axis=1, keepdims=True)
        points: Float32 = np.einsum("kc,cij->kij", votes, landmarks)
        return tuple(
            Detection(points[rank], votes[rank] @ boxes, float(scores[index])) for rank, index in enumerate(kept)
        )
