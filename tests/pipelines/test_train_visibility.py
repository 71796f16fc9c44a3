"""The recipe of the visibility network, whole, on a few small pictures."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines import train_visibility
from vidrestore.models.visibility import FaceVisibility, VisibilityNetwork
from vidrestore.training.visibility.samples import VisibilityConfig
from vidrestore.training.visibility.train import folded, visibility_loss

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(train_visibility.RECIPE, sprites=24, accessories=4, held_out_share=0.3)
    monkeypatch.setattr(train_visibility, "RECIPE", recipe)


def train(faces: Path, out: Path) -> dict[str, torch.Tensor]:
    train_visibility.main(faces, out, steps=3, batch=2, seed=1, seconds=float("inf"), device="cpu", processes=0)
    return load_file(out / "visibility.safetensors")


def test_a_training_leaves_weights_figures_and_a_picture(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(faces, tmp_path / "one")
    assert "visibility.safetensors" in capsys.readouterr().out
    report = json.loads((tmp_path / "one" / "visibility.json").read_text())
    assert report["steps"] == 3
    assert report["training_faces"] + report["held_out_faces"] == 10
    assert 0 <= report["overlap"] <= 1
    assert set(report["overlap_by_paint"]) == {"own", "skin", "cloth"}
    assert 0 <= report["untouched"]["hidden_share"] <= 1
    picture = cv2.imread(str(tmp_path / "one" / "visibility.png"))
    assert picture.shape[1] == 12 * 128
    seen = FaceVisibility("cpu", weights=tmp_path / "one" / "visibility.safetensors")([np.zeros((64, 64, 3), np.uint8)])
    assert seen[0].shape == (64, 64)


@pytest.mark.nightly
def test_a_training_repeats_itself(faces: Path, tmp_path: Path) -> None:
    first, again = (train(faces, tmp_path / name) for name in ("one", "two"))
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = VisibilityNetwork(trained=True)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    faces = torch.rand(2, 3, 128, 128) * 2 - 1
    plain = folded(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules())
    with torch.no_grad():
        assert torch.allclose(plain(faces), network.eval()(faces), rtol=1e-3, atol=1e-3)


def test_the_loss_weighs_the_face_more_than_its_surroundings() -> None:
    config = VisibilityConfig()
    visible = torch.ones(2, 1, 64, 64)
    visible[:, :, 30:40] = 0
    sure = 8 * (2 * visible - 1)
    right = visibility_loss(sure, visible, config)
    corner, middle = sure.clone(), sure.clone()
    corner[:, :, :8, :8] *= -1
    middle[:, :, 20:28, 28:36] *= -1
    assert right < 0.01
    assert right < visibility_loss(corner, visible, config) < visibility_loss(middle, visible, config)
