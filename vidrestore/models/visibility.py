"""Visibility: where in a crop the face itself is seen, and where something covers it: hand, bar, microphone, leaf.

A small U-Net (Ronneberger et al. 2015) of residual blocks with depthwise convolutions, trained from random weights by
`pipelines.train_visibility` on aligned faces with drawn occluders; its weights are in the package. What belongs to a
face (glasses, beard, fringe, shadows) counts as the face.

Shape suffixes: B batch, C or I or O channels, H and W space.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

from vidrestore.errors import ModelError, RestorationError
from vidrestore.models.checkpoint import load_state_dict
from vidrestore.models.cuda_graph import CudaGraphRunner
from vidrestore.models.devices import choose_device
from vidrestore.models.stylegan2 import to_channels_last
from vidrestore.types import UInt8

WEIGHTS: Final = Path(__file__).parent / "weights" / "visibility.safetensors"
CROP_SIDE: Final = 128
"""Side of the crops that the network reads, in pixels."""
MASK_SIDE: Final = 64
"""Side of the masks that it returns, in pixels."""
CHANNELS: Final = (16, 32, 64, 96)
"""Channels at 64, 32, 16 and 8 pixels."""
_KERNELS: Final = (3, 5, 5, 5)
_BLOCKS: Final = (1, 2, 2, 3)
"""Number of blocks at each size on the way down; on the way up there is one each."""
_CUDA_BATCH: Final = 16


class Layer(nn.Module):
    """A convolution with bias, or, where it is trained, with a normalization that is folded into it later."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, trained: bool
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=not trained
        )
        self.normalization = nn.BatchNorm2d(out_channels) if trained else nn.Identity()

    def forward(self, features_BIHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, H / stride, W / stride]."""
        features_BOHW: Tensor = self.normalization(self.convolution(features_BIHW))
        return features_BOHW


class Block(nn.Module):
    """Residual block: a depthwise convolution, then a mix of the channels."""

    def __init__(self, channels: int, kernel: int, *, trained: bool) -> None:
        super().__init__()
        self.around = Layer(channels, channels, kernel, groups=channels, trained=trained)
        self.widen = Layer(channels, 2 * channels, trained=trained)
        self.narrow = Layer(2 * channels, channels, trained=trained)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Map features [B, C, H, W] to the same shape."""
        residual: Tensor = self.narrow(F.relu(self.widen(self.around(features_BCHW))))
        return features_BCHW + residual


class VisibilityNetwork(nn.Module):
    """Network from aligned faces to logits of visibility; 0.32 million parameters, 72 million multiplications a face.

    `trained` gives every convolution a batch normalization; `folded` takes them away again.
    """

    def __init__(self, *, trained: bool = False) -> None:
        super().__init__()
        self.stem = Layer(12, CHANNELS[0], 3, trained=trained)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level, (channels, kernel, blocks) in enumerate(zip(CHANNELS, _KERNELS, _BLOCKS, strict=True)):
            self.down.append(nn.Sequential(*(Block(channels, kernel, trained=trained) for _ in range(blocks))))
            if level:
                above = CHANNELS[level - 1]
                self.shrink.append(Layer(above, channels, 3, stride=2, trained=trained))
                self.grow.append(Layer(channels, 4 * above, trained=trained))
                self.up.append(Block(above, _KERNELS[level - 1], trained=trained))
        self.context = nn.Linear(CHANNELS[-1], CHANNELS[-1])
        self.head = nn.Conv2d(CHANNELS[0], 1, 1)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """Map faces float [B, 3, 128, 128] RGB in [-1, 1] to logits [B, 1, 64, 64], above 0 where the face is seen."""
        features: Tensor = self.down[0](F.relu(self.stem(F.pixel_unshuffle(faces_B3HW, 2))))
        skipped = []
        for shrink, blocks in zip(self.shrink, self.down[1:], strict=True):
            skipped.append(features)
            features = blocks(F.relu(shrink(features)))
        features = features + self.context(features.mean(dim=(2, 3)))[:, :, None, None]
        for grow, block, skip in reversed(list(zip(self.grow, self.up, skipped, strict=True))):
            features = block(F.relu(skip + F.pixel_shuffle(grow(features), 2)))
        logits_B1HW: Tensor = self.head(features)
        return logits_B1HW


class FaceVisibility:
    """A batch stage from uint8 [S, S, 3] RGB crops of any size to uint8 [64, 64]: 255 where the face is surely seen.

    The result for a crop does not depend on how crops are grouped, nor on how many threads torch has: the network
    runs on one batch shape, padded, and on a CPU in one thread, which suffices for so small a network.

    Args:
        device: auto (CUDA where there is one), cpu, cuda, cuda:1, ...
        weights: a file that `pipelines.train_visibility` wrote.

    Raises:
        ConfigError: The device is not there.
        ModelError: The weights are missing, damaged or of another architecture.
    """

    def __init__(self, device: str = "auto", *, weights: Path = WEIGHTS) -> None:
        self.device = choose_device(device)
        self._network = load_visibility(weights).to(self.device)
        to_channels_last(self._network)
        on_cuda = self.device.type == "cuda"
        self._logits = CudaGraphRunner(self._network) if on_cuda else self._network
        self._batch_size = _CUDA_BATCH if on_cuda else 1
        # In fp32 on CUDA the last place of a batch may have other last bits (see FaceRestorer): it stays empty.
        self._filled = self._batch_size - 1 if on_cuda else 1

    def __call__(self, crops: Sequence[UInt8], /) -> list[UInt8]:
        """Predict the visibility of any number of crops.

        Args:
            crops: uint8 [S, S, 3] RGB each, aligned to the template; each may have a size of its own.

        Returns:
            uint8 [64, 64] for each, in order: 255 times the probability that the face is seen there.

        Raises:
            RestorationError: A crop has another shape or dtype.
        """
        for index, crop in enumerate(crops):
            if crop.dtype != np.uint8 or crop.shape != (len(crop), len(crop), 3) or not crop.size:
                raise RestorationError(f"crop {index} is {crop.dtype} {list(crop.shape)}; wanted uint8 [S, S, 3] RGB")
        seen: list[UInt8] = []
        with torch.inference_mode(), _one_thread() if self.device.type == "cpu" else nullcontext():
            for start in range(0, len(crops), self._filled):
                chunk = crops[start : start + self._filled]
                seen += list(self._pass(chunk)[: len(chunk)])
        return seen

    def see_images(self, crops_B3SS: Tensor, /) -> Tensor:
        """Predict the visibility of crops that are on the device already.

        Args:
            crops_B3SS: uint8 [B, 3, S, S] RGB on `device`, S a multiple of 128, in inference mode.

        Returns:
            uint8 [B, 64, 64], there.
        """
        seen = [crops_B3SS.new_zeros((0, MASK_SIDE, MASK_SIDE))]
        for part in torch.split(crops_B3SS, self._filled):
            batch = part.new_zeros((self._batch_size, 3, CROP_SIDE, CROP_SIDE))
            batch[: len(part)] = F.avg_pool2d(part.float(), part.shape[-1] // CROP_SIDE).round()
            seen.append(self._levels(batch)[: len(part)])
        return torch.cat(seen)

    def _pass(self, crops: Sequence[UInt8]) -> UInt8:
        """Return uint8 [batch, 64, 64], of which the first belong to the crops."""
        batch = np.zeros((self._batch_size, CROP_SIDE, CROP_SIDE, 3), np.uint8)
        for slot, crop in zip(batch, crops, strict=False):
            slot[:] = cv2.resize(crop, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA)
        levels: UInt8 = self._levels(torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)).cpu().numpy()
        return levels

    def _levels(self, faces_B3HW: Tensor) -> Tensor:
        """Map a whole batch of uint8 [batch, 3, 128, 128] to uint8 [batch, 64, 64]."""
        seen_BHW = torch.sigmoid(self._logits(faces_B3HW.float() / 127.5 - 1))[:, 0]
        return (seen_BHW * 255).round().to(torch.uint8)


def load_visibility(path: Path = WEIGHTS) -> VisibilityNetwork:
    """Load the network from a file, by default the package's; float32 on the CPU, in evaluation mode.

    Raises:
        ModelError: The file is missing, damaged or holds another architecture.
    """
    state = {name: tensor.float() for name, tensor in load_state_dict(path).items()}
    network = VisibilityNetwork()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first_lines = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path} holds another network than this version's; make weights with "
            f"`python -m pipelines.train_visibility`: {first_lines}"
        ) from error
    return network.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch in one thread: kernels for several give other last bits, and one is enough for so small a network."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
