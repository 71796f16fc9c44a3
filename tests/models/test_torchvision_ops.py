"""Non-maximum suppression by definition, and the import that it makes possible."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from vidrestore.models.torchvision_ops import ensure_torchvision_imports, nms


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def naive_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    order = sorted(range(len(scores)), key=lambda i: (-scores[i].item(), i))
    kept: list[int] = []
    for index in order:
        if all(overlap(boxes[index].tolist(), boxes[other].tolist()) <= threshold for other in kept):
            kept.append(index)
    return kept


def random_boxes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 60
    size = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 40 + 1
    return torch.cat([corner, corner + size], dim=1), torch.rand(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms_equals_the_definition(seed: int, threshold: float) -> None:
    boxes, scores = random_boxes(120, seed)
    assert nms(boxes, scores, threshold).tolist() == naive_nms(boxes, scores, threshold)


def test_nms_takes_the_earlier_of_equal_scores() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [9, 9, 12, 12]])
    assert nms(boxes, torch.ones(3), 0.5).tolist() == [0, 2]


def test_nms_of_no_boxes_is_no_index() -> None:
    kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_nms_keeps_boxes_without_area() -> None:
    assert nms(torch.zeros(2, 4), torch.tensor([0.5, 0.9]), 0.5).tolist() == [1, 0]


def test_torchvision_imports_and_its_nms_works() -> None:
    ensure_torchvision_imports()
    ensure_torchvision_imports()
    torchvision = pytest.importorskip("torchvision")
    boxes, scores = random_boxes(60, 9)
    assert torchvision.ops.nms(boxes, scores, 0.4).tolist() == naive_nms(boxes, scores, 0.4)
    classes = torch.arange(60) % 2
    even, odd = (naive_nms(boxes[part::2], scores[part::2], 0.4) for part in (0, 1))
    wanted = {2 * index for index in even} | {2 * index + 1 for index in odd}
    assert set(torchvision.ops.batched_nms(boxes, scores, classes, 0.4).tolist()) == wanted


def test_facexlib_imports_in_a_fresh_process() -> None:
    program = (
        "from vidrestore.models.torchvision_ops import ensure_torchvision_imports as fix; fix(); fix(); "
        "import torchvision, facexlib; print(torchvision.extension._has_ops())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "True", done.stderr


def test_a_build_that_loads_by_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidrestore.models import torchvision_ops  # noqa: PLC0415  the module itself is patched

    monkeypatch.setattr(torchvision_ops, "_native_operators_load", lambda: True)
    monkeypatch.setattr(torchvision_ops, "_torch", None)  # would fail when touched
    ensure_torchvision_imports.__wrapped__()
