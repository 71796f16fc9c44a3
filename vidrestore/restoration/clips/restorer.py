"""The clip restorer: from clips of crops to finished crops, without leaving the device in between.

    crops ──> flow between neighbours ──────────────────┐
      └─────> denoise ──┬─> visibility ──> smooth over time ──> visibility
                        └─> network ──> blend over time ──> fine detail ──> colour lock ──> crops

The arithmetic is that of the CPU's stages (`restoration.temporal`, `restoration.face`), whose modules explain it. The
clips of a call are laid end to end, and every step runs over all their frames, a bounded number at a time. A frame's
result depends on its neighbours alone, never on the other frames of its pass.
"""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.models.visibility import FaceVisibility
from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.batch import ClipBatch, Motion
from vidrestore.restoration.clips.blend import Views, views_of
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.restoration.clips.colour import low_frequencies
from vidrestore.restoration.clips.flow import confidence, optical_flow
from vidrestore.restoration.clips.passes import denoise, resized, smooth_alphas, stabilise
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.face.restorer import PASS_PIXELS, FaceRestorer
from vidrestore.restoration.face.visibility_alpha import visibility_to_alpha
from vidrestore.restoration.temporal.flow import grid_side
from vidrestore.stages import batched

_MOST_CROPS: Final = 256
"""Number of crops after which no further clip is taken at once: all of them lie on the device, several times."""

_log = logging.getLogger(__name__)


def works_in_clips(restorer: FaceRestorer) -> bool:
    """Return whether the work over time is done by a `ClipRestorer`: as configured, by default on CUDA."""
    backend = restorer.config.backend
    return backend == "torch" or (backend == "auto" and restorer.device.type == "cuda")


class ClipRestorer:
    """A batch stage from clips to restored clips, on the device of the networks.

    Args:
        restorer: restores single crops.
        visibility: finds where they are covered; None: nowhere.
        config: options of the stages over time.
    """

    def __init__(self, restorer: FaceRestorer, visibility: FaceVisibility | None, config: RestoreConfig) -> None:
        self._restorer = restorer
        self._visibility = visibility if config.occlusion.enabled else None
        self._alpha_of_level = torch.from_numpy(visibility_to_alpha(np.arange(256, dtype=np.uint8), config.occlusion))
        self._config = config
        self._pass_pixels = PASS_PIXELS

    def __call__(self, clips: Sequence[FaceClip], /) -> list[RestoredClip]:
        """Restore any number of clips.

        Raises:
            RestorationError: A crop has another shape or dtype, the network failed (see `FaceRestorer`), or the device
                has no memory for a single frame.
        """
        for clip in clips:
            self._restorer.check(clip.crops)
        results: list[RestoredClip] = []
        for group in batched(clips, weight=lambda clip: len(clip.crops), full=_MOST_CROPS, longest=len(clips)):
            results += self._within_memory(group)
        return results

    def _within_memory(self, clips: Sequence[FaceClip]) -> list[RestoredClip]:
        try:
            with torch.inference_mode():
                return self._restore(clips)
        except torch.cuda.OutOfMemoryError:
            pass  # a retry in here would find the tensors of the failed one still alive in the traceback
        torch.cuda.empty_cache()
        if len(clips) == 1:
            self._shrink_passes()
            return self._within_memory(clips)
        middle = len(clips) // 2
        return [*self._within_memory(clips[:middle]), *self._within_memory(clips[middle:])]

    def _shrink_passes(self) -> None:
        size = self._restorer.crop_size
        if self._pass_pixels <= size**2:
            raise RestorationError(
                f"{self._restorer.device} has no memory left for a clip of crops of {size} px; free it (other "
                "processes, workers per GPU), use a smaller model, or device='cpu'"
            )
        self._pass_pixels //= 2
        _log.warning("%s ran out of memory: going on with smaller passes", self._restorer.device)

    def _restore(self, clips: Sequence[FaceClip]) -> list[RestoredClip]:
        batch = ClipBatch.of(clips, self._restorer.device)
        window = self._config.stabilizer
        is_steadied = window.blend or window.colour_lock > 0
        shown = batch.frames_near_kept(window.frames if is_steadied else 0)
        motion = self._motion(batch)
        denoised = self._denoised(batch, motion, shown)
        restored = torch.zeros_like(denoised)
        restored[shown] = self._restorer.restore_images(denoised[shown])
        alphas = self._alphas(denoised, shown)
        if is_steadied:
            restored, alphas = self._steadied(batch, motion, denoised, restored, alphas)
        kept = batch.frames_near_kept(0)
        return batch.divided(restored[kept], None if alphas is None else alphas[kept])

    def _motion(self, batch: ClipBatch) -> Motion:
        """Find the flow between all frames and those before them."""
        size = self._restorer.crop_size
        parts = [ops.grey(crops.float()) for crops in torch.split(batch.crops, self._length(size))]
        later = torch.cat([ops.shrink(part, grid_side(size)) for part in parts])
        earlier = later.roll(1, dims=0)
        back, forth = optical_flow(torch.cat([later, earlier]), torch.cat([earlier, later])).chunk(2)
        return Motion(
            torch.cat([back, confidence(back, forth)], dim=1), torch.cat([forth, confidence(forth, back)], dim=1)
        )

    def _denoised(self, batch: ClipBatch, motion: Motion, wanted: Tensor) -> Tensor:
        """Return crops uint8 [N, 3, S, S], of which the wanted frames are averaged with their neighbours."""
        config, crops = self._config.denoiser, batch.crops
        if not config.frames:
            return crops
        denoised = crops.clone()
        for side, frames in batch.by_side(wanted):
            views = self._views(crops, crops, side)
            for part in self._passes(frames, side):
                window = motion.window(batch, part, config.frames)
                denoised[part] = denoise(crops[part], views.at(part), views.at(window.frames), window, config)
        return denoised

    def _alphas(self, denoised: Tensor, shown: Tensor) -> Tensor | None:
        """Return alpha masks, float32 [N, m, m]; zero where a frame is not shown."""
        if self._visibility is None:
            return None
        found = self._visibility.see_images(denoised[shown])
        alphas = torch.zeros((len(denoised), *found.shape[1:]), device=found.device)
        alphas[shown] = self._alpha_of_level.to(found.device)[found.long()]
        return alphas

    def _steadied(
        self, batch: ClipBatch, motion: Motion, originals: Tensor, restored: Tensor, alphas: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return crops uint8 [N, 3, S, S] and alpha masks, of which the kept frames are stabilised."""
        config = self._config.stabilizer
        crops, steady_alphas = restored.clone(), None if alphas is None else alphas.clone()
        for side, frames in batch.by_side(batch.frames_near_kept(0)):
            views = self._views(restored, originals, side)
            parts = torch.split(originals, self._length(side))
            differences = torch.cat([low_frequencies(resized(part, side).float()) for part in parts]) - views.low
            for part in self._passes(frames, side):
                window = motion.window(batch, part, config.frames)
                own, others = views.at(part), views.at(window.frames)
                crops[part] = stabilise(
                    restored[part],
                    own,
                    others,
                    window,
                    differences[part],
                    differences[window.frames],
                    resized(originals[part], side),
                    config,
                )
                if alphas is not None and steady_alphas is not None:
                    steady_alphas[part] = smooth_alphas(alphas[part], alphas[window.frames], window)
        return crops, steady_alphas

    def _views(self, images: Tensor, originals: Tensor, side: int) -> Views:
        length = self._length(side)
        pairs = zip(torch.split(images, length), torch.split(originals, length), strict=True)
        parts = [views_of(resized(image, side), resized(original, side)) for image, original in pairs]
        return Views(*map(torch.cat, zip(*parts, strict=True)))

    def _passes(self, frames: Tensor, side: int) -> tuple[Tensor, ...]:
        return torch.split(frames, self._length(side))

    def _length(self, side: int) -> int:
        return max(1, self._pass_pixels // side**2)
