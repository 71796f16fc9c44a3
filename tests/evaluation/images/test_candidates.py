"""Contenders: models as users run them, and sizes that differ."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vidrestore.errors import ConfigError, ModelError
from vidrestore.evaluation.images.candidates import Candidate, baselines, load_models
from vidrestore.models.checkpoint import load_gfpgan
from vidrestore.restoration.config import RestorerConfig

EXACT = RestorerConfig(device="cpu", precision="fp32")


def images(side: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    coarse = torch.randint(0, 256, (count, 3, side // 16, side // 16), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)


def test_a_model_by_path_is_the_network_in_its_file(tiny_model: Path) -> None:
    (model,) = load_models([str(tiny_model)], EXACT)
    assert (model.name, model.crop_size) == ("tiny", 256)
    assert model.sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    with torch.inference_mode():
        bare = load_gfpgan(tiny_model)(images(256) / 127.5 - 1)
    ours, theirs = model(images(256)), ((bare.clamp(-1, 1) + 1) * 127.5).round()
    assert ours.dtype == torch.uint8
    assert ours.shape == (2, 3, 256, 256)
    assert (ours.int() - theirs.int()).abs().max() <= 1


def test_models_whose_files_are_called_alike_go_by_their_paths(tiny_model: Path, tmp_path: Path) -> None:
    twin = tmp_path / tiny_model.name
    twin.write_bytes(tiny_model.read_bytes())
    names = [model.name for model in load_models([str(tiny_model), str(twin)], EXACT)]
    assert names == [str(tiny_model), str(twin)]


def test_a_model_called_like_a_baseline_goes_by_its_path(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "input.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    assert load_models([str(path)], EXACT)[0].name == str(path)


def test_a_model_given_twice_or_unknown_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="given twice"):
        load_models([str(tiny_model), str(tiny_model)], EXACT)
    with pytest.raises(ModelError, match="gfpgan-v9"):
        load_models(["gfpgan-v9"], EXACT)


def test_a_larger_contender_gets_enlarged_faces_and_its_own_are_reduced(candidate: Callable[..., Candidate]) -> None:
    sides = []

    def restore(images: torch.Tensor) -> torch.Tensor:
        sides.append(images.shape[-1])
        return images

    shown = images(64)
    restored = candidate("large", restore, crop_size=128)(shown)
    assert sides == [128]
    assert restored.shape == shown.shape
    assert (restored.float() - shown.float()).abs().mean() < 4


def test_baselines_keep_plain_pictures_and_bicubic_smooths_noise() -> None:
    asis, bicubic = baselines()
    plain = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(asis(plain), plain)
    assert torch.equal(bicubic(plain), plain)
    noise = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert torch.equal(asis(noise), noise)
    assert bicubic(noise).float().std() < 0.8 * noise.float().std()
