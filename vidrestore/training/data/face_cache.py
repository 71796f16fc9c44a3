"""Storage of a training set's pictures: on the device, in memory or on disk; all return the same pixels."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from vidrestore.training.data.image_file import read_face
from vidrestore.training.data.prefetch import LookAhead
from vidrestore.training.data.sampler import Indices
from vidrestore.types import UInt8

Cache = Literal["device", "memory", "disk"]
"""Where the pictures are kept."""

_THREADS: Final = min(16, os.cpu_count() or 1)
_CHUNK_FACES: Final = 512
"""Faces decoded at once while a cache is filled: memory that is held in addition to the cache itself."""
_LOOK_AHEAD_STEPS: Final = 3
"""Steps decoded ahead from disk; as many batches are held in memory, and one more."""


class FaceCache(Protocol):
    """Gives the pictures of a step, and may prepare those of the next ones."""

    def pictures(self, step: int, /) -> Tensor:
        """Return the pictures of a step, uint8 [B, 3, size, size] RGB, on the device."""
        ...

    def close(self) -> None:
        """End the threads; batches already returned stay valid."""
        ...


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to the device; a GPU reads it from page-locked memory, without a wait for the GPU."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class LoadedFaces:
    """All pictures as one tensor where batches are gathered: on the device, or in (page-locked) memory.

    Args:
        paths: pictures of the set.
        size: side of a picture in pixels.
        indices_at: step -> indices of its pictures.
        device: device of the batches.
        on_device: whether the set lies there too.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        size: int,
        indices_at: Callable[[int], Indices],
        device: torch.device,
        on_device: bool,
    ) -> None:
        self._indices_at = indices_at
        self._device = device
        self._on_device = on_device
        self._pin = device.type == "cuda" and not on_device
        shape = (len(paths), 3, size, size)
        self._set = torch.empty(
            shape, dtype=torch.uint8, device=device if on_device else torch.device("cpu"), pin_memory=self._pin
        )
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="face-decoder") as pool:
            for start in range(0, len(paths), _CHUNK_FACES):
                chunk = paths[start : start + _CHUNK_FACES]
                faces = np.stack(list(pool.map(lambda path: read_face(path, size), chunk)))
                self._set[start : start + len(chunk)].copy_(torch.from_numpy(faces))

    def pictures(self, step: int, /) -> Tensor:
        """Return the pictures of a step, uint8 [B, 3, size, size] RGB, on the device."""
        indices = torch.from_numpy(self._indices_at(step))
        if self._on_device:
            return self._set.index_select(0, send(indices, self._device))
        shape = (len(indices), *self._set.shape[1:])
        gathered = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin)
        torch.index_select(self._set, 0, indices, out=gathered)
        return gathered.to(self._device, non_blocking=True)

    def close(self) -> None:
        """Do nothing: no thread runs."""


class FacesOnDisk:
    """Pictures decoded by threads when their step comes near: `_LOOK_AHEAD_STEPS` steps are held, not the set.

    Arguments as those of `LoadedFaces`.
    """

    def __init__(
        self, paths: Sequence[Path], *, size: int, indices_at: Callable[[int], Indices], device: torch.device
    ) -> None:
        self._paths = paths
        self._size = size
        self._indices_at = indices_at
        self._device = device
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="face-decoder")
        self._ahead = LookAhead(self._pool, self._submit, steps=_LOOK_AHEAD_STEPS)

    def pictures(self, step: int, /) -> Tensor:
        """Return the pictures of a step, uint8 [B, 3, size, size] RGB, on the device."""
        return send(torch.from_numpy(np.stack(self._ahead.at(step))), self._device)

    def close(self) -> None:
        """Drop what was decoded ahead and end the threads."""
        self._ahead.close()

    def _submit(self, step: int) -> list[Future[UInt8]]:
        return [self._pool.submit(read_face, self._paths[index], self._size) for index in self._indices_at(step)]
