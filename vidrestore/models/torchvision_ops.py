"""Import of torchvision when its compiled operators do not fit the installed torch.

PyPI's torchvision is built for CUDA; with a CPU-only torch its library does not load, and the import ends with
"operator torchvision::nms does not exist". facexlib and spandrel import torchvision, and need no operator but
`nms`. Builds that match are left alone.
"""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Apply non-maximum suppression, greedy from the highest score, as `torchvision.ops.nms` defines it.

    Args:
        boxes: [N, 4], left, top, right, bottom.
        scores: [N]; of equal ones the earlier box goes first.
        iou_threshold: A box is dropped when its overlap with a kept one is greater than this share of their union.

    Returns:
        int64 [K], indices of the kept boxes by falling score.
    """
    corners = boxes if boxes.dtype == torch.float64 else boxes.float()
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    remaining = torch.argsort(scores, descending=True, stable=True)
    kept: list[Tensor] = []
    while remaining.numel():
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        top_left = torch.maximum(corners[first, :2], corners[remaining, :2])
        bottom_right = torch.minimum(corners[first, 2:], corners[remaining, 2:])
        shared = (bottom_right - top_left).clamp(min=0).prod(dim=1)
        overlap = shared / (areas[first] + areas[remaining] - shared)
        remaining = remaining[~(overlap > iou_threshold)]  # NaN, of two empty boxes, does not suppress
    return torch.stack(kept) if kept else remaining


@cache
def ensure_torchvision_imports() -> None:
    """Make `import torchvision` work in this process; call it before the first one. Repeated calls do nothing."""
    if _native_operators_load():
        return
    library = _torch.library.Library("torchvision", "FRAGMENT")
    _kept.append(library)
    for name in ("nms", "qnms"):
        if not hasattr(_torch.ops.torchvision, name):
            library.define(name + _SCHEMA)
            library.impl(name, nms, "CPU")
    extension: Any = importlib.import_module("torchvision.extension")
    extension._has_ops = lambda: True  # noqa: SLF001  the one switch that torchvision.ops asks before it calls nms


_torch: Any = torch
"""torch.library and torch.ops carry no types."""
_kept: list[object] = []
"""Library objects, kept because an operator's definition vanishes with the object that made it."""


def _native_operators_load() -> bool:
    """Return whether torchvision's own library loads with this torch, or there is no torchvision at all."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    libraries = [path for path in Path(spec.origin).parent.glob("_C*") if path.suffix in {".so", ".pyd", ".dylib"}]
    try:
        for path in libraries:
            _torch.ops.load_library(path)
    except (ImportError, OSError):
        return False
    return hasattr(_torch.ops.torchvision, "nms")
