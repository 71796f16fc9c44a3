"""Evaluation of a visibility network, which separates faces from occluders: figures and a picture."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import OutputError
from vidrestore.files import replace_bytes, replace_text
from vidrestore.models.visibility import CROP_SIDE, MASK_SIDE, VisibilityNetwork
from vidrestore.training.data.dataset import FaceBatch, FaceBatches, FaceFolder
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.log import tiled, to_levels
from vidrestore.training.occluders.occlude import face_ellipse
from vidrestore.training.occluders.sprite_bank import Paint
from vidrestore.training.visibility.samples import SampleMaker, Samples, VisibilityConfig
from vidrestore.types import UInt8

REPORT_FILE: Final = "visibility.json"
GRID_FILE: Final = "visibility.png"
_ROUNDS: Final = 4
"""How often each held-out face is judged with different occluders."""
_BATCH: Final = 64
_SEED_OFFSET: Final = 7_919
"""Offset of the seed: the evaluation's sprites differ from those of the training."""
_SPRITES: Final = 2_000
_GRID_FACES: Final = 48
_GRID_COLUMNS: Final = 12
"""Pictures in a row: face, truth and answer for each."""
_HIDDEN_FACE: Final = 0.02
"""Share of the ellipse from which on a face counts as partly hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeFaces:
    """Pixels wrongly classified as hidden on faces without occluders."""

    hidden_share: float
    """Share of the pixels of the face's ellipse, 0..1."""
    faces_share: float
    """Share of the faces, 0..1, of which more than 2% is classified as hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityReport:
    """Figures within the face's ellipse, at the threshold 0.5; nan where the set has no such face."""

    overlap: float
    """Intersection over union of the hidden pixels, over all faces with an occluder."""
    overlap_by_paint: dict[str, float]
    """The overlap by kind of occluder: own colours, a skin tone (hands, arms), a piece of another picture."""
    mean_overlap: float
    """Mean over faces of which at least 2% is hidden."""
    untouched: FreeFaces
    """Faces as they lie in the folder."""
    damaged: FreeFaces
    """Faces dressed, moved, lit and damaged as in the training."""
    training_faces: int
    held_out_faces: int
    steps: int
    seconds: float
    """Seconds of the training, with its preparation."""
    parameters: int


def write_report(
    network: VisibilityNetwork,
    faces: FaceFolder,
    out: Path,
    config: VisibilityConfig,
    machine: DistributedContext,
    *,
    training_faces: int,
    steps: int,
    seconds: float,
    processes: int | None,
) -> VisibilityReport:
    """Judge a network, on the machine's device, and write the figures and the picture into a folder.

    Raises:
        OutputError: The folder cannot be written to.
    """
    recipe = replace(config, sprites=min(config.sprites, _SPRITES))
    maker = SampleMaker(recipe, machine, seed=config.seed + _SEED_OFFSET, processes=processes)
    judge = _Judge(network, faces, maker, config, machine)
    pooled, mean = judge.overlap(None)
    report = VisibilityReport(
        overlap=pooled,
        overlap_by_paint={
            paint.name.lower(): judge.overlap(paint)[0] for paint in (Paint.OWN, Paint.SKIN, Paint.CLOTH)
        },
        mean_overlap=mean,
        untouched=judge.untouched(),
        damaged=judge.damaged(),
        training_faces=training_faces,
        held_out_faces=len(faces),
        steps=steps,
        seconds=round(seconds, 1),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    replace_text(out / REPORT_FILE, json.dumps(asdict(report), indent=2) + "\n")
    _write_png(judge.grid(), out / GRID_FILE)
    return report


class _Judge:
    """Held-out faces, the same for every question."""

    def __init__(
        self,
        network: VisibilityNetwork,
        faces: FaceFolder,
        maker: SampleMaker,
        config: VisibilityConfig,
        machine: DistributedContext,
    ) -> None:
        self._network = network
        self._maker = maker
        self._config = config
        self._ellipse = face_ellipse(MASK_SIDE, device=machine.device)
        self._faces = faces
        self._batches = FaceBatches(faces, batch=min(_BATCH, len(faces)), seed=0, device=machine.device, flip=False)

    def overlap(self, paint: Paint | None) -> tuple[float, float]:
        """Return the intersection over union, of all pixels together and as the mean of faces."""
        recipe = replace(self._config.occluders, probability=1.0)
        pairs = [
            self._hidden(self._maker.samples(faces, step, occluders=recipe, paint=paint))
            for step, faces in self._rounds(_ROUNDS)
        ]
        found, truth = (torch.cat(parts).flatten(1) for parts in zip(*pairs, strict=True))
        both, either = (found & truth).sum(1).double(), (found | truth).sum(1).double()
        partly = truth.sum(1) > _HIDDEN_FACE * self._ellipse.sum()
        return _rounded(both.sum() / either.sum()), _rounded((both / either)[partly].mean())

    def untouched(self) -> FreeFaces:
        """Return the figures of the faces as they are."""
        answers = []
        for _, faces in self._rounds(1):
            images = faces.images.float() / 127.5 - 1
            free = Samples(images, torch.ones_like(images[:, :1, :MASK_SIDE, :MASK_SIDE]))
            answers.append(self._hidden(free)[0])
        return _free_faces(torch.cat(answers), self._ellipse)

    def damaged(self) -> FreeFaces:
        """Return the figures of faces that got all of the training's changes except for occluders."""
        recipe = replace(self._config.occluders, probability=0.0)
        samples = (self._maker.samples(faces, step, occluders=recipe) for step, faces in self._rounds(_ROUNDS))
        return _free_faces(torch.cat([self._hidden(free)[0] for free in samples]), self._ellipse)

    @torch.no_grad()
    def grid(self) -> UInt8:
        """Draw faces as in the training, each with the truth and the answer: uint8 [h, w, 3] RGB."""
        pictures: list[UInt8] = []
        for step, faces in self._rounds(_ROUNDS):
            samples = self._maker.samples(faces, step)
            answers = torch.sigmoid(self._network(samples.images))
            images = to_levels(samples.images)
            truths, found = (to_levels(2 * mask.expand(-1, 3, -1, -1) - 1) for mask in (samples.visible, answers))
            for image, truth, answer in zip(images, truths, found, strict=True):
                pictures += [image, _enlarged(truth), _enlarged(answer)]
        return tiled(pictures[: 3 * _GRID_FACES], columns=_GRID_COLUMNS)

    def _rounds(self, rounds: int) -> Iterator[tuple[int, FaceBatch]]:
        """Yield batches that show about every face so many times."""
        steps = -(-rounds * len(self._faces) // self._batches.batch)
        return ((step, self._batches.batch_at(step)) for step in range(steps))

    @torch.no_grad()
    def _hidden(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return predicted and true hidden pixels within the ellipse, bool [B, 64, 64] each."""
        found = self._network(samples.images)[:, 0] < 0
        return found & self._ellipse, (samples.visible[:, 0] < 0.5) & self._ellipse  # noqa: PLR2004  the threshold


def _free_faces(hidden_BHW: Tensor, ellipse: Tensor) -> FreeFaces:
    share = hidden_BHW.flatten(1).sum(1).double() / ellipse.sum()
    return FreeFaces(hidden_share=_rounded(share.mean()), faces_share=_rounded((share > _HIDDEN_FACE).double().mean()))


def _rounded(value: Tensor) -> float:
    return round(float(value), 5)


def _enlarged(mask: UInt8) -> UInt8:
    return np.asarray(cv2.resize(mask, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_NEAREST), np.uint8)


def _write_png(picture: UInt8, path: Path) -> None:
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not encoded:
        raise OutputError(f"{path}: OpenCV could not encode the picture as PNG; check the folder and the disk")
    replace_bytes(path, data.tobytes())
