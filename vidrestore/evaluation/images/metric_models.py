"""Metrics of a restored face: pixels, a feature network, an identity network and a detector."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.evaluation.images.results import Score
from vidrestore.evaluation.metrics.chroma import ChromaErrors, chroma_errors
from vidrestore.evaluation.metrics.features import Describe, feature_distances, features_of
from vidrestore.evaluation.metrics.fidelity import mean_psnr, psnr, sharpness_ratio, ssim
from vidrestore.evaluation.metrics.identity import Embed, cosines, embeddings_of
from vidrestore.evaluation.metrics.landmarks import Detect, LandmarkErrors, find_landmarks, landmark_errors
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.models.identity import load_identity
from vidrestore.models.perceptual import MobileNetV2Features
from vidrestore.types import Float32, UInt8


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of a batch: its images and their landmarks."""

    images: Tensor = field(repr=False)
    """uint8 [B, 3, S, S] RGB on the networks' device."""
    landmarks: tuple[Float32 | None, ...] = field(repr=False)
    """float32 [5, 2] each, pixels of the images; None where unknown."""
    features: tuple[Tensor, ...] = field(repr=False)
    """Maps of the feature network, each [B, C, h, w]."""
    embeddings: Tensor = field(repr=False)
    """Embeddings of the identity network, [B, D]."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of some restored faces, a number for each.

    No tensors: small ones that outlive a batch keep the allocator from returning the large ones between them, so that
    memory grows with every batch.
    """

    psnr: tuple[float, ...]
    """PSNR in dB, infinite for identical images."""
    ssim: tuple[float, ...]
    feature_distance: tuple[float, ...]
    identity_cosine: tuple[float, ...]
    sharpness_ratio: tuple[float, ...]
    landmarks: LandmarkErrors
    chroma: ChromaErrors


@dataclass(frozen=True, slots=True)
class MetricModels:
    """The networks, each in float32 on `device`; `load_judges` returns the usual ones."""

    describe: Describe
    embed: Embed
    detect: Detect
    device: torch.device

    def know(self, truth_BCHW: Tensor, tabled: Sequence[Float32 | None]) -> Truth:
        """Analyse the truth once, before its restorations are measured.

        Args:
            truth_BCHW: uint8 [B, 3, S, S] RGB.
            tabled: landmarks of the B faces, float32 [5, 2], for those in which the detector finds none: a detector's
                error is the same in both pictures, so that its own landmarks are the better comparison.
        """
        found = find_landmarks(self.detect, pictures(truth_BCHW))
        known = (mine if mine is not None else other for mine, other in zip(found, tabled, strict=True))
        images = truth_BCHW.to(self.device)
        return Truth(images, tuple(known), features_of(self.describe, images), embeddings_of(self.embed, images))

    def measure(self, restored_BCHW: Tensor, truth: Truth) -> Measured:
        """Compare a batch, uint8 [B, 3, S, S] RGB, with its truth.

        Raises:
            RestorationError: the restored faces are not of the truth's kind.
        """
        if restored_BCHW.shape != truth.images.shape or restored_BCHW.dtype != torch.uint8:
            raise RestorationError(
                f"a candidate gave {restored_BCHW.dtype} {list(restored_BCHW.shape)}; it should give uint8 "
                f"{list(truth.images.shape)}"
            )
        restored = restored_BCHW.to(self.device)
        found = find_landmarks(self.detect, pictures(restored_BCHW))
        return Measured(
            psnr=_numbers(psnr(restored, truth.images)),
            ssim=_numbers(ssim(restored, truth.images)),
            feature_distance=_numbers(feature_distances(features_of(self.describe, restored), truth.features)),
            identity_cosine=_numbers(cosines(embeddings_of(self.embed, restored), truth.embeddings)),
            sharpness_ratio=_numbers(sharpness_ratio(restored, truth.images)),
            landmarks=landmark_errors(found, truth.landmarks),
            chroma=chroma_errors(restored, truth.images, truth.landmarks),
        )


def load_judges(device: torch.device) -> MetricModels:
    """Load this project's metric models: MobileNetV2, the embedded identity network and the embedded detector.

    Raises:
        ModelError: weights cannot be had or do not fit.
    """
    return MetricModels(
        describe=MobileNetV2Features().to(device).eval(),
        embed=load_identity().to(device).eval(),
        detect=FaceDetector(DetectorConfig(device=str(device))),
        device=device,
    )


def summarise(candidate: str, batches: Sequence[Measured]) -> Score:
    """Compute the score of one candidate from all its batches, one face or more."""
    decibels = _joined([one.psnr for one in batches])
    ratios = _joined([one.sharpness_ratio for one in batches])
    landmarks = sum((one.landmarks for one in batches), start=LandmarkErrors(()))
    chroma = sum((one.chroma for one in batches), start=ChromaErrors())
    return Score(
        candidate=candidate,
        faces=len(decibels),
        psnr_decibels=mean_psnr(decibels),
        ssim=_mean([one.ssim for one in batches]),
        feature_distance=_mean([one.feature_distance for one in batches]),
        identity_cosine=_mean([one.identity_cosine for one in batches]),
        sharpness_ratio=float(ratios.mean()),
        sharpness_ratio_median=float(ratios.quantile(0.5)),
        landmark_percent=landmarks.mean_percent if landmarks.percents else None,
        landmark_missed=landmarks.missed,
        landmark_unknown=landmarks.unknown,
        iris_chroma=_mean_or_none(chroma.irises),
        mouth_chroma=_mean_or_none(chroma.mouths),
        cheek_chroma=_mean_or_none(chroma.cheeks),
    )


def pictures(images_BCHW: Tensor) -> list[UInt8]:
    """Convert uint8 [B, 3, S, S] to images uint8 [S, S, 3] on the CPU."""
    return [image.permute(1, 2, 0).contiguous().cpu().numpy() for image in images_BCHW]


def _numbers(values_B: Tensor) -> tuple[float, ...]:
    return tuple(values_B.double().tolist())


def _joined(batches: Sequence[tuple[float, ...]]) -> Tensor:
    """Concatenate to float64 [n]."""
    return torch.tensor([value for batch in batches for value in batch], dtype=torch.float64)


def _mean_or_none(values: tuple[float, ...]) -> float | None:
    return statistics.fmean(values) if values else None


def _mean(batches: Sequence[tuple[float, ...]]) -> float:
    return float(_joined(batches).mean())
