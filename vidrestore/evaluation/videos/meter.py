"""One video, frame by frame: everything of `FrameFigures`."""

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from vidrestore.evaluation.metrics.fidelity import PSNR_CEILING_DECIBELS, sharpness_ratio
from vidrestore.evaluation.metrics.identity import cosines
from vidrestore.evaluation.metrics.landmarks import JITTER_FRAMES, landmark_jitter
from vidrestore.evaluation.metrics.regions import Region, region_mean, region_psnr, ssim_map
from vidrestore.evaluation.metrics.registration import STEADY
from vidrestore.evaluation.metrics.seams import ring_around, seam_energy
from vidrestore.evaluation.metrics.temporal import mean_change, temporal_feature_distances, warp_error
from vidrestore.evaluation.videos.reference_faces import pasted_mask
from vidrestore.evaluation.videos.reference_steps import Step, both, shared
from vidrestore.evaluation.videos.results import FrameFigures
from vidrestore.evaluation.videos.views import Faces, View, chosen
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Float64

_EYES: Final = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
"""Distance of the template's eyes in sides of the aligned square: unlike the seen one it does not shrink when a head
turns away."""


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes of a video since the frame before, in the fields of `FrameFigures`."""

    warp_error: float | None = None
    flicker_faces: float | None = None
    flicker_elsewhere: float | None = None


class VideoMeter:
    """Measures the frames of one video as they come; holds one frame, and landmarks of three.

    Args:
        crop_size: side of the aligned faces.
        of_truth: the video is the truth itself: it does not sway as the input does, and its landmarks are measured
            against the smoothed track.
    """

    def __init__(self, crop_size: int, *, of_truth: bool = False) -> None:
        self.figures: list[FrameFigures] = []
        self._ring = ring_around(pasted_mask(crop_size))
        self._points: Float64 = TEMPLATE * crop_size - 0.5
        self._eyes = _EYES * crop_size
        self._of_truth = of_truth
        self._before: View | None = None
        self._offsets: dict[int, deque[Float64]] = {}

    def take(self, step: Step, view: View, seconds: float) -> None:
        """Measure the frame of a step; `seconds` since the reference's first frame."""
        scene, truth = step.scene, step.truth
        similarity = ssim_map(view.picture, truth.picture)
        if step.before is None:
            self._before = None
            self._offsets.clear()
        changes = self._changes(step, view)
        seen, true = view.faces, truth.faces
        self.figures.append(
            FrameFigures(
                index=scene.frame.index,
                seconds=seconds,
                faces=len(view.ids),
                psnr_faces=_decibels(view, truth, scene.faces),
                ssim_faces=region_mean(similarity, scene.faces),
                psnr_elsewhere=_decibels(view, truth, scene.elsewhere),
                ssim_elsewhere=region_mean(similarity, scene.elsewhere),
                warp_error=changes.warp_error,
                sharpness_ratio=float(sharpness_ratio(seen.images, true.images).mean()) if seen and true else None,
                jitter_percent=self._jitter(step, seen),
                temporal_feature_distance=self._feature_distance(step, view),
                identity_cosine=float(cosines(seen.embeddings, true.embeddings).mean()) if seen and true else None,
                seam_energy=self._seams(view, truth),
                seam_energy_over_both=self._seams(view, truth, step.source) if step.source else None,
                flicker_faces=changes.flicker_faces,
                flicker_elsewhere=changes.flicker_elsewhere,
                landmarks_missed=sum(points is None for points in seen.landmarks) if seen else 0,
            )
        )
        self._before = view

    def _changes(self, step: Step, view: View) -> _Changes:
        if self._before is None or step.motion is None or step.still is None:
            return _Changes()
        sway = STEADY if self._of_truth else step.sway
        now, before, within = sway.taken_out(view.luma, self._before.luma)
        still, faces, elsewhere = (both(one, within) for one in (step.still, step.scene.faces, step.scene.elsewhere))
        return _Changes(
            warp_error=warp_error(now, before, step.motion, faces),
            flicker_faces=mean_change(now, before, both(still, faces)),
            flicker_elsewhere=mean_change(now, before, both(still, elsewhere)),
        )

    def _jitter(self, step: Step, faces: Faces | None) -> float | None:
        """Return the root mean square over the faces whose landmarks were found in this frame and the two before."""
        truth, weave = step.truth.faces, np.zeros(2) if self._of_truth else step.weave
        ids = faces.ids if faces else ()
        for gone in self._offsets.keys() - set(ids):
            del self._offsets[gone]
        if faces is None or truth is None:
            return None
        found = []
        for row, identity in enumerate(ids):
            points, wanted = faces.landmarks[row], self._points if self._of_truth else truth.landmarks[row]
            if points is None or wanted is None:
                self._offsets.pop(identity, None)
                continue
            recent = self._offsets.setdefault(identity, deque(maxlen=JITTER_FRAMES))
            recent.append(points.astype(np.float64) - wanted - faces.to_crops[row][:, :2] @ weave)
            if len(recent) == JITTER_FRAMES:
                found.append(landmark_jitter(np.stack(recent), self._eyes))
        return statistics.fmean(jitter**2 for jitter in found) ** 0.5 if found else None

    def _feature_distance(self, step: Step, view: View) -> float | None:
        before, truth, truth_before = self._before, step.truth.faces, step.before
        if before is None or truth_before is None or not (view.faces and before.faces and truth):
            return None
        now_rows, before_rows = shared(view, before)
        if not now_rows:
            return None
        assert truth_before.faces, "the truth's faces are those of every video"  # noqa: S101
        distances = temporal_feature_distances(
            chosen(view.faces.features, now_rows),
            chosen(before.faces.features, before_rows),
            chosen(truth.features, now_rows),
            chosen(truth_before.faces.features, before_rows),
        )
        return float(distances.mean())

    def _seams(self, view: View, *others: View) -> float | None:
        crops = [video.faces.lumas for video in (view, *others) if video.faces]
        found = [seam_energy(mine, theirs, self._ring) for mine, *theirs in zip(*crops, strict=True)]
        return statistics.fmean(found) if found else None


def _decibels(view: View, truth: View, region: Region) -> float | None:
    found = region_psnr(view.picture, truth.picture, region)
    return None if found is None else min(found, PSNR_CEILING_DECIBELS)
