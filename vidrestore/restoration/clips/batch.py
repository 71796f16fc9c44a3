"""Clips laid end to end on the device, and the motion between their frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.blend import Window
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.types import Float32, UInt8


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Clips laid end to end."""

    clips: Sequence[FaceClip]
    crops: Tensor
    """uint8 [N, 3, S, S] on the device."""
    clip: Tensor
    """int64 [N]: number of the clip that a frame belongs to."""

    @classmethod
    def of(cls, clips: Sequence[FaceClip], device: torch.device) -> "ClipBatch":
        """Bring the crops of clips to a device."""
        crops = [crop for clip in clips for crop in clip.crops]
        size = crops[0].shape[0]
        staged = torch.empty((len(crops), size, size, 3), dtype=torch.uint8, pin_memory=device.type == "cuda")
        for slot, crop in zip(staged.numpy(), crops, strict=True):
            slot[:] = crop
        lengths = torch.tensor([len(clip.crops) for clip in clips])
        number = torch.repeat_interleave(torch.arange(len(clips)), lengths)
        images = staged.to(device, non_blocking=True).permute(0, 3, 1, 2).contiguous()
        return cls(clips, images, number.to(device))

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
        images: UInt8 = _downloaded(crops.permute(0, 2, 3, 1))
        masks: Float32 | None = None if alphas is None else _downloaded(alphas)
        results, begin = [], 0
        for clip in self.clips:
            end = begin + clip.stop - clip.start
            results.append(RestoredClip(images[begin:end], None if masks is None else masks[begin:end]))
            begin = end
        return results


@dataclass(frozen=True, slots=True)
class Motion:
    """Flow between the frames of a batch; that between two clips is never read."""

    backward: Tensor
    """float32 [N, 3, g, g]: shift x, shift y and confidence of the flow from each frame to the one before."""
    forward: Tensor
    """float32 [N, 3, g, g]: from the frame before each frame to it."""

    def window(self, batch: ClipBatch, frames: Tensor, reach: int) -> Window:
        """Return the neighbours of some frames, int64 [B], up to `reach` before and after them."""
        last = len(batch.crops) - 1
        if not reach:
            grid = self.backward[:0, None, :1].expand(-1, len(frames), -1, -1, -1)
            return Window(frames[None][:0], grid[..., :1, :1], grid.expand(-1, -1, 2, -1, -1), grid)
        found: list[Window] = []
        for way in (-1, 1):
            path = torch.zeros(0, device=frames.device)
            for distance in range(1, reach + 1):
                wanted = frames + way * distance
                near = wanted.clamp(0, last)
                is_there = (wanted == near) & (batch.clip[near] == batch.clip[frames])
                step = self.backward[(near + 1).clamp(max=last)] if way < 0 else self.forward[near]
                path = step if distance == 1 else _composed(path, step)
                weight = (1 - (distance / (reach + 1)) ** 2) * is_there
                found.append(Window(near, weight[:, None, None, None].float(), path[:, :2], path[:, 2:]))
        return Window(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def _downloaded(values: Tensor) -> Any:  # noqa: ANN401  an array of the tensor's kind
    """Copy to page-locked memory, which is several times as fast."""
    on_gpu = values.device.type == "cuda"
    memory = torch.empty(values.shape, dtype=values.dtype, pin_memory=on_gpu)
    return memory.copy_(values).numpy()


def _composed(first: Tensor, second: Tensor) -> Tensor:
    """Compose flows with confidence, [B, 3, g, g], `first` and from there `second`."""
    moved = ops.warp(second, ops.positions(first[:, :2]))
    return torch.cat([first[:, :2] + moved[:, :2], first[:, 2:] * moved[:, 2:]], dim=1)
