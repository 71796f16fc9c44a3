"""Clips restored in one go, beside the stages that see one frame at a time."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from support.networks import Contrast
from vidrestore.config import update
from vidrestore.errors import RestorationError
from vidrestore.models.visibility import FaceVisibility
from vidrestore.restoration.clips import restorer as clip_restorer
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.restoration.clips.restorer import ClipRestorer, works_in_clips
from vidrestore.restoration.config import RestoreConfig, StabilizerConfig
from vidrestore.restoration.face.cropper import working_side
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.restoration.face.selection import with_blend_weight
from vidrestore.restoration.face.visibility_alpha import visibility_to_alpha
from vidrestore.restoration.temporal.denoiser import Denoiser
from vidrestore.restoration.temporal.flow import link
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.stages import run
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces, Restoration

SIDE = 128


@pytest.fixture(scope="module")
def visibility() -> FaceVisibility:
    return FaceVisibility("cpu")


def video(frames: int, *, seed: int = 0, noise: float = 6) -> list[np.ndarray]:
    """A textured picture that moves a little, under noise."""
    random = np.random.default_rng(seed)
    rough = random.normal(0, 1, (2 * SIDE, 2 * SIDE, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(rough, (0, 0), 2) * 90 + cv2.GaussianBlur(rough, (0, 0), 8) * 250 + 128
    crops = []
    for index in range(frames):
        shift = np.array([[1, 0, 1.5 * np.sin(index / 3) - SIDE / 2], [0, 1, np.cos(index / 4) - SIDE / 2]])
        view = cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
        crops.append((view + random.normal(0, noise, view.shape)).clip(0, 255).astype(np.uint8))
    return crops


def clip_of(crops: Sequence[np.ndarray], start: int, stop: int, *, sides: Sequence[int] | None = None) -> FaceClip:
    return FaceClip(tuple(crops), tuple(sides or [SIDE] * len(crops)), start, stop)


def restorer(visibility: FaceVisibility, config: RestoreConfig | None = None, network: Any = None) -> ClipRestorer:
    return ClipRestorer(network or Contrast(), visibility, config or RestoreConfig())


def frame_by_frame(
    crops: Sequence[np.ndarray], visibility: FaceVisibility, config: RestoreConfig, *, finer: float = 1.0
) -> list[Restoration]:
    """What the stages of the CPU make of the same crops, `finer` times as fine as their frame."""
    to_crop, network = np.diag([finer, finer, 1.0])[:2], Contrast()
    track = FaceTrack(0, np.eye(3)[:2], float(SIDE), 0.9, np.eye(4))
    items = [
        FrameFaces(Frame(index, index, Fraction(1, 25), 1, 2, 2, "gray", ()), (AlignedFace(track, crop, to_crop),))
        for index, crop in enumerate(crops)
    ]
    restored = []
    for item in run(Denoiser(config.denoiser), items):
        (face,) = item.faces
        if config.occlusion.enabled:
            face = replace(face, visibility=visibility_to_alpha(visibility([face.crop])[0], config.occlusion))
        shown = with_blend_weight(face, network([face.crop])[0], config.selection)
        restored.append(FrameFaces(item.frame, (shown,)))
    return [item.faces[0] for item in run(Stabilizer(config.stabilizer), restored)]


def dense_inverse_search(here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The flow of the CPU, so that nothing but the arithmetic after it is compared."""
    pairs = zip(here[:, 0].numpy(), there[:, 0].numpy(), strict=True)
    flows = [link(other.round().astype(np.uint8), one.round().astype(np.uint8)).backward.shift for one, other in pairs]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous()


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return cv2.PSNR(np.ascontiguousarray(one), np.ascontiguousarray(other))


@pytest.mark.parametrize(
    "config",
    [
        RestoreConfig(),
        RestoreConfig(stabilizer=StabilizerConfig(frames=1, colour_lock=0.5, max_detail_gain=0)),
        RestoreConfig(stabilizer=StabilizerConfig(frames=0)),
        RestoreConfig(stabilizer=StabilizerConfig(blend=False)),
        RestoreConfig(stabilizer=StabilizerConfig(blend=False, colour_lock=0)),
        replace(RestoreConfig(), denoiser=replace(RestoreConfig().denoiser, frames=0)),
        replace(RestoreConfig(), occlusion=replace(RestoreConfig().occlusion, enabled=False)),
    ],
    ids=["all", "one neighbour", "no neighbours", "colour only", "not stabilised", "not denoised", "no masks"],
)
@pytest.mark.parametrize("finer", [1.0, 5.0])
def test_pictures_are_those_of_the_stages(
    visibility: FaceVisibility, config: RestoreConfig, finer: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_restorer, "optical_flow", dense_inverse_search)
    crops = video(9)
    side = working_side(SIDE, np.diag([finer, finer, 1.0])[:2], least=128)
    (found,) = restorer(visibility, config)([clip_of(crops, 0, 9, sides=[side] * 9)])
    wanted = frame_by_frame(crops, visibility, config, finer=finer)
    for index, face in enumerate(wanted):
        assert psnr(found.crops[index], face.crop) > 44
        if face.face.visibility is None:
            assert found.visibility is None
        else:
            assert found.visibility is not None
            assert np.abs(found.visibility[index] - face.face.visibility).mean() < 0.02


@pytest.mark.parametrize("length", [1, 4, 7])
def test_a_clip_cut_anywhere_gives_the_same_pictures(visibility: FaceVisibility, length: int) -> None:
    crops, stage = video(16), restorer(visibility)
    sides = [128] * 16
    (whole,) = stage([clip_of(crops, 4, 12, sides=sides)])
    for first in range(4, 12, length):
        stop = min(12, first + length)
        low, high = first - 4, stop + 4
        piece = clip_of(crops[low:high], 4, stop - low)
        other = clip_of(video(6, seed=3), 2, 5)
        *_, part = stage([other, piece])
        assert np.array_equal(part.crops, whole.crops[first - 4 : stop - 4])
        assert part.visibility is not None
        assert whole.visibility is not None
        assert np.array_equal(part.visibility, whole.visibility[first - 4 : stop - 4])


def test_a_frozen_video_stays_frozen(visibility: FaceVisibility) -> None:
    (found,) = restorer(visibility)([clip_of([video(1)[0]] * 8, 0, 8)])
    assert all(np.array_equal(crop, found.crops[0]) for crop in found.crops)


def test_noise_that_the_video_does_not_have_is_averaged(visibility: FaceVisibility) -> None:
    truth, noisy = video(9, noise=0), video(9, noise=10)
    config = RestoreConfig()
    (steady,) = restorer(visibility, config)([clip_of(noisy, 0, 9)])
    clean, raw = Contrast()(truth), Contrast()(noisy)
    before = [np.abs(one.astype(float) - other).mean() for one, other in zip(raw, clean, strict=True)]
    after = [np.abs(one.astype(float) - other).mean() for one, other in zip(steady.crops, clean, strict=True)]
    assert np.mean(after) < 0.75 * np.mean(before)


def test_clips_may_have_frames_of_several_working_sizes(visibility: FaceVisibility) -> None:
    crops = video(8)
    (found,) = restorer(visibility)([clip_of(crops, 0, 8, sides=[128, 128, 128, 64, 64, 64, 64, 64])])
    (fine,) = restorer(visibility)([clip_of(crops, 0, 8)])
    assert np.array_equal(found.crops[0], fine.crops[0])
    assert all(psnr(one, other) > 30 for one, other in zip(found.crops, fine.crops, strict=True))


def test_no_clips_give_no_results(visibility: FaceVisibility) -> None:
    assert restorer(visibility)([]) == []


def test_a_wrong_crop_is_refused(visibility: FaceVisibility) -> None:
    with pytest.raises(RestorationError, match="wrong size"):
        restorer(visibility)([FaceClip((np.zeros((8, 8, 3), np.uint8),), (8,), 0, 1)])


class Scarce(Contrast):
    """A device with room for so many crops."""

    def __init__(self, room: int) -> None:
        self.room = room

    def restore_images(self, crops: torch.Tensor) -> torch.Tensor:
        if len(crops) > self.room:
            raise torch.cuda.OutOfMemoryError("pretended")
        return super().restore_images(crops)


def test_memory_that_does_not_suffice_for_all_clips_suffices_for_some(visibility: FaceVisibility) -> None:
    clips = [clip_of(video(6, seed=seed), 1, 5) for seed in range(3)]

    def pictures(results: list[RestoredClip]) -> list[np.ndarray]:
        return [result.crops for result in results]

    wanted = pictures(restorer(visibility)(clips))
    found = pictures(restorer(visibility, network=Scarce(6))(clips))
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    with pytest.raises(RestorationError, match="no memory left"):
        restorer(visibility, network=Scarce(2))(clips)


@pytest.mark.gpu
def test_a_gpu_cuts_anywhere_and_agrees_with_the_cpu(cuda: torch.device) -> None:
    config = update(RestoreConfig(), {"restorer": {"device": str(cuda)}})
    network = FaceRestorer(config.restorer)
    assert works_in_clips(network)
    stage = ClipRestorer(network, FaceVisibility(str(cuda)), config)
    crops = [cv2.resize(crop, (network.crop_size, network.crop_size)) for crop in video(20)]
    sides = [network.crop_size] * 20
    (whole,) = stage([clip_of(crops, 4, 16, sides=sides)])
    for first, stop in ((4, 9), (9, 16)):
        low, high = first - 4, stop + 4
        *_, part = stage(
            [clip_of(crops[:6], 2, 4, sides=sides[:6]), clip_of(crops[low:high], 4, stop - low, sides=sides[low:high])]
        )
        assert np.array_equal(part.crops, whole.crops[first - 4 : stop - 4])
    on_cpu = update(config, {"restorer": {"device": "cpu", "precision": "fp32", "backend": "torch"}})
    (other,) = ClipRestorer(FaceRestorer(on_cpu.restorer), FaceVisibility("cpu"), on_cpu)(
        [clip_of(crops[:8], 0, 2, sides=sides[:8])]
    )
    (same,) = stage([clip_of(crops[:8], 0, 2, sides=sides[:8])])
    assert all(psnr(one, another) > 36 for one, another in zip(other.crops, same.crops, strict=True))
