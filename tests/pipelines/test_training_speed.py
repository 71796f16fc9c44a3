"""The training's benchmark times every way on the same faces, and writes down on what."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import training_speed
from vidrestore.models.gfpgan import GFPGANConfig

pytestmark = pytest.mark.integration


def test_the_ways_differ_in_what_their_names_say() -> None:
    ways = training_speed.WAYS
    compiled, eager = ways["embedded, bf16, compiled"], ways["embedded, bf16, eager"]
    assert compiled.compile
    assert eager == replace(compiled, compile=False)
    assert ways["embedded, fp32, eager"] == replace(eager, precision="fp32")
    assert ways["official 512 px, bf16, eager"].network == GFPGANConfig()


@pytest.mark.nightly
def test_chosen_ways_are_timed_and_written_down(
    faces: Path,
    tiny: GFPGANConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, config in training_speed.WAYS.items():
        restorer = replace(config.restorer, r1_every_steps=2)
        way = replace(config, network=tiny, batch=2, compile=False, cache="memory", restorer=restorer)
        monkeypatch.setitem(training_speed.WAYS, name, way)
    figures = tmp_path / "speed.json"
    training_speed.main(faces, way=["eager"], rounds=2, device="cpu", json=figures)
    found = json.loads(figures.read_text())
    assert [speed["name"] for speed in found["speeds"]] == [name for name in training_speed.WAYS if "eager" in name]
    for speed in found["speeds"]:
        low, high = speed["quartiles"]
        assert 0 < low <= speed["images_per_second"] <= high
        assert speed["start_seconds"] > 0
        assert (speed["batch"], speed["rounds"], speed["steps_a_round"]) == (2, 2, 2)
    assert found["machine"]["cores"] >= 1
    assert "images/s" in capsys.readouterr().out
