"""Detects where one shot ends and the next begins, frame by frame."""

import cv2
import numpy as np
from scenedetect import ContentDetector, FrameTimecode

from vidrestore.media.config import ShotConfig
from vidrestore.types import UInt8

_NOW = FrameTimecode(0, 25.0)
"""PySceneDetect asks for a time and needs it only for its own minimum shot length, which is off."""


class ShotDetector:
    """Finds shot changes causally: asked about every frame in order, it answers at once.

    PySceneDetect's content detector on a small copy, with two differences: a change of brightness that leaves the
    structure of the image in place (a camera flash, lightning) is no shot change, and the start of the stream does not
    count as one. Dissolves are not found. A decision depends on this frame and the one before, and on shot changes
    among the `min_shot_frames` before it.
    """

    def __init__(self, config: ShotConfig | None = None) -> None:
        self._config = config or ShotConfig()
        self._content = ContentDetector(threshold=self._config.threshold, min_scene_len=0)
        self._grey: UInt8 | None = None
        self._frames_since_cut = self._config.min_shot_frames

    def is_cut(self, image: UInt8) -> bool:
        """Return whether this image, uint8 [h, w, 3] RGB, opens a new shot; never true for the first image.

        Images may change their size; all are compared at the size of the first one's small copy.
        """
        small = self._small(image)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        changed = bool(self._content.process_frame(_NOW, cv2.cvtColor(small, cv2.COLOR_RGB2BGR)))
        before, self._grey = self._grey, np.asarray(grey, dtype=np.uint8)
        self._frames_since_cut += 1
        if not changed or before is None or self._frames_since_cut <= self._config.min_shot_frames:
            return False
        if self._is_flash(before, self._grey):
            return False
        self._frames_since_cut = 0
        return True

    def _small(self, image: UInt8) -> UInt8:
        if self._grey is not None:
            height, width = self._grey.shape
        else:
            width = min(self._config.width, image.shape[1])
            height = max(1, round(image.shape[0] * width / image.shape[1]))
        while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:  # faster than one large step
            halves = (image.shape[1] // 2, image.shape[0] // 2)
            image = np.asarray(cv2.resize(image, halves, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _is_flash(self, before: UInt8, now: UInt8) -> bool:
        if abs(float(now.mean()) - float(before.mean())) < self._config.flash_brightness:
            return False
        similarity = float(cv2.matchTemplate(now, before, cv2.TM_CCOEFF_NORMED)[0, 0])
        return similarity >= self._config.flash_similarity
