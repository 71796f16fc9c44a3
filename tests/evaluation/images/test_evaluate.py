"""The evaluation: the same pictures for all, the same table every time, and everything counted."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.errors import ConfigError, InputError, RestorationError
from vidrestore.evaluation.images.candidates import BICUBIC, INPUT, Candidate, baselines
from vidrestore.evaluation.images.evaluate import EvaluationConfig, evaluate
from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.images.results import EvaluationReport
from vidrestore.evaluation.metrics.fidelity import PSNR_CEILING_DECIBELS
from vidrestore.faces.landmark_table import FaceLandmarks, write_landmarks

MakeFaces = Callable[..., Path]
MakeContender = Callable[..., Candidate]
SMALL = EvaluationConfig(strengths=("clean", "medium"), part="all", size=32, batch_size=2, grid_faces=0)


def with_options(**options: object) -> EvaluationConfig:
    return EvaluationConfig(**{name: getattr(SMALL, name) for name in SMALL.__slots__} | options)


class Recording:
    """Remembers what it was shown, and spoils it."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return images.zero_().add_(9)


def test_all_contenders_see_identical_uint8_pictures_whatever_others_do_to_them(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    first, second = Recording(), Recording()
    evaluate(make_faces(5), [candidate("one", first), candidate("two", second)], judges, SMALL)
    assert [images.shape for images in first.seen] == [(2, 3, 32, 32), (2, 3, 32, 32), (1, 3, 32, 32)] * 2
    for ours, theirs in zip(first.seen, second.seen, strict=True):
        assert ours.dtype == torch.uint8
        assert torch.equal(ours, theirs)


def test_the_same_seed_gives_the_same_report_and_another_seed_other_damage(
    make_faces: MakeFaces, judges: MetricModels
) -> None:
    folder = make_faces(4)
    first, again = (evaluate(folder, baselines(), judges, SMALL).report for _ in range(2))
    assert first == again
    other = evaluate(folder, baselines(), judges, with_options(seed=1)).report
    assert other.results[0] == first.results[0], "clean faces have nothing to draw"
    assert other.results[1].inputs_sha256 != first.results[1].inputs_sha256


def test_each_face_is_damaged_independently_of_its_batch(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    folder = make_faces(5)
    shown = []
    for config in (SMALL, with_options(batch_size=5), with_options(count=3)):
        recording = Recording()
        evaluate(folder, [candidate("one", recording)], judges, config)
        shown.append(torch.cat(recording.seen[len(recording.seen) // 2 :]))
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0][:3], shown[2])


def test_clean_faces_as_they_are_are_perfect_and_bicubic_is_softer(make_faces: MakeFaces, judges: MetricModels) -> None:
    report = evaluate(make_faces(4), baselines(), judges, SMALL).report
    asis, bicubic = report.results[0].scores
    assert (asis.candidate, bicubic.candidate) == (INPUT, BICUBIC)
    assert asis.psnr_decibels == PSNR_CEILING_DECIBELS
    assert (asis.ssim, asis.sharpness_ratio, asis.identity_cosine) == pytest.approx((1, 1, 1))
    assert (asis.feature_distance, asis.landmark_percent, asis.landmark_missed, asis.faces) == (0, 0, 0, 4)
    assert bicubic.sharpness_ratio < 0.7
    assert bicubic.psnr_decibels < 50
    damaged = report.results[1].scores[0]
    assert damaged.psnr_decibels < 40
    assert damaged.ssim < 0.95


def test_a_restoration_without_a_face_is_counted(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    blank = candidate("blank", torch.zeros_like)
    score = evaluate(make_faces(3), [blank], judges, SMALL).report.results[0].scores[0]
    assert (score.landmark_missed, score.landmark_unknown, score.landmark_percent) == (3, 0, None)


def test_a_table_of_landmarks_stands_in_where_the_detector_is_blind(
    make_faces: MakeFaces, judges: MetricModels
) -> None:
    folder = make_faces(3)
    blind = MetricModels(judges.describe, judges.embed, lambda images: [()] * len(images), judges.device)
    table = {"face-001.png": FaceLandmarks(np.arange(10, dtype=np.float32).reshape(5, 2), 0.9)}
    write_landmarks(folder / "landmarks.csv", table)
    score = evaluate(folder, baselines(), blind, SMALL).report.results[0].scores[0]
    assert (score.landmark_missed, score.landmark_unknown) == (1, 2)


def test_faces_of_any_size_are_shown_at_the_size_asked_for(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    folder = make_faces(2, side=48)
    small = np.full((24, 24, 3), 99, np.uint8)
    assert cv2.imwrite(str(folder / "small.png"), small)
    recording = Recording()
    report = evaluate(folder, [candidate("one", recording)], judges, SMALL).report
    assert {images.shape[-1] for images in recording.seen} == {32}
    assert (report.faces, report.faces_available, report.faces_enlarged) == (3, 3, 1)


def test_held_out_faces_are_a_part_of_all(make_faces: MakeFaces, judges: MetricModels) -> None:
    folder = make_faces(60)
    config = with_options(part="held-out", strengths=("clean",))
    report = evaluate(folder, baselines(), judges, config).report
    assert 0 < report.faces == report.faces_available < 60
    assert report.part == "held-out"


def test_a_folder_too_small_to_hold_faces_out_says_what_to_do(make_faces: MakeFaces, judges: MetricModels) -> None:
    with pytest.raises(InputError, match=r"none of the 1 faces .* --all"):
        evaluate(make_faces(1), baselines(), judges, with_options(part="held-out"))


def test_grids_have_a_row_per_face_and_a_column_per_contender(make_faces: MakeFaces, judges: MetricModels) -> None:
    config = with_options(grid_faces=3, grid_strengths=("medium", "protocol"))
    (grid,) = evaluate(make_faces(4), baselines(), judges, config).grids
    assert grid.title == "medium"
    assert grid.labels == (INPUT, BICUBIC, "truth")
    assert len(grid.rows) == 3
    assert {(len(row), row[0].shape) for row in grid.rows} == {(3, (32, 32, 3))}


def test_progress_counts_every_restoration(make_faces: MakeFaces, judges: MetricModels) -> None:
    told: list[tuple[int, int, str]] = []
    evaluate(make_faces(3), baselines(), judges, SMALL, on_progress=lambda *step: told.append(step))
    assert told[0] == (2, 12, "clean")
    assert told[-1] == (12, 12, "medium")
    assert len(told) == 8


def test_the_report_comes_back_from_json_the_same(make_faces: MakeFaces, judges: MetricModels) -> None:
    report = evaluate(make_faces(2), baselines(), judges, SMALL).report
    assert EvaluationReport.from_json(report.to_json()) == report
    with pytest.raises(InputError, match="not the JSON of an evaluation: folder"):
        EvaluationReport.from_json("{}")


def test_contenders_of_one_name_and_wrong_pictures_are_refused(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    folder = make_faces(2)
    with pytest.raises(ConfigError, match="its own name"):
        evaluate(folder, [candidate("a"), candidate("a")], judges, SMALL)
    with pytest.raises(RestorationError, match=r"gave torch.float32 .* uint8"):
        evaluate(folder, [candidate("a", lambda images: images.float())], judges, SMALL)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"count": 0}, "count is 0"),
        ({"size": 250}, "multiple of 16"),
        ({"seed": -1}, "seed is -1"),
        ({"strengths": ()}, "one or more"),
        ({"strengths": ("clean", "clean")}, "each once"),
        ({"part": "some"}, "held-out or all"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        with_options(**options)


def test_a_video_is_a_strength_with_damage_of_its_own_for_each_face_and_seed(
    make_faces: MakeFaces, judges: MetricModels, candidate: MakeContender
) -> None:
    folder = make_faces(3)
    seen: list[list[Tensor]] = []
    for seed in (0, 0, 1):
        recording, config = Recording(), with_options(strengths=("clean", "vhs"), seed=seed)
        evaluate(folder, [candidate("one", recording)], judges, config)
        seen.append(recording.seen)
    clean, video = seen[0][:2], seen[0][2:]
    for truth, damaged, again, other in zip(clean, video, seen[1][2:], seen[2][2:], strict=True):
        assert damaged.shape == truth.shape
        difference = (damaged.float() - truth.float()).abs().mean(dim=(1, 2, 3))
        assert ((difference > 2) & (difference < 60)).all()
        assert torch.equal(damaged, again)
        assert not torch.equal(damaged, other)


def test_an_unknown_strength_is_refused_before_any_face_is_read(tmp_path: Path, judges: MetricModels) -> None:
    with pytest.raises(ConfigError, match=r"gentle.*or a medium: vhs"):
        evaluate(tmp_path / "none", baselines(), judges, with_options(strengths=("clean", "gentle")))
