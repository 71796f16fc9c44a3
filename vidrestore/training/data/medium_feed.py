"""Some faces of each batch as a damaged video shows them, drawn ahead by separate processes.

The damage of `degradation.medium` runs real codecs on the CPU, which is slow. A share of each batch is what the
cores of one host can draw in time; the rest of the batch is damaged on the device.
"""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.degradation.medium.clip import degrade_still, medium_preset
from vidrestore.errors import WorkerError
from vidrestore.process import spawn_context
from vidrestore.training.data.image_file import read_face
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.data.prefetch import LookAhead
from vidrestore.training.data.sampler import Indices
from vidrestore.types import UInt8

_STEPS_AHEAD: Final = 6
_MOST_WORKERS: Final = 16
_PURPOSE: Final = 31


class MediumFeed:
    """Twins of the first faces of each step, as a damaged video shows them: a function of seed, rank and step.

    Args:
        paths: Pictures of the set.
        config: Share and kind of the video damage.
        size: Side of a picture in pixels.
        batch: Faces of a step and rank.
        indices_at: Step -> the faces of this rank.
        mirrored_at: Step -> which of them are mirrored.
        seed: Seed of the damage; another rank draws other damage.
        rank: Rank of this process.

    Raises:
        ConfigError: No medium preset has this name.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        config: MediumMixConfig,
        *,
        size: int,
        batch: int,
        indices_at: Callable[[int], Indices],
        mirrored_at: Callable[[int], NDArray[np.bool_]],
        seed: int,
        rank: int,
    ) -> None:
        self._paths, self._config, self._size = paths, config, size
        self._indices_at, self._mirrored_at = indices_at, mirrored_at
        self._seed, self._rank = seed, rank
        self._count = config.count(batch)
        medium_preset(config.preset)
        # Spawned, not forked: a copy of a process that holds a GPU or threads is not safe to use.
        self._pool = ProcessPoolExecutor(_workers(config), mp_context=spawn_context(), initializer=_prepare)
        self._ahead = LookAhead(self._pool, self._submit, steps=_STEPS_AHEAD)

    def twins(self, step: int) -> UInt8:
        """Return the damaged twins of the first K faces of a step, mirrored as they are: uint8 [K, 3, size, size] RGB.

        Raises:
            InputError: A picture cannot be decoded.
            RestorationError: A codec failed.
            WorkerError: A process died.
        """
        try:
            return np.stack(self._ahead.at(step))
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process that draws video damage died, perhaps for want of memory; give fewer with "
                "medium_mix.workers, and let a script of your own start under `if __name__ == '__main__':`"
            ) from error

    def close(self) -> None:
        """End the processes."""
        self._ahead.close()

    def _submit(self, step: int) -> list[Future[UInt8]]:
        chosen = zip(self._indices_at(step)[: self._count], self._mirrored_at(step), strict=False)
        # The pool starts its processes here, and they inherit the mask: only this process handles Ctrl-C.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return [
                self._pool.submit(
                    draw_twin,
                    self._paths[index],
                    self._size,
                    self._config,
                    mirrored=bool(mirrored),
                    seed=(self._seed, _PURPOSE, step, self._rank, place),
                )
                for place, (index, mirrored) in enumerate(chosen)
            ]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def draw_twin(path: Path, size: int, config: MediumMixConfig, *, mirrored: bool, seed: tuple[int, ...]) -> UInt8:
    """Draw one face with video damage, uint8 [3, size, size] RGB, in a process of the pool.

    Raises:
        InputError: The picture cannot be decoded.
        RestorationError: A codec failed.
    """
    face = read_face(path, size).transpose(1, 2, 0)
    face = np.ascontiguousarray(face[:, ::-1] if mirrored else face)
    twin = degrade_still(face, medium_preset(config.preset), np.random.default_rng(seed), frames=config.frames)
    return np.ascontiguousarray(twin.transpose(2, 0, 1))


def _workers(config: MediumMixConfig) -> int:
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's and Ray Train's
    return config.workers or max(1, min(_MOST_WORKERS, len(os.sched_getaffinity(0)) // sharing))


def _prepare() -> None:
    """Limit the process to one thread, and end it with its parent, however that ends."""
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
