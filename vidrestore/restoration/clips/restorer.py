"""The clip restorer: from clips of crops to finished crops, without leaving the device in between.

    crops ──> flow between neighbours ──────────────────┐
      └─────> denoise ──┬─> visibility ──> smooth over time ──> visibility
                        └─> network ──> blend over time ──> fine detail ──> colour lock ──> crops

The arithmetic is that of the CPU's stages (`restoration.temporal`, `restoration.face`), whose modules explain it. The
clips of a call are laid end to end, and every step runs over all their frames, a fixed number at a time. A frame's
result depends on its neighbours alone, never on the other frames of its pass.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.models.visibility import FaceVisibility
from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.blend import Neighbours, blend, views_of
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.restoration.clips.colour import enlarge_low, low_frequencies
from vidrestore.restoration.clips.detail import match_detail
from vidrestore.restoration.clips.flow import confidence, optical_flow
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.face.restorer import PASS_PIXELS, FaceRestorer
from vidrestore.restoration.temporal.flow import grid_side
from vidrestore.stages import batched
from vidrestore.types import Float32, UInt8

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
        visibility: finds where they are covered.
        config: options of the stages over time.
    """

    def __init__(self, restorer: FaceRestorer, visibility: FaceVisibility, config: RestoreConfig) -> None:
        self._restorer = restorer
        self._visibility = visibility if config.occlusion.enabled else None
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
        batch = _Batch.of(clips, self._restorer.device)
        window = self._config.stabilizer
        is_steadied = window.blend or window.colour_lock > 0
        shown = batch.frames_near_kept(window.frames if is_steadied else 0)
        motion = self._motion(batch) if window.frames or self._config.denoiser.frames else None
        denoised = self._denoised(batch, motion, shown)
        restored = torch.zeros_like(denoised)
        restored[shown] = self._restorer.restore_images(denoised[shown])
        alphas = self._alphas(denoised, shown)
        kept = batch.frames_near_kept(0)
        if is_steadied:
            crops, alphas = self._steadied(batch, motion, denoised, restored, alphas)
        else:
            crops, alphas = restored[kept], None if alphas is None else alphas[kept]
        return batch.divided(crops, alphas)

    def _motion(self, batch: "_Batch") -> "_Motion":
        """Find the flow between all frames and those before them."""
        size = self._restorer.crop_size
        parts = [ops.grey(batch.crops[part].float()) for part in self._passes(batch.all, size)]
        later = torch.cat([ops.shrink(part, grid_side(size)) for part in parts])
        earlier = later.roll(1, dims=0)
        flows = optical_flow(torch.cat([later, earlier]), torch.cat([earlier, later]))
        back, forth = flows.chunk(2)
        return _Motion(
            torch.cat([back, confidence(back, forth)], dim=1), torch.cat([forth, confidence(forth, back)], dim=1)
        )

    def _denoised(self, batch: "_Batch", motion: "_Motion | None", wanted: Tensor) -> Tensor:
        """Return crops uint8 [N, 3, S, S], of which the wanted frames are averaged with their neighbours."""
        config, crops = self._config.denoiser, batch.crops
        if motion is None or not config.frames:
            return crops
        denoised = crops.clone()
        for side, frames in batch.by_side(wanted):
            images = self._at_side(crops, side)
            views = views_of(images, images, chunk=self._chunk(side))
            for part in self._passes(frames, side):
                mean = blend(
                    views,
                    part,
                    motion.neighbours(batch, part, config.frames),
                    texture_tolerance=config.texture_tolerance,
                    colour_tolerance=config.colour_tolerance,
                )
                denoised[part] = _changed(crops[part], views.images[part], mean)
        return denoised

    def _alphas(self, denoised: Tensor, shown: Tensor) -> Tensor | None:
        """Return alpha masks, float32 [N, m, m]; zero where a frame is not shown."""
        if self._visibility is None:
            return None
        found = self._visibility.see_images(denoised[shown])
        alphas = torch.zeros((len(denoised), *found.shape[1:]), device=found.device)
        hidden, seen = self._config.occlusion.hidden, self._config.occlusion.seen
        share = ((found.float() / 255 - hidden) / (seen - hidden)).clamp(0, 1)
        alphas[shown] = share * share * (3 - 2 * share)
        return alphas

    def _steadied(
        self, batch: "_Batch", motion: "_Motion | None", originals: Tensor, restored: Tensor, alphas: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the crops and alpha masks of the kept frames, stabilised."""
        config, kept = self._config.stabilizer, batch.frames_near_kept(0)
        crops, steady_alphas = restored.clone(), None if alphas is None else alphas.clone()
        for side, frames in batch.by_side(kept):
            images, films = self._at_side(restored, side), self._at_side(originals, side)
            views = views_of(images, films, chunk=self._chunk(side))
            difference = torch.cat(
                [low_frequencies(films[part].float()) - views.low[part] for part in self._passes(batch.all, side)]
            )
            for part in self._passes(frames, side):
                near = list(motion.neighbours(batch, part, config.frames)) if motion is not None else []
                own = difference[part]
                bias = _mean_over_time(own, difference, near)
                change = config.colour_lock * bias
                result = mean = views.images[part].float()
                if config.blend:
                    result = blend(
                        views,
                        part,
                        near,
                        texture_tolerance=config.texture_tolerance,
                        colour_tolerance=config.colour_tolerance,
                    )
                    if config.max_detail_gain:
                        result = match_detail(result, mean, most_gain=config.max_detail_gain)
                    change = change + own - bias
                result = result + enlarge_low(change, side)
                crops[part] = _changed(restored[part], views.images[part], result)
                if alphas is not None and steady_alphas is not None:
                    steady_alphas[part] = _smooth_alphas(alphas, part, near)
        return crops[kept], None if steady_alphas is None else steady_alphas[kept]

    def _at_side(self, images: Tensor, side: int) -> Tensor:
        if images.shape[-1] == side:
            return images
        passes = torch.split(images, self._chunk(images.shape[-1]))
        return torch.cat([_to_uint8(ops.shrink(part.float(), side)) for part in passes])

    def _chunk(self, side: int) -> int:
        return max(1, self._pass_pixels // side**2)

    def _passes(self, frames: Tensor, side: int) -> tuple[Tensor, ...]:
        return torch.split(frames, self._chunk(side))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Clips laid end to end."""

    clips: Sequence[FaceClip]
    crops: Tensor
    """uint8 [N, 3, S, S] on the device."""
    clip: Tensor
    """int64 [N]: number of the clip that a frame belongs to."""

    @classmethod
    def of(cls, clips: Sequence[FaceClip], device: torch.device) -> "_Batch":
        crops = [crop for clip in clips for crop in clip.crops]
        size = crops[0].shape[0]
        staged = torch.empty((len(crops), size, size, 3), dtype=torch.uint8, pin_memory=device.type == "cuda")
        for slot, crop in zip(staged.numpy(), crops, strict=True):
            slot[:] = crop
        lengths = torch.tensor([len(clip.crops) for clip in clips])
        number = torch.repeat_interleave(torch.arange(len(clips)), lengths)
        images = staged.to(device, non_blocking=True).permute(0, 3, 1, 2).contiguous()
        return cls(clips, images, number.to(device))

    @property
    def all(self) -> Tensor:
        """Every frame, int64 [N]."""
        return torch.arange(len(self.crops), device=self.crops.device)

    def frames_near_kept(self, reach: int) -> Tensor:
        """Return the frames, int64 [n], that are kept or lie within `reach` frames of those of their clip."""
        found, begin = [], 0
        for clip in self.clips:
            first, last = max(0, clip.start - reach), min(len(clip.crops), clip.stop + reach)
            found.append(torch.arange(begin + first, begin + last))
            begin += len(clip.crops)
        return torch.cat(found).to(self.crops.device)

    def by_side(self, frames: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Divide frames by the side of their crop for work over time."""
        sides = np.array([side for clip in self.clips for side in clip.sides])
        chosen = frames.cpu().numpy()
        for side in np.unique(sides[chosen]):
            yield int(side), torch.from_numpy(chosen[sides[chosen] == side]).to(frames.device)

    def divided(self, crops: Tensor, alphas: Tensor | None) -> list[RestoredClip]:
        """Divide the kept frames' crops uint8 [n, 3, S, S] and alphas float32 [n, m, m] among the clips."""
        images: UInt8 = crops.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        masks: Float32 | None = None if alphas is None else alphas.cpu().numpy()
        results, begin = [], 0
        for clip in self.clips:
            end = begin + clip.stop - clip.start
            results.append(RestoredClip(images[begin:end], None if masks is None else masks[begin:end]))
            begin = end
        return results


@dataclass(frozen=True, slots=True)
class _Motion:
    """Flow between the frames of a batch; that between two clips is never read."""

    backward: Tensor
    """float32 [N, 3, g, g]: shift x, shift y and confidence of the flow from each frame to the one before."""
    forward: Tensor
    """float32 [N, 3, g, g]: from the frame before each frame to it."""

    def neighbours(self, batch: _Batch, frames: Tensor, reach: int) -> Iterator[Neighbours]:
        """Yield the neighbours before some frames, the nearest first, then those after them."""
        last = len(batch.crops) - 1
        for way in (-1, 1):
            path: Tensor | None = None
            for distance in range(1, reach + 1):
                wanted = frames + way * distance
                near = wanted.clamp(0, last)
                is_there = (wanted == near) & (batch.clip[near] == batch.clip[frames])
                step = self.backward[(near + 1).clamp(max=last)] if way < 0 else self.forward[near]
                path = step if path is None else _composed(path, step)
                weight = (1 - (distance / (reach + 1)) ** 2) * is_there
                yield Neighbours(near, weight[:, None, None, None].float(), path[:, :2], path[:, 2:])


def _composed(first: Tensor, second: Tensor) -> Tensor:
    """Compose flows with confidence, [B, 3, g, g], `first` and from there `second`."""
    moved = ops.warp(second, ops.positions(first[:, :2]))
    return torch.cat([first[:, :2] + moved[:, :2], first[:, 2:] * moved[:, 2:]], dim=1)


def _mean_over_time(own: Tensor, values: Tensor, neighbours: Sequence[Neighbours]) -> Tensor:
    """Return the mean over frames, weighted by the distance in time alone."""
    departure, total = torch.zeros_like(own), torch.ones_like(own[:, :1, :1, :1])
    for near in neighbours:
        departure += near.weight * (values[near.frames] - own)
        total += near.weight
    return own + departure / total


def _smooth_alphas(alphas: Tensor, frames: Tensor, neighbours: Sequence[Neighbours]) -> Tensor:
    """Return the mean alphas over time, float32 [B, m, m], along the motion."""
    own = alphas[frames][:, None]
    side = own.shape[-1]
    change, total = torch.zeros_like(own), torch.ones_like(own)
    for near in neighbours:
        weight = ops.shrink(near.confidence, side) * near.weight
        moved = ops.warp(alphas[near.frames][:, None], ops.positions(near.shift, side), replicate=True)
        change += weight * (moved - own)
        total += weight
    return (own + change / total)[:, 0]


def _changed(crops: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Apply the change of smaller images to the crops uint8 [B, 3, S, S]; `after` itself where sizes are equal."""
    if before.shape == crops.shape:
        return _to_uint8(after)
    return _to_uint8(crops.float() + ops.enlarge(after - before.float(), crops.shape[-1]))


def _to_uint8(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
