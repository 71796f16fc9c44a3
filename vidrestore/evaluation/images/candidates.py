"""Candidates of an evaluation: models as users run them, and the baselines that a model must beat."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.errors import ConfigError
from vidrestore.models import zoo
from vidrestore.restoration.config import RestorerConfig
from vidrestore.restoration.face.restorer import FaceRestorer

Restore = Callable[[Tensor], Tensor]
"""uint8 [B, 3, S, S] RGB on the CPU -> restored, same shape and dtype."""

INPUT: Final = "input"
BICUBIC: Final = "bicubic"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to restore aligned faces."""

    name: str
    what: str
    """Short description for the report."""
    restore: Restore = field(repr=False)
    crop_size: int | None = None
    """Side in pixels that its network was made for; None where any will do."""
    sha256: str | None = None
    """SHA-256 of its file of weights; None where there is none."""

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Restore uint8 [B, 3, S, S] RGB, at the candidate's own size: enlarged bicubically, reduced by area."""
        side = images_BCHW.shape[-1]
        if self.crop_size in {None, side}:
            return self.restore(images_BCHW)
        assert self.crop_size is not None  # noqa: S101  None was in the set
        return _resized(self.restore(_resized(images_BCHW, self.crop_size)), side)


def baselines() -> tuple[Candidate, Candidate]:
    """Return the baselines: the damaged face as it is, and the same at half its size and back, both bicubic.

    The second is the plainest way to lose noise and blocks together with detail; a model that is no better than it
    only smooths.
    """
    return (
        Candidate(INPUT, "the damaged face as it is", lambda images: images),
        Candidate(BICUBIC, "the damaged face at half its size and back, bicubic", _halved_and_back),
    )


def load_models(models: Sequence[str], restorer: RestorerConfig) -> tuple[Candidate, ...]:
    """Load models as `vidrestore restore` runs them: quantised in, quantised out, in batches of one shape.

    Args:
        models: names of the zoo, or paths. A candidate is called like its model; a path by its file's stem, or in
            full where stems repeat.
        restorer: device, precision and batch; its `model` is not looked at.

    Raises:
        ConfigError: a model is given twice, or the device is not there.
        ModelError: weights are unknown, missing, damaged or of another architecture.
    """
    twice = [model for model, count in Counter(models).items() if count > 1]
    if twice:
        raise ConfigError(f"--model {twice[0]} is given twice; name each model once")
    stems = Counter([Path(model).stem if zoo.is_path(model) else model for model in models] + [INPUT, BICUBIC])
    return tuple(_load(model, replace(restorer, model=model), stems) for model in models)


def _load(model: str, config: RestorerConfig, stems: Counter[str]) -> Candidate:
    restorer = FaceRestorer(config)

    def restore(images_BCHW: Tensor) -> Tensor:
        crops = restorer([image.permute(1, 2, 0).contiguous().numpy() for image in images_BCHW])
        return torch.stack([torch.from_numpy(crop).permute(2, 0, 1) for crop in crops])

    stem = Path(model).stem if zoo.is_path(model) else model
    what = f"{model}, {restorer.crop_size} px, {str(restorer.dtype).removeprefix('torch.')} on {restorer.device.type}"
    name = stem if stems[stem] == 1 else model
    return Candidate(name, what, restore, restorer.crop_size, restorer.model_sha256)


def _halved_and_back(images_BCHW: Tensor) -> Tensor:
    side = images_BCHW.shape[-1]
    half = _scaled(images_BCHW.float() / 255, side // 2)
    return _to_uint8(_scaled(half, side))


def _resized(images_BCHW: Tensor, side: int) -> Tensor:
    images = images_BCHW.float() / 255
    if side > images.shape[-1]:
        return _to_uint8(_scaled(images, side))
    return _to_uint8(F.interpolate(images, size=(side, side), mode="area"))


def _scaled(images_BCHW: Tensor, side: int) -> Tensor:
    return F.interpolate(images_BCHW, size=(side, side), mode="bicubic", antialias=True)


def _to_uint8(images_BCHW: Tensor) -> Tensor:
    """Convert float in [0, 1] to uint8 on the CPU, rounded."""
    return (images_BCHW.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
