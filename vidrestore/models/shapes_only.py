"""Networks built for their shapes alone: parameters without memory, which are replaced or never run.

`torch.device("meta")` gives parameters no memory, but still calls their initialisation, and the first random fill of a
meta tensor imports torch's compiler: three seconds, for nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vidrestore.errors import ModelError

_INITIALISERS = nn.init.__name__
_FILLS = frozenset({Tensor.normal_, Tensor.uniform_})
_RANDOM = frozenset({torch.randn, torch.rand})


class _WithoutValues(TorchFunctionMode):
    """Leaves tensors as they are where random values were to be filled in."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the function returns
        del types
        named = kwargs or {}
        if function in _FILLS or getattr(function, "__module__", None) == _INITIALISERS:
            return args[0] if args else named["tensor"]
        return torch.empty(*args, **named) if function in _RANDOM else function(*args, **named)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build modules of the block on the meta device, without values."""
    with torch.device("meta"), _WithoutValues():
        yield


def check_shapes(build: Callable[[], nn.Module], state: Mapping[str, Tensor], what: str) -> None:
    """Check that tensors are those of a network, by names and shapes.

    Args:
        build: makes the network; called without values.
        state: the tensors by name.
        what: the network in words, such as "a light restorer".

    Raises:
        ModelError: a name or a shape differs.
    """
    with shapes_only():
        wanted = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differing:
        name = differing[0]
        raise ModelError(
            f"these weights are not {what}: {len(differing)} tensors differ, the first is {name} with shape "
            f"{found.get(name, 'missing')}, wanted {wanted.get(name, 'none such')}"
        )
