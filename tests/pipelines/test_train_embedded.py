"""The embedded model's recipe, whole, on faces and networks small enough for a test."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines import train_embedded
from vidrestore.models.checkpoint import load_gfpgan, save_safetensors
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.job import CRITICS_FILE, PRIOR_FILE, RESTORER_FILE

pytestmark = pytest.mark.integration


@pytest.fixture
def tiny_stages(tiny: GFPGANConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, config in train_embedded.STAGES.items():
        restorer = replace(config.restorer, adversarial_from_step=1)
        prior = replace(config.prior, samples_for_distance=4)
        medium_mix = config.medium_mix and MediumMixConfig(share=0.5, preset="film16", frames=2, workers=1)
        stage = replace(config, network=tiny, batch=2, held_out_share=0.3, compile=False, medium_mix=medium_mix)
        stage = replace(stage, restorer=restorer, prior=prior)
        monkeypatch.setitem(train_embedded.STAGES, name, stage)


@pytest.mark.nightly
@pytest.mark.usefixtures("tiny_stages")
def test_the_stages_hand_their_weights_on(
    faces: Path, tiny: GFPGANConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    train_embedded.main(faces, out, steps=2, device="cpu")
    assert (out / "prior" / PRIOR_FILE).is_file()
    assert (out / "restorer" / CRITICS_FILE).is_file()
    network = load_gfpgan(out / "fine-tune" / RESTORER_FILE)
    assert network.config == tiny
    with torch.no_grad():
        assert torch.isfinite(network(torch.zeros(1, 3, 64, 64))).all()
    assert capsys.readouterr().out.splitlines()[-1] == f"fine-tune: {out / 'fine-tune' / RESTORER_FILE}"


@pytest.mark.nightly
@pytest.mark.usefixtures("tiny_stages")
def test_a_stage_goes_on_from_the_weights_alone(faces: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    train_embedded.main(faces, here, stage=["prior", "restorer"], steps=1, device="cpu")
    for weights in here.glob("*/*.safetensors"):
        target = there / weights.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        weights.rename(target)
    train_embedded.main(faces, there, stage=["fine-tune"], steps=1, device="cpu")
    assert (there / "fine-tune" / RESTORER_FILE).is_file()


@pytest.mark.nightly
@pytest.mark.usefixtures("tiny_stages")
def test_the_second_edition_goes_on_from_weights_that_are_given(
    faces: Path, tiny: GFPGANConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "first.safetensors"
    torch.manual_seed(1)
    save_safetensors(GFPGAN(tiny).state_dict(), weights, {})
    out = tmp_path / "out"
    train_embedded.main(faces, out, edition="second", start=weights, steps=2, device="cpu")
    assert load_gfpgan(out / "refine" / RESTORER_FILE).config == tiny
    assert capsys.readouterr().out.splitlines()[-1] == f"refine: {out / 'refine' / RESTORER_FILE}"


def test_the_recipe_makes_what_the_package_can_carry() -> None:
    network = train_embedded.COMMON.network
    embedded = load_gfpgan(Path(train_embedded.__file__).parents[1] / "vidrestore/models/weights/gfpgan256.safetensors")
    assert network == embedded.config
