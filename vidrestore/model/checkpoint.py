"""Weights from and to disk: the only place that unpickles, and never anything but tensors."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidrestore.errors import ModelError, OutputError
from vidrestore.files import replacing
from vidrestore.model.gfpgan import GFPGAN, GFPGANConfig

_UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    struct.error,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch and safetensors raise on damaged files, depending on where the damage is."""


def load_gfpgan(path: Path) -> GFPGAN:
    """Read a clean GFP-GAN from a `.safetensors` or PyTorch file, in float32 on the CPU, in evaluation mode.

    A PyTorch file may hold its tensors under `params_ema` (as the official ones do), under `params`, or flat.

    Raises:
        ModelError: The file is missing, damaged, holds more than tensors, holds another architecture, or has
            values that are not finite.
    """
    state = {name: tensor.float().contiguous() for name, tensor in load_state_dict(path).items()}
    try:
        config = GFPGANConfig.from_state_dict(state)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    _check_finite(state, path)
    with torch.device("meta"):
        network = GFPGAN(config)
    network.load_state_dict(state, assign=True)
    return network.eval()


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file, as stored, on the CPU.

    Raises:
        ModelError: The file is missing, damaged or holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist or is not a file; give the path of a .pth or .safetensors file")
    try:
        content: object = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except _UNREADABLE as error:
        raise ModelError(_explain(path, error)) from error
    return _tensors(content, path)


def save_safetensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write named tensors in their dtype, with free-text metadata, replacing `path` at once.

    Raises:
        OutputError: The file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    try:
        with replacing(path) as part:
            save_file(plain, part, metadata=dict(metadata))
            part.chmod(0o644)  # safetensors writes for the owner alone
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write weights to {path}: {error}; check the folder and its free space") from error


def save_training_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a nested state of tensors and plain values, replacing `path` at once.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        with replacing(path) as part:
            torch.save(dict(state), part)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise OutputError(f"cannot write the training state {path}: {error}; check its free space") from error


def load_training_state(path: Path) -> dict[str, Any]:
    """Read what `save_training_state` wrote, on the CPU; never runs code of the file.

    Raises:
        ModelError: The file is missing, damaged or holds more than tensors and plain values.
    """
    try:
        content: object = _unpickle(path)
    except _UNREADABLE as error:
        if not path.is_file():
            reason = "it is not there"
        elif "unsupported global" in str(error).lower():
            reason = "it holds Python objects besides tensors, which could run code; it is no state of a training"
        else:
            reason = f"it is damaged or cut short ({type(error).__name__})"
        raise ModelError(f"cannot read the training state {path}: {reason}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds {type(content).__name__}; wanted the state of a training")
    return content


def _unpickle(path: Path) -> object:
    with warnings.catch_warnings(action="ignore"):  # torch guesses at the origin of files that it then refuses
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in ("params_ema", "params"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds {type(content).__name__}; wanted named tensors (params_ema, params or flat)")
    others = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(
            f"{path} holds {others[0]!r} ({type(content[others[0]]).__name__}) where tensors are wanted; is it a "
            "training state? Export its generator under params_ema"
        )
    return dict(content)


def _explain(path: Path, error: Exception) -> str:
    """Own words: torch's text runs over many lines and advises to load without the safety of `weights_only`."""
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        reason = "it is a web page, saved where the weights were meant; download the file itself"
    elif head.startswith(b"version https://git-lfs"):
        reason = "it is a git-lfs pointer; fetch the file that it points to"
    elif "unsupported global" in str(error).lower() or "unsupported class" in str(error).lower():
        reason = "it holds Python objects besides tensors, which could run code; convert it to .safetensors"
    else:
        first_line = str(error).strip().partition("\n")[0]
        reason = f"it is damaged or cut short ({type(error).__name__}: {first_line[:120]}); download it again"
    return f"cannot read weights from {path} ({path.stat().st_size} bytes): {reason}"


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(
            f"{path} has NaN or infinite values in {len(broken)} of {len(state)} tensors, the first is {broken[0]}; "
            "its training diverged or the file is damaged: use another checkpoint"
        )
