"""Reading and writing of weights: the only module that unpickles, and it accepts nothing but tensors."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidrestore.errors import ModelError, OutputError
from vidrestore.files import atomic_path
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.models.light import LightConfig, LightRestorer
from vidrestore.models.shapes_only import shapes_only

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
    zipfile.BadZipFile,
)
"""Errors that torch and safetensors raise on damaged files, depending on where the damage is."""
_MOST_BYTES = 2 << 30
"""Largest file of weights in bytes: several times the largest networks that are used here."""
_MOST_TIES = 2
"""Largest ratio of all tensors together, which may share memory, to the size of their file."""


def load_gfpgan(path: Path) -> GFPGAN:
    """Read a clean GFP-GAN from a `.safetensors` or PyTorch file, in float32 on the CPU, in evaluation mode.

    A PyTorch file may hold its tensors under `params_ema` (as the official ones do), under `params`, or flat.

    Raises:
        ModelError: The file is missing, damaged, holds more than tensors, holds another architecture, or has
            values that are not finite.
    """
    network = load_restorer(path)
    if not isinstance(network, GFPGAN):
        raise ModelError(f"{path} is a light restorer; wanted a clean GFP-GAN")
    return network


def load_restorer(path: Path) -> GFPGAN | LightRestorer:
    """Read a restorer of either kind, a GFP-GAN or a light one; as `load_gfpgan`, with its errors."""

    def configured(state: Mapping[str, Tensor]) -> GFPGANConfig | LightConfig:
        return (
            LightConfig.from_state_dict(state) if LightConfig.describes(state) else GFPGANConfig.from_state_dict(state)
        )

    stored = load_state_dict(path, check=configured)
    state = {name: tensor.float().contiguous() for name, tensor in stored.items()}
    _check_finite(state, path)
    config = configured(state)
    with shapes_only():
        network = LightRestorer(config) if isinstance(config, LightConfig) else GFPGAN(config)
    network.load_state_dict(state, assign=True)
    return network.eval()


def load_state_dict(path: Path, *, check: Callable[[Mapping[str, Tensor]], object] | None = None) -> dict[str, Tensor]:
    """Read the named tensors of a file, as stored, to the CPU.

    A hostile file gets no more memory than twice its own size, and at most that of the largest known network.

    Args:
        path: the file.
        check: examines names and shapes before the tensors are read, and raises ModelError.

    Raises:
        ModelError: The file is missing, damaged, too large, or holds more than tensors; or what `check` raised.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist or is not a file; give the path of a .pth or .safetensors file")
    check_weights_size(path)
    try:
        if path.suffix == ".safetensors":
            _check(_header(path), path, check)
            return load_file(path)
        state = _tensors(_unpickle(path, lazily=True), path)
        _check(state, path, check)
        return {name: tensor.clone() for name, tensor in state.items()}
    except _UNREADABLE as error:
        raise ModelError(_explain(path, error)) from error


def check_weights_size(path: Path) -> None:
    """Refuse a file that is larger than any network's weights, before it is hashed or read.

    Raises:
        ModelError: The file is too large or cannot be accessed.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    if size > _MOST_BYTES:
        raise ModelError(f"{path} has {size} bytes; no network that is used here has over {_MOST_BYTES}")


def save_safetensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write named tensors in their dtype, with free-text metadata, replacing `path` at once.

    Raises:
        OutputError: The file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    try:
        with atomic_path(path) as part:
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
        with atomic_path(path) as part:
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


def _header(path: Path) -> dict[str, Tensor]:
    """Return names and shapes as tensors without memory; safetensors itself checks offsets against the file's size."""
    with safe_open(path, framework="pt") as file:
        names: list[str] = file.keys()
        return {name: torch.empty(file.get_slice(name).get_shape(), dtype=torch.uint8, device="meta") for name in names}


def _unpickle(path: Path, *, lazily: bool = False) -> object:
    """Read a file of torch's; `lazily` leaves the tensors' content on disk where its format allows it."""
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _check_archive(path)
    with warnings.catch_warnings(action="ignore"):  # torch guesses at the origin of files that it then refuses
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped and lazily)
    return content


def _check_archive(path: Path) -> None:
    """Refuse an archive that unfolds to more than it is: torch itself neither compresses nor lets entries overlap."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    held = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or held > path.stat().st_size:
        raise ModelError(
            f"{path} is a compressed archive that unfolds from {path.stat().st_size} to {held} bytes; weights are "
            "stored uncompressed: save them again with torch.save"
        )


def _check(state: Mapping[str, Tensor], path: Path, check: Callable[[Mapping[str, Tensor]], object] | None) -> None:
    for name, tensor in state.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise ModelError(f"{path} holds {name} as a sparse or quantised tensor; wanted plain ones")
    most = _MOST_TIES * path.stat().st_size
    unfolded = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if unfolded > most:
        raise ModelError(
            f"{path} has {path.stat().st_size} bytes and asks for {unfolded}: its tensors repeat the same memory; save "
            "them again, each with its own"
        )
    if check is not None:
        try:
            check(state)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error


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
    """Return an error message of our own: torch's is long, and advises to load without the safety of `weights_only`."""
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
