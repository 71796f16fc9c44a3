"""The log of a running training: numbers as JSON lines and TensorBoard curves, grids of faces as PNG."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import OutputError
from vidrestore.files import replace_bytes, replace_text
from vidrestore.types import UInt8

LOG_FILE = "metrics.jsonl"
EVALUATION = "evaluation/"
"""Prefix of the names of an evaluation's figures."""


class TrainingLog:
    """The log of one run in `folder`: `metrics.jsonl`, `pictures/`, and `tensorboard/` where TensorBoard is installed.

    Lines of steps after `step` are dropped first: a run that resumes writes them again.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        self._folder = folder
        self._path = folder / LOG_FILE
        try:
            (folder / "pictures").mkdir(parents=True, exist_ok=True)
            self._drop_after(step)
        except OSError as error:
            raise OutputError(f"cannot write the log of the training to {folder}: {error.strerror}") from error
        self._board = _open_board(folder / "tensorboard", step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line; `values` must be finite numbers."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, **values}))
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, picture: UInt8) -> Path:
        """Save an image, uint8 [H, W, 3] RGB; return its path."""
        path = self._folder / "pictures" / f"{name}-{step:08d}.png"
        _, data = cv2.imencode(".png", picture[:, :, ::-1])  # OpenCV itself crashes on a name that is not UTF-8
        replace_bytes(path, data.tobytes())
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Flush what TensorBoard holds."""
        if self._board is not None:
            self._board.close()

    def _drop_after(self, step: int) -> None:
        if self._path.is_file():
            kept = [values for values in _whole_lines(self._path) if values["step"] <= step]
            replace_text(self._path, "".join(map(_line, kept)))


def last_step(folder: Path) -> int:
    """Return the last step in a run's log; 0 without one."""
    return max((int(values["step"]) for values in _whole_lines(folder / LOG_FILE)), default=0)


def last_figures(folder: Path) -> dict[str, float]:
    """Return the figures of a run's last evaluation, without their prefix; none where there was no evaluation."""
    for values in reversed(_whole_lines(folder / LOG_FILE)):
        found = {name.removeprefix(EVALUATION): value for name, value in values.items() if name.startswith(EVALUATION)}
        if found:
            return found
    return {}


def _whole_lines(path: Path) -> list[dict[str, float]]:
    """Yield the values of each line, its step among them, without lines that a crash cut short; none without a log."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [values for values in map(_values, lines) if values]


def _values(line: str) -> dict[str, float]:
    """Return the values of a line; None for one that a crash cut short."""
    try:
        values: dict[str, float] = json.loads(line)
        float(values["step"])
    except (ValueError, KeyError, TypeError):
        return {}
    return values


def _line(values: Mapping[str, float]) -> str:
    return json.dumps(values) + "\n"


def _open_board(folder: Path, step: int) -> Any:  # noqa: ANN401  TensorBoard carries no types
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  optional, and slow to import

    return SummaryWriter(folder, purge_step=step + 1)


def to_levels(images_B3HW: Tensor) -> UInt8:
    """Convert RGB in [-1, 1] to uint8 [B, H, W, 3]; values outside are clipped."""
    levels = ((images_B3HW.detach().float() + 1) * 127.5).round().clamp(0, 255)
    array: UInt8 = levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def tiled(pictures: UInt8 | Sequence[UInt8], *, columns: int) -> UInt8:
    """Tile images of equal size, uint8 [H, W, 3] each, row by row; the last row is filled with black."""
    rows = []
    for first in range(0, len(pictures), columns):
        row = list(pictures[first : first + columns])
        row += [np.zeros_like(row[0])] * (columns - len(row))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows, axis=0)
