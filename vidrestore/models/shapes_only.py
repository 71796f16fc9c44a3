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
