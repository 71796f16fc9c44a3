"""The demonstration: films, picture and reports from nothing."""

import importlib.util
import json
from pathlib import Path

import cv2
import pytest

from vidrestore import demo
from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.jobs.config import JobConfig

JOB = update(JobConfig(), {"runtime": "local"})


@pytest.mark.slow
def test_it_leaves_films_a_picture_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FRAMES", 25)
    monkeypatch.setattr(demo, "_SHOWN", (4, 16))
    made = demo.run_demo(tmp_path / "demo", update(JOB, {"restore": {"selection": {"max_faces": 1}}}))
    assert made.archival.report.faces_restored >= 24
    assert made.carphone.report.faces_restored == 120
    assert json.loads(made.archival.report_path.read_text())["complete"] is True
    picture = cv2.imread(str(made.picture))
    assert picture is not None
    assert picture.shape == (640, 960, 3)
    before, after = made.likeness_before, made.likeness_after
    assert before.psnr > 20
    assert after.psnr > before.psnr - 1, "restored is not further from the truth"
    assert after.feature_distance < 0.95 * before.feature_distance


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="install it with"):
        demo.run_demo(tmp_path, JOB)
