from pathlib import Path

import pytest

from benchmarks.results import Benchmark
from benchmarks.table import START, STOP, markdown
from pipelines.benchmark import main

pytestmark = pytest.mark.integration


@pytest.mark.nightly
def test_six_frames_are_raced_written_down_and_put_into_the_page(tmp_path: Path) -> None:
    figures, page = tmp_path / "benchmark.json", tmp_path / "speed.md"
    page.write_text(f"# Speed\n{START}\n{STOP}\n", encoding="utf-8")
    main(runs=1, frames=6, as_shipped_runs=0, runtime=["local"], json=figures, page=page)
    found = Benchmark.read(figures)
    assert [row.name for row in found.rows] == ["vidrestore, local", "lightest reference"]
    assert [row.runs[0].frames for row in found.rows] == [6, 6]
    assert (found.clip.width, found.clip.height, found.clip.frames) == (640, 360, 6)
    assert found.versions["python"]
    assert markdown(found) in page.read_text(encoding="utf-8")
