"""CUDA graphs: a network as one launch, since small ones otherwise wait for the launches of hundreds of kernels."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_WARM_UPS = 3
"""Number of runs before recording, in which libraries choose their kernels and allocate their memory."""
_MOST_SHAPES = 12
"""A video has up to four sizes of pictures to search, and a process may restore several videos."""

_log = logging.getLogger(__name__)


class CudaGraphRunner:
    """Records the kernels of a network on CUDA, once for each shape of its input, and replays them.

    The kernels and their order are the network's own: results are equal bit for bit. A network that cannot be recorded,
    or a thirteenth shape, runs without recording. One thread at a time may call it, always in inference mode.

    Args:
        network: a tensor on CUDA in, a tensor or a tuple of tensors out; nothing in it may depend on values.
    """

    def __init__(self, network: Callable[..., Any]) -> None:
        self._network = network
        self._recorded: dict[tuple[object, ...], tuple[torch.cuda.CUDAGraph, Tensor, Any]] = {}
        self._hopeless = False

    def __call__(self, images: Tensor, *others: Tensor) -> Any:  # noqa: ANN401  as the network's
        """Run the network; the caller owns the result. With a second input it runs kernel by kernel."""
        if others:
            return self._network(images, *others)
        key = (tuple(images.shape), images.stride(), images.dtype, images.device)
        if key not in self._recorded and not self._hopeless and len(self._recorded) < _MOST_SHAPES:
            self._record(key, images)
        if key not in self._recorded:
            return self._network(images)
        graph, given, answer = self._recorded[key]
        given.copy_(images)
        graph.replay()
        return answer.clone() if isinstance(answer, Tensor) else tuple(part.clone() for part in answer)

    def _record(self, key: tuple[object, ...], images: Tensor) -> None:
        given = images.clone(memory_format=torch.preserve_format)
        aside = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]  # torch's
        aside.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._network(given)
        torch.cuda.current_stream(images.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            # other threads of this process may use the GPU meanwhile
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                answer = self._network(given)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._hopeless = True
            _log.warning("a network runs kernel by kernel, for it cannot be recorded: %s", str(error).splitlines()[0])
            return
        self._recorded[key] = (graph, given, answer)
