"""The restorer: from aligned crops to restored crops, on a CPU or a GPU.

The result of a crop does not depend on the other crops of its batch, nor on how crops are grouped, down to the
last bit: a video restored on one node equals the video restored on many nodes of the same kind. Convolution libraries
choose other kernels for other batch sizes, which changes last bits, but not for other content or another place in the
batch. So the network always runs on one batch shape, and short batches are padded. Two exceptions were found: fp32 on
CUDA, where the last place of a batch has other last bits, and fp32 on a CPU with AMX, where they follow the number of
threads; bf16, the default on both, has neither.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import ConfigError, RestorationError
from vidrestore.models import zoo
from vidrestore.models.checkpoint import check_weights_size, load_restorer
from vidrestore.models.cuda_graph import CudaGraphRunner
from vidrestore.models.devices import choose_device
from vidrestore.models.gfpgan import GFPGAN
from vidrestore.restoration.config import RestorerConfig
from vidrestore.types import Float32, StyledCrop, UInt8

Result = TypeVar("Result")
Network = Callable[..., Tensor]
"""[B, 3, S, S] RGB in [-1, 1] (and style codes [B, N, D], or none) -> images of that shape and range, or codes."""

_LEAST_CPU_THREADS = 2
"""Minimum number of CPU threads: oneDNN's kernels for one thread give other last bits than those for two or more."""
PASS_PIXELS = 16 * 512 * 512
"""Pixels of the crops of a pass on CUDA, where `batch_size_gpu` leaves it open: larger passes are hardly faster."""
_AMPERE = (8, 0)
"""The first compute capability with bf16 arithmetic."""

_log = logging.getLogger(__name__)


class FaceRestorer:
    """A batch stage from uint8 [S, S, 3] RGB crops to restored ones of the same shape.

    Raises:
        ConfigError: The device is not there.
        ModelError: The weights are unknown, missing, damaged or of another architecture.
    """

    def __init__(self, config: RestorerConfig | None = None) -> None:
        config = config or RestorerConfig()
        self.device = choose_device(config.device)
        self.config = replace(config, model=choose_model(config.model, self.device))
        self.dtype = choose_dtype(self.config.precision, self.device)
        self._set_threads()
        path = zoo.resolve(self.config.model)
        check_weights_size(path)
        self.model_sha256 = zoo.sha256_of(path)
        """SHA-256 of the file of weights, in hexadecimal."""
        network = load_restorer(path).to(self.device, self.dtype).to_channels_last()
        self.crop_size = network.config.out_size
        """S: the side of the crops, in pixels."""
        self.batch_size = self.config.batch_size_cpu
        if self.device.type == "cuda":
            self.batch_size = self.config.batch_size_gpu or max(1, PASS_PIXELS // self.crop_size**2)
        """Number of crops per pass at present: halved when the device ran out of memory."""
        self._network: Network = torch.compile(network, dynamic=False) if self.config.compile else network
        if self.device.type == "cuda" and not self.config.compile:
            self._network = CudaGraphRunner(network)
        _log.info("model %s on %s, %s, %d crops a pass", path, self.device, self.dtype, self.batch_size)
        self._codes: Network | None = None
        if isinstance(network, GFPGAN):  # a light restorer has no style codes
            self._codes = torch.compile(network.codes, dynamic=False) if self.config.compile else network.codes
            self._code_shape = (network.config.num_latent, network.config.num_style_feat)

    def __call__(self, crops: Sequence[UInt8], /) -> list[UInt8]:
        """Restore any number of crops.

        Args:
            crops: uint8 [S, S, 3] RGB each, S being `crop_size`.

        Returns:
            As many restored crops, uint8 [S, S, 3] RGB, in the same order; arrays of their own.

        Raises:
            RestorationError: A crop has another shape or dtype, the network gave values that are not finite, or
                the device has no memory for a single crop.
        """
        return self._each(self._network, crops, _to_uint8)

    def restore_images(self, crops_B3SS: Tensor, /) -> Tensor:
        """Restore crops that are on the device already.

        Args:
            crops_B3SS: uint8 [B, 3, S, S] RGB on `device`, in inference mode.

        Returns:
            uint8 [B, 3, S, S] RGB, there.

        Raises:
            RestorationError: as `__call__`.
        """
        parts = self._run(self._network, crops_B3SS.permute(0, 2, 3, 1), _to_uint8)
        return torch.cat([crops_B3SS[:0], *(part.permute(0, 3, 1, 2) for part in parts)])

    def encode(self, crops: Sequence[UInt8], /) -> list[Float32]:
        """Return the style codes of each crop, float32 [N, D]; also a batch stage; raises as `__call__`.

        Raises:
            ConfigError: the network has no style codes.
        """
        if self._codes is None:
            raise ConfigError(f"{self.config.model} has no style codes; set restore.style.frames to 0")
        return self._each(self._codes, crops, lambda codes: codes)

    def restore_coded(self, coded: Sequence[StyledCrop], /) -> list[UInt8]:
        """Restore crops with given style codes instead of their own; also a batch stage; raises as `__call__`."""
        if self._codes is None:
            raise ConfigError(f"{self.config.model} has no style codes; set restore.style.frames to 0")
        wrong = [list(one.codes.shape) for one in coded if one.codes.shape != self._code_shape]
        if wrong:
            raise RestorationError(f"style codes are {wrong[0]}; {self.config.model} wants {list(self._code_shape)}")
        return self._each(self._network, [one.crop for one in coded], _to_uint8, [one.codes for one in coded])

    def check(self, crops: Sequence[UInt8]) -> None:
        """Raise a RestorationError unless every crop is uint8 [S, S, 3]."""
        wanted = (self.crop_size, self.crop_size, 3)
        for index, crop in enumerate(crops):
            if crop.dtype != np.uint8 or crop.shape != wanted:
                raise RestorationError(
                    f"crop {index} is {crop.dtype} {list(crop.shape)}; {self.config.model} wants uint8 {list(wanted)} "
                    "RGB"
                )

    def _each(
        self,
        network: Network,
        crops: Sequence[UInt8],
        finish: Callable[[Tensor], Tensor],
        codes: Sequence[Float32] = (),
    ) -> list[Any]:
        """Return one array for each crop."""
        self.check(crops)
        parts = self._run(network, crops, lambda found: finish(found).cpu().numpy(), codes)
        return [one.copy() for part in parts for one in part]

    def _run(
        self,
        network: Network,
        crops: Tensor | Sequence[UInt8],
        finish: Callable[[Tensor], Result],
        codes: Sequence[Float32] = (),
    ) -> list[Result]:
        """Return the results of each pass of at most `batch_size` crops, as `finish` converts them."""
        results: list[Result] = []
        done = 0
        while done < len(crops):
            chunk = slice(done, done + self.batch_size)
            try:
                with torch.inference_mode():
                    found = self._pass(network, crops[chunk], codes[chunk])
                    self._check_finite(found, first=done)
                    finished = finish(found)
            except torch.cuda.OutOfMemoryError:
                finished = None  # a retry in here would find the failed pass still alive in the traceback
            if finished is None:
                self._halve()
            else:
                results.append(finished)
                done = chunk.stop
        return results

    def _pass(self, network: Network, crops: Tensor | Sequence[UInt8], codes: Sequence[Float32]) -> Tensor:
        """Return float32 [n, ...] on the device for at most `batch_size` crops; a tensor is there already."""
        faces_BHW3 = self._padded(crops) if isinstance(crops, Tensor) else self._uploaded(crops)
        faces_B3HW = faces_BHW3.permute(0, 3, 1, 2)  # NHWC in memory: channels_last without a copy
        given = [self._filled(codes)] if len(codes) else []
        return network((faces_B3HW.float() / 127.5 - 1).to(self.dtype), *given).float()[: len(crops)]

    def _uploaded(self, crops: Sequence[UInt8]) -> Tensor:
        batch = np.zeros((self.batch_size, self.crop_size, self.crop_size, 3), np.uint8)
        for slot, crop in zip(batch, crops, strict=False):
            slot[:] = crop
        return torch.from_numpy(batch).to(self.device)

    def _padded(self, crops_BSS3: Tensor) -> Tensor:
        batch = crops_BSS3.new_zeros((self.batch_size, self.crop_size, self.crop_size, 3))
        batch[: len(crops_BSS3)] = crops_BSS3
        return batch

    def _filled(self, codes: Sequence[Float32]) -> Tensor:
        """Return style codes padded to [batch_size, N, D], on the device."""
        batch = np.zeros((self.batch_size, *self._code_shape), np.float32)
        batch[: len(codes)] = codes
        return torch.from_numpy(batch).to(self.device, self.dtype)

    def _halve(self) -> None:
        if self.batch_size == 1:
            raise RestorationError(
                f"{self.device} has no memory left for one crop of {self.crop_size} px; free it (other processes, "
                "workers per GPU), use a smaller model, or device='cpu'"
            )
        self.batch_size //= 2
        _log.warning("%s ran out of memory: going on with batches of %d", self.device, self.batch_size)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_finite(self, results: Tensor, *, first: int) -> None:
        broken = (~torch.isfinite(results)).flatten(1).sum(dim=1).tolist()
        for index, count in enumerate(broken, first):
            if count:
                raise RestorationError(
                    f"{self.config.model} in {str(self.dtype).removeprefix('torch.')} on {self.device} gave {count} "
                    f"values that are not finite for crop {index}; try precision='fp32' or other weights"
                )

    def _set_threads(self) -> None:
        threads = self.config.threads or torch.get_num_threads()
        if self.device.type == "cpu":
            threads = max(threads, _LEAST_CPU_THREADS)
        torch.set_num_threads(threads)


def choose_model(model: str, device: torch.device) -> str:
    """Return the name or path of the weights; auto is the light network on a CPU, else the embedded one."""
    for_cpu, *others = zoo.choices(model)
    return for_cpu if device.type == "cpu" or not others else others[0]


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the network; auto is bf16 where the device has arithmetic for it, else float32."""
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.get_device_capability(device) >= _AMPERE
        else:
            fast = device.type == "cpu" and cpu_computes_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def cpu_computes_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether this CPU multiplies bf16 (AVX512-BF16, AMX, or Arm's BF16); emulation is slower than fp32."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def _to_uint8(images_B3HW: Tensor) -> Tensor:
    """Convert float [B, 3, H, W] in [-1, 1] to uint8 [B, H, W, 3], rounded."""
    levels = (images_B3HW.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous()
