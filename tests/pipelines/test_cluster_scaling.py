"""The measures of batches measure what they say, in small."""

import json
from pathlib import Path

import pytest

from benchmarks.batch_overhead import measure_overhead
from benchmarks.scaling import ScalingConfig, measure_scaling, scaling_table

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.nightly]


def test_two_workers_are_compared_with_one(tmp_path: Path) -> None:
    config = ScalingConfig(counts=(1, 2), seconds_per_face=0.02, segments=4)
    result = measure_scaling(config, tmp_path)
    assert [row.count for row in result.rows] == [1, 2]
    assert all(row.frames == 80 for row in result.rows)
    assert 0.2 < result.rows[1].efficiency < 1.5
    assert json.loads((tmp_path / "scaling.json").read_text())["rows"][1]["count"] == 2
    assert scaling_table(result).count("\n") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.json"]


def test_small_videos_and_a_long_one_are_measured(tmp_path: Path) -> None:
    found = measure_overhead(tmp_path, videos=3, hours=0.02)
    assert 0 < found.work_seconds < found.seconds
    assert found.hours == pytest.approx(0.02, rel=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overhead.json"]
