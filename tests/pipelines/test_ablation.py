"""The ablation trains each variant without its part, and tells all of them in one table."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import ablation
from vidrestore.models.checkpoint import load_gfpgan, save_safetensors
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.training.job import RESTORER_FILE

pytestmark = pytest.mark.integration


def test_each_variant_lacks_exactly_its_part() -> None:
    full = ablation.VARIANTS["full"]
    weights = full.restorer.weights
    assert all((weights.pyramid, weights.identity, weights.component_adversarial, weights.component_style))
    assert ablation.VARIANTS["no prior"] == full
    assert ablation.VARIANTS["no pyramid loss"].restorer.weights == replace(weights, pyramid=0)
    assert ablation.VARIANTS["no identity loss"].restorer.weights == replace(weights, identity=0)
    bare = replace(weights, component_adversarial=0, component_style=0)
    assert ablation.VARIANTS["no component loss"].restorer.weights == bare
    assert ablation.VARIANTS["no channel split"] == replace(full, network=replace(full.network, sft_half=False))


@pytest.mark.nightly
def test_variants_are_trained_and_told_in_one_table(
    faces: Path,
    tiny: GFPGANConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, config in ablation.VARIANTS.items():
        network = replace(tiny, sft_half=config.network.sft_half)
        small = replace(config, network=network, batch=2, held_out_share=0.3, compile=False)
        monkeypatch.setitem(ablation.VARIANTS, name, small)
    prior = tmp_path / "prior.safetensors"
    save_safetensors(GFPGAN(tiny).stylegan_decoder.state_dict(), prior, {})
    out = tmp_path / "out"
    for name in ("full", "no prior", "no channel split"):
        ablation.main(faces, out, prior, steps=2, variant=[name], device="cpu")
    table = (out / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    head, _, *rows = table.splitlines()
    assert "protocol/psnr" in head
    assert [row.split("|")[1].strip() for row in rows] == ["full", "no prior", "no channel split"]
    assert all(len(row.split("|")) == len(head.split("|")) for row in rows)
    assert rows[0].split("|")[2:] != rows[1].split("|")[2:], "the prior makes a difference"
    assert load_gfpgan(out / "no-channel-split" / RESTORER_FILE).config.sft_half is False
