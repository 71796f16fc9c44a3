from pathlib import Path

import pytest

from benchmarks.reference_networks import write_random_weights
from benchmarks.results import Benchmark
from benchmarks.table import START, STOP, markdown
from pipelines.benchmark import NONE, main
from vidrestore.models.gfpgan import GFPGANConfig

pytestmark = pytest.mark.integration


@pytest.mark.nightly
def test_two_systems_are_raced_written_down_and_put_into_the_page(tmp_path: Path, tiny: GFPGANConfig) -> None:
    figures, page, weights = tmp_path / "benchmark.json", tmp_path / "speed.md", tmp_path / "tiny.safetensors"
    page.write_text(f"# Speed\n{START}\n{STOP}\n", encoding="utf-8")
    write_random_weights(weights, tiny)
    wanted = ["640x360-1:medium", "640x360-1:reference"]
    main(rows=wanted, runs=1, frames=25, reference_frames=3, model=str(weights), json=figures)
    found = Benchmark.read(figures)
    assert [row.system for row in found.rows] == ["vidrestore, medium", "lightest reference"]
    assert [row.runs[0].frames for row in found.rows] == [25, 3]
    main(rows=[NONE], json=figures, page=page, plot=tmp_path / "speed.svg")
    assert Benchmark.read(figures) == found
    assert markdown(found) in page.read_text(encoding="utf-8")
    assert (tmp_path / "speed.svg").exists()


def test_files_of_several_hosts_are_put_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    Benchmark().write(other)
    main(rows=[NONE], json=one, add=[other])
    assert Benchmark.read(one) == Benchmark()
